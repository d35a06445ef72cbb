//! The invariants of the design's section 9, each in a file of its own, written without calling the
//! predicates that they check: they count power, derive records and move seats by themselves.
//!
//! In histories of their own more than f power lies while the faults last. There the protocol promises
//! less, and the invariants that presuppose at most f are off, as [`BEYOND_F`] says.

mod acts;
pub mod agreement;
pub mod bounded_switch;
mod calls;
pub mod double_sign;
pub mod evidence;
pub mod exactly_once;
mod heard;
pub mod invitations;
mod licence;
pub mod liveness;
mod lost_key;
mod motions;
mod observations;
pub mod one_chain;
pub mod one_signer;
pub mod persist_first;
pub mod progress;
mod register;
mod reports;
mod rounds;
pub mod same_state;
mod seats;
mod signed;
mod turns;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, Verifier};
use tandem_chain::ledger::Receipt;
use tandem_chain::modules::consortium::{Change, Invitation};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Address, BlockId, ChainId, Hash, Height, Round, TxHash};
use tandem_consensus::message::Message;
use tandem_consensus::verify::Fault;
use tandem_consensus::{Effect, Input, Step};

pub use self::calls::Changes;
pub use self::invitations::Issued;
pub(super) use self::seats::grace;
pub use self::seats::{Moved, Table, f};
pub use self::watch::Moment;
use super::disk::Image;
use super::queue::Time;

/// Which invariants are off in a history with more than f lying power, for its description.
///
/// What is left in any case: each correct node keeps its own chain, gap-free, over every crash (2);
/// none signs twice (4) or before it is durable (5); none is accused of having signed twice; none
/// panics. Until the chain forks all else holds too: what each correct node does and observes has its
/// reason in what it has heard, and state, role tables, certificates and receipts are what follows from
/// the chain's blocks, since a certificate needs a correct signer still. No correct node halts, and the
/// chain goes on once the liars have turned honest or fallen silent (8, 9, 10), unless more than f power
/// is silent or was stopped by what its key had signed, or votes of the liars have taken a correct node
/// to rounds above any that a message may name (55: they have more than 1/3 of the power). But of a
/// record liars are enough to say anything.
pub const BEYOND_F: &str = "off are 1 (agreement) and 7 (framing, clinging) of records, after a fork \
                            all but 2, 4, 5 and that no correct node is accused";

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub rule: &'static str,
    /// What happened instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// Whether an invariant holds.
pub type Verdict = Result<(), Violation>;

pub(super) fn broken(rule: &'static str, what: String) -> Verdict {
    Err(Violation { rule, what })
}

/// A node.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name in stories.
    pub name: Rc<str>,
    /// Its key.
    pub key: PublicKey,
    /// The address of its key.
    pub address: Address,
    /// Whether it keeps to the protocol.
    pub is_correct: bool,
}

/// A commit by a correct node.
pub struct Commit<'a> {
    /// When.
    pub now: Time,
    /// The node's index.
    pub node: usize,
    /// Its block with the certificate that the node has for it.
    pub block: &'a Arc<CertifiedBlock>,
    /// The block's id.
    pub id: BlockId,
    /// The node's state after it.
    pub tip: &'a Tip,
    /// Its receipts; none where they are not at hand.
    pub receipts: &'a [Receipt],
    /// Checks signatures.
    pub verifier: &'a dyn Verifier,
}

/// What is known of the one chain.
pub(super) struct Chain {
    seats: seats::Seats,
    agreement: agreement::Agreement,
    same_state: same_state::SameState,
}

impl Chain {
    fn height(&self) -> u64 {
        self.agreement.height().0
    }

    fn id(&self, height: u64) -> Option<BlockId> {
        self.agreement.id(Height(height))
    }

    /// The state commitment after a block.
    fn state(&self, height: u64) -> Option<Hash> {
        self.same_state.commitment(height)
    }

    /// The liveness grace at a height, in nanoseconds.
    fn grace_at(&self, height: u64) -> u64 {
        let table = self.seats.table(height).unwrap_or_else(|| self.seats.newest());
        seats::grace(self.seats.parameters_at(height), table)
    }

    /// The same at the height that is worked on.
    fn grace(&self) -> u64 {
        self.grace_at(self.height() + 1)
    }
}

/// All invariants, with what they remember.
pub struct Invariants {
    members: Vec<Member>,
    chain_id: ChainId,
    chain: Chain,
    one_chain: one_chain::OneChain,
    one_signer: one_signer::OneSigner,
    double_sign: double_sign::DoubleSign,
    accused: evidence::Accused,
    /// What correct nodes hear and do.
    pub watch: watch::Watch,
    /// Invariant 7.
    pub liveness: liveness::Liveness,
    /// Invariant 10.
    pub exactly_once: exactly_once::ExactlyOnce,
    /// Whether more than f power may lie.
    beyond_f: bool,
    /// Whether two correct nodes have committed different blocks at one height.
    forked: bool,
}

impl Invariants {
    /// For a chain that begins with this genesis, among these nodes; `beyond_f` says whether more than
    /// f power may lie.
    #[must_use]
    pub fn new(genesis: &Genesis, members: &[Member], beyond_f: bool) -> Self {
        Self {
            beyond_f,
            forked: false,
            members: members.to_vec(),
            chain_id: genesis.chain_id.clone(),
            chain: Chain {
                seats: seats::Seats::new(genesis),
                agreement: agreement::Agreement::default(),
                same_state: same_state::SameState::default(),
            },
            one_chain: one_chain::OneChain::new(members.len()),
            one_signer: one_signer::OneSigner::new(genesis),
            double_sign: double_sign::DoubleSign::default(),
            accused: evidence::Accused::default(),
            watch: watch::Watch::new(members),
            liveness: liveness::Liveness::new(members, beyond_f),
            exactly_once: exactly_once::ExactlyOnce::default(),
        }
    }

    /// A correct node's process starts with a tip, from what its disk holds.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn started(&mut self, node: usize, at: Moment, tip: &Tip, disk: &Image) -> Verdict {
        self.one_chain.started(node, tip.height, tip.block)?;
        if self.forked {
            return Ok(());
        }
        self.chain.agreement.stored(node, tip.height, tip.block)?;
        self.chain.same_state.has(node, tip)?;
        self.chain.seats.compare(tip)?;
        let height = tip.height.0;
        self.watch.started(node, at, height, disk, &self.chain)?;
        self.liveness.started(node, height, self.watch.may_sign(node, height + 1));
        Ok(())
    }

    /// A correct node ends by itself.
    ///
    /// # Errors
    /// Always, but for a chain that has forked: there a node must not go on.
    pub fn halted(&self, name: &str, reason: &str) -> Verdict {
        if self.forked {
            return Ok(());
        }
        broken("a correct node goes on", format!("{name} halts: {reason}"))
    }

    /// Whether the chain has forked. With at most f lying power that is a violation of invariant 1.
    #[must_use]
    pub fn has_forked(&self) -> bool {
        self.forked
    }

    /// The record of a node's key is lost.
    pub fn lost_key(&mut self, node: usize) {
        self.watch.lost_key(node);
    }

    /// A node keeps to the protocol no more.
    pub fn faulty(&mut self, node: usize) {
        self.members[node].is_correct = false;
        self.watch.faulty(node);
        self.liveness.faulty(node);
    }

    /// Others vote with a node's key at a height at which it holds no seat.
    pub fn in_other_hands(&mut self, node: usize, height: Height) {
        self.watch.in_other_hands(node, height);
    }

    /// The replica of a correct node is about to be given an input.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn hears(&mut self, node: usize, at: Moment, input: &Input) -> Verdict {
        if self.forked {
            return Ok(());
        }
        self.watch.hears(node, at, input, &self.chain)
    }

    /// A correct node refuses a message of another before its replica sees it.
    ///
    /// # Errors
    /// When there is no good reason for it.
    pub fn refused(&self, node: usize, from: usize, fault: &Fault) -> Verdict {
        let [who, of] = [node, from].map(|node| &self.members[node]);
        if self.forked || !who.is_correct || !of.is_correct {
            return Ok(());
        }
        reports::refused(&who.name, &of.name, fault, self.beyond_f)
    }

    /// What it has made of it, and at which height, round and step it is now.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn acts(
        &mut self,
        node: usize,
        at: Moment,
        place: (Height, Round, Step),
        effects: &[Effect],
    ) -> Verdict {
        if self.forked {
            return Ok(());
        }
        let by = acts::By { node, at, chain: &self.chain };
        self.watch.acts(by, place, effects, &mut self.liveness)
    }

    /// What the network is like now.
    pub fn look(&mut self, now: Time, picture: &liveness::Picture) {
        if self.forked {
            return;
        }
        let signs = |node| self.watch.signs(node);
        self.liveness.look(now, picture, &signs, &self.chain);
    }

    /// A correct node has committed a block. What changed seats, if the block is new.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn committed(&mut self, commit: &Commit) -> Result<Vec<Moved>, Violation> {
        let (block, height) = (&commit.block.block, commit.tip.height);
        self.one_chain.committed(commit)?;
        if self.forked {
            return Ok(Vec::new());
        }
        // A fork, too, takes a true certificate.
        let certificate = &commit.block.certificate.commit;
        let of = (height, Some(commit.id));
        self.one_signer.certificate(&self.chain.seats, certificate, of, commit.verifier)?;
        let is_new = match self.chain.agreement.committed(commit) {
            Err(_) if self.beyond_f => {
                let is_correct = |m: &Member, key: &PublicKey| m.key == *key && m.is_correct;
                let lies = |key: &PublicKey| !self.members.iter().any(|m| is_correct(m, key));
                self.one_signer.forked(&self.chain.seats, certificate, lies)?;
                self.forked = true;
                return Ok(Vec::new());
            }
            known => known?,
        };
        self.chain.same_state.has(commit.node, commit.tip)?;
        let mut moved = Vec::new();
        if is_new {
            self.exactly_once.committed(block)?;
            turns::committed(&self.chain.seats, commit.block)?;
            self.one_signer.block(&self.chain.seats, commit.block, commit.verifier)?;
            self.evidence(commit)?;
            moved = self.chain.seats.extended(block, commit.receipts)?;
        }
        self.chain.seats.compare(commit.tip)?;
        let may_sign = self.watch.may_sign(commit.node, height.0 + 1);
        self.liveness.committed(commit.node, commit.now, may_sign, &self.chain);
        if is_new {
            self.liveness.extended(height.0, commit.now, &self.chain)?;
        }
        Ok(moved)
    }

    fn evidence(&mut self, commit: &Commit) -> Verdict {
        for evidence in &commit.block.block.evidence {
            let accused = self.members.iter().find(|member| member.key == evidence.key);
            let is_correct = accused.is_none_or(|member| member.is_correct);
            let (verifier, chain_id) = (commit.verifier, &self.chain_id);
            self.accused.committed(evidence, &self.chain.seats, is_correct, verifier, chain_id)?;
        }
        Ok(())
    }

    /// A message of its own leaves a correct node; `disk` is what a crash would leave of its disk.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn sent(&mut self, node: usize, message: &Message, disk: &Image) -> Verdict {
        let key = &self.members[node].key;
        let is_new = self.double_sign.sent(key, message)?;
        if is_new {
            persist_first::sent(key, message, disk)?;
        }
        if self.forked {
            return Ok(());
        }
        if is_new {
            self.watch.left(node, message);
        }
        let key = &self.members[node].key;
        one_signer::sent(&self.chain.seats, key, message)
    }

    /// How often the invariants had something to judge that rarely comes about.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, u64); 6] {
        [
            ("transactions without a role", self.chain.seats.invitations.outsiders),
            ("votes and proposals licensed", self.watch.licences),
            ("bits observed", self.watch.bits),
            ("live nodes observed", self.liveness.framing),
            ("nodes that can show nothing observed", self.liveness.clinging),
            ("nodes that came back observed", self.liveness.flicker),
        ]
    }

    /// The height that has been committed by any correct node.
    #[must_use]
    pub fn height(&self) -> Height {
        self.chain.agreement.height()
    }

    /// The time of the newest block, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.chain.seats.time(self.height().0)
    }

    /// Whether a transaction has a receipt.
    #[must_use]
    pub fn has_receipt(&self, hash: &TxHash) -> bool {
        self.exactly_once.has_receipt(hash)
    }

    /// The role table of a height, as far as it is known.
    #[must_use]
    pub fn table(&self, height: Height) -> Option<&Table> {
        self.chain.seats.table(height.0)
    }

    /// The newest role table.
    #[must_use]
    pub fn newest_table(&self) -> &Table {
        self.chain.seats.newest()
    }

    /// The role tables of the next height and the one after it.
    pub fn tables_to_come(&self) -> impl Iterator<Item = &Table> {
        let height = self.chain.height();
        [height + 1, height + 2].into_iter().filter_map(|height| self.chain.seats.table(height))
    }

    /// The nodes of a seat's pair that are not barred.
    #[must_use]
    pub fn pair(&self, seat: &str) -> BTreeSet<PublicKey> {
        self.chain.seats.pair(seat)
    }

    /// The terms of all seats.
    #[must_use]
    pub fn terms(&self) -> BTreeMap<String, u64> {
        self.chain.seats.terms()
    }

    /// Whether a key is of a registered node.
    #[must_use]
    pub fn is_registered(&self, key: &PublicKey) -> bool {
        self.chain.seats.is_registered(key)
    }

    /// The parameters in force at the chain's next height.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        self.chain.seats.parameters()
    }

    /// Numbers of the motions that can be voted on in the next block.
    #[must_use]
    pub fn open_motions(&self) -> Vec<u64> {
        self.chain.seats.open_motions(self.time() + 1)
    }

    /// Whether a change can be voted on in the next block.
    #[must_use]
    pub fn is_moved(&self, change: &Change) -> bool {
        self.chain.seats.motions.has(change, self.time() + 1)
    }

    /// An admin key signs an invitation.
    pub fn issued(&mut self, issued: Issued) {
        self.chain.seats.invitations.issued(issued);
    }

    /// The holder of a one-time key claims its invitation for a node.
    pub fn chosen(&mut self, one_time: PublicKey, node: PublicKey) {
        self.chain.seats.invitations.chosen(one_time, node);
    }

    /// The node that came by the invitation of a one-time key.
    #[must_use]
    pub fn came_by(&self, one_time: &PublicKey) -> Option<PublicKey> {
        self.chain.seats.invitations.used(one_time)
    }

    /// Whether an invitation would bring in a node in the next block, if that came now.
    #[must_use]
    pub fn would_admit(&self, node: &PublicKey, invitation: &Invitation) -> bool {
        self.chain.seats.would_admit(node, invitation)
    }

    /// An organisation's admin key; none when it is no member.
    #[must_use]
    pub fn admin(&self, org: &str) -> Option<PublicKey> {
        self.chain.seats.admin(org)
    }

    /// Whether an organisation is suspended; none when it is no member.
    #[must_use]
    pub fn is_suspended(&self, org: &str) -> Option<bool> {
        self.chain.seats.is_suspended(org)
    }

    /// Whether a user's transactions are executed.
    #[must_use]
    pub fn may_send(&self, user: &PublicKey) -> bool {
        self.chain.seats.user_org(user).is_some()
    }

    /// What the calls of organisations changed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.chain.seats.changes()
    }

    /// Whether a key is barred.
    #[must_use]
    pub fn is_barred(&self, key: &PublicKey) -> bool {
        self.chain.seats.is_barred(key)
    }
}
