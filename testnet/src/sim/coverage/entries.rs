//! Rows of the table of invitations: how nodes came by them, what others tried with them, and how far
//! networks grew and shrank.

use super::rows;

rows! {
    /// A row of the table of invitations.
    Entry {
        FirstNode: "used  by an organisation's first node",
        Standby: "used  by a standby beside a holder",
        Observer: "used  by a node beside the pair",
        Replacement: "used  in the place of a node that was lost",
        Elsewhere: "used  through a member of another organisation",
        SentAgain: "used  after it was sent more than once",
        Died: "used  by a machine that died on the way",
        OneOfTwo: "used  by one of two machines that had the token",
        Copied: "refused  another's claim, by a key of one's own",
        OwnClaim: "refused  a claim that is not by the one-time key",
        OwnOneTime: "refused  another one-time key in it",
        OtherPart: "refused  another part in it",
        Longer: "refused  a longer life in it",
        OtherOrg: "refused  another organisation in it",
        OtherChain: "refused  one of another chain",
        NotAdmin: "refused  one that another admin key has signed",
        Late: "refused  one that has expired",
        TooFar: "refused  one for longer than a week",
        KnownKey: "refused  a key that has a role",
        UsedTwice: "refused  a second node of its holder",
        Repeated: "refused  the same transaction once more",
        Grown: "one seat has grown to seven organisations, each through another member",
        Shrunk: "... and has shrunk to four",
    }
}
