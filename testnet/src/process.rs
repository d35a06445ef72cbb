//! Node processes: started so that they cannot outlive their owner, stopped, paused, measured.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::sync::{oneshot, watch};

/// Name of the hidden subcommand that [`exec_bound`] runs under.
pub const EXEC_BOUND: &str = "exec-bound";
/// Bytes from the end of a log that are searched for its last lines.
const LOG_TAIL_BYTES: u64 = 16 * 1024;
/// Unit of CPU times in `/proc`: USER_HZ, which Linux keeps at 100 for all programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running node process; dropping it kills the process.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    handle: OwnedFd,
    exit: watch::Receiver<Option<ExitStatus>>,
    paused: bool,
}

impl Process {
    /// Starts `tandem start --home HOME`: see [`Process::run`].
    ///
    /// # Errors
    /// As [`Process::run`].
    pub async fn start(tandem: &Path, home: &Path, log: &Path) -> Result<Self> {
        Self::run(tandem, &["start".as_ref(), "--home".as_ref(), home.as_os_str()], log).await
    }

    /// Starts `tandem` with some arguments, with its output behind what `log` holds already.
    ///
    /// # Errors
    /// When the log cannot be opened or the process cannot be started. That it exits at once is
    /// no error here: see [`Process::exited`].
    pub async fn run(tandem: &Path, arguments: &[&OsStr], log: &Path) -> Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log);
        let output = output.with_context(|| format!("log {}", log.display()))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(EXEC_BOUND).arg(std::process::id().to_string());
        command.arg(tandem).arg("--").args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Ctrl-C at the terminal is for the owner, which then stops its nodes in order.
        command.process_group(0);

        let (started, start) = oneshot::channel();
        let (exited, exit) = watch::channel(None);
        // The kernel sends a parent-death signal when the *thread* that started the child ends:
        // this one lives exactly as long as the child.
        std::thread::Builder::new().name("node-process".into()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started.send(Err(error))),
            };
            // Opened before anyone can reap the child, so it is of this child for ever.
            let id = child.id();
            let pid = Pid::from_raw(id.cast_signed()).expect("a process id is not zero");
            let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty());
            drop(started.send(handle.map(|handle| (id, handle)).map_err(Into::into)));
            exited.send_replace(child.wait().ok().or(Some(ExitStatus::from_raw(0))));
        })?;
        let (pid, handle) =
            start.await?.with_context(|| format!("cannot start {}", tandem.display()))?;
        Ok(Self { pid, handle, exit, paused: false })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, where it has.
    #[must_use]
    pub fn exited(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Whether it is stopped by [`Process::pause`].
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if self.exited().is_some() {
            bail!("it is not running");
        }
        rustix::process::pidfd_send_signal(&self.handle, signal)?;
        Ok(())
    }

    /// Stops it where it stands (SIGSTOP).
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        self.paused = true;
        Ok(())
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.paused = false;
        Ok(())
    }

    /// Kills it (SIGKILL); [`Process::gone`] waits for the end.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Whether it has come so far as to handle a signal.
    fn handles(&self, signal: Signal) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        status.is_ok_and(|status| handles(&status, signal))
    }

    /// Asks it to end (SIGTERM), and kills it when it has not within `deadline`. One that has just been
    /// started and does not listen yet may end by the signal.
    ///
    /// # Errors
    /// When it is not running, had to be killed, or ended with a status other than 0.
    pub async fn stop(&mut self, deadline: Duration) -> Result<()> {
        if self.paused {
            self.resume()?;
        }
        let listens = self.handles(Signal::TERM);
        self.signal(Signal::TERM)?;
        match tokio::time::timeout(deadline, self.gone()).await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) if !listens && status.signal() == Some(Signal::TERM.as_raw()) => Ok(()),
            Ok(status) => bail!("asked to stop, it ended with {status}"),
            Err(_) => {
                self.kill()?;
                self.gone().await;
                Err(anyhow!("it did not stop within {deadline:?} and was killed"))
            }
        }
    }

    /// Kills it, unless it has ended, and waits for its end.
    pub async fn end(&mut self) {
        // An error means that it has ended.
        let _ = self.kill();
        self.gone().await;
    }

    /// Waits until it has ended, and tells how.
    pub async fn gone(&mut self) -> ExitStatus {
        let status = self.exit.wait_for(Option::is_some).await.map(|status| *status);
        status.ok().flatten().unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.signal(Signal::KILL);
    }
}

/// Becomes `program` with `args`, as a process that the kernel kills when `parent`'s thread that
/// started it ends. Returns only on failure.
///
/// # Errors
/// When the parent has gone already or the program cannot be run.
pub fn exec_bound(parent: u32, program: &Path, args: &[String]) -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if now != Some(parent) {
        bail!("the owner of this process has gone");
    }
    let error = Command::new(program).args(args).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Waits for SIGINT or SIGTERM, so that what was started can be ended in order.
///
/// # Panics
/// When the system does not let signals be handled.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be handled");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The last `lines` lines of a log, or why it cannot be read.
#[must_use]
pub fn log_tail(log: &Path, lines: usize) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("({} cannot be read: {error})", log.display()),
    }
}

/// Where `tandem` is: as given, else beside this program.
///
/// # Errors
/// When it is not there.
pub fn find_tandem(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("tandem"),
    };
    path.canonicalize().with_context(|| {
        format!("no node binary at {}: build it, or name it with --tandem", path.display())
    })
}

/// What the kernel has counted for one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Seconds of CPU time, in user and kernel mode together.
    pub cpu_s: f64,
    /// Most memory that was resident at any time, in bytes.
    pub peak_memory_bytes: u64,
}

/// Reads the usage of a running process from `/proc`.
///
/// # Errors
/// When the process is gone.
pub fn usage(pid: u32) -> Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let ticks = cpu_ticks(&stat).context("/proc/PID/stat")?;
    let peak_kib = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok()
    });
    let peak_kib: u64 = peak_kib.context("/proc/PID/status has no VmHWM")?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a test run are far below 2^52")]
    Ok(Usage { cpu_s: ticks as f64 / TICKS_PER_SECOND, peak_memory_bytes: peak_kib * 1024 })
}

/// Whether the mask of handled signals in `/proc/PID/status` has this one.
fn handles(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

/// utime + stime, fields 14 and 15; the name in field 2 may hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(user + kernel)
}

/// Bytes in the files below `folder`.
#[must_use]
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_process_name() {
        let stat = "7 (a ) (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("7 (x"), None);
    }

    #[test]
    fn handled_signals_are_read_from_their_mask() {
        let status = "Name:\ttandem\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000004002\n";
        assert!(handles(status, Signal::TERM) && handles(status, Signal::INT));
        assert!(!handles(status, Signal::HUP) && !handles("", Signal::TERM));
    }

    #[test]
    fn usage_of_this_process() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.peak_memory_bytes > 100_000);
    }

    #[test]
    fn a_log_tail_is_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "one\ntwo\nthree\n").unwrap();
        assert_eq!(log_tail(&log, 2), "two\nthree");
        assert!(log_tail(&dir.path().join("none"), 2).contains("cannot be read"));
        assert!(disk_bytes(dir.path()) > 0);
    }
}
