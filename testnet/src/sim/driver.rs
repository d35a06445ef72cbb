//! What the real node's driver does, in virtual time: effects in order, and no send, broadcast or
//! commit before every earlier persist is durable.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::{Receipt, is_committed};
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Height, Round, Timestamp};
use tandem_consensus::message::Message;
use tandem_consensus::time::{Instant, Now};
use tandem_consensus::verify::certified_block;
use tandem_consensus::{Effect, Input, Role};

use super::actor::Kind as ActorKind;
use super::coverage::crashes::Kind;
use super::coverage::{Doing, NewBlock};
use super::disk::Write;
use super::invariants::{Commit, Moment, Violation, broken};
use super::node::MAX_WAKEUPS_AT_ONCE;
use super::packet::Packet;
use super::plan::CrashPoint;
use super::queue::Time;
use super::states::Executed;
use super::world::{Done, Event, Phase, World};

impl World {
    /// Hands an input to a node's replica and carries out what comes of it.
    pub(super) fn handle(&mut self, node: usize, input: Input) {
        let at = self.moment(node);
        let entry = &mut self.nodes[node];
        let is_correct = entry.is_correct();
        let Some(process) = entry.process.as_mut() else { return };
        let mut effects = Vec::new();
        let now = Now { instant: Instant(at.now - process.started), wall: Timestamp(at.wall) };
        if is_correct {
            let heard = self.invariants.hears(node, at, &input);
            self.watch.given(node, now.wall, &input);
            process.replica.handle(now, input, &mut effects);
            self.watch.gave(node, &effects, &process.replica);
            let place = process.replica.place();
            let verdict = heard.and_then(|()| self.invariants.acts(node, at, place, &effects));
            self.verdict(verdict);
        } else {
            process.replica.handle(now, input, &mut effects);
        }
        let kinds: Vec<Kind> =
            (0..effects.len()).map(|i| Kind::of(&effects[i], &effects[i + 1..])).collect();
        for (kind, effect) in kinds.into_iter().zip(effects) {
            match effect {
                Effect::Persist(_)
                | Effect::Send { .. }
                | Effect::Broadcast(_)
                | Effect::Commit(_) => {
                    if let Some(process) = self.nodes[node].process.as_mut() {
                        process.effects.push_back((kind, effect));
                    }
                }
                other => {
                    if !self.effect(node, kind, other) {
                        return;
                    }
                }
            }
        }
        self.run_effects(node);
        self.arm_wakeup(node);
    }

    /// What a node's clocks show now.
    pub(super) fn moment(&self, node: usize) -> Moment {
        Moment { now: self.queue.now(), wall: self.wall(node).0 }
    }

    /// Carries out effects whose order matters, up to the first that has to wait for a write.
    fn run_effects(&mut self, node: usize) {
        loop {
            let Some(process) = self.nodes[node].process.as_mut() else { return };
            if process.persisting {
                return;
            }
            let Some((kind, effect)) = process.effects.pop_front() else { return };
            if !self.effect(node, kind, effect) {
                return;
            }
        }
    }

    /// Schedules the wake-up that the replica asks for.
    fn arm_wakeup(&mut self, node: usize) {
        let incarnation = self.nodes[node].incarnation;
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        let Some(Instant(at)) = process.replica.next_wakeup() else {
            process.wakeup = None;
            return;
        };
        let now = self.queue.now();
        let at = process.started.saturating_add(at).max(now);
        if process.wakeup.is_none_or(|earlier| at != earlier) {
            process.wakeup = Some(at);
            // What is due at once is handled at once; a timer that has to fire may be late.
            let late = if at > now { self.late_time(node) } else { 0 };
            self.queue.at(at + late, Event::Done { node, incarnation, done: Done::Wakeup(at) });
        }
    }

    pub(super) fn later(&mut self, node: usize, input: Input) {
        let delay = self.work_time(node);
        self.done_after(node, delay, Done::Input(Box::new(input)));
    }

    pub(super) fn done_after(&mut self, node: usize, delay: Time, done: Done) {
        let incarnation = self.nodes[node].incarnation;
        self.queue.after(delay, Event::Done { node, incarnation, done });
    }

    fn work_time(&mut self, node: usize) -> Time {
        let node = &self.nodes[node];
        self.random.below(node.machine.work_max * node.slow.work)
    }

    fn late_time(&mut self, node: usize) -> Time {
        let node = &self.nodes[node];
        self.random.below(node.machine.late_max * node.slow.work)
    }

    /// Carries out one effect; false when the process has ended over it.
    fn effect(&mut self, node: usize, kind: Kind, effect: Effect) -> bool {
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.progress.comes_to(kind);
        }
        let point = match effect {
            Effect::Persist(_) => CrashPoint::BeforePersist,
            Effect::Send { .. } | Effect::Broadcast(_) => CrashPoint::BeforeSend,
            Effect::Commit(_) => CrashPoint::BeforeCommit,
            _ => CrashPoint::BeforeOther,
        };
        if self.dies_at(node, point) {
            return false;
        }
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.progress.begins(kind);
        }
        match effect {
            Effect::Persist(values) => self.persist(node, kind, values),
            Effect::Send { to, message } => {
                self.check_sent(node, &message);
                let packet = Rc::new(Packet::of(&message));
                for to in self.machines(&to) {
                    self.send(node, to, &message, &packet);
                }
                self.ended(node, kind);
            }
            Effect::Broadcast(message) => {
                self.check_sent(node, &message);
                let packet = Rc::new(Packet::of(&message));
                self.overheard(node, &message);
                let half = self.nodes.len() / 2;
                for to in 0..self.nodes.len() {
                    if to == half && self.dies_at(node, CrashPoint::DuringBroadcast) {
                        return false;
                    }
                    self.send(node, to, &message, &packet);
                }
                self.ended(node, kind);
            }
            Effect::Build { height, round } => self.build(node, height, round),
            Effect::Check { id, block } => {
                let Some(process) = &self.nodes[node].process else { return false };
                let verdict = process.ledger.check(&block);
                let height = block.header.height;
                self.later(node, Input::Checked { height, block: id, verdict });
            }
            Effect::Commit(block) => self.execute(node, &block),
            Effect::Fetch { from, first, count } => self.ask(node, from, first, count),
            Effect::Verify { block, table } => {
                let Some(process) = &self.nodes[node].process else { return false };
                let height = block.block.header.height;
                let verdict = certified_block(&self.memo, &process.keys, &table, &block);
                self.later(node, Input::BlockVerified { height, verdict });
            }
            Effect::RoleChanged { height, role } => self.role_changed(node, height, &role),
            Effect::DoubleSign { key, one, other } => {
                self.double_signed(node, key, one.as_ref().clone(), other.as_ref().clone());
            }
            Effect::Report { peer, fault } => self.reported(node, &peer, &fault.to_string()),
            Effect::Halt { reason } => {
                self.halted(node, &reason);
                return false;
            }
        }
        let is_over = !matches!(point, CrashPoint::BeforePersist | CrashPoint::BeforeCommit);
        if is_over && self.dies_at(node, CrashPoint::AfterOther) {
            return false;
        }
        self.nodes[node].process.is_some()
    }

    fn role_changed(&mut self, node: usize, height: Height, role: &Role) {
        self.tell(|w| {
            let name = &w.nodes[node].name;
            match role {
                Role::Validator { term, .. } => {
                    format!("{name} holds its seat from height {height}, in term {term}")
                }
                Role::Standby { .. } => format!("{name} is standby from height {height}"),
                Role::Observer { .. } => format!("{name} is observer from height {height}"),
                Role::Unregistered => format!("{name} is unregistered from height {height}"),
            }
        });
    }

    pub(super) fn reported(&mut self, node: usize, peer: &PublicKey, fault: &str) {
        let by = &self.nodes[node];
        let of = self.by_key.get(peer).map(|index| &self.nodes[*index]);
        let is_unjust = by.is_correct() && of.is_some_and(super::node::Node::is_correct);
        // What a report says of heights and keys is not what distinguishes it.
        let is_word = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
        let kind: Vec<&str> = fault.split_whitespace().filter(is_word).take(8).collect();
        *self.counts.reports.entry((is_unjust, kind.join(" "))).or_default() += 1;
        let fault = fault.to_owned();
        let peer = of.map(|of| of.name.clone()).unwrap_or_default();
        self.tell(|w| format!("{} reports {peer}: {fault}", w.nodes[node].name));
    }

    fn double_signed(
        &mut self,
        node: usize,
        key: PublicKey,
        one: tandem_chain::vote::Vote,
        other: tandem_chain::vote::Vote,
    ) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        process.evidence.add(key, one, other);
        self.counts.double_signs += 1;
        let liar = self.by_key.get(&key).copied();
        let is_false = liar.is_some_and(|liar| self.nodes[liar].is_correct());
        if is_false && self.nodes[node].is_correct() {
            let what = format!("{} accuses {key}, which is correct", self.nodes[node].name);
            self.verdict(Err(Violation { rule: "no false accusation", what }));
        }
        self.tell(|w| {
            let liar = liar.map(|liar| w.nodes[liar].name.clone()).unwrap_or_default();
            format!("{} has seen {liar} sign twice", w.nodes[node].name)
        });
    }

    /// An effect that takes time has come to its end.
    fn ended(&mut self, node: usize, kind: Kind) {
        if let Some(process) = self.nodes[node].process.as_mut() {
            process.progress.ended(kind);
        }
    }

    fn persist(
        &mut self,
        node: usize,
        kind: Kind,
        values: Vec<(tandem_consensus::journal::Slot, Vec<u8>)>,
    ) {
        let values = values.into_iter().map(|(slot, bytes)| (slot, Rc::from(bytes)));
        let is_written = self.write(node, Write::Slots(values.collect()));
        if !is_written || self.dies_at(node, CrashPoint::DuringPersist) {
            return;
        }
        let entry = &mut self.nodes[node];
        let count = entry.disk.unsynced();
        if let Some(process) = entry.process.as_mut() {
            process.persisting = true;
        }
        self.counts.persists += 1;
        let delay = self.random.below(entry.machine.fsync_max * entry.slow.disk);
        self.done_after(node, delay, Done::Synced(count, kind));
    }

    /// A replica must not go on.
    fn halted(&mut self, node: usize, reason: &str) {
        self.tell(|w| format!("{} halts: {reason}", w.nodes[node].name));
        self.nodes[node].halted = true;
        if self.nodes[node].is_correct() {
            let name = &self.nodes[node].name;
            let verdict = self.invariants.halted(name, reason);
            self.verdict(verdict);
        } else if self.nodes[node].rolled_back {
            self.stopped_itself(node);
        } else if self.phase == Phase::Faults {
            // Whoever runs it twice, or lies with its key, does the same: from the same disk it would
            // stop again. But with lost keys of more than f power the chain would wait for ever.
            if self.plan.beyond_f {
                self.crash_and_restart(node);
            } else {
                self.lose_disk(node);
            }
        }
    }

    fn check_sent(&mut self, node: usize, message: &Message) {
        let entry = &self.nodes[node];
        if entry.is_correct() {
            let verdict = self.invariants.sent(node, message, entry.disk.synced());
            self.verdict(verdict);
        }
    }

    /// A part of a process is done.
    pub(super) fn done(&mut self, node: usize, done: Done) {
        match done {
            Done::Input(input) => self.handle(node, *input),
            Done::Fetched { id, input } => {
                let Some(process) = self.nodes[node].process.as_mut() else { return };
                if process.fetches.remove(&id).is_some() {
                    self.handle(node, *input);
                }
            }
            Done::Synced(count, kind) => {
                self.nodes[node].disk.sync(count, &mut self.digest);
                if let Some(process) = self.nodes[node].process.as_mut() {
                    process.persisting = false;
                }
                self.ended(node, kind);
                if !self.dies_at(node, CrashPoint::AfterPersist) {
                    self.run_effects(node);
                }
            }
            Done::Executed(block, executed) => self.executed(node, block, executed),
            Done::Wakeup(at) => self.woken(node, at),
        }
    }

    fn woken(&mut self, node: usize, at: Time) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        if process.wakeup != Some(at) {
            return;
        }
        process.wakeup = None;
        self.handle(node, Input::Wakeup);
        let now = self.queue.now();
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        if process.wakeup == Some(now) {
            process.wakeups_at_once += 1;
        } else {
            process.wakeups_at_once = 0;
        }
        if process.wakeups_at_once > MAX_WAKEUPS_AT_ONCE {
            let what = format!("{} wakes up again and again", self.nodes[node].name);
            self.verdict(broken("wake-ups end", what));
        }
    }

    fn build(&mut self, node: usize, height: Height, round: Round) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        if process.ledger.tip().height.next() != height {
            return;
        }
        let parameters = &process.ledger.tip().parameters;
        let bound = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let (bytes, count) = (bound(parameters.block_max_bytes), bound(parameters.block_max_txs));
        let taken = process.mempool.take(bytes, count);
        let txs = process.ledger.select(taken.clone()).expect("memory does not fail");
        for tx in &taken {
            if !txs.contains(tx) {
                process.mempool.remove(&tx.hash());
            }
        }
        let evidence = process.evidence.for_block(&process.ledger).expect("memory does not fail");
        self.later(node, Input::Built { height, round, txs, evidence });
    }

    fn execute(&mut self, node: usize, block: &Arc<CertifiedBlock>) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        let (executed, verdict) = self.states.execute(&process.ledger, block);
        self.verdict(verdict);
        let delay = self.work_time(node);
        self.done_after(node, delay, Done::Executed(Arc::clone(block), executed));
        self.dies_at(node, CrashPoint::DuringCommit);
    }

    /// A block is executed: it is stored, and the ledger moves on.
    fn executed(&mut self, node: usize, block: Arc<CertifiedBlock>, executed: Rc<Executed>) {
        let tip = Arc::clone(&executed.execution.tip);
        if !self.write(node, Write::Commit(Arc::clone(&block), Rc::clone(&executed))) {
            return;
        }
        let entry = &mut self.nodes[node];
        let Some(process) = entry.process.as_mut() else { return };
        let before = Arc::clone(process.ledger.tip());
        let after = executed.on(process.ledger.store());
        *process.ledger.store_mut() = after;
        process.ledger.apply(Arc::clone(&tip));
        process.progress.ended(Kind::Commit);
        process.mempool.committed(&block.block);
        process.keys = Rc::clone(&executed.keys);
        process.blocks.push(Arc::clone(&block));
        let has_work = !process.mempool.is_empty();
        if entry.is_correct() {
            self.committed(node, &block, &executed.execution.receipts, &tip);
        }
        if self.dies_at(node, CrashPoint::AfterCommit) {
            return;
        }
        self.registered(node, &before, &tip);
        self.handle(node, Input::Work(has_work));
        self.handle(node, Input::Executed { tip });
    }

    /// A block whose write failed may be there when the process starts: then it is committed, and as
    /// yet nobody was told.
    pub(super) fn find_unknown(&mut self, node: usize, tip: &Tip) {
        if tip.height > self.invariants.height()
            && !self.invariants.has_forked()
            && let Some(process) = &self.nodes[node].process
            && let Some(block) = process.blocks.last()
        {
            let block = Arc::clone(block);
            self.committed(node, &block, &[], tip);
        }
    }

    /// A correct node has committed a block; `receipts` are the block's, as far as they are at hand.
    fn committed(
        &mut self,
        node: usize,
        block: &Arc<CertifiedBlock>,
        receipts: &[Receipt],
        tip: &Tip,
    ) {
        let before = self.invariants.height();
        let changes = self.invariants.changes();
        let Some(id) = tip.block else { return };
        let now = self.queue.now();
        let commit = Commit { now, node, block, id, tip, receipts, verifier: &self.memo };
        let outcome = self.invariants.committed(&commit);
        let height = block.block.header.height;
        let is_new = before < self.invariants.height();
        // Only a new block of the chain can leave a node behind.
        if is_new && outcome.is_ok() {
            self.look_at_health();
        }
        self.digest.mix_bytes(&id.0);
        self.counts.commits += 1;
        if outcome.is_ok() && self.invariants.changes() != changes {
            self.last_change = self.queue.now();
            self.healing = self.healing.is_some().then(|| self.healing());
        }
        if is_new {
            self.counts.rounds += u64::from(block.certificate.commit.round.0);
            self.counts.evidence += block.block.evidence.len() as u64;
            self.tell_block(node, block);
        }
        match outcome {
            Ok(moved) => {
                if is_new {
                    let doing = self.doings();
                    let table = self.invariants.table(height.next()).expect("it is fixed by now");
                    let (moved, doing) = (&moved, &doing);
                    let new = NewBlock { block, tip, receipts, moved, table, doing };
                    self.watch.extended(&new);
                    self.tell_invited(&block.block.txs, receipts);
                }
                for moved in moved {
                    self.counts.moved(moved.reason);
                    let to = moved.to.and_then(|key| self.by_key.get(&key));
                    let is_late = to.is_some_and(|to| *to >= self.at_genesis);
                    self.counts.late_holders += u64::from(is_late);
                    self.hunt(moved.to);
                    self.tell(|w| {
                        let name = |key: Option<PublicKey>| {
                            key.and_then(|key| w.by_key.get(&key))
                                .map_or("nobody", |i| w.nodes[*i].name.as_str())
                        };
                        let (from, to) = (name(moved.from), name(moved.to));
                        format!(
                            "block {height}: seat {} goes from {from} to {to}, {}",
                            moved.seat, moved.reason
                        )
                    });
                }
            }
            Err(violation) => self.verdict(Err(violation)),
        }
    }

    /// What each node does, the better of both copies where it runs twice.
    fn doings(&self) -> BTreeMap<PublicKey, Doing> {
        let mut doings = BTreeMap::new();
        for node in &self.nodes {
            let kind = node.byzantine.as_ref().filter(|b| !b.reformed).map(|b| b.kind);
            let doing = match (&node.process, node.paused) {
                (None, _) => Doing::Down,
                (Some(_), true) => Doing::StandsStill,
                (Some(_), false) if kind == Some(ActorKind::Astray) => Doing::Astray,
                (Some(_), false) => Doing::Runs,
            };
            let best = doings.entry(node.key).or_insert(doing);
            *best = doing.max(*best);
        }
        doings
    }

    fn tell_block(&mut self, node: usize, block: &CertifiedBlock) {
        self.tell(|w| {
            let header = &block.block.header;
            let author = w.nodes.iter().find(|n| n.key.address() == header.proposer_address);
            let record = &block.block.record.record;
            let alive: String =
                record.alive.iter().map(|bit| if bit { '1' } else { '0' }).collect();
            format!(
                "{} commits {} of round {} by {}: {} txs, {} evidence, {} of {} signed, alive {alive}",
                w.nodes[node].name,
                header.height,
                block.certificate.commit.round,
                author.map_or("?", |author| author.name.as_str()),
                block.block.txs.len(),
                block.block.evidence.len(),
                block.certificate.commit.signatures.iter().flatten().count(),
                block.certificate.commit.signatures.len(),
            )
        });
    }

    /// A transaction reaches a node.
    pub(super) fn admit(&mut self, node: usize, tx: Tx, from_client: bool) {
        let Some(process) = self.nodes[node].process.as_mut() else { return };
        let hash = tx.hash();
        if is_committed(process.ledger.store(), &hash).expect("memory does not fail") {
            return;
        }
        let tip = Arc::clone(process.ledger.tip());
        if process.mempool.add(tx.clone(), tip.height).is_err() {
            return;
        }
        self.handle(node, Input::Work(true));
        if !from_client {
            return;
        }
        for validator in tip.next_table.validators() {
            let Some(to) = self.by_key.get(&validator.key).copied() else { continue };
            let Some(epoch) = self.net.sees(node, to) else { continue };
            for delay in self.delays(node, to) {
                let tx = tx.clone();
                self.queue.after(delay, Event::Forwarded { from: node, to, epoch, tx });
            }
        }
    }
}
