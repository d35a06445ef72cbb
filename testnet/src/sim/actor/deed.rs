//! What Byzantine nodes do that no correct one does, by name. A deed counts when it reaches someone:
//! what is sent over no connection is none.

use std::fmt;

use super::Kind;
use crate::sim::coverage::Row;

macro_rules! deeds {
    ($($kind:ident { $($deed:ident: $text:literal,)+ })+) => {
        /// A deed of a kind of actor.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Deed {
            $($(#[doc = $text] $deed,)+)+
        }

        impl Deed {
            /// Whose deed it is.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $($(Self::$deed)|+ => Kind::$kind,)+ }
            }
        }

        impl Row for Deed {
            fn all() -> Vec<Self> {
                vec![$($(Self::$deed),+),+]
            }
        }

        impl fmt::Display for Deed {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = match self { $($(Self::$deed => $text,)+)+ };
                write!(f, "{}  {text}", self.kind())
            }
        }
    };
}

deeds! {
    Accomplice {
        StandsIn: "the standby votes with the mute holder's key",
        Shows: "the holder calls a mute standby alive",
        Hides: "the holder calls its standby dead",
        HandsOn: "the standby passes on precommits that it alone was given",
    }
    Astray {
        FollowsAstray: "the standby follows with another state than the chain's",
    }
    BadProposer {
        OldTx: "a block with a transaction that was in one before, or is about to be",
        ExpiredTx: "... with an expired transaction",
        SameTx: "... with a transaction twice",
        ForgedTx: "... with a wrongly signed transaction",
        TooManyTxs: "... with too many transactions",
        TooManyBytes: "... with too many bytes of them",
        TooFewSigners: "... on a certificate of too little power",
        OtherObservation: "... with an observation of other length",
        OtherRecord: "... with another record",
        NoObservation: "... without one of the observations",
        Frames: "... with evidence that is made up",
        OtherHash: "... with another hash",
        SameTime: "... of the same time as its parent's",
        Ahead: "... that is ahead of all clocks",
        FalseProof: "a re-proposal with its own prevote as proof",
    }
    Clinger {
        Usurps: "votes and proposes at an index that is its own no more",
        SignsCertificate: "puts its precommit at that index of certificates",
    }
    Counterfeiter {
        ClaimsAll: "a block that nobody proposed, in a certificate of all",
        AltersBlock: "... in the certificate of another",
        SpoilsSignatures: "a certificate with signatures that are nobody's",
        OtherRound: "... of another round",
        FlipsBits: "... with other observations",
        OtherAccused: "evidence about another",
        SpoilsParent: "a block on a certificate with signatures that are nobody's",
        Reverses: "blocks in reverse",
        ReversesSignatures: "a certificate with its signatures in reverse",
        DropsObservations: "... without observations",
        DropsTxs: "a block without its transactions",
    }
    Deaf {
        Ignores: "takes no notice of precommits of some",
    }
    DoubleProposer {
        ProposesTwo: "two blocks in one round",
    }
    DoubleVoter {
        VotesNilToo: "a block and nil",
        VotesTwo: "two blocks",
        VotesBlockToo: "nil and a block",
    }
    Framer {
        Thins: "a certificate without its victim",
        Accuses: "its victim is dead",
    }
    Garbler {
        Garbles: "bytes with errors in them",
    }
    Hider {
        HidesBlock: "shows its block to some only",
    }
    Impostor {
        VotesForHolder: "votes at its holder's index",
        ProposesForHolder: "proposes in its holder's turn",
        FollowsForHolder: "follows in its holder's name",
    }
    Liar {
        Lies: "another observation",
    }
    NilVoter {
        VotesNil: "nil for a valid block",
        KeepsSeatByNil: "... and keeps its seat",
    }
    Pretender {
        Claims: "a height that it does not have",
        MisleadsLost: "another height to one whose key is lost",
        LeavesOpen: "no answer",
        AnswersNothing: "an empty answer",
        Invents: "blocks that are made up",
    }
    Replayer {
        Replays: "an old message",
        VotesElsewhere: "a vote of another height or round",
        VotesAtAnyIndex: "a vote at an index that is not its own",
        FollowsAhead: "follows above the chain's end",
        ProposesAhead: "a proposal of a height to come",
        ProposesNext: "a proposal of a round to come",
    }
    Silent {
        SaysNothing: "neither votes nor proposes",
        KeepsSeatSilently: "... and keeps its seat",
    }
    Twin {
        VotesAsSecond: "the second copy votes",
    }
    TwoFaced {
        ShowsSecond: "two blocks in one round, to one half each",
        VotesForSecond: "votes for the second, too",
    }
    Withholder {
        Withholds: "sends a message to some only",
    }
}
