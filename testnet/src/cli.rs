//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum as _};

use crate::bench;
use crate::chaos;
use crate::commands;
use crate::control::{self, Command};
use crate::disk;
use crate::layout::{self, Preset, Spec};
use crate::process::{self, EXEC_BOUND};
use crate::sim;
use crate::story::{self, Story};
use crate::supervisor::{self, SUPERVISE};

/// Local Tandem networks of real processes: faults, load, stories, measurements
#[derive(Parser)]
#[command(name = "tandem-testnet", version, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Sub,
}

/// The folder of a network.
#[derive(Clone, Debug, clap::Args)]
struct Dir {
    /// The network's folder
    #[arg(long, default_value_os_t = layout::default_dir())]
    dir: PathBuf,
}

/// Nodes of a network that is up.
#[derive(clap::Args)]
struct Nodes {
    /// Names, such as alpha-a
    #[arg(required = true)]
    nodes: Vec<String>,
    #[command(flatten)]
    dir: Dir,
}

#[derive(Subcommand)]
enum Sub {
    /// Start a network in the background, a new one or the one that is in the folder
    Up {
        /// Organisations, each with one seat
        #[arg(long, default_value_t = 4)]
        orgs: usize,
        /// Validators only, no standbys
        #[arg(long)]
        no_pairs: bool,
        /// Observers besides
        #[arg(long, default_value_t = 0)]
        observers: usize,
        /// Preset of the chain's parameters
        #[arg(long, value_enum, default_value_t = Preset::Lan)]
        preset: Preset,
        /// The node binary [default: the one beside this program]
        #[arg(long)]
        tandem: Option<PathBuf>,
        #[command(flatten)]
        dir: Dir,
    },
    /// Stop a network
    Down {
        /// Delete its folder too
        #[arg(long)]
        wipe: bool,
        #[command(flatten)]
        dir: Dir,
    },
    /// A table of all nodes, renewed each second at a terminal
    Status {
        /// Print it once
        #[arg(long)]
        once: bool,
        /// Print it once, as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        dir: Dir,
    },
    /// Kill nodes at once (SIGKILL)
    Kill(Nodes),
    /// Stop nodes in order (SIGTERM)
    Stop(Nodes),
    /// Stop nodes where they stand (SIGSTOP)
    Pause(Nodes),
    /// Let paused nodes go on (SIGCONT)
    Resume(Nodes),
    /// Start nodes; those that run are stopped first
    Restart(Nodes),
    /// Delete the data folders of nodes that are stopped
    Wipe(Nodes),
    /// Cut every link between groups of nodes; replaces the partition before
    Partition {
        /// Such as alpha-a,alpha-b|bravo-a; one group is cut off from all others
        groups: String,
        /// Only what the first group sends is lost
        #[arg(long)]
        one_way: bool,
        #[command(flatten)]
        dir: Dir,
    },
    /// Delay links, or make them lossy: lost segments show as TCP's retransmission timeouts
    Link {
        /// One end, such as alpha-a,alpha-b [default: all nodes]
        #[arg(long, value_delimiter = ',')]
        between: Vec<String>,
        /// The other end [default: all nodes]
        #[arg(long, value_delimiter = ',')]
        and: Vec<String>,
        /// Milliseconds, in each direction
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
        /// Percent of segments
        #[arg(long, default_value_t = 0.0)]
        loss: f64,
        #[command(flatten)]
        dir: Dir,
    },
    /// Make all links whole again
    Heal {
        #[command(flatten)]
        dir: Dir,
    },
    /// Send signed transactions, each until it has a receipt
    Load {
        /// Transactions a second
        #[arg(long, default_value_t = 100.0)]
        rate: f64,
        /// Bytes of a transaction
        #[arg(long, default_value_t = 512)]
        size: usize,
        /// Seconds
        #[arg(long, default_value_t = 10)]
        secs: u64,
        /// Nodes to send to [default: all]
        #[arg(long, num_args = 1.., value_delimiter = ',')]
        to: Vec<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        dir: Dir,
    },
    /// Measure throughput, latency and cost of a network of its own
    Bench(bench::Options),
    /// Measure what stored transactions and records take on the disk
    Disk(disk::Options),
    /// Simulate whole networks under faults, a seed a history; status 0 only if all hold
    Sim(sim::Options),
    /// Strike a network with random faults under load; status 0 only if all holds
    Chaos(chaos::Options),
    /// Play stories over networks of their own; status 0 only if every step holds
    Story {
        /// Which
        #[arg(value_enum, required_unless_present_any = ["list", "all"])]
        stories: Vec<Story>,
        /// Name them
        #[arg(long)]
        list: bool,
        /// Play all of them
        #[arg(long, conflicts_with = "stories")]
        all: bool,
        #[command(flatten)]
        options: story::Options,
    },
    #[command(name = SUPERVISE, hide = true)]
    Supervise {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        tandem: PathBuf,
    },
    #[command(name = EXEC_BOUND, hide = true)]
    ExecBound {
        parent: u32,
        program: PathBuf,
        #[arg(last = true)]
        args: Vec<String>,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        // Before any thread is started: the process becomes another.
        Sub::ExecBound { parent, program, args } => process::exec_bound(parent, &program, &args),
        command => runtime().and_then(|runtime| runtime.block_on(run(command))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tandem-testnet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,libp2p_swarm=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")
}

async fn run(command: Sub) -> Result<()> {
    match command {
        Sub::Up { orgs, no_pairs, observers, preset, tandem, dir } => {
            let spec = Spec { orgs, pairs: !no_pairs, observers, preset, ..Spec::default() };
            commands::up(&dir.dir, spec, tandem.as_deref()).await
        }
        Sub::Down { wipe, dir } => commands::down(&dir.dir, wipe).await,
        Sub::Status { once, json, dir } => commands::status(&dir.dir, once, json).await,
        Sub::Kill(Nodes { nodes, dir }) => tell(&dir.dir, Command::Kill { nodes }).await,
        Sub::Stop(Nodes { nodes, dir }) => tell(&dir.dir, Command::Stop { nodes }).await,
        Sub::Pause(Nodes { nodes, dir }) => tell(&dir.dir, Command::Pause { nodes }).await,
        Sub::Resume(Nodes { nodes, dir }) => tell(&dir.dir, Command::Resume { nodes }).await,
        Sub::Restart(Nodes { nodes, dir }) => commands::restart(&dir.dir, &nodes).await,
        Sub::Wipe(Nodes { nodes, dir }) => tell(&dir.dir, Command::Wipe { nodes }).await,
        Sub::Partition { groups, one_way, dir } => {
            let groups = control::parse_groups(&groups).map_err(anyhow::Error::msg)?;
            tell(&dir.dir, Command::Partition { groups, one_way }).await
        }
        Sub::Link { between, and, delay_ms, loss, dir } => {
            tell(&dir.dir, Command::Link { between, and, delay_ms, loss_percent: loss }).await
        }
        Sub::Heal { dir } => tell(&dir.dir, Command::Heal).await,
        Sub::Load { rate, size, secs, to, json, dir } => {
            commands::load(&dir.dir, rate, size, secs, &to, json).await
        }
        Sub::Bench(options) => bench::run(options).await,
        Sub::Disk(options) => disk::run(&options),
        Sub::Sim(options) => sim::run(&options),
        Sub::Chaos(options) => chaos::run(options).await,
        Sub::Story { list: true, .. } => {
            for story in Story::value_variants() {
                println!("{:16} {}", story.name(), story.about());
            }
            Ok(())
        }
        Sub::Story { all: true, options, .. } => {
            story::play(Story::value_variants(), &options).await
        }
        Sub::Story { stories, options, .. } => story::play(&stories, &options).await,
        Sub::Supervise { dir, tandem } => supervisor::run(&dir, tandem).await,
        Sub::ExecBound { .. } => unreachable!("handled before there were threads"),
    }
}

async fn tell(dir: &Path, command: Command) -> Result<()> {
    let network = crate::network::Network::attach(dir).await?;
    network.tell(command).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn each_story_has_a_name_and_says_what_it_shows() {
        for story in Story::value_variants() {
            assert!(!story.name().is_empty());
            assert!(story.about().len() > 20, "{}", story.name());
        }
    }

    #[test]
    fn the_way_in_which_nodes_are_started_is_understood() {
        let words = ["tandem-testnet", EXEC_BOUND, "7", "/x/tandem", "--", "start", "--home", "/h"];
        let Sub::ExecBound { parent, program, args } = Args::parse_from(words).command else {
            panic!("another command")
        };
        assert_eq!((parent, program), (7, PathBuf::from("/x/tandem")));
        assert_eq!(args, ["start", "--home", "/h"]);
    }
}
