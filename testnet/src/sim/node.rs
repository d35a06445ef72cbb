//! A node: a machine with a key, a disk and a clock, and the process that may run on it.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::evidence_pool::EvidencePool;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, Signer};
use tandem_chain::ledger::Ledger;
use tandem_chain::mempool::Mempool;
use tandem_consensus::journal::KeyState;
use tandem_consensus::verify::Keys;
use tandem_consensus::{Effect, Replica, Setup};

use super::actor::Byzantine;
use super::clock::Clock;
use super::coverage::crashes::{Kind, Point, Progress};
use super::disk::{Disk, Image};
use super::plan::{CrashPoint, Machine};
use super::queue::Time;
use super::states::State;
use super::world::Event;

/// Factors on the times of a [`Machine`] while something is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// On that of an fsync.
    pub disk: u64,
    /// On those of work and of late timers.
    pub work: u64,
}

impl Slow {
    /// Nothing is wrong.
    pub const NOT: Self = Self { disk: 1, work: 1 };
}

/// Where a process is to die.
#[derive(Clone, Copy, Debug)]
pub struct Doom {
    /// The point.
    pub point: CrashPoint,
    /// Only at this effect.
    pub effect: Option<Point>,
    /// After it has passed there so many times.
    pub left: u64,
}

/// A node.
#[expect(clippy::struct_excessive_bools, reason = "conditions that do not depend on each other")]
pub struct Node {
    /// Its name in stories: the organisation's letters and a number.
    pub name: String,
    /// Its organisation.
    pub org: usize,
    /// Its public key.
    pub key: PublicKey,
    /// Makes its signatures.
    pub signer: Arc<dyn Signer>,
    /// Its disk.
    pub disk: Disk,
    /// Whether the key's signing record was lost once: with the disk, or by a restore.
    pub key_was_lost: bool,
    /// Whether its disk was rolled back behind its back: from then on it is a faulty validator.
    pub rolled_back: bool,
    /// Whether its disk has no room.
    pub disk_is_full: bool,
    /// The lowest block that it hands out; 0 when it has all.
    pub lowest: u64,
    /// Times that its parts take.
    pub machine: Machine,
    /// How much slower it is for now.
    pub slow: Slow,
    /// Its wall clock.
    pub clock: Clock,
    /// What makes it Byzantine.
    pub byzantine: Option<Byzantine>,
    /// The other copy of it, if it runs twice; that one does not know this.
    pub twin: Option<usize>,
    /// Whether its organisation runs it; one that is to be registered later is not yet.
    pub is_installed: bool,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// Counts its processes: what was meant for an earlier one is dropped.
    pub incarnation: u64,
    /// Whether its process stands still.
    pub paused: bool,
    /// What waits for a process that stands still.
    pub held: VecDeque<Event>,
    /// Where it dies.
    pub doom: Option<Doom>,
    /// Whether it stays dead.
    pub stays_dead: bool,
    /// Whether its process has come to its end by itself.
    pub halted: bool,
}

impl Node {
    /// Whether it keeps to the protocol.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        self.byzantine.is_none() && !self.rolled_back
    }

    /// Where it stands, for a story.
    #[must_use]
    pub fn state(&self) -> String {
        let Some(process) = &self.process else { return format!("{} is down", self.name) };
        let view = process.replica.view();
        format!(
            "{} is at {}/{} {:?}, {:?}, best claim {}, lost {}, silent through {}{}",
            self.name,
            view.height,
            view.round,
            view.step,
            view.role,
            process.replica.best_claim(),
            view.key_lost,
            view.silent_through,
            if self.paused { ", and stands still" } else { "" }
        )
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.process.is_some() && !self.paused
    }
}

/// A running process: what the real driver has.
pub struct Process {
    /// The production replica.
    pub replica: Replica,
    /// The production ledger, on what the process sees of its disk.
    pub ledger: Ledger<State>,
    /// The production mempool.
    pub mempool: Mempool,
    /// Keys of messages at the ledger's tip.
    pub keys: Rc<Keys>,
    /// All blocks that it has committed.
    pub blocks: Vec<Arc<CertifiedBlock>>,
    /// Effects that wait for a write or for those before them.
    pub effects: VecDeque<(Kind, Effect)>,
    /// How far it is with its effects.
    pub progress: Progress,
    /// Whether an fsync is under way.
    pub persisting: bool,
    /// When it started.
    pub started: Time,
    /// The wake-up that is scheduled.
    pub wakeup: Option<Time>,
    /// Wake-ups in a row that came at one moment.
    pub wakeups_at_once: u32,
    /// Double signings that wait to be put into a block.
    pub evidence: EvidencePool,
    /// Fetches that have no answer yet, and when they were made.
    pub fetches: BTreeMap<u64, Time>,
}

/// Wake-ups at one moment after which a replica is taken to spin.
pub const MAX_WAKEUPS_AT_ONCE: u32 = 1_000;

impl Process {
    /// A process that starts from what the disk holds.
    pub fn start(
        image: &Image,
        signer: Arc<dyn Signer>,
        genesis: &Genesis,
        key: KeyState,
        now: Time,
    ) -> Self {
        let ledger = Ledger::open(image.state.clone(), genesis).expect("the disk is whole");
        let tip = Arc::clone(ledger.tip());
        let (keys, certificate) = (Rc::new(Keys::of(&tip)), image.certificate());
        let durable = image.durable(key);
        Self {
            replica: Replica::new(Setup { signer, tip, certificate, durable }),
            ledger,
            mempool: Mempool::new(),
            keys,
            blocks: image.blocks.clone(),
            effects: VecDeque::new(),
            progress: Progress::default(),
            persisting: false,
            started: now,
            wakeup: None,
            wakeups_at_once: 0,
            evidence: EvidencePool::default(),
            fetches: BTreeMap::new(),
        }
    }
}
