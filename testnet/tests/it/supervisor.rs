//! A supervisor owns its nodes' processes, and leaves none behind.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tandem_testnet::control::{Command, NodeProcess, State, send};
use tandem_testnet::layout::Spec;
use tandem_testnet::network::Network;
use tandem_testnet::until::until;

const SOON: Duration = Duration::from_secs(20);

/// A network of two nodes whose program is the shell script `script`, and its supervisor.
struct Fixture {
    dir: tempfile::TempDir,
    supervisor: Child,
}

impl Fixture {
    async fn new(script: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let spec = Spec { orgs: 2, pairs: false, ..Spec::default() };
        Network::create(&dir.path().join("network"), spec)?;
        let tandem = program(dir.path(), script)?;
        let supervisor = Program::new(env!("CARGO_BIN_EXE_tandem-testnet"))
            .args(["supervise", "--dir"])
            .arg(dir.path().join("network"))
            .arg("--tandem")
            .arg(tandem)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let fixture = Self { dir, supervisor };
        until("the supervisor answers", SOON, || fixture.tell(Command::Nodes)).await?;
        Ok(fixture)
    }

    async fn tell(&self, command: Command) -> Result<Vec<NodeProcess>> {
        send(&self.dir.path().join("network"), &command, SOON).await
    }

    async fn start_all(&self) -> Result<Vec<u32>> {
        let processes = self.tell(Command::Start { nodes: all(), dial: None }).await?;
        processes.iter().map(|p| p.pid.ok_or_else(|| anyhow!("{} is not up", p.name))).collect()
    }

    async fn state(&self, name: &str) -> Result<State> {
        let processes = self.tell(Command::Nodes).await?;
        let process = processes.into_iter().find(|process| process.name == name);
        Ok(process.ok_or_else(|| anyhow!("no {name}"))?.state)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

fn program(dir: &Path, script: &str) -> Result<PathBuf> {
    let path = dir.join("tandem");
    let mut file = std::fs::File::create(&path)?;
    writeln!(file, "#!/bin/sh\n{script}")?;
    file.set_permissions(std::fs::Permissions::from_mode(0o700))?;
    Ok(path)
}

fn all() -> Vec<String> {
    vec!["alpha-a".into(), "bravo-a".into()]
}

async fn all_gone(pids: &[u32]) -> Result<()> {
    until("no process is left", SOON, || async {
        for pid in pids {
            let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // A zombie that nobody has reaped yet is no process any more.
            ensure!(status.is_empty() || status.contains(") Z "), "{pid} is still there");
        }
        Ok(())
    })
    .await
}

/// A program that runs until it is told to stop, without a child of its own.
const RUNS: &str = "exec sleep 1000";

#[tokio::test]
async fn nodes_die_with_a_supervisor_that_is_killed() -> Result<()> {
    let mut fixture = Fixture::new(RUNS).await?;
    let pids = fixture.start_all().await?;
    fixture.supervisor.kill()?;
    all_gone(&pids).await
}

#[tokio::test]
async fn a_supervisor_ends_with_the_process_that_started_it() -> Result<()> {
    let mut fixture = Fixture::new(RUNS).await?;
    let pids = fixture.start_all().await?;
    drop(fixture.supervisor.stdin.take());
    all_gone(&pids).await?;
    ensure!(fixture.supervisor.wait()?.success());
    Ok(())
}

#[tokio::test]
async fn a_detached_supervisor_stays_until_it_is_told_to_end() -> Result<()> {
    let mut fixture = Fixture::new(RUNS).await?;
    let pids = fixture.start_all().await?;
    fixture.tell(Command::Detach).await?;
    drop(fixture.supervisor.stdin.take());
    fixture.tell(Command::Nodes).await?;
    fixture.tell(Command::Down).await?;
    ensure!(fixture.supervisor.wait()?.success());
    all_gone(&pids).await
}

#[tokio::test]
async fn nodes_are_killed_paused_resumed_stopped_and_started_again() -> Result<()> {
    let fixture = Fixture::new(RUNS).await?;
    let first = fixture.start_all().await?;
    let one = vec!["alpha-a".to_owned()];
    fixture.tell(Command::Pause { nodes: one.clone() }).await?;
    ensure!(fixture.state("alpha-a").await? == State::Paused);
    fixture.tell(Command::Resume { nodes: one.clone() }).await?;
    ensure!(fixture.state("alpha-a").await? == State::Up);
    fixture.tell(Command::Kill { nodes: all() }).await?;
    all_gone(&first).await?;
    ensure!(fixture.state("bravo-a").await? == State::Down);

    fixture.start_all().await?;
    let twice = fixture.tell(Command::Start { nodes: one.clone(), dial: None }).await;
    ensure!(twice.unwrap_err().to_string().contains("alpha-a is running already"));
    // The stand-in never comes so far as to listen.
    fixture.tell(Command::Stop { nodes: one.clone() }).await?;
    ensure!(fixture.state("alpha-a").await? == State::Down);
    let running = fixture.tell(Command::Wipe { nodes: vec!["bravo-a".into()] }).await;
    ensure!(running.unwrap_err().to_string().contains("stop it first"));
    let unknown = fixture.tell(Command::Kill { nodes: vec!["zulu-a".into()] }).await;
    ensure!(unknown.unwrap_err().to_string().contains("there are alpha-a, bravo-a"));
    Ok(())
}

#[tokio::test]
async fn a_node_runs_another_program_from_its_next_start_on() -> Result<()> {
    let fixture = Fixture::new(RUNS).await?;
    fixture.start_all().await?;
    let next = fixture.dir.path().join("next");
    std::fs::create_dir(&next)?;
    let path = program(&next, "echo the next one; exec sleep 1000")?;
    let one = vec!["alpha-a".to_owned()];
    fixture.tell(Command::Program { nodes: one.clone(), path: path.clone() }).await?;
    ensure!(fixture.state("alpha-a").await? == State::Up);
    fixture.tell(Command::Stop { nodes: all() }).await?;
    fixture.start_all().await?;
    let log = |name: &str| fixture.dir.path().join("network").join(name).join("node.log");
    until("the new program runs", SOON, || async {
        ensure!(std::fs::read_to_string(log("alpha-a"))? == "the next one\n");
        Ok(())
    })
    .await?;
    ensure!(std::fs::read_to_string(log("bravo-a"))?.is_empty());
    let unknown = Command::Program { nodes: vec!["zulu-a".into()], path };
    ensure!(fixture.tell(unknown).await.unwrap_err().to_string().contains("alpha-a, bravo-a"));
    Ok(())
}

#[tokio::test]
async fn a_node_that_listens_and_does_not_stop_well_is_a_fault() -> Result<()> {
    let script = "trap 'exit 3' TERM; echo listening; while :; do :; done";
    let fixture = Fixture::new(script).await?;
    let one = vec!["alpha-a".to_owned()];
    fixture.tell(Command::Start { nodes: one.clone(), dial: None }).await?;
    let log = fixture.dir.path().join("network/alpha-a/node.log");
    until("the stand-in listens", SOON, || async {
        ensure!(std::fs::read_to_string(&log)?.contains("listening"));
        Ok(())
    })
    .await?;
    let stopped = fixture.tell(Command::Stop { nodes: one }).await;
    ensure!(
        stopped.unwrap_err().to_string().contains("asked to stop, it ended with exit status: 3")
    );
    Ok(())
}

#[tokio::test]
async fn a_node_that_ends_by_itself_is_shown_with_its_status() -> Result<()> {
    let fixture = Fixture::new("echo the reason; exit 7").await?;
    fixture.tell(Command::Start { nodes: all(), dial: None }).await?;
    until("it has ended", SOON, || async {
        match fixture.state("alpha-a").await? {
            State::Exited(status) if status.contains('7') => Ok(()),
            other => Err(anyhow!("{other:?}")),
        }
    })
    .await?;
    let log = fixture.dir.path().join("network/alpha-a/node.log");
    ensure!(std::fs::read_to_string(log)?.contains("the reason"));
    Ok(())
}

#[tokio::test]
async fn a_network_has_one_supervisor() -> Result<()> {
    let fixture = Fixture::new(RUNS).await?;
    let second = Program::new(env!("CARGO_BIN_EXE_tandem-testnet"))
        .args(["supervise", "--dir"])
        .arg(fixture.dir.path().join("network"))
        .args(["--tandem", "/bin/true"])
        .stdin(Stdio::piped())
        .output()?;
    ensure!(!second.status.success());
    ensure!(String::from_utf8_lossy(&second.stderr).contains("is up already"));
    fixture.tell(Command::Nodes).await?;
    Ok(())
}
