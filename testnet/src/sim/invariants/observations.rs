//! Observations: each bit that a correct validator signs is what the design's section 5 makes of the
//! messages that it has heard.
//!
//! A node shows block b, and all below, by a vote for a block at height b + 1, or by a follow message
//! with the block and the state at height b; to have shown nothing is what a restart of the observer
//! makes of everyone. With u the first block that a node has not shown, it is fresh for a precommit
//! at height h if u >= h - 1, or if the blocks u + 1 to h - 1 took no longer than the grace, each
//! interval capped.
//!
//! Two readings again, see [`super::heard`]. A node is not *surely* shown by what tells of blocks
//! from before the observer's start, of which it has only its word, nor by what a newer message
//! replaces before the observer has got there.

use std::collections::{BTreeMap, BTreeSet};

use tandem_chain::keys::PublicKey;
use tandem_chain::liveness::Bits;
use tandem_chain::types::BlockId;
use tandem_chain::vote::Vote;
use tandem_consensus::message::FollowBody;

use super::heard::Heard;
use super::{Chain, Verdict, broken};
use crate::sim::queue::Time;

const RULE: &str = "observations";

/// Heights behind its own of which a replica remembers block and state, with some to spare.
const REMEMBERED: u64 = 4_000;

/// The height that a node may have shown at most, and the one that it surely has.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    most: Option<u64>,
    surely: Option<u64>,
}

/// What one node has seen of the others since its process started.
#[derive(Debug)]
pub(super) struct Eyes {
    me: PublicKey,
    /// Height from which the process started.
    start: u64,
    /// What each may have shown.
    shown: BTreeMap<PublicKey, Shown>,
    /// When each was last heard to show something of its own.
    pub heard_at: BTreeMap<PublicKey, Time>,
    /// Follow messages that are ahead of this node: all, and of each node the newest.
    ahead: Vec<FollowBody>,
    newest_ahead: BTreeMap<PublicKey, FollowBody>,
}

impl Eyes {
    /// In a process that starts at a height.
    pub fn new(me: PublicKey, start: u64, register: &BTreeSet<PublicKey>) -> Self {
        // At genesis all have shown block 0.
        let at_genesis = register.iter().filter(|_| start == 0);
        let genesis = Shown { most: Some(0), surely: Some(0) };
        Self {
            me,
            start,
            shown: at_genesis.map(|key| (*key, genesis)).collect(),
            heard_at: BTreeMap::new(),
            ahead: Vec::new(),
            newest_ahead: BTreeMap::new(),
        }
    }

    fn show(&mut self, key: PublicKey, height: u64, surely: bool) {
        let shown = self.shown.entry(key).or_default();
        shown.most = shown.most.max(Some(height));
        if surely {
            shown.surely = shown.surely.max(Some(height));
        }
    }

    /// A follow message has come, `tip` being the height that this node has committed.
    pub fn follow(&mut self, chain: &Chain, body: &FollowBody, tip: u64) {
        if body.height.0 <= tip {
            self.judge(chain, body, tip, true);
            return;
        }
        self.ahead.retain(|known| (known.node, known.height) != (body.node, body.height));
        self.ahead.push(body.clone());
        let newest = self.newest_ahead.entry(body.node).or_insert_with(|| body.clone());
        if newest.height < body.height {
            *newest = body.clone();
        }
    }

    fn judge(&mut self, chain: &Chain, body: &FollowBody, tip: u64, surely: bool) {
        let height = body.height.0;
        let is_known = height >= self.start && height + REMEMBERED > tip;
        if chain.id(height) == Some(body.block) && chain.state(height) == Some(body.app_hash) {
            self.show(body.node, height, surely && is_known);
        }
    }

    /// A vote for a block of a height below the one that this node works on has come. `surely` is
    /// whether its voter, a correct one, holds a seat still.
    pub fn late_vote(&mut self, chain: &Chain, key: PublicKey, vote: &Vote, surely: bool) {
        let height = vote.height.0;
        if vote.block.is_some() && chain.id(height) == vote.block {
            self.show(key, height - 1, surely && height >= self.start);
        }
    }

    /// Those who voted for valid blocks of the height that this node works on have shown the one
    /// before; surely, if it is this block.
    fn note_voters(&mut self, heard: &Heard, block: BlockId) {
        for vote in heard.all_votes() {
            let is_valid = |id: &BlockId| heard.checked.get(id) == Some(&true);
            if vote.block.as_ref().is_some_and(is_valid) {
                let surely = vote.surely && vote.block == Some(block);
                self.show(heard.order[vote.seat].holder, heard.height - 1, surely);
            }
        }
    }

    /// This node decides a block, with a certificate that these seats have signed.
    pub fn decides(&mut self, heard: &Heard, block: BlockId, signers: impl Iterator<Item = usize>) {
        self.note_voters(heard, block);
        for seat in signers {
            self.show(heard.order[seat].holder, heard.height - 1, true);
        }
    }

    /// This node has executed the block of the height that it worked on.
    pub fn committed(&mut self, chain: &Chain, heard: &Heard) {
        let height = heard.height;
        // Votes that came while it was executed are late ones.
        let id = chain.id(height);
        for vote in heard.all_votes().filter(|vote| vote.block.is_some() && vote.block == id) {
            self.show(heard.order[vote.seat].holder, height - 1, vote.surely);
        }
        let ahead = std::mem::take(&mut self.ahead).into_iter();
        let (due, ahead): (Vec<FollowBody>, _) = ahead.partition(|body| body.height.0 <= height);
        self.ahead = ahead;
        for body in due {
            let surely = self.newest_ahead.get(&body.node) == Some(&body);
            self.judge(chain, &body, height, surely);
        }
        self.newest_ahead.retain(|_, body| body.height.0 > height);
        // A node that leaves the register and comes back has shown nothing.
        let register = chain.seats.register(height);
        self.shown.retain(|key, _| register.contains(key));
        self.newest_ahead.retain(|key, _| register.contains(key));
        self.ahead.retain(|body| register.contains(&body.node));
    }

    /// This node signs an observation with its precommit for a block.
    pub fn observes(
        &mut self,
        chain: &Chain,
        heard: &Heard,
        block: BlockId,
        seen: &Bits,
        who: &str,
    ) -> Verdict {
        self.note_voters(heard, block);
        let height = heard.height;
        let register = chain.seats.register(height - 1);
        if seen.len() != register.len() {
            return broken(RULE, format!("{who} observes {} nodes at {height}", seen.len()));
        }
        for (bit, key) in register.iter().enumerate() {
            let shown = self.shown.get(key).copied().unwrap_or_default();
            let [surely, most] = [shown.surely, shown.most].map(|shown| {
                *key == self.me || shown.is_some_and(|shown| is_fresh(chain, shown, height))
            });
            let is_seen = seen.get(bit);
            if (is_seen && !most) || (!is_seen && surely) {
                let what = format!("{who} sees {key} at {height}: {is_seen}; shown: {shown:?}");
                return broken(RULE, what);
            }
        }
        Ok(())
    }
}

/// The design's rule, for a node that has shown `shown`.
fn is_fresh(chain: &Chain, shown: u64, height: u64) -> bool {
    let unshown = shown + 1;
    unshown + 1 >= height || chain.seats.took(unshown, height - 1) <= chain.grace_at(height)
}
