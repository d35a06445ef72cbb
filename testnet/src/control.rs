//! How a network's supervisor is spoken to: one JSON value a line over a Unix socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::layout;

/// Bytes of one command or answer.
pub const MAX_LINE_BYTES: u64 = 256 * 1024;

/// What a supervisor can be told. Nodes are named; commands on several take effect on all at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Nothing: just answer.
    Nodes,
    /// SIGKILL.
    Kill {
        /// Which.
        nodes: Vec<String>,
    },
    /// SIGTERM, and SIGKILL to what has not ended in time.
    Stop {
        /// Which.
        nodes: Vec<String>,
    },
    /// Starts nodes that are not running.
    Start {
        /// Which.
        nodes: Vec<String>,
        /// The only nodes whose addresses they are told; all when none.
        dial: Option<Vec<String>>,
    },
    /// Replaces the executable file that nodes run, from their next start on.
    Program {
        /// Which.
        nodes: Vec<String>,
        /// The file.
        path: PathBuf,
    },
    /// SIGSTOP.
    Pause {
        /// Which.
        nodes: Vec<String>,
    },
    /// SIGCONT.
    Resume {
        /// Which.
        nodes: Vec<String>,
    },
    /// Deletes the data folders of nodes that are not running.
    Wipe {
        /// Which.
        nodes: Vec<String>,
    },
    /// Cuts every link between nodes of different groups, and no other.
    Partition {
        /// The groups; a single one is cut off from all nodes that are not in it. Without any, no
        /// link is cut.
        groups: Vec<Vec<String>>,
        /// Whether only what the first group sends is lost.
        one_way: bool,
    },
    /// Makes every link whole: no cut, no delay, no loss.
    Heal,
    /// Sets delay and loss of the links between two sets of nodes, in both directions.
    Link {
        /// One end; all nodes when empty.
        between: Vec<String>,
        /// The other end; all nodes when empty.
        and: Vec<String>,
        /// Added to every byte, in each direction.
        delay_ms: u64,
        /// Segments lost of a hundred.
        loss_percent: f64,
    },
    /// Outlive the process that started the network.
    Detach,
    /// Stop all nodes and end.
    Down,
}

/// State of a node's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It runs.
    Up,
    /// It is stopped where it stands.
    Paused,
    /// It was stopped or killed by command, or never started.
    Down,
    /// It ended by itself.
    Exited(String),
}

/// A node's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProcess {
    /// The node's name.
    pub name: String,
    /// What it does.
    pub state: State,
    /// Its process id while it runs or is paused.
    pub pid: Option<u32>,
}

/// The states of all nodes after the command, or why it failed.
pub type Answer = Result<Vec<NodeProcess>, String>;

/// Sends one command to the supervisor of the network in `dir`.
///
/// # Errors
/// When none answers within `deadline`, or the command failed.
pub async fn send(dir: &Path, command: &Command, deadline: Duration) -> Result<Vec<NodeProcess>> {
    let socket = layout::socket_path(dir)?;
    let exchange = async {
        let mut stream = UnixStream::connect(&socket)
            .await
            .with_context(|| format!("no network is up in {}", dir.display()))?;
        write_line(&mut stream, command).await?;
        let mut lines = BufReader::new(stream.take(MAX_LINE_BYTES));
        let mut line = String::new();
        if lines.read_line(&mut line).await? == 0 {
            bail!("the supervisor ended");
        }
        Ok(serde_json::from_str::<Answer>(&line)?)
    };
    match tokio::time::timeout(deadline, exchange).await {
        Ok(answer) => answer?.map_err(anyhow::Error::msg),
        Err(_) => bail!("the supervisor did not answer within {deadline:?}"),
    }
}

/// Writes one value and a line end.
///
/// # Errors
/// When the other end has gone.
pub async fn write_line<T: Serialize>(stream: &mut UnixStream, value: &T) -> Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    Ok(())
}

/// Reads groups of nodes, as in `alpha-a,alpha-b|bravo-a`.
///
/// # Errors
/// When a group is empty or a node is named twice.
pub fn parse_groups(text: &str) -> Result<Vec<Vec<String>>, String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut groups = Vec::new();
    for group in text.split('|') {
        let names: Vec<String> = group.split(',').map(|name| name.trim().to_owned()).collect();
        for name in &names {
            if name.is_empty() {
                return Err(
                    "groups are names with commas between, such as alpha-a,bravo-a|delta-a".into(),
                );
            }
            if !seen.insert(name.clone()) {
                return Err(format!("{name} is named twice"));
            }
        }
        groups.push(names);
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups() {
        let groups = parse_groups("alpha-a,alpha-b|bravo-a").unwrap();
        assert_eq!(groups, [vec!["alpha-a", "alpha-b"], vec!["bravo-a"]]);
        assert_eq!(parse_groups("alpha-a").unwrap().len(), 1);
        for bad in ["", "alpha-a|", "a,,b", "a|a"] {
            assert!(parse_groups(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_and_answers_read_back() {
        let command = Command::Link {
            between: vec!["alpha-a".into()],
            and: vec![],
            delay_ms: 50,
            loss_percent: 0.5,
        };
        let text = serde_json::to_string(&command).unwrap();
        assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command);
        let state = State::Exited("exit status: 1".into());
        let answer: Answer = Ok(vec![NodeProcess { name: "alpha-a".into(), state, pid: None }]);
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    }
}
