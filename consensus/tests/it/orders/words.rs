//! What may happen and what a replica may do, on seats, rounds and block numbers alone.

/// Seats of equal power: three are a quorum, two more than a third.
pub const SEATS: usize = 4;
/// Rounds that are looked at. A history that goes further is not followed.
pub const ROUNDS: usize = 4;

/// The number of a block, or nil.
pub type Value = Option<u8>;

/// The kinds of votes, as indexes.
pub const PREVOTE: usize = 0;
pub const PRECOMMIT: usize = 1;

/// What came from the other seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Vote {
        seat: usize,
        kind: usize,
        round: usize,
        value: Value,
    },
    /// With a valid round it carries the prevotes of the first `carried` of the other seats.
    Proposal {
        round: usize,
        block: u8,
        valid_round: Option<usize>,
        carried: usize,
    },
}

/// What the replica did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Vote {
        kind: usize,
        round: usize,
        value: Value,
    },
    /// `carried` are the seats whose prevotes came with it.
    Proposal {
        round: usize,
        block: u8,
        valid_round: Option<usize>,
        carried: u8,
    },
    /// It had the ledger check a block.
    Asked(u8),
    /// `signers` are the seats in the certificate.
    Commit {
        round: usize,
        block: u8,
        signers: u8,
    },
    Accused(usize),
    Halted,
}

impl Done {
    /// The round that it is in; none when it is in no round.
    pub fn round(&self) -> Option<usize> {
        match self {
            Self::Vote { round, .. }
            | Self::Proposal { round, .. }
            | Self::Commit { round, .. } => Some(*round),
            Self::Asked(_) | Self::Accused(_) | Self::Halted => None,
        }
    }
}

/// In a few words, blocks by letters.
pub fn text(done: &Done) -> String {
    let letter = |block: u8| char::from(b'A' + block).to_string();
    match done {
        Done::Vote { kind, round, value } => {
            let kind = if *kind == PREVOTE { "prevote" } else { "precommit" };
            format!("{kind} {round} {}", value.map_or_else(|| "nil".to_owned(), letter))
        }
        Done::Proposal { round, block, valid_round: None, .. } => {
            format!("propose {round} {}", letter(*block))
        }
        Done::Proposal { round, block, valid_round: Some(valid), .. } => {
            format!("propose {round} {} of {valid}", letter(*block))
        }
        Done::Asked(block) => format!("ask {}", letter(*block)),
        Done::Commit { round, block, .. } => format!("commit {round} {}", letter(*block)),
        Done::Accused(_) => "accuse".to_owned(),
        Done::Halted => "halt".to_owned(),
    }
}
