//! Turns: whoever makes a block, or proposes one, does so in its turn (design, section 4). With n
//! seats and L those whose holder the record in the block before calls alive (all of them if there is
//! none), rounds r < n of height h are `L[(h + r) mod |L|]`'s, later ones `all[(h + r) mod n]`'s.

use tandem_chain::block::CertifiedBlock;
use tandem_chain::types::Address;

use super::seats::{Holder, Seats};
use super::{Verdict, broken};

const RULE: &str = "turns";

/// Whose turn a round is.
pub(super) fn turn(seats: &Seats, height: u64, round: u32) -> Option<&Holder> {
    let table = seats.table(height)?;
    let all: Vec<&Holder> = table.values().collect();
    let seated = all.len() as u64;
    let alive = seats.alive_in(height - 1).filter(|_| u64::from(round) < seated);
    let has_turns = |holder: &&Holder| alive.is_none_or(|alive| alive.contains(&holder.holder));
    let mut turns: Vec<&Holder> = all.iter().copied().filter(has_turns).collect();
    if turns.is_empty() {
        turns = all;
    }
    let number = (height + u64::from(round)) % turns.len() as u64;
    turns.get(usize::try_from(number).ok()?).copied()
}

/// Whether a node had its turn in a round up to `last`.
pub(super) fn had_turn(seats: &Seats, height: u64, last: u32, author: Address) -> bool {
    // All turns have come round after as many rounds as there are seats, twice over.
    let rounds = seats.table(height).map_or(0, |table| 2 * table.len());
    let last = last.min(u32::try_from(rounds).unwrap_or(u32::MAX));
    (0..=last).any(|round| turn(seats, height, round).is_some_and(|t| t.address == author))
}

/// The one chain has a new block: it was made by one whose turn it was, in a round up to the one that
/// decided it.
pub(super) fn committed(seats: &Seats, certified: &CertifiedBlock) -> Verdict {
    let header = &certified.block.header;
    let round = certified.certificate.commit.round.0;
    if had_turn(seats, header.height.0, round, header.proposer_address) {
        return Ok(());
    }
    let what = format!(
        "block {} of round {round} is by {}, whose turn it was not",
        header.height, header.proposer_address
    );
    broken(RULE, what)
}
