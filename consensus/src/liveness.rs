//! What each node has shown, and from it the observation of the next precommit (design, section 5).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tandem_chain::keys::PublicKey;
use tandem_chain::liveness::Bits;
use tandem_chain::roles::Register;
use tandem_chain::tip::Tip;
use tandem_chain::types::{BlockId, Hash, Height};

use crate::limits::RECENT_BLOCKS;
use crate::message::FollowBody;

/// A block that was committed since this process started.
#[derive(Clone, Copy, Debug)]
struct Recent {
    height: Height,
    block: Option<BlockId>,
    app_hash: Hash,
    /// Sum of the capped times between blocks since the process started, up to this block.
    elapsed: Duration,
}

/// What every registered node has shown to this one since it started.
#[derive(Clone, Debug)]
pub struct Shown {
    me: PublicKey,
    recent: VecDeque<Recent>,
    last_time: tandem_chain::types::Timestamp,
    nodes: BTreeMap<PublicKey, Height>,
    /// Of each node the newest follow message that is ahead of this node.
    ahead: BTreeMap<PublicKey, FollowBody>,
}

impl Shown {
    /// At a tip. At genesis all have shown block 0; later nobody has shown anything.
    #[must_use]
    pub fn new(me: PublicKey, tip: &Tip) -> Self {
        let nodes = if tip.height == Height::ZERO {
            tip.register.nodes.keys().map(|key| (*key, Height::ZERO)).collect()
        } else {
            BTreeMap::new()
        };
        let first = Recent {
            height: tip.height,
            block: tip.block,
            app_hash: tip.app_hash,
            elapsed: Duration::ZERO,
        };
        Self {
            me,
            recent: VecDeque::from([first]),
            last_time: tip.time,
            nodes,
            ahead: BTreeMap::new(),
        }
    }

    fn recent(&self, height: Height) -> Option<&Recent> {
        let first = self.recent.front()?.height;
        let index = usize::try_from(height.0.checked_sub(first.0)?).ok()?;
        self.recent.get(index)
    }

    /// This node has committed a block. `cap` is the idle block interval.
    pub fn committed(&mut self, tip: &Tip, cap: Duration) {
        let last = self.recent.back().expect("there is always the block of the start");
        let elapsed = last.elapsed + tip.time.since(self.last_time).min(cap);
        let Tip { height, block, app_hash, .. } = *tip;
        self.recent.push_back(Recent { height, block, app_hash, elapsed });
        self.last_time = tip.time;
        if self.recent.len() > RECENT_BLOCKS {
            self.recent.pop_front();
        }
        self.nodes.retain(|key, _| tip.register.nodes.contains_key(key));
        self.ahead.retain(|key, _| tip.register.nodes.contains_key(key));
        let due: Vec<FollowBody> =
            self.ahead.values().filter(|body| body.height <= height).cloned().collect();
        for body in due {
            self.ahead.remove(&body.node);
            self.follow(&body);
        }
    }

    /// A node has voted for a block that follows block `height` and holds the state after it.
    pub fn show(&mut self, node: &PublicKey, height: Height) {
        let shown = self.nodes.entry(*node).or_insert(height);
        *shown = (*shown).max(height);
    }

    /// A verified vote for a block of a height that this node has committed: if it is the block that
    /// was decided, the voter held the state before it.
    pub fn voted(&mut self, node: &PublicKey, height: Height, block: BlockId) {
        if self.recent(height).is_some_and(|r| r.block == Some(block)) {
            self.show(node, height.back(1));
        }
    }

    /// A verified follow message. Counts when block and state are this node's own; is kept while it
    /// is ahead of this node.
    pub fn follow(&mut self, body: &FollowBody) {
        let newest = self.recent.back().expect("there is always the block of the start").height;
        if body.height > newest {
            let kept = self.ahead.entry(body.node).or_insert_with(|| body.clone());
            if kept.height < body.height {
                *kept = body.clone();
            }
            return;
        }
        let same = self
            .recent(body.height)
            .is_some_and(|r| r.block == Some(body.block) && r.app_hash == body.app_hash);
        if same {
            self.show(&body.node, body.height);
        }
    }

    /// Whether a node is fresh for a precommit at `height`, the one after the newest block.
    #[must_use]
    pub fn is_fresh(&self, node: &PublicKey, height: Height, grace: Duration) -> bool {
        if *node == self.me {
            return true;
        }
        let Some(shown) = self.nodes.get(node) else { return false };
        let unshown = shown.next();
        if unshown.next() >= height {
            return true;
        }
        match (self.recent(unshown), self.recent(height.back(1))) {
            (Some(from), Some(to)) => to.elapsed.saturating_sub(from.elapsed) <= grace,
            _ => false,
        }
    }

    /// The observation for a precommit at `height`: a bit per node of the register after the
    /// height before.
    #[must_use]
    pub fn observe(&self, register: &Register, height: Height, grace: Duration) -> Bits {
        register.nodes.keys().map(|node| self.is_fresh(node, height, grace)).collect()
    }
}
