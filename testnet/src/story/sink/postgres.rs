//! A PostgreSQL server of Debian's packages in a passing folder, on a socket of its own: for the story, and
//! for the tests of the sink in `node/src/sink`, which include this file.
//!
//! It ends with the value, and with the process that started it. As root it runs as the account `postgres`
//! of the package, since a server refuses to run as root.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

/// Where Debian has the programs, in a folder for each version.
const PROGRAMS: &str = "/usr/lib/postgresql";
/// The account that the package makes.
const ACCOUNT: &str = "postgres";
/// The user of the database, who may do everything there, and the password.
const USER: &str = "tandem";
const PASSWORD: &str = "a password for tests";
/// What a server says when it takes queries.
const READY: &str = "database system is ready to accept connections";
/// Lines of its log in an error.
const TAIL_LINES: usize = 10;

/// A server, which may run or not.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    running: Option<Running>,
}

struct Running {
    pid: Pid,
    handle: OwnedFd,
    /// Reads what it says, and ends with it.
    reader: JoinHandle<()>,
}

impl Postgres {
    /// A new one without content, that does not run yet.
    ///
    /// # Errors
    /// When the package is not installed, or the folder cannot be made.
    pub fn new() -> Result<Self, String> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("tandem-psql-").tempdir().map_err(text)?;
        let server = Self { folder, programs, running: None };
        let password = server.password_file();
        let written = File::create(&password).and_then(|mut file| writeln!(file, "{PASSWORD}"));
        written
            .and_then(|()| fs::set_permissions(&password, Permissions::from_mode(0o600)))
            .map_err(text)?;
        if is_root() {
            let (user, group) = account()?;
            for path in [server.folder.path(), &password] {
                chown(path, Some(user), Some(group)).map_err(text)?;
            }
        }
        let mut command = server.command("initdb");
        command.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]);
        command.args(["--username", USER]).arg("--pwfile").arg(&password);
        command.arg("--pgdata").arg(server.data());
        let made = command.output().map_err(text)?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        Ok(server)
    }

    /// How one of its databases is named in a node's configuration; there is one called `postgres`.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{folder}/{database}")
    }

    /// The file with the password.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// Starts it, and waits until it takes queries.
    ///
    /// # Errors
    /// When it ends before; with the end of its log.
    ///
    /// # Panics
    /// When it runs.
    pub fn start(&mut self) -> Result<(), String> {
        assert!(self.running.is_none(), "it runs");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        for setting in ["listen_addresses=", "shared_buffers=16MB", "max_connections=20"] {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (started, start) = mpsc::channel();
        let (is_ready, ready) = mpsc::channel();
        let log = self.log();
        // The kernel ends the server when the thread that started it ends: this one lives as long.
        let work = move || match command.spawn() {
            Ok(mut child) => {
                let pid = Pid::from_child(&child);
                // Before it can be reaped, so that it is of this process for ever.
                let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(text);
                drop(started.send(handle.map(|handle| (pid, handle))));
                read(&mut child, &log, &is_ready);
                drop(child.wait());
            }
            Err(error) => drop(started.send(Err(text(error)))),
        };
        let reader =
            thread::Builder::new().name("postgres".to_owned()).spawn(work).map_err(text)?;
        let (pid, handle) = start.recv().map_err(text)??;
        self.running = Some(Running { pid, handle, reader });
        ready.recv().map_err(|_| {
            self.kill();
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            format!("the PostgreSQL server does not start:\n{tail}")
        })
    }

    /// Kills it with all its sessions (SIGKILL), and waits until they are gone.
    pub fn kill(&mut self) {
        let Some(Running { pid, handle, reader }) = self.running.take() else { return };
        // Each session has a group of its own: they are found by their parent, which makes no others now.
        // An error means that it has ended by itself.
        let _ = pidfd_send_signal(&handle, Signal::STOP);
        let sessions = children(pid);
        for process in sessions.iter().chain([&handle]) {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        for process in &sessions {
            let ended = || poll(&mut [PollFd::new(process, PollFlags::IN)], None);
            let _ = retry_on_intr(ended);
        }
        let _ = reader.join();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A program of the package, that dies with the thread that starts it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]);
        }
        command.args(["--pdeathsig", "KILL"]).arg(self.programs.join(program));
        command.env("LC_ALL", "C").current_dir(self.folder.path());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // With QUIT, an immediate shutdown, it gives its shared memory back, which it cannot when it is killed.
        let Some(Running { handle, reader, .. }) = self.running.take() else { return };
        let _ = pidfd_send_signal(&handle, Signal::QUIT);
        let _ = reader.join();
    }
}

/// Writes what a server says into its log, and tells when it is ready. `is_ready` is dropped when it ends.
fn read(child: &mut Child, log: &Path, is_ready: &mpsc::Sender<()>) {
    let Some(output) = child.stderr.take() else { return };
    let mut log = fs::OpenOptions::new().create(true).append(true).open(log).ok();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(log) = &mut log {
            drop(writeln!(log, "{line}"));
        }
        if line.contains(READY) {
            let _ = is_ready.send(());
        }
    }
}

/// The folder of the newest version.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir(PROGRAMS).into_iter().flatten().flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        programs.join("initdb").exists().then_some((version, programs))
    });
    let newest = versions.max().map(|(_, programs)| programs);
    newest.ok_or_else(|| {
        format!("there is no PostgreSQL server in {PROGRAMS}: `make setup` installs it")
    })
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// User and group of the account.
fn account() -> Result<(u32, u32), String> {
    let accounts = fs::read_to_string("/etc/passwd").map_err(text)?;
    let found = accounts.lines().find_map(|line| {
        let mut fields = line.strip_prefix(ACCOUNT)?.strip_prefix(':')?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    found.ok_or_else(|| format!("there is no account {ACCOUNT}: `make setup` installs it"))
}

/// Handles of the processes that a process has started.
fn children(of: Pid) -> Vec<OwnedFd> {
    let of = of.as_raw_nonzero();
    let list = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    let ids = list.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?));
    ids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
