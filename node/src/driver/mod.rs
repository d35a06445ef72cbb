//! The driver: one loop that feeds the replica and carries out its effects.
//!
//! ```text
//!   network ──> verifier threads ──┐                 ┌──> persister thread (fsync)
//!   timers ────────────────────────┤                 ├──> executor thread (ledger, database)
//!   mempool ───────────────────────┼─> loop: replica ┼──> network: send, broadcast, fetch
//!   persister, executor, fetches ──┘                 └──> view, log
//! ```
//!
//! The loop never waits for a disk: effects stand in one queue, in order; a persist goes to its
//! thread, and those behind it wait for its answer while the loop goes on to take input. So no send,
//! broadcast or commit starts before every earlier persist is durable.
//!
//! Each turn of the loop looks at everything that can be due, so that a stream of one kind, such as
//! a flood of transactions, holds up no other.

mod executor;
mod fetch;
mod memo;
mod offers;
mod persister;
mod reports;
#[cfg(test)]
mod tests;
mod verifier;
pub(crate) mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use tandem_chain::codec;
use tandem_chain::keys::PublicKey;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Height, Timestamp};
use tandem_consensus::message::Message;
use tandem_consensus::time::{Instant, Now};
use tandem_consensus::verify::Triage;
use tandem_consensus::{Effect, Input, Replica, Role, Step};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use self::executor::{Executor, Job, Outcome};
use self::offers::Offers;
use self::persister::Persister;
use self::reports::Reports;
use self::verifier::Verifiers;
use crate::admission::Admission;
use crate::hooks::Roles;
use crate::network::{Channel, Events, Network, NetworkEvent};
use crate::pairs::troubles;
use crate::snapshots::Server;
use crate::storage::Database;
use crate::view::NodeView;

pub(crate) use self::executor::commit;
pub use self::executor::{Accusation, Publishers, accusations};
pub(crate) use self::memo::Memo;
pub use self::offers::Restores;
pub use self::persister::{load_durable, store_durable, store_journal};

/// Inputs that wait for the loop from threads and tasks of its own.
const MAX_PENDING_INPUTS: usize = 4_096;
/// A node is catching up while a peer claims to be more than this many blocks ahead.
const BEHIND: u64 = 2;

/// Age of the newest block up to which this node may take the register that it has for the present one.
const FRESH: Duration = Duration::from_secs(30);
/// Time for which this node's clock must be off without a break before that is an alarm.
const CLOCK_ALARM: Duration = Duration::from_secs(3);

/// Time between two looks at the votes of a height, which are many.
const LOOK_AT_VOTES_EVERY: Duration = Duration::from_millis(100);

/// Why the loop ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A write or read of the database failed, or what it holds is damaged.
    #[error("{0}; the node stops, since going on could lose or contradict what it promised")]
    Storage(tandem_chain::Error),
    /// The replica stopped itself.
    #[error("{0}")]
    Halted(String),
    /// The node is far behind, and peers have a snapshot that it is to restore.
    #[error("the node is far behind: a snapshot is to be restored")]
    Behind,
    /// A thread of the node has ended: a bug.
    #[error("the node's {0} has ended unexpectedly; please report the log's last lines")]
    Gone(&'static str),
}

/// What the driver works with.
pub struct Setup {
    /// The replica, before its first input.
    pub replica: Replica,
    /// The database.
    pub db: Database,
    /// Executes blocks and publishes what came of them.
    pub publishers: Publishers,
    /// The ledger at the replica's tip.
    pub ledger: tandem_chain::ledger::Ledger<Database>,
    /// The mempool's keeper.
    pub admission: Admission,
    /// The network.
    pub network: Network,
    /// What comes from the network.
    pub events: Events,
    /// Where the node's view is published.
    pub view: watch::Sender<Arc<NodeView>>,
    /// Answers peers' questions about snapshots.
    pub snapshots: Server,
    /// Double signings that are brought from outside.
    pub accusations: std_mpsc::Receiver<Accusation>,
    /// When to end with [`Fatal::Behind`], where peers have a snapshot that is worth it.
    pub restores: Restores,
    /// Whom to tell of changes of the role, if anybody.
    pub roles: Option<Roles>,
}

/// What threads and tasks send to the loop.
enum Done {
    Persisted(Result<(), tandem_chain::Error>),
    Executor(Outcome),
    Input(Box<Input>),
    Misbehaved(PublicKey, tandem_consensus::verify::Fault),
    /// The height of the newest snapshot that peers have.
    Offered(Height),
}

/// Where the loop's inputs come from, apart from the mempool and the timers.
struct Sources {
    finished: mpsc::Receiver<Done>,
    events: Events,
}

struct Driver {
    replica: Replica,
    db: Database,
    admission: Admission,
    network: Network,
    view: watch::Sender<Arc<NodeView>>,
    persister: Persister,
    executor: Executor,
    verifiers: Verifiers,
    reports: Reports,
    done: mpsc::Sender<Done>,
    started: StdInstant,
    effects: VecDeque<Effect>,
    persisting: bool,
    shown: NodeView,
    clock_off_since: Option<StdInstant>,
    /// When the votes that are shown were looked at.
    votes_at: Option<StdInstant>,
    /// What was wrong with pairs after the newest block.
    troubles: Vec<String>,
    snapshots: Server,
    offers: Offers,
    roles: Option<Roles>,
}

/// Runs until `stop` is told or something fatal happens.
///
/// # Errors
/// [`Fatal`].
pub async fn run(setup: Setup, stop: oneshot::Receiver<()>) -> Result<(), Fatal> {
    let (driver, sources) = Driver::new(setup);
    driver.run(sources, stop).await
}

impl Driver {
    fn new(setup: Setup) -> (Self, Sources) {
        let Setup { replica, db, publishers, ledger, admission, network, events, view, .. } = setup;
        let (done, finished) = mpsc::channel(MAX_PENDING_INPUTS);
        let executor = Executor::start(
            ledger,
            db.clone(),
            admission.clone(),
            publishers,
            setup.accusations,
            done.clone(),
        );
        let driver = Self {
            verifiers: Verifiers::start(replica.tip(), admission.clone(), done.clone()),
            persister: Persister::start(db.clone(), done.clone()),
            executor,
            reports: Reports::default(),
            started: StdInstant::now(),
            effects: VecDeque::new(),
            persisting: false,
            shown: NodeView::default(),
            clock_off_since: None,
            votes_at: None,
            troubles: Vec::new(),
            snapshots: setup.snapshots,
            offers: Offers::new(setup.restores),
            roles: setup.roles,
            replica,
            db,
            admission,
            network,
            view,
            done,
        };
        (driver, Sources { finished, events })
    }

    async fn run(
        mut self,
        mut sources: Sources,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), Fatal> {
        self.begin()?;
        while self.turn(&mut sources, &mut stop).await? {}
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Fatal> {
        self.network.set_peers(peers(self.replica.tip()));
        self.handle(Input::Start)?;
        self.handle(Input::Work(self.has_work()))
    }

    /// Waits until something comes, and handles it and whatever else is due. False when it was told
    /// to stop.
    async fn turn(
        &mut self,
        sources: &mut Sources,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<bool, Fatal> {
        let Sources { finished, events } = sources;
        let wakeup = self.replica.next_wakeup();
        tokio::select! {
            biased;
            _ = stop => return Ok(false),
            Some(done) = finished.recv() => self.on_done(done)?,
            event = events.recv() => match event {
                Some(event) => self.on_event(event)?,
                None => return Err(Fatal::Gone("network")),
            },
            () = self.admission.arrived() => self.handle(Input::Work(true))?,
            () = self.sleep_until(wakeup) => {}
        }
        // What has come meanwhile, before the view is published once for all of it; what comes while
        // that is handled is for the next turn.
        for _ in 0..finished.len() {
            let Ok(done) = finished.try_recv() else { break };
            self.on_done(done)?;
        }
        if self.admission.arrived().now_or_never().is_some() {
            self.handle(Input::Work(true))?;
        }
        if self.replica.next_wakeup().is_some_and(|at| at <= self.now().instant) {
            self.handle(Input::Wakeup)?;
        }
        self.look_for_snapshots();
        self.publish();
        Ok(true)
    }

    /// Asks the peers of a node that has few blocks for their snapshots, where one may be worth it.
    fn look_for_snapshots(&mut self) {
        let (tip, claim) = (self.replica.tip().height, self.replica.best_claim());
        let is_out_of_reach = self.replica.out_of_reach().is_some();
        if self.offers.ask(tip, claim, is_out_of_reach, StdInstant::now()) {
            fetch::ask_offers(&self.network, &self.done);
        }
    }

    fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_nanos();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |n: u128| u64::try_from(n).unwrap_or(u64::MAX);
        Now { instant: Instant(nanos(elapsed)), wall: Timestamp(nanos(since_epoch.as_nanos())) }
    }

    async fn sleep_until(&self, wakeup: Option<Instant>) {
        match wakeup {
            Some(Instant(nanos)) => {
                let at = self.started + Duration::from_nanos(nanos);
                tokio::time::sleep_until(at.into()).await;
            }
            None => std::future::pending().await,
        }
    }

    fn has_work(&self) -> bool {
        self.admission.waiting().0 > 0
    }

    fn handle(&mut self, input: Input) -> Result<(), Fatal> {
        let mut effects = Vec::new();
        self.replica.handle(self.now(), input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist(_)
                | Effect::Send { .. }
                | Effect::Broadcast(_)
                | Effect::Commit(_) => self.effects.push_back(effect),
                other => self.run_effect(other)?,
            }
        }
        self.run_effects()
    }

    /// Carries out the effects whose order matters, up to the first that has to wait for a write.
    fn run_effects(&mut self) -> Result<(), Fatal> {
        while !self.persisting
            && let Some(effect) = self.effects.pop_front()
        {
            self.run_effect(effect)?;
        }
        Ok(())
    }

    fn run_effect(&mut self, effect: Effect) -> Result<(), Fatal> {
        match effect {
            Effect::Persist(values) => {
                self.persisting = true;
                self.shown.fsyncs += 1;
                return self.persister.persist(values);
            }
            Effect::Send { to, message } => {
                self.network.send(&to, Channel::Consensus, encoded(&message));
            }
            Effect::Broadcast(message) => {
                self.network.broadcast(Channel::Consensus, &encoded(&message));
            }
            Effect::Build { height, round } => {
                return self.executor.send(Job::Build { height, round });
            }
            Effect::Check { id, block } => return self.executor.send(Job::Check { id, block }),
            Effect::Commit(block) => {
                self.shown.rounds_above_zero += u64::from(block.certificate.commit.round.0);
                return self.executor.send(Job::Commit(block));
            }
            Effect::DoubleSign { key, one, other } => {
                let (height, round) = (one.height, one.round);
                error!(%key, %height, %round, "a key has signed two votes that contradict each other");
                return self.executor.send(Job::Evidence { key, one, other });
            }
            Effect::Fetch { from, first, count } => {
                fetch::ask(&self.network, &self.done, from, first, count);
            }
            Effect::Verify { block, table } => self.verifiers.block(block, table),
            Effect::RoleChanged { height, role } => {
                log_role(height, &role);
                if let Some(roles) = &self.roles {
                    roles.changed(height, &role, &self.replica.tip().next_table);
                }
            }
            Effect::Report { peer, fault } => self.reports.report(StdInstant::now(), peer, &fault),
            Effect::Halt { reason } => return Err(Fatal::Halted(reason)),
        }
        Ok(())
    }

    fn on_done(&mut self, done: Done) -> Result<(), Fatal> {
        match done {
            Done::Persisted(result) => {
                result.map_err(Fatal::Storage)?;
                self.persisting = false;
                self.run_effects()
            }
            Done::Executor(Outcome::Input(input)) => self.handle(*input),
            Done::Executor(Outcome::Committed(tip)) => self.on_committed(tip),
            Done::Executor(Outcome::Failed(error)) => Err(Fatal::Storage(error)),
            Done::Input(input) => self.handle(*input),
            Done::Misbehaved(peer, fault) => {
                self.reports.report(StdInstant::now(), peer, &fault);
                Ok(())
            }
            Done::Offered(height) => {
                let tip = self.replica.tip().height;
                let is_out_of_reach = self.replica.out_of_reach().is_some();
                let is_worth_it = offers::is_worth_it(tip, height, is_out_of_reach);
                if is_worth_it { Err(Fatal::Behind) } else { Ok(()) }
            }
        }
    }

    fn on_committed(&mut self, tip: Arc<Tip>) -> Result<(), Fatal> {
        self.verifiers.set_tip(&tip);
        self.tell_troubles(&tip);
        if !Arc::ptr_eq(&tip.register, &self.replica.tip().register)
            && tip.register != self.replica.tip().register
        {
            self.network.set_peers(peers(&tip));
        }
        self.handle(Input::Work(self.has_work()))?;
        self.handle(Input::Executed { tip })
    }

    /// Logs what is wrong with pairs when it begins and when it ends.
    fn tell_troubles(&mut self, tip: &Tip) {
        if self.shown.catching_up {
            return;
        }
        let troubles = troubles(tip, &self.shown.clocks_ahead);
        for trouble in troubles.iter().filter(|now| !self.troubles.contains(now)) {
            warn!(height = %tip.height, "{trouble}");
        }
        for trouble in self.troubles.iter().filter(|before| !troubles.contains(before)) {
            info!(height = %tip.height, "over: {trouble}");
        }
        self.troubles = troubles;
    }

    fn on_event(&mut self, event: NetworkEvent) -> Result<(), Fatal> {
        match event {
            NetworkEvent::Connected(peer) => {
                self.admission.connected(peer);
                self.handle(Input::Connected(peer))
            }
            NetworkEvent::Disconnected(peer) => self.handle(Input::Disconnected(peer)),
            NetworkEvent::Message { from, channel: Channel::Consensus, bytes } => {
                self.verifiers.message(from, bytes);
                Ok(())
            }
            NetworkEvent::Message { from, channel: Channel::Transactions, bytes } => {
                if let Err(error) = self.admission.incoming(&bytes, from) {
                    self.reports.report(StdInstant::now(), from, &error.into());
                }
                Ok(())
            }
            NetworkEvent::Request { from, bytes, reply } => {
                fetch::serve(&self.db, &self.snapshots, &self.done, from, bytes, reply);
                Ok(())
            }
        }
    }

    fn publish(&mut self) {
        let view = self.replica.view();
        let committed = self.replica.tip().height;
        let now = self.now();
        let shown = &mut self.shown;
        shown.height = view.height;
        shown.round = view.round;
        shown.step = match view.step {
            Step::Propose => "propose",
            Step::Prevote => "prevote",
            Step::Precommit => "precommit",
        }
        .to_owned();
        if self.votes_at.is_none_or(|at| at.elapsed() >= LOOK_AT_VOTES_EVERY) {
            self.votes_at = Some(StdInstant::now());
            shown.standing = Some(Arc::new(self.replica.standing()));
        }
        shown.catching_up = self.replica.best_claim().0 > committed.0 + BEHIND;
        let age = now.wall.since(self.replica.tip().time);
        let caught_up = !shown.catching_up && age <= FRESH;
        self.network.set_caught_up(caught_up);
        if let Some(roles) = &self.roles {
            roles.caught_up(caught_up);
        }
        shown.key_lost = view.key_lost;
        shown.silent_through = view.silent_through;
        // After a pause old votes come late, and make a good clock look wrong for a few heights.
        let since = self.clock_off_since.unwrap_or_else(StdInstant::now);
        self.clock_off_since = view.clock_off_ms.map(|_| since);
        let clock_off = self.clock_off_since.filter(|since| since.elapsed() >= CLOCK_ALARM);
        let out_of_reach = self.replica.out_of_reach();
        let alarms = alarms(&view, out_of_reach, clock_off.and(view.clock_off_ms));
        for alarm in alarms.iter().filter(|alarm| !shown.alarms.contains(alarm)) {
            warn!(%alarm, "the node needs attention");
        }
        shown.alarms = alarms;
        shown.clock_offset_ms = view.clock_offset_ms;
        shown.clocks_ahead = view.clocks_ahead;
        shown.role = view.role;
        self.view.send_if_modified(|published| {
            let differs = **published != self.shown;
            if differs {
                *published = Arc::new(self.shown.clone());
            }
            differs
        });
    }
}

/// What an operator must look at.
fn alarms(
    view: &tandem_consensus::View,
    out_of_reach: Option<Height>,
    clock_off_ms: Option<i64>,
) -> Vec<String> {
    let mut alarms = Vec::new();
    if let Some(lowest) = out_of_reach {
        let otherwise = if view.height == Height(1) {
            "let it restore a snapshot (snapshots.restore): it does as soon as a connected node has one \
             that it trusts, else the log says why not"
        } else {
            "stop this one, move its folder data away and start it again, so that it restores a snapshot \
             (snapshots.restore)"
        };
        alarms.push(format!(
            "sync: no connected node has block {} any more, the lowest that one has is {lowest}: connect \
             a node that keeps all blocks (p2p.bootstrap), or {otherwise}",
            view.height
        ));
    }
    if view.key_lost {
        alarms.push(
            "key: its signing record is lost; it signs nothing until holders of 2/3 of the power have \
             told how far the chain is"
                .to_owned(),
        );
    }
    if let Some(off) = clock_off_ms {
        // By its direction alone, so that the alarm stays the same from height to height.
        let (direction, effect) = if off > 0 {
            ("ahead of", "its proposals are refused")
        } else {
            ("behind", "it refuses proposals that are in time")
        };
        alarms.push(format!(
            "clock: this machine's is {direction} those of the other validators by more than \
             max_clock_ahead, so {effect}: set it, and keep it set by NTP"
        ));
    }
    alarms
}

/// The registered nodes of a tip with their addresses.
fn peers(tip: &Tip) -> BTreeMap<PublicKey, Vec<String>> {
    let nodes = tip.register.nodes.iter();
    nodes.map(|(key, entry)| (*key, entry.addresses.clone())).collect()
}

fn encoded(message: &Message) -> Arc<[u8]> {
    codec::encode(message).into()
}

fn log_role(height: Height, role: &Role) {
    match role {
        Role::Validator { seat, term } => info!(%height, %seat, %term, "role: validator"),
        Role::Standby { seat } => info!(%height, %seat, "role: standby"),
        Role::Observer { org } => info!(%height, %org, "role: observer"),
        Role::Unregistered => info!(%height, "role: not registered"),
    }
}

/// What to do with a decoded message; see [`tandem_consensus::verify::Keys::triage`].
fn claim_of(triage: Triage, from: PublicKey) -> Option<Input> {
    match triage {
        Triage::Claim(height) => Some(Input::Claim { from, height }),
        Triage::Verify | Triage::Drop => None,
    }
}
