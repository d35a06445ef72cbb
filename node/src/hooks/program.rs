//! A program that is run for a change.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

use super::record::Change;
use super::{MAX_SAID, Node, escaped};
use crate::config;
use crate::home::Home;

/// Variables of the node's environment that the program has, too. No others: a passphrase may stand there.
const KEPT: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"];
/// Time to take in what it wrote, once it has ended.
const LISTEN: Duration = Duration::from_millis(200);

/// A program, and how it is run.
pub struct Program {
    command: Vec<String>,
    home: Home,
    limit: Duration,
    node: Node,
}

/// Kills a program with all that it started, unless that has ended.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error means that nothing of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Program {
    /// As it is configured; none where none is.
    pub fn new(config: &config::Hooks, home: &Home, node: Node) -> Option<Self> {
        let command = config.role_change.clone();
        let (home, limit) = (home.clone(), config.timeout);
        (!command.is_empty()).then_some(Self { command, home, limit, node })
    }

    /// Runs it for a change, and waits for its end.
    ///
    /// # Errors
    /// Why it was of no use, for people: it cannot be started, ends with another status than 0, or was
    /// killed since it took too long.
    pub async fn run(&self, change: &Change) -> Result<(), String> {
        let (program, arguments) = self.command.split_first().expect("there is one");
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.home.root())
            .env_clear()
            .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(environment(change, &self.node))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // What it starts is in its group, and ends with it.
            .process_group(0);
        let mut child =
            command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut group = Group(id);
        let mut said = child.stderr.take().map(|stream| tokio::spawn(listen(stream)));
        let ended = timeout(self.limit, child.wait()).await;
        let Ok(ended) = ended else {
            drop(group);
            // It is dead: this takes it off the system's list.
            let _ = child.wait().await;
            let limit = config::duration::text(self.limit);
            return Err(format!(
                "{program} did not end within hooks.timeout ({limit}): it was killed"
            ));
        };
        // What it has left running is its own matter.
        group.0 = None;
        let status = ended.map_err(|error| format!("{program}: {error}"))?;
        let text = match &mut said {
            Some(said) => timeout(LISTEN, said).await.ok().and_then(Result::ok),
            None => None,
        };
        outcome(program, status, text.unwrap_or_default())
    }
}

fn outcome(program: &str, status: ExitStatus, said: Vec<u8>) -> Result<(), String> {
    let said = escaped(String::from_utf8_lossy(&said).trim());
    match (status.success(), said.is_empty()) {
        (true, true) => Ok(()),
        (true, false) => {
            warn!(program, said, "a hook of the change of role says something");
            Ok(())
        }
        (false, true) => Err(format!("{program} ended with {status}")),
        (false, false) => Err(format!("{program} ended with {status}: {said}")),
    }
}

/// The beginning of what comes; the rest is taken in and dropped, so that the writer does not wait.
async fn listen(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut said = Vec::new();
    let mut part = [0; 1_024];
    while let Ok(length @ 1..) = stream.read(&mut part).await {
        let room = MAX_SAID.saturating_sub(said.len());
        said.extend_from_slice(&part[..length.min(room)]);
    }
    said
}

/// What the program finds in its environment.
fn environment(change: &Change, node: &Node) -> [(&'static str, String); 8] {
    let Change { old, new, again } = change;
    let organization = new.organization.as_ref().or(old.organization.as_ref());
    [
        ("TANDEM_OLD_ROLE", old.role.name().to_owned()),
        ("TANDEM_NEW_ROLE", new.role.name().to_owned()),
        ("TANDEM_TERM", new.term.map(|term| term.to_string()).unwrap_or_default()),
        ("TANDEM_HEIGHT", new.height.to_string()),
        ("TANDEM_ORGANIZATION", organization.map(ToString::to_string).unwrap_or_default()),
        ("TANDEM_NODE", node.key.to_string()),
        ("TANDEM_CHAIN_ID", node.chain_id.to_string()),
        ("TANDEM_AGAIN", u8::from(*again).to_string()),
    ]
}
