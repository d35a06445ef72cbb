//! Rows of the switch table: the cases of the front page of `tandem_consensus` and of the design's section
//! 6, with what may happen in each.
//!
//! Two cases have no row, since they are not reached. The last seat that is kept for a barred holder: a
//! network in which all but one are barred has more than f power lying. A dead holder with more than f
//! power, whose seat is kept: what is left is no quorum, so that there is no block with such a record.

use super::rows;

rows! {
    /// A row of the switch table.
    Case {
        Automatic: "automatic  holder dead, partner alive: the partner gets the seat",
        ByBlocks: "automatic  ... after N blocks, the time being over before",
        ByGrace: "automatic  ... after the grace, the blocks being there before",
        ByMin: "automatic  ... after failover_min as set, the blocks being there before",
        ByRaisedBlocks: "automatic  ... after n + 1 blocks, more than failover_blocks",
        Several: "automatic  ... several seats in one block",
        BothDead: "both nodes of the pair dead: the seat keeps its holder",
        Behind: "partner runs but is behind: it counts as dead",
        OtherState: "partner runs with another state: it counts as dead",
        CannotSign: "a holder that cannot sign is replaced though it runs",
        Returns: "the old holder returns, and is the standby",
        NoWayBack: "the old holder returns: no switch back in N blocks",
        CutOff: "an old holder that ran on, cut off, finds that it is the standby",
        HolderBack: "flapping  the holder is alive again: its run ends",
        PartnerGone: "flapping  the partner dies: the run ends",
        NotYet: "flapping  dead already before the last change is in effect: not counted",
        Again: "flapping  a seat moves by a second full run",
        NoPartner: "no partner: the seat is kept",
        Halted: "more than f power down: no block; then the chain goes on",
        BarredMoves: "barred  evidence against a holder: the partner gets the seat",
        LeftOut: "barred  ... no partner alive: the seat is left out",
        Filled: "barred  ... a seat that was left out is filled",
        BarredPartner: "barred  evidence against the other node of the pair",
        ByAdmin: "planned  by the admin key",
        ByHolder: "planned  by the holder",
        InTime: "planned  no round is lost",
        OverRun: "planned  while a run for an automatic switch is under way",
        NoSuchSeat: "refused  there is no such seat",
        NotAllowed: "refused  the sender is neither admin nor holder",
        TwiceInBlock: "refused  the seat has changed in this block",
        OldTerm: "refused  another term",
        SeatIsOut: "refused  the seat is left out",
        HoldsAlready: "refused  the target holds the seat",
        NotOfPair: "refused  the target is not of the pair",
        TargetDead: "refused  the target is not alive in the record",
    }
}
