//! What operators ask of a running node's database: its figures; backups, compactions, snapshots
//! and pruning, one at a time, on a thread of their own.

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::backup::{self, BackupError, Order};
use crate::config::Config;
use crate::home::Home;
use crate::operator::{Admitted, Gate, OperatorCall, OperatorRequest};
use crate::pruning::{self, Policy};
use crate::rpc::shapes::tandem::{Job, JobState, StorageInfo};
use crate::run::wall_clock;
use crate::snapshots::{Pace, Shelf, Source, stand_back, take_and_keep};
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
    /// The one that was asked for last.
    job: watch::Sender<Option<Job>>,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To [`OperatorCall::Storage`].
    Storage(StorageInfo),
    /// The job that was begun.
    Job(Job),
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
            job: watch::Sender::default(),
        };
        let gate = Gate::new(wall_clock());
        Self { shared: Arc::new(shared), thread: Mutex::default(), gate }
    }

    /// Whether the request is the operator's.
    ///
    /// # Errors
    /// Those of [`Gate::admit`].
    pub fn admit(&self, request: OperatorRequest, now: Timestamp) -> Result<Admitted, String> {
        self.gate.admit(request, now, &self.shared.genesis.chain_id, &self.shared.node)
    }

    /// Waits until no job is under way.
    pub async fn idle(&self) {
        let mut job = self.shared.job.subscribe();
        // An error would be that the sender is gone, which `self` has.
        let _ = job.wait_for(|job| !is_running(job.as_ref())).await;
    }

    /// Answers the operator. A job is begun and goes on after that: [`OperatorCall::Storage`] tells how.
    ///
    /// # Errors
    /// Why it is not done, or not begun.
    pub fn answer(&self, Admitted { call, time }: Admitted) -> Result<Answer, String> {
        match call {
            OperatorCall::Storage { .. } => self.storage().map(Answer::Storage),
            OperatorCall::Backup { name, with_key } => {
                self.backup(name, with_key, time).map(Answer::Job)
            }
            OperatorCall::Compact => {
                self.begin("compact", None, |shared, _| Ok(shared.db.compact()?)).map(Answer::Job)
            }
            OperatorCall::Snapshot => {
                self.begin("snapshot", None, Shared::snapshot).map(Answer::Job)
            }
            OperatorCall::Prune { keep_blocks, keep_days, dry_run } => {
                self.prune(Policy { keep_blocks, keep_days }, dry_run).map(Answer::Job)
            }
        }
    }

    /// No more than the operator is told it: gathering it holds up the database for longer the more
    /// tables there are, and what a job says of its failure may name files.
    fn storage(&self) -> Result<StorageInfo, String> {
        let shared = &self.shared;
        Ok(StorageInfo {
            height: shared.db.height(),
            lowest: shared.db.first_height(),
            encrypted: shared.db.is_encrypted(),
            families: shared.db.stats().map_err(|error| error.to_string())?,
            job: shared.job.borrow().clone(),
        })
    }

    fn backup(&self, name: String, with_key: bool, now: Timestamp) -> Result<Job, String> {
        backup::check_name(&name).map_err(|error| error.to_string())?;
        let dir = self.shared.backup_dir.clone().ok_or(
            "this node makes no backups while it runs: set storage.backup_dir in config.toml and \
             start it again, or stop it first",
        )?;
        if dir.join(&name).exists() {
            return Err(BackupError::Exists { path: dir.join(name) }.to_string());
        }
        self.begin("backup", Some(name.clone()), move |shared, job| {
            let order = Order {
                home: &shared.home,
                db: &shared.db,
                storage: &shared.storage,
                genesis: &shared.genesis,
                node: shared.node,
                time: now,
                dir: &dir,
                name: &name,
                with_key,
            };
            let manifest = backup::create(&order, &shared.stop)?;
            job.height = Some(manifest.height);
            job.bytes = Some(manifest.bytes());
            Ok(())
        })
    }

    fn prune(&self, policy: Policy, dry_run: bool) -> Result<Job, String> {
        policy.check().map_err(|error| error.to_string())?;
        self.begin("prune", None, move |shared, job| {
            stand_back();
            let report = pruning::report(&shared.db, &shared.shelf, &policy)?;
            if !dry_run {
                let mut pace = Pace::begin();
                pruning::prune(&shared.db, report.floor.height, &shared.stop, || pace.rest())?;
                shared.db.compact_pruned();
            }
            job.height = Some(report.floor.height);
            job.blocks = Some(report.blocks);
            job.bytes = Some(report.bytes);
            job.kept_for = Some(report.floor.bound.to_string());
            Ok(())
        })
    }

    /// Begins a job, unless another one is under way.
    fn begin(
        &self,
        job: &str,
        name: Option<String>,
        work: impl FnOnce(&Shared, &mut Job) -> Done + Send + 'static,
    ) -> Result<Job, String> {
        let shared = &self.shared;
        let mut thread = lock(&self.thread);
        if shared.stop.load(Ordering::Relaxed) {
            return Err("the node stops".to_owned());
        }
        if let Some(running) = shared.job.borrow().as_ref().filter(|job| is_running(Some(job))) {
            return Err(format!("a {} is under way: wait until it is done", running.job));
        }
        let job = job.to_owned();
        let begun = Job {
            job,
            name,
            state: JobState::Running,
            error: None,
            height: None,
            bytes: None,
            blocks: None,
            kept_for: None,
        };
        let before = shared.job.send_replace(Some(begun.clone()));
        let (worker, job) = (Arc::clone(shared), begun.clone());
        let spawned = thread::Builder::new()
            .name("maintenance".to_owned())
            .spawn(move || worker.carry_out(job, work));
        match spawned {
            Ok(handle) => *thread = Some(handle),
            Err(error) => {
                shared.job.send_replace(before);
                return Err(format!("the system gives no thread: {error}"));
            }
        }
        Ok(begun)
    }

    /// Gives up what is under way, and waits for that. Nothing is begun any more.
    pub fn stop(&self) {
        let mut thread = lock(&self.thread);
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = thread.take() {
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
    fn carry_out(&self, mut job: Job, work: impl FnOnce(&Self, &mut Job) -> Done) {
        info!(job = job.job, name = job.name, "maintenance begins");
        match work(self, &mut job) {
            Ok(()) => {
                job.state = JobState::Done;
                info!(job = job.job, name = job.name, "maintenance is done");
            }
            Err(error) => {
                job.state = JobState::Failed;
                job.error = Some(error.to_string());
                warn!(job = job.job, name = job.name, %error, "maintenance has failed");
            }
        }
        self.job.send_replace(Some(job));
    }

    fn snapshot(&self, job: &mut Job) -> Done {
        stand_back();
        let view = self.db.snapshot();
        let (db, genesis, stop) = (&self.db, &*self.genesis, &self.stop);
        let source = Source { db, view: &view, genesis, stop };
        let height = take_and_keep(&source, &self.shelf, self.keep)?;
        job.height = Some(height);
        job.bytes = Some(self.shelf.open(height)?.bytes()?);
        Ok(())
    }
}

/// How a job has ended.
type Done = Result<(), Box<dyn Error>>;

fn is_running(job: Option<&Job>) -> bool {
    job.is_some_and(|job| job.state == JobState::Running)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
