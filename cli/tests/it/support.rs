//! What an operator has: a folder with files, the program, running nodes.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bound on each command, and on the start and stop of a node: far above what any of them takes on
/// a busy machine, so that only what hangs meets it.
const LIMIT: Duration = Duration::from_secs(60);

/// A folder to work in. File names on its command lines are relative to it.
pub struct Desk {
    dir: TempDir,
}

impl Desk {
    /// An empty one.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Sets a text in the configuration of a home, which is empty before.
    pub fn configure(&self, home: &str, key: &str, value: &str) {
        let path = format!("{home}/config/config.toml");
        let before = self.read(&path);
        let after = before.replace(&format!("\n{key} = \"\""), &format!("\n{key} = \"{value}\""));
        assert_ne!(after, before, "{key} is in the file");
        self.write(&path, &after);
    }

    /// Has the node of a home write its log as [`Desk::start`] reads it.
    pub fn configure_log(&self, home: &str) {
        let path = format!("{home}/config/config.toml");
        let before = self.read(&path);
        let after = before.replace("format = \"plain\"", "format = \"json\"");
        assert_ne!(after, before, "the format of log lines is in the file");
        self.write(&path, &after);
    }

    /// Has the database of a home, which is not there yet, encrypted with the key in a file.
    pub fn encrypt(&self, home: &str, key_file: &str) {
        self.configure(home, "key_file", self.path(key_file).to_str().unwrap());
    }

    /// Begins to run `tandem`, which reads what is written to it. When it is dropped it is killed.
    pub fn begin(&self, line: &str) -> Child {
        self.command(line).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Runs `tandem` with the words of `line`.
    pub async fn run(&self, line: &str) -> Ran {
        self.ended(self.command(line), line).await
    }

    /// As [`Desk::run`], with variables in its environment.
    pub async fn run_with(&self, environment: &[(&str, &str)], line: &str) -> Ran {
        let mut command = self.command(line);
        command.envs(environment.iter().copied());
        self.ended(command, line).await
    }

    /// Begins to run `tandem` at a terminal, on which it reads and writes. When it is dropped it is killed.
    pub fn begin_at_terminal(&self, line: &str) -> Child {
        let mut command = Command::new("script");
        let line = format!("{} {line}", env!("CARGO_BIN_EXE_tandem"));
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        let mut command = self.prepared(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// As [`Desk::run`], with a file as its standard input.
    pub async fn run_reading(&self, line: &str, file: &str) -> Ran {
        let mut command = self.command(line);
        command.stdin(std::fs::File::open(self.path(file)).unwrap());
        self.ended(command, line).await
    }

    /// Begins to run `tandem` on a terminal of 30 lines and 100 columns, which `script` makes. What is
    /// written to it are keys, what is read is what it draws, its process id before that in the first line.
    pub fn on_terminal(&self, line: &str) -> Child {
        let program = env!("CARGO_BIN_EXE_tandem");
        let shell = format!("stty rows 30 cols 100; echo $$; exec {program} {line}");
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &shell, "/dev/null"]);
        self.prepared(command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    async fn ended(&self, mut command: Command, line: &str) -> Ran {
        let running = command.stdout(Stdio::piped()).spawn().unwrap();
        // When the time is over, the process is killed as its handle is dropped.
        let output = timeout(LIMIT, running.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("tandem {line}: not done within {LIMIT:?}"));
        let output = output.unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Ran {
            line: line.to_owned(),
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// As [`Desk::run`], with no file growing beyond so many KiB: the system refuses more.
    pub async fn run_bounded(&self, line: &str, kib: u64) -> Ran {
        let program = env!("CARGO_BIN_EXE_tandem");
        // POSIX counts in units of 512 bytes. A write beyond the limit is an error where the signal
        // for it is ignored.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec {program} {line}", 2 * kib);
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        self.ended(self.prepared(command), line).await
    }

    /// Runs a command that only reads, or that changes nothing the second time, as text and as JSON.
    pub async fn ask(&self, line: &str) -> (String, Value) {
        let text = self.run(line).await.done();
        assert!(!text.trim().is_empty(), "tandem {line} says nothing");
        (text, self.run(&format!("{line} --json")).await.json())
    }

    /// Runs a command that fails, for people and for scripts: both name `words`.
    pub async fn fail(&self, line: &str, code: i32, words: &[&str]) {
        let text = self.run(line).await.failed(code);
        let json = self.run(&format!("{line} --json")).await.failed_json(code);
        for word in words {
            assert!(text.contains(word), "tandem {line}: {word:?} is not in {text:?}");
            assert!(json.contains(word), "tandem {line} --json: {word:?} is not in {json:?}");
        }
    }

    /// Makes keys, homes and genesis of a network with one validator for each of `orgs`, as
    /// docs/cli.md says. A node's home is named as its organisation. Returns the genesis hash.
    pub async fn network(&self, orgs: &[&str]) -> String {
        for org in orgs {
            self.run(&format!("keys new {org}-admin.json")).await.done();
            self.run(&format!("keys new {org}-user.json")).await.done();
            let init = format!(
                "init --home {org} --listen /ip4/127.0.0.1/tcp/0 --rpc-listen 127.0.0.1:0 \
                 --org-part {org}.json --org {org} --admin-key {org}-admin.json \
                 --user {org}-user.json"
            );
            self.run(&init).await.done();
            self.configure_log(org);
        }
        let parts: Vec<String> = orgs.iter().map(|org| format!("{org}.json")).collect();
        let make = format!("genesis make {} --chain-id cli-1 --preset lan --json", parts.join(" "));
        let genesis = self.run(&make).await.json();
        for org in orgs {
            self.write(&format!("{org}/config/genesis.json"), &self.read("genesis.json"));
        }
        genesis["hash"].as_str().unwrap().to_owned()
    }

    /// Starts the node of a home that [`Desk::network`] made, with further options, and waits until
    /// it answers RPC.
    pub async fn start(&self, home: &str, options: &str) -> Node<'_> {
        let mut child = self.command(&format!("start --home {home} {options}")).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Log::default();
        let address = timeout(LIMIT, rpc_address(&mut lines, &log)).await;
        let address = address
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("the node of {home} does not come up:\n{}", log.text()));
        // A node whose log nobody takes would stand still.
        let reader = tokio::spawn({
            let log = log.clone();
            async move { while log.next(&mut lines).await.is_some() {} }
        });
        Node { desk: self, url: format!("http://{address}"), child, log, reader }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        command.args(line.split_whitespace());
        self.prepared(command)
    }

    fn prepared(&self, mut command: Command) -> Command {
        command.current_dir(self.dir.path());
        for name in [
            "HOME",
            "NODE",
            "PERMIT",
            "READ_KEY",
            "PASSPHRASE",
            "PASSPHRASE_FILE",
            "NEW_PASSPHRASE",
            "NEW_PASSPHRASE_FILE",
        ] {
            command.env_remove(format!("TANDEM_{name}"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }
}

/// Where the node answers, from its log; none when it has ended before.
async fn rpc_address(lines: &mut Lines<BufReader<ChildStderr>>, log: &Log) -> Option<String> {
    loop {
        let line = log.next(lines).await?;
        let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
        if event["message"] == "rpc listens" {
            return event["address"].as_str().map(str::to_owned);
        }
    }
}

/// The lines that a node has written.
#[derive(Clone, Default)]
struct Log(Arc<watch::Sender<String>>);

impl Log {
    /// Keeps the next line; none at the end.
    async fn next(&self, lines: &mut Lines<BufReader<ChildStderr>>) -> Option<String> {
        let line = lines.next_line().await.unwrap()?;
        self.0.send_modify(|text| text.extend([line.as_str(), "\n"]));
        Some(line)
    }

    fn text(&self) -> String {
        self.0.borrow().clone()
    }
}

/// How a command ended.
pub struct Ran {
    line: String,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// Whether it did what it was told.
    pub fn is_done(&self) -> bool {
        self.code == Some(0)
    }

    /// What it wrote: it did what it was told.
    #[track_caller]
    pub fn done(self) -> String {
        self.check(0);
        self.out
    }

    /// As [`Ran::done`], with the answer in JSON and no word beside it.
    #[track_caller]
    pub fn json(self) -> Value {
        self.check(0);
        assert_eq!(self.err, "", "tandem {}", self.line);
        self.answer()
    }

    /// The answer in JSON of a command that may have failed.
    #[track_caller]
    pub fn answer(&self) -> Value {
        let (line, out) = (&self.line, &self.out);
        serde_json::from_str(out).unwrap_or_else(|error| panic!("tandem {line}: {error}: {out:?}"))
    }

    /// All that it wrote on standard error.
    #[track_caller]
    pub fn stderr(self, code: i32) -> String {
        self.check(code);
        self.err
    }

    /// The error: it failed, and wrote no other word on standard error.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        self.check(code);
        let Self { line, err, .. } = self;
        assert!(err.starts_with("error: "), "tandem {line}: {err:?}");
        err
    }

    /// The text of the error in JSON: it failed, and said so in one object and nothing else.
    #[track_caller]
    pub fn failed_json(self, code: i32) -> String {
        self.check(code);
        let Self { line, err, .. } = self;
        let object: Value = serde_json::from_str(&err)
            .unwrap_or_else(|error| panic!("tandem {line}: {error}: {err:?}"));
        assert_eq!(object.as_object().map(serde_json::Map::len), Some(2), "tandem {line}: {err}");
        assert_eq!(object["code"], code, "tandem {line}: {err}");
        assert_eq!(err.lines().count(), 1, "one line, whatever else is there: {err}");
        object["error"].as_str().unwrap_or_else(|| panic!("tandem {line}: {err}")).to_owned()
    }

    #[track_caller]
    fn check(&self, code: i32) {
        let Self { line, out, err, .. } = self;
        assert_eq!(self.code, Some(code), "tandem {line}\nstdout: {out}\nstderr: {err}");
    }
}

/// A running node. When it is dropped it is killed, and a test that fails shows its log.
pub struct Node<'a> {
    desk: &'a Desk,
    url: String,
    child: Child,
    log: Log,
    reader: JoinHandle<()>,
}

impl Node<'_> {
    /// [`Desk::run`], of this node.
    pub async fn run(&self, line: &str) -> Ran {
        self.desk.run(&self.line(line)).await
    }

    /// [`Desk::run_reading`], of this node.
    pub async fn run_reading(&self, line: &str, file: &str) -> Ran {
        self.desk.run_reading(&self.line(line), file).await
    }

    /// [`Desk::ask`], of this node.
    pub async fn ask(&self, line: &str) -> (String, Value) {
        self.desk.ask(&self.line(line)).await
    }

    /// [`Desk::fail`], of this node.
    pub async fn fail(&self, line: &str, code: i32, words: &[&str]) {
        self.desk.fail(&self.line(line), code, words).await;
    }

    fn line(&self, line: &str) -> String {
        format!("--node {} {line}", self.url)
    }

    /// Where it answers RPC.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Tells it to read the levels of its log again (SIGHUP).
    pub fn hang_up(&self) {
        let id = self.child.id().expect("nobody has waited for it yet").cast_signed();
        kill_process(Pid::from_raw(id).expect("not zero"), Signal::HUP).unwrap();
    }

    /// Waits until its log has a line with all these words.
    pub async fn logs(&self, words: &[&str]) {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        let mut log = self.log.0.subscribe();
        let found = log.wait_for(|text| text.lines().any(has_all));
        let found = timeout(LIMIT, found).await;
        drop(found.unwrap_or_else(|_| panic!("no line has {words:?}")).unwrap());
    }

    /// Asks it to stop (SIGTERM): it does, with status 0. Returns its log.
    pub async fn stop(mut self) -> String {
        let id = self.child.id().expect("nobody has waited for it yet").cast_signed();
        kill_process(Pid::from_raw(id).expect("not zero"), Signal::TERM).unwrap();
        let status = timeout(LIMIT, self.child.wait()).await.expect("it ends").unwrap();
        timeout(LIMIT, &mut self.reader).await.expect("its log ends with it").unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
        self.log.text()
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of {}:\n{}", self.url, self.log.text());
        }
    }
}
