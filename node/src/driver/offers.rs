//! When a node that has few blocks or none asks its peers for their snapshots, and which of them it
//! restores.

use std::time::{Duration, Instant};

use tandem_chain::types::Height;

/// Blocks that a snapshot must be ahead to be worth restoring, where the blocks are to be had.
pub(super) const WORTH_RESTORING: u64 = 1_000;
/// Blocks that a node gives up for a snapshot: they are fetched again as quickly. One that has more of them
/// keeps what it has.
const FEW: u64 = WORTH_RESTORING;
/// Times that peers are asked before the node goes on block by block.
const ASKED: u32 = 3;
/// Time between them.
const APART: Duration = Duration::from_secs(2);
/// The same, as long as no peer has the next block: there is nothing else to do.
const APART_OUT_OF_REACH: Duration = Duration::from_secs(10);

/// When a node restores a snapshot that its peers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restores {
    /// Never: it has more blocks than a few, or its configuration says so.
    Never,
    /// When nobody has the next block any more.
    OutOfReach,
    /// When it is far behind, too.
    Behind,
}

impl Restores {
    /// The same for a node that starts at this height.
    #[must_use]
    pub fn from(self, tip: Height) -> Self {
        if tip.0 > FEW { Self::Never } else { self }
    }
}

/// What is left to be asked.
pub(super) struct Offers {
    restores: Restores,
    left: u32,
    next: Instant,
}

impl Offers {
    pub fn new(restores: Restores) -> Self {
        let left = if restores == Restores::Behind { ASKED } else { 0 };
        Self { restores, left, next: Instant::now() }
    }

    /// Whether peers are to be asked now, by a node at height `tip` where the others are at `claim`: below
    /// `tip` as long as too few have told.
    pub fn ask(&mut self, tip: Height, claim: Height, is_out_of_reach: bool, now: Instant) -> bool {
        let is_far = is_worth_it(tip, claim, false);
        if tip > Height::ZERO && claim >= tip && !is_far {
            // It has come so far by itself: what it has is not given up any more.
            self.left = 0;
        }
        let may = is_only_way(tip, is_out_of_reach) && self.restores != Restores::Never
            || is_far && self.left > 0;
        if !may || now < self.next {
            return false;
        }
        self.next = now + if self.left > 0 { APART } else { APART_OUT_OF_REACH };
        self.left = self.left.saturating_sub(1);
        true
    }
}

/// Whether a node at height `tip` is to restore a snapshot of height `of`.
pub(super) fn is_worth_it(tip: Height, of: Height, is_out_of_reach: bool) -> bool {
    let least = if is_only_way(tip, is_out_of_reach) { 0 } else { WORTH_RESTORING };
    of.0.saturating_sub(tip.0) > least
}

/// Whether a node at height `tip` gets no further but by a snapshot.
fn is_only_way(tip: Height, is_out_of_reach: bool) -> bool {
    is_out_of_reach && tip.0 <= FEW
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at these seconds, with tip, claim and whether that is out of reach.
    fn check(restores: Restores, steps: &[(u64, u64, u64, bool, bool)]) {
        let mut offers = Offers::new(restores);
        let start = offers.next;
        for step @ &(seconds, tip, claim, is_out_of_reach, expected) in steps {
            let now = start + Duration::from_secs(seconds);
            let asked = offers.ask(Height(tip), Height(claim), is_out_of_reach, now);
            assert_eq!(asked, expected, "{restores:?} {step:?}");
        }
    }

    #[test]
    fn peers_are_asked_a_few_times_and_on_and_on_where_there_is_no_other_way() {
        let far = WORTH_RESTORING + 1;
        let few = [
            (0, 0, 0, false, false),
            (0, 0, far - 1, false, false),
            (0, 0, far, false, true),
            (1, 0, far, false, false),
            (2, 9, far + 9, false, true),
            (4, 0, far, false, true),
            (60, 0, far, false, false),
        ];
        check(Restores::Behind, &few);
        let on = [
            (60, 0, 1, true, true),
            (69, 0, 1, true, false),
            (70, 0, 1, true, true),
            (80, 0, 1, false, false),
            (80, FEW + 1, FEW + far + 9, true, false),
            (80, FEW, FEW + 1, true, true),
            (89, 0, far, true, false),
        ];
        check(Restores::Behind, &[&few[..], &on].concat());
        check(Restores::OutOfReach, &[(0, 0, far, false, false)]);
        check(Restores::OutOfReach, &on);
        check(Restores::Never, &[(0, 0, far, false, false), (0, 0, far, true, false)]);
        // Who was near the tip once keeps what it has, however far behind it falls.
        check(Restores::Behind, &[(0, 1, far, false, false), (9, 1, far + 1, false, false)]);
        // Who starts with blocks does not know at first how far behind it is.
        check(Restores::Behind, &[(0, 9, 0, false, false), (1, 9, 9 + far, false, true)]);
    }

    #[test]
    fn a_node_with_few_blocks_gives_them_up_and_one_with_more_keeps_them() {
        for (tip, expected) in
            [(0, Restores::Behind), (FEW, Restores::Behind), (FEW + 1, Restores::Never)]
        {
            assert_eq!(Restores::Behind.from(Height(tip)), expected, "{tip}");
        }
        assert_eq!(Restores::Never.from(Height(1)), Restores::Never);
    }

    #[test]
    fn a_snapshot_is_worth_it_far_ahead_or_where_there_is_no_other_way() {
        for (tip, of, is_out_of_reach, expected) in [
            (0, 0, false, false),
            (0, WORTH_RESTORING, false, false),
            (5, WORTH_RESTORING + 5, false, false),
            (5, WORTH_RESTORING + 6, false, true),
            (5, 3, false, false),
            (0, 0, true, false),
            (0, 1, true, true),
            (1, WORTH_RESTORING, true, true),
            (FEW, FEW + 1, true, true),
            (FEW + 1, FEW + 2, true, false),
        ] {
            let found = is_worth_it(Height(tip), Height(of), is_out_of_reach);
            assert_eq!(found, expected, "{tip} {of} {is_out_of_reach}");
        }
    }
}
