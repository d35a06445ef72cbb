//! What a replica is made of, as text.

use std::fmt;

use super::Replica;

/// All that it holds but its signer and what follows from the tip: two replicas of one key at one tip
/// whose texts are equal do the same from there on.
impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            signer: _,
            me,
            address: _,
            tip,
            fixed: _,
            certificate,
            journal,
            ahead,
            valid,
            state,
            previous,
            early,
            shown,
            followed,
            owed,
            catch_up,
            recovery,
            has_work,
            clock_offset_ms,
            clock_off_ms,
            clocks_ahead,
            role,
            halted,
        } = self;
        f.debug_struct("Replica")
            .field("me", me)
            .field("tip", &(tip.height, tip.block))
            .field("certificate", certificate)
            .field("journal", journal)
            .field("ahead", ahead)
            .field("valid", valid)
            .field("state", state)
            .field("previous", previous)
            .field("early", early)
            .field("shown", shown)
            .field("followed", followed)
            .field("owed", owed)
            .field("catch_up", catch_up)
            .field("recovery", recovery)
            .field("has_work", has_work)
            .field("clock_offset_ms", clock_offset_ms)
            .field("clock_off_ms", clock_off_ms)
            .field("clocks_ahead", clocks_ahead)
            .field("role", role)
            .field("halted", halted)
            .finish_non_exhaustive()
    }
}
