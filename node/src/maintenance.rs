//! Backups, compactions, snapshots and pruning that are asked for: one at a time, on a thread of their own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tracing::{info, warn};

use crate::backup::{self, BackupError, Order};
use crate::config::Config;
use crate::home::Home;
use crate::operator::{Gate, OperatorCall, OperatorRequest};
use crate::pruning::{self, Policy, PruneError};
use crate::rpc::shapes::tandem::{Job, JobState};
use crate::snapshots::{Pace, Shelf, SnapshotError, Source, stand_back, take_and_keep};
use crate::storage::{Database, StorageConfig};

/// Carries out what operators ask. When it is dropped, what is under way is given up.
pub struct Maintenance {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    gate: Gate,
}

struct Shared {
    home: Home,
    /// Where backups are made; none when the configuration says nothing of it.
    backup_dir: Option<PathBuf>,
    storage: StorageConfig,
    genesis: Arc<Genesis>,
    node: PublicKey,
    db: Database,
    shelf: Shelf,
    /// Snapshots that are kept.
    keep: usize,
    stop: AtomicBool,
    job: Mutex<Option<Job>>,
}

impl Maintenance {
    /// For the node of a home, with its open database, how that is kept, and its snapshots.
    #[must_use]
    pub fn new(
        home: &Home,
        config: &Config,
        storage: StorageConfig,
        genesis: Arc<Genesis>,
        node: PublicKey,
        db: Database,
        shelf: Shelf,
    ) -> Self {
        let shared = Shared {
            home: home.clone(),
            backup_dir: home.backup_dir(config),
            storage,
            genesis,
            node,
            db,
            shelf,
            keep: config.snapshots.keep,
            stop: AtomicBool::new(false),
            job: Mutex::default(),
        };
        Self { shared: Arc::new(shared), thread: Mutex::default(), gate: Gate::default() }
    }

    /// The job that was asked for last.
    #[must_use]
    pub fn job(&self) -> Option<Job> {
        lock(&self.shared.job).clone()
    }

    /// Begins what the operator asks, and returns at once: [`Maintenance::job`] tells how it goes.
    ///
    /// # Errors
    /// Why it is not begun.
    pub fn begin(&self, request: OperatorRequest, now: Timestamp) -> Result<Job, String> {
        let shared = &self.shared;
        self.gate.admit(&request, now, &shared.genesis.chain_id, &shared.node)?;
        if let OperatorCall::Backup { name, .. } = &request.call {
            backup::check_name(name).map_err(|error| error.to_string())?;
            let dir = shared.backup_dir.as_ref().ok_or(
                "this node makes no backups while it runs: set storage.backup_dir in config.toml \
                 and start it again, or stop it first",
            )?;
            if dir.join(name).exists() {
                return Err(BackupError::Exists { path: dir.join(name) }.to_string());
            }
        }
        if let OperatorCall::Prune { keep_blocks, keep_days, .. } = request.call {
            let policy = Policy { keep_blocks, keep_days };
            policy.check().map_err(|error| error.to_string())?;
        }
        let mut thread = lock(&self.thread);
        let mut current = lock(&shared.job);
        if let Some(running) = current.as_ref().filter(|job| job.state == JobState::Running) {
            return Err(format!("a {} is under way: wait until it is done", running.job));
        }
        let job = begun(&request.call);
        let shared = Arc::clone(shared);
        let spawned = thread::Builder::new()
            .name("maintenance".to_owned())
            .spawn(move || shared.carry_out(request.call, now));
        *thread = Some(spawned.map_err(|error| format!("the system gives no thread: {error}"))?);
        // It cannot say that it is done before: the lock is held.
        *current = Some(job.clone());
        Ok(job)
    }

    /// Gives up what is under way, and waits for that.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            if !thread.is_finished() {
                self.shared.db.stop_background();
            }
            // A thread that panics has ended the process.
            let _ = thread.join();
        }
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn carry_out(&self, call: OperatorCall, now: Timestamp) {
        let mut job = begun(&call);
        info!(job = job.job, name = job.name, "maintenance begins");
        let done = match call {
            OperatorCall::Backup { name, with_key } => {
                let made = self.backup(&name, with_key, now, &mut job);
                made.map_err(|error| error.to_string())
            }
            OperatorCall::Compact => self.db.compact().map_err(|error| error.to_string()),
            OperatorCall::Snapshot => self.snapshot(&mut job).map_err(|error| error.to_string()),
            OperatorCall::Prune { keep_blocks, keep_days, dry_run } => {
                let policy = Policy { keep_blocks, keep_days };
                let pruned = self.prune(&policy, dry_run, &mut job);
                pruned.map_err(|error| error.to_string())
            }
        };
        match done {
            Ok(()) => {
                job.state = JobState::Done;
                info!(job = job.job, name = job.name, "maintenance is done");
            }
            Err(error) => {
                job.state = JobState::Failed;
                warn!(job = job.job, name = job.name, %error, "maintenance has failed");
                job.error = Some(error);
            }
        }
        *lock(&self.job) = Some(job);
    }

    fn snapshot(&self, job: &mut Job) -> Result<(), SnapshotError> {
        stand_back();
        let view = self.db.snapshot();
        let (db, genesis, stop) = (&self.db, &*self.genesis, &self.stop);
        let height =
            take_and_keep(&Source { db, view: &view, genesis, stop }, &self.shelf, self.keep)?;
        job.height = Some(height);
        job.bytes = Some(self.shelf.open(height)?.bytes()?);
        Ok(())
    }

    fn prune(&self, policy: &Policy, dry_run: bool, job: &mut Job) -> Result<(), PruneError> {
        stand_back();
        let report = pruning::report(&self.db, &self.shelf, policy)?;
        if !dry_run {
            let mut pace = Pace::begin();
            pruning::prune(&self.db, report.floor.height, &self.stop, || pace.rest())?;
            self.db.compact_pruned();
        }
        job.height = Some(report.floor.height);
        job.blocks = Some(report.blocks);
        job.bytes = Some(report.bytes);
        job.kept_for = Some(report.floor.bound.to_string());
        Ok(())
    }

    fn backup(
        &self,
        name: &str,
        with_key: bool,
        time: Timestamp,
        job: &mut Job,
    ) -> Result<(), BackupError> {
        // There is one: otherwise it is not begun.
        let dir = self.backup_dir.clone().unwrap_or_default();
        let order = Order {
            home: &self.home,
            db: &self.db,
            storage: &self.storage,
            genesis: &self.genesis,
            node: self.node,
            time,
            dir: &dir,
            name,
            with_key,
        };
        let manifest = backup::create(&order, &self.stop)?;
        job.height = Some(manifest.height);
        job.bytes = Some(manifest.bytes());
        Ok(())
    }
}

/// The job that a call begins.
fn begun(call: &OperatorCall) -> Job {
    let (job, name) = match call {
        OperatorCall::Backup { name, .. } => ("backup", Some(name.clone())),
        OperatorCall::Compact => ("compact", None),
        OperatorCall::Snapshot => ("snapshot", None),
        OperatorCall::Prune { .. } => ("prune", None),
    };
    let job = job.to_owned();
    Job {
        job,
        name,
        state: JobState::Running,
        error: None,
        height: None,
        bytes: None,
        blocks: None,
        kept_for: None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
