//! Stories: one scenario each, played over real processes. A story tells each step as it holds
//! and ends at the first thing that does not.

mod report;
pub(crate) mod scene;

mod bad_input;
mod blackout;
mod calm;
mod catch_up;
mod exactly_once;
mod failover;
mod grow;
mod hooks;
mod interrupted;
mod join;
mod key_move;
mod late_joiner;
mod leave;
mod machine;
mod moved;
mod pair_down;
mod planned;
mod role_tables;
mod rolling_upgrade;
mod rotate;
mod sink;
mod slow_follower;
mod stranger;
mod tour;
mod wiped_standby;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::control::State;
use crate::layout::Spec;
use crate::network::Network;
use crate::process::{interrupted, log_tail};

use report::Report;

/// Lines of each log that a failure shows.
const TAIL_LINES: usize = 20;

/// The stories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Story {
    /// For a person: a network from its first block over a failover to a planned switch
    Tour,
    /// Every transaction sent to all nodes at once is committed exactly once
    ExactlyOnce,
    /// kill -9 of a validator under load: its partner takes the seat, nothing is lost
    Failover,
    /// As failover, by a validator that is stopped for a minute (SIGSTOP) and goes on
    Frozen,
    /// As failover, by a validator that is cut off from all others, and healed
    CutOff,
    /// A planned switch under load costs no round
    Planned,
    /// All nodes get a new program under load, pair by pair, by planned switches: no round, nothing is lost
    RollingUpgrade,
    /// A validator's key is replaced under load by that of a new machine: no round, nothing is lost
    Rotate,
    /// Both nodes of one pair killed: the rest go on, and take them back
    PairDown,
    /// All nodes killed at once under load, again and again: nothing that was promised is lost
    Blackout,
    /// A standby with an empty disk is not given the seat before it has caught up
    WipedStandby,
    /// A new node with an empty disk and one address reaches the tip
    LateJoiner,
    /// A node with an empty disk restores a snapshot of a large ledger and follows; another fetches blocks
    CatchUp,
    /// kill -9 at random moments of snapshot, backup, restore and join: each goes on or begins again
    Interrupted,
    /// A node that stands still does not slow the others
    SlowFollower,
    /// A third node, and a fifth organisation, join under load by one command a side
    Join,
    /// A third node, and a fifth organisation, leave under load: they get no block more
    Leave,
    /// A network of one server grows to seven organisations, each through another member, and shrinks
    GrowAndShrink,
    /// A node that has moved to another port is reached by all within two blocks
    Move,
    /// Every change of a role is told to program and webhook once and in order, over kills and restarts
    Hooks,
    /// A key moves to a new home with what it has signed: the old home refuses, and nothing is signed twice
    KeyMove,
    /// kill -9 of nodes and of their PostgreSQL at random: every transaction and event stands there once
    Sink,
    /// Who is not registered, or not any more, gets nothing and has no effect
    Stranger,
    /// Every kind of bad input is refused by name and changes nothing
    BadInput,
}

impl Story {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// What it shows.
    #[must_use]
    pub fn about(self) -> String {
        let help = self.to_possible_value().and_then(|value| value.get_help().cloned());
        help.map(|help| help.to_string()).unwrap_or_default()
    }
}

/// Where a stage is built, and how what is played on it is told.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Place {
    /// Folder in which the network's folder is made, on a disk or on tmpfs [default: the system's]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The node binary [default: the one beside this program]
    #[arg(long)]
    tandem: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Leave the network's folder behind, to look at its logs
    #[arg(long)]
    keep: bool,
}

/// How stories are played. What is not given is each story's own default.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    #[command(flatten)]
    place: Place,
    /// Transactions to send
    #[arg(long)]
    txs: Option<usize>,
    /// Transactions a second
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds: how long a node is frozen or cut off, each measurement takes, or there are kills
    #[arg(long)]
    secs: Option<u64>,
    /// Repetitions
    #[arg(long)]
    times: Option<usize>,
    /// What a story picks at random follows from this [default: another one each time, printed]
    #[arg(long)]
    seed: Option<u64>,
    /// Play with the sizes of `make test`: minutes for all stories together
    #[arg(long)]
    short: bool,
    /// Leave the network of `tour` up when it has held, in the folder given by --dir
    #[arg(long)]
    leave_up: bool,
}

/// What a story plays with.
pub(crate) struct Stage {
    options: Options,
    /// What is told.
    pub(crate) report: Report,
    tandem: PathBuf,
    // Dropped in this order: the network is down before its folder goes.
    network: Option<Network>,
    folder: Folder,
    /// Whether the folder is left behind when something does not hold.
    keeps_failures: bool,
}

/// The folder of a story's network.
enum Folder {
    Passing(tempfile::TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Passing(dir) => dir.path(),
            Self::Kept(path) => path,
        }
    }

    fn keep(self) -> Self {
        match self {
            Self::Passing(dir) => Self::Kept(dir.keep()),
            kept @ Self::Kept(_) => kept,
        }
    }
}

/// Plays stories one after another, and stops at the first that does not hold.
///
/// # Errors
/// When one did not hold; the failure has been printed.
pub async fn play(stories: &[Story], options: &Options) -> Result<()> {
    for story in stories {
        let (name, about) = (story.name(), story.about());
        let stage = Stage::new(&name, &about, options.clone())?;
        if !perform(stage, async |stage| stage.play(*story).await).await? {
            bail!("story {name} does not hold");
        }
    }
    Ok(())
}

/// Plays something on a stage, tells how it ended, and takes the stage down; whether it held.
pub(crate) async fn perform(
    mut stage: Stage,
    play: impl AsyncFnOnce(&mut Stage) -> Result<()>,
) -> Result<bool> {
    let (played, is_interrupted) = tokio::select! {
        played = play(&mut stage) => (played, false),
        () = interrupted() => (Err(anyhow::anyhow!("interrupted")), true),
    };
    let mut failure = match &played {
        Ok(()) => None,
        Err(error) => Some(stage.explain(error).await),
    };
    let holds = failure.is_none();
    let Stage { options, report, network, mut folder, keeps_failures, .. } = stage;
    if keeps_failures && !holds && !is_interrupted {
        folder = folder.keep();
        let logs = folder.path().display();
        failure = failure.map(|text| format!("{text}\nlogs: {logs}/*/node.log"));
    }
    if options.leave_up && holds {
        if let Some(network) = network {
            network.detach().await?;
        }
    } else {
        drop(network);
    }
    if let Folder::Kept(path) = &folder {
        report.shows(format!("The network's folder is {}", path.display()));
    }
    report.end(failure);
    Ok(holds)
}

impl Stage {
    /// For a campaign of random faults.
    pub(crate) fn of_campaign(name: &str, about: &str, place: Place) -> Result<Self> {
        let options = Options { place, ..Options::default() };
        Ok(Self { keeps_failures: true, ..Self::new(name, about, options)? })
    }

    fn new(name: &str, about: &str, options: Options) -> Result<Self> {
        let place = &options.place;
        let tandem = crate::process::find_tandem(place.tandem.as_deref())?;
        let report = Report::new(name, about, place.json);
        let folder = match &place.dir {
            Some(dir) if options.leave_up => Folder::Kept(dir.clone()),
            None if options.leave_up => Folder::Kept(crate::layout::default_dir()),
            dir => {
                let base = dir.clone().unwrap_or_else(std::env::temp_dir);
                std::fs::create_dir_all(&base).with_context(|| base.display().to_string())?;
                let base = base.canonicalize()?;
                let made = tempfile::Builder::new().prefix("tandem-story-").tempdir_in(base)?;
                let folder = Folder::Passing(made);
                if place.keep { folder.keep() } else { folder }
            }
        };
        Ok(Self { options, report, tandem, network: None, folder, keeps_failures: false })
    }

    async fn play(&mut self, story: Story) -> Result<()> {
        match story {
            Story::Tour => tour::play(self).await,
            Story::ExactlyOnce => exactly_once::play(self).await,
            Story::Failover => failover::play(self, failover::Fault::Killed).await,
            Story::Frozen => failover::play(self, failover::Fault::Frozen).await,
            Story::CutOff => failover::play(self, failover::Fault::CutOff).await,
            Story::Planned => planned::play(self).await,
            Story::RollingUpgrade => rolling_upgrade::play(self).await,
            Story::Rotate => rotate::play(self).await,
            Story::PairDown => pair_down::play(self).await,
            Story::Blackout => blackout::play(self).await,
            Story::WipedStandby => wiped_standby::play(self).await,
            Story::LateJoiner => late_joiner::play(self).await,
            Story::CatchUp => catch_up::play(self).await,
            Story::Interrupted => interrupted::play(self).await,
            Story::SlowFollower => slow_follower::play(self).await,
            Story::Join => join::play(self).await,
            Story::Leave => leave::play(self).await,
            Story::GrowAndShrink => grow::play(self).await,
            Story::Move => moved::play(self).await,
            Story::Hooks => hooks::play(self).await,
            Story::KeyMove => key_move::play(self).await,
            Story::Sink => sink::play(self).await,
            Story::Stranger => stranger::play(self).await,
            Story::BadInput => bad_input::play(self).await,
        }
    }

    /// A size that was asked for, else the story's own: the second for a short play.
    fn size<T>(&self, asked: Option<T>, own: T, short: T) -> T {
        asked.unwrap_or(if self.options.short { short } else { own })
    }

    /// Makes the story's network and its supervisor; no node runs yet.
    async fn make(&mut self, spec: Spec) -> Result<&Network> {
        let dir = self.folder.path().to_owned();
        Network::create(&dir, spec)?;
        let network = Network::launch(&dir, &self.tandem).await?;
        Ok(self.network.insert(network))
    }

    /// The failure, with the ends of the logs of the nodes that it concerns: those that ended by
    /// themselves, and those that it names.
    async fn explain(&self, error: &anyhow::Error) -> String {
        let mut text = format!("{error:#}");
        let Some(network) = &self.network else { return text };
        let Ok(processes) = network.tell(crate::control::Command::Nodes).await else { return text };
        let named = text.clone();
        for process in processes {
            let ended = matches!(process.state, State::Exited(_));
            if !ended && !named.contains(&process.name) {
                continue;
            }
            let Ok(node) = network.layout().node(&process.name) else { continue };
            let tail = log_tail(&network.layout().log(node), TAIL_LINES);
            let (name, state) = (&process.name, &process.state);
            text.extend(["\n--- ", name, &format!(" ({state:?}), the end of its log:\n"), &tail]);
        }
        if !self.options.place.keep && !self.keeps_failures {
            text += "\n(--keep leaves the network's folder behind)";
        }
        text
    }
}
