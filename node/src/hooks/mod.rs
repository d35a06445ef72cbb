//! Hooks on changes of the node's role: a program, and a webhook.
//!
//! ```text
//!   driver ── role, whether it is caught up ──> Roles ──> record ──> program, one change after the other
//!            (never waits)                      (config/roles.json) └> webhook, likewise, again and again
//! ```
//!
//! - **Of the present.** While a node is behind, what its role was at heights long past is no news: it
//!   is told of what has changed once it has caught up.
//! - **Once.** What is to be told is durable before it is, and taken out when it was. A change that was
//!   being told when the process was killed is told again, and marked as such. `record` says what is
//!   a change.
//! - **In order**, program and webhook each for itself.
//! - A program that takes longer than `hooks.timeout` is killed with all that it started.

mod program;
mod record;
mod webhook;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tandem_chain::keys::PublicKey;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{ChainId, Height};
use tandem_consensus::Role;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tracing::{error, info};

use crate::config;
use crate::home::{Home, HomeError};
use program::Program;
use record::{Change, Hook, Record, Standing};
use webhook::Webhook;

/// Time for what is being told when the node stops.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// Characters of what a program or server says that the log tells.
const MAX_SAID: usize = 2_048;
/// Wait before what could not be written is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(2);

/// Which node it is.
#[derive(Clone, Debug)]
struct Node {
    key: PublicKey,
    chain_id: ChainId,
}

/// What the driver tells of its role, and the tasks that tell the hooks.
pub struct Hooks {
    roles: Roles,
    tasks: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

/// Where the driver tells of its role. Cheap to clone. Nothing here waits for a disk or a program.
#[derive(Clone)]
pub struct Roles(Arc<Shared>);

struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Told when something is to be told.
    news: watch::Sender<()>,
    /// Held while the record is written, so that an older one never replaces a newer.
    writing: tokio::sync::Mutex<()>,
    /// The record that was written last.
    written: watch::Sender<Record>,
    told: Told,
}

struct State {
    record: Record,
    /// From when on the role with which the process began is in effect, where that is known; none
    /// once the driver has told of a role.
    since: Option<Height>,
    /// The newest role that the driver told of.
    now: Option<Standing>,
    caught_up: bool,
    /// The hooks that are configured.
    hooks: Vec<Hook>,
}

/// What came of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Its name.
    pub name: &'static str,
    /// Changes that wait.
    pub waiting: usize,
    /// Changes that it was told of, since the start.
    pub done: u64,
    /// Changes that it could not be told of.
    pub failed: u64,
}

/// What the hooks were told, counted since the start: by hook, what failed and what was done.
#[derive(Debug, Default)]
struct Told(watch::Sender<[[u64; 2]; 2]>);

impl Told {
    fn count(&self, hook: Hook, is_done: bool) {
        self.0.send_modify(|counts| counts[hook as usize][usize::from(is_done)] += 1);
    }

    fn get(&self, hook: Hook, is_done: bool) -> u64 {
        self.0.borrow()[hook as usize][usize::from(is_done)]
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    /// Makes the record durable, unless it is.
    async fn write(&self) -> Result<(), HomeError> {
        let _turn = self.writing.lock().await;
        let record = self.state().record.clone();
        if *self.written.borrow() == record {
            return Ok(());
        }
        let (wanted, path) = (record.clone(), self.path.clone());
        let written = spawn_blocking(move || wanted.store(&path)).await;
        written.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        self.written.send_replace(record);
        Ok(())
    }

    /// The same, again and again until it is: nothing is told before.
    async fn write_until_done(&self) {
        while let Err(error) = self.write().await {
            error!(%error, "changes of the role cannot be written down, so that no hook is told");
            sleep(WRITE_AGAIN).await;
        }
    }

    /// Adds to the record what has changed, if the node has caught up.
    fn note(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let State { record, now: Some(now), caught_up: true, hooks, .. } = &mut *state else {
            return;
        };
        if record.note(now, hooks) {
            drop(state);
            self.news.send_replace(());
        }
    }
}

impl Roles {
    /// The node's role from a height on; `table` is that of the height.
    pub fn changed(&self, height: Height, role: &Role, table: &RoleTable) {
        self.0.note(|state| {
            // The process may have been killed between the block and its record of it.
            let since = state.since.take().filter(|since| state.record.is_news(*since));
            let height = since.map_or(height, |since| since.min(height));
            state.now = Some(Standing::new(height, role, table));
        });
    }

    /// Whether the node has caught up with the chain, as far as it knows.
    pub fn caught_up(&self, caught_up: bool) {
        if self.0.state().caught_up != caught_up {
            self.0.note(|state| state.caught_up = caught_up);
        }
    }

    /// Of each hook that is configured.
    pub fn figures(&self) -> Vec<Figures> {
        let (state, told) = (self.0.state(), &self.0.told);
        let figures = |hook: &Hook| Figures {
            name: hook.name(),
            waiting: state.record.waiting(*hook),
            done: told.get(*hook, true),
            failed: told.get(*hook, false),
        };
        state.hooks.iter().map(figures).collect()
    }
}

impl Hooks {
    /// Begins to tell hooks; none where none is configured. `since` is the height from which the last
    /// change of the organisation's seat or pair is in effect, if it is by now.
    ///
    /// # Errors
    /// [`HomeError`]: the record cannot be read.
    pub fn start(
        config: &config::Hooks,
        home: &Home,
        key: PublicKey,
        chain_id: ChainId,
        since: Option<Height>,
    ) -> Result<Option<Self>, HomeError> {
        let node = Node { key, chain_id };
        let program = Program::new(config, home, node.clone()).map(Teller::Program);
        let webhook = Webhook::new(config, node).map(Teller::Webhook);
        let tellers: Vec<Teller> = program.into_iter().chain(webhook).collect();
        if tellers.is_empty() {
            return Ok(None);
        }
        let hooks: Vec<Hook> = tellers.iter().map(Teller::hook).collect();
        let path = home.roles_path();
        let mut record = Record::load(&path)?;
        let written = watch::Sender::new(record.clone());
        record.keep(&hooks);
        let state = Mutex::new(State { record, since, now: None, caught_up: false, hooks });
        let (news, _) = watch::channel(());
        let writing = tokio::sync::Mutex::default();
        let told = Told::default();
        let shared = Arc::new(Shared { path, state, news, writing, written, told });
        let (stopping, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep(Arc::clone(&shared), stopping.subscribe()));
        for teller in tellers {
            tasks.spawn(tell(Arc::clone(&shared), teller, stopping.subscribe()));
        }
        Ok(Some(Self { roles: Roles(shared), tasks, stopping }))
    }

    /// Where the driver tells of its role.
    pub fn roles(&self) -> Roles {
        self.roles.clone()
    }

    /// Tells nothing more. What is being told has a moment to end; else it is told again at the next
    /// start.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(STOP_PATIENCE, ended).await;
        self.tasks.shutdown().await;
    }
}

/// Who tells a hook.
enum Teller {
    Program(Program),
    Webhook(Webhook),
}

impl Teller {
    fn hook(&self) -> Hook {
        match self {
            Self::Program(_) => Hook::Program,
            Self::Webhook(_) => Hook::Webhook,
        }
    }

    /// Tells of a change, however long it takes.
    async fn tell(&self, change: &Change) -> Result<(), String> {
        match self {
            Self::Program(program) => program.run(change).await,
            Self::Webhook(webhook) => webhook.post(change).await,
        }
    }
}

/// What a program or server says, cut and made fit for the log.
fn escaped(text: &str) -> String {
    text.chars().take(MAX_SAID).flat_map(char::escape_debug).collect()
}

/// Waits until the node stops.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that nobody is there to stop it.
    let _ = stopping.wait_for(|is| *is).await;
}

/// Writes the record down as soon as there is something new in it, also while a hook is being told.
async fn keep(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let mut news = shared.news.subscribe();
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return,
            _ = news.changed() => shared.write_until_done().await,
        }
    }
}

/// Tells one hook of all changes, one after the other, until the node stops.
async fn tell(shared: Arc<Shared>, teller: Teller, mut stopping: watch::Receiver<bool>) {
    let hook = teller.hook();
    let mut news = shared.news.subscribe();
    loop {
        let begun = shared.state().record.begin(hook);
        let Some(change) = begun else {
            tokio::select! {
                () = stopped(&mut stopping) => return,
                _ = news.changed() => continue,
            }
        };
        shared.write_until_done().await;
        let (name, old, new) = (hook.name(), change.old.role.name(), change.new.role.name());
        let told = teller.tell(&change).await;
        let height = change.new.height;
        match &told {
            Ok(()) => {
                info!(hook = name, old, new, %height, "a hook was told of the change of role");
            }
            Err(error) => {
                error!(hook = name, old, new, %height, error, "a hook of the change of role has failed");
            }
        }
        shared.state().record.end(hook);
        shared.write_until_done().await;
        shared.told.count(hook, told.is_ok());
        if *stopping.borrow() {
            return;
        }
    }
}
