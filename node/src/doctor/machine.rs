//! Disk and limits of this machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;
use crate::home::Home;

/// Free bytes without which the node does not take a snapshot, and may stop soon.
const FREE_MIN: u64 = 512 * 1024 * 1024;
/// Free bytes that an operator should see to.
const FREE_LOW: u64 = 10 * 1024 * 1024 * 1024;
/// Writes that are timed, and their bytes: about what a vote takes.
const WRITES: usize = 20;
const WRITE_BYTES: usize = 4096;
/// Time of such a write that slows every block down, and one by which votes come too late.
const SYNC_SLOW: Duration = Duration::from_millis(20);
const SYNC_TOO_SLOW: Duration = Duration::from_millis(250);
/// Files that a node has open besides those of its database and its RPC: links, logs, snapshots.
const OTHER_FILES: u64 = 256;
/// Files that are enough for what comes.
const FILES_ENOUGH: u64 = 4_096;

/// Room and speed of the disk that the database is on, or will be.
pub(super) async fn disk(home: &Home) -> Vec<Finding> {
    let folder = existing(&home.data_path());
    let measured = tokio::task::spawn_blocking(move || {
        let free = rustix::fs::statvfs(&folder).map(|stat| stat.f_bavail * stat.f_frsize);
        let free = free.map_err(std::io::Error::from);
        (free, sync_time(&folder), folder)
    });
    let (free, time, folder) = measured.await.expect("looking at a disk does not panic");
    vec![room(free, &folder), speed(time, &folder)]
}

/// The folder, or the nearest above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let found = absolute.ancestors().find(|folder| folder.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn room(free: std::io::Result<u64>, folder: &Path) -> Finding {
    const CHECK: &str = "disk space";
    const ADVICE: &str = "make room, or have old blocks taken away: storage.keep_blocks";
    let folder = folder.display();
    match free {
        Err(error) => Finding::fail(CHECK, format!("{folder}: {error}"), "mount the disk"),
        Ok(free) => {
            let found = format!("{} MiB are free in {folder}", free / (1024 * 1024));
            match free {
                ..FREE_MIN => Finding::fail(CHECK, found, ADVICE),
                FREE_MIN..FREE_LOW => Finding::warn(CHECK, found, ADVICE),
                _ => Finding::ok(CHECK, found),
            }
        }
    }
}

/// The middle one of the times that a few small writes take until they are on the medium.
fn sync_time(folder: &Path) -> std::io::Result<Duration> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[WRITES / 2])
}

pub(super) fn speed(time: std::io::Result<Duration>, folder: &Path) -> Finding {
    const CHECK: &str = "disk speed";
    const ADVICE: &str =
        "every vote waits for such a write: use a disk that is quicker, or less busy";
    let folder = folder.display();
    match time {
        Err(error) => Finding::fail(
            CHECK,
            format!("{folder} cannot be written to: {error}"),
            "give this user the folder, or mount the disk for writing",
        ),
        Ok(time) => {
            let found =
                format!("a durable write in {folder} takes {:.1} ms", time.as_secs_f64() * 1e3);
            if time >= SYNC_TOO_SLOW {
                Finding::fail(CHECK, found, ADVICE)
            } else if time >= SYNC_SLOW {
                Finding::warn(CHECK, found, ADVICE)
            } else {
                Finding::ok(CHECK, found)
            }
        }
    }
}

/// Files that the process may have open.
pub(super) fn file_limit(config: &Config) -> Finding {
    files(getrlimit(Resource::Nofile).current, config)
}

pub(super) fn files(limit: Option<u64>, config: &Config) -> Finding {
    const CHECK: &str = "open files";
    let addresses = 1 + usize::from(!config.rpc.tls_listen.is_empty());
    let connections = addresses * config.rpc.max_connections + config.rpc.max_websockets;
    let needed = (config.storage.open_files + connections) as u64 + OTHER_FILES;
    let Some(limit) = limit else { return Finding::ok(CHECK, "without a limit") };
    let found = format!("at most {limit}, the node needs up to {needed}");
    let advice = format!(
        "`ulimit -n {most}`, or LimitNOFILE={most} in the unit",
        most = FILES_ENOUGH.max(needed).next_power_of_two()
    );
    if limit < needed {
        Finding::fail(CHECK, found, &advice)
    } else if limit < FILES_ENOUGH {
        Finding::warn(CHECK, format!("{found}; `tandem decode` and `export` need more"), &advice)
    } else {
        Finding::ok(CHECK, found)
    }
}
