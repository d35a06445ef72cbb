//! Which changes the hooks were told of, and which they are to be told of: `config/roles.json`.

use std::collections::VecDeque;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Height, OrgName, Term};
use tandem_consensus::Role;
use tracing::warn;

use crate::home::{HomeError, files};
use crate::view::Part;

/// Changes that wait for one hook; beyond them the oldest is given up.
pub const MAX_WAITING: usize = 256;
/// Bytes that the file may have.
const MAX_BYTES: u64 = 1024 * 1024;

/// One of the two hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A program.
    Program,
    /// A webhook.
    Webhook,
}

impl Hook {
    /// For log and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Webhook => "webhook",
        }
    }
}

/// A node's role from a height on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The height.
    pub height: Height,
    /// The role.
    pub role: Part,
    /// Its organisation; none of a node that is not registered.
    pub organization: Option<OrgName>,
    /// The term of its organisation's seat at that height; none while the seat is left out.
    pub term: Option<Term>,
}

impl Standing {
    /// By what consensus says, and the role table of the height.
    pub fn new(height: Height, role: &Role, table: &RoleTable) -> Self {
        let (part, organization) = Part::of(role);
        let term = organization.and_then(|org| Some(table.seats().get(org)?.term));
        Self { height, role: part, organization: organization.cloned(), term }
    }

    /// That of a node before anything was told.
    fn before() -> Self {
        let role = Part::Unregistered;
        Self { height: Height::ZERO, role, organization: None, term: None }
    }

    /// Whether there is nothing to tell: a term is of interest to who holds the seat.
    fn is_same(&self, other: &Self) -> bool {
        let holds = self.role == Part::Validator;
        self.role == other.role
            && self.organization == other.organization
            && (!holds || self.term == other.term)
    }
}

/// A change of a node's role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The role before.
    pub old: Standing,
    /// The role after.
    pub new: Standing,
    /// Whether the hook may have been told already: the process ended while it was.
    pub again: bool,
}

/// A change that waits, and whether the hook is being told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiting {
    old: Standing,
    new: Standing,
    begun: bool,
}

/// The content of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The newest role that hooks were told of, or are to be told of.
    told: Option<Standing>,
    /// What the program is to be told of, the oldest first.
    program: VecDeque<Waiting>,
    /// What the webhook is to be told of, the oldest first.
    webhook: VecDeque<Waiting>,
}

impl Record {
    /// Reads the file; an empty record when it is not there.
    ///
    /// # Errors
    /// [`HomeError::Content`], [`HomeError::Io`].
    pub fn load(path: &Path) -> Result<Self, HomeError> {
        let Some(text) = files::read(path, MAX_BYTES)? else { return Ok(Self::default()) };
        serde_json::from_str(&text).map_err(|error| HomeError::Content {
            path: path.to_owned(),
            reason: format!(
                "it is no record of changes of the role ({error}): move it away, and hooks are told of \
                 the present role again"
            ),
        })
    }

    /// Writes the file, durably.
    ///
    /// # Errors
    /// [`HomeError::Io`].
    pub fn store(&self, path: &Path) -> Result<(), HomeError> {
        let text = serde_json::to_string_pretty(self).expect("names and numbers") + "\n";
        files::write_atomic(path, text.as_bytes(), 0o600)
    }

    fn queue(&mut self, hook: Hook) -> &mut VecDeque<Waiting> {
        match hook {
            Hook::Program => &mut self.program,
            Hook::Webhook => &mut self.webhook,
        }
    }

    /// Forgets what waits for a hook that is not configured any more.
    pub fn keep(&mut self, hooks: &[Hook]) {
        for hook in [Hook::Program, Hook::Webhook] {
            if !hooks.contains(&hook) {
                self.queue(hook).clear();
            }
        }
    }

    /// Changes that wait for a hook, the one that it is being told of included.
    pub fn waiting(&self, hook: Hook) -> usize {
        match hook {
            Hook::Program => self.program.len(),
            Hook::Webhook => self.webhook.len(),
        }
    }

    /// Whether hooks were told of no role from this height on or a later one; never of genesis.
    pub fn is_news(&self, height: Height) -> bool {
        height > self.told.as_ref().map_or(Height::ZERO, |told| told.height)
    }

    /// Adds a change for each of the hooks, if the role is another than the one that was told last.
    /// One of a height that was passed already, as by a node whose database was lost, is none.
    pub fn note(&mut self, now: &Standing, hooks: &[Hook]) -> bool {
        let old = self.told.clone().unwrap_or_else(Standing::before);
        if !self.is_news(now.height) || old.is_same(now) {
            return false;
        }
        for hook in hooks {
            let queue = self.queue(*hook);
            if queue.len() >= MAX_WAITING {
                // Not the one that it is being told of.
                let given_up = queue.remove(1).map(|waiting| waiting.new.height);
                warn!(hook = hook.name(), height = ?given_up, "too many changes of the role wait for a hook: one is given up");
            }
            queue.push_back(Waiting { old: old.clone(), new: now.clone(), begun: false });
        }
        self.told = Some(now.clone());
        true
    }

    /// The change that a hook is to be told of next; from now on it is being told.
    pub fn begin(&mut self, hook: Hook) -> Option<Change> {
        let next = self.queue(hook).front_mut()?;
        let again = std::mem::replace(&mut next.begun, true);
        Some(Change { old: next.old.clone(), new: next.new.clone(), again })
    }

    /// The hook was told of that change.
    pub fn end(&mut self, hook: Hook) {
        self.queue(hook).pop_front();
    }
}
