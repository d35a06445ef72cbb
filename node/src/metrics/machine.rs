//! Disk and process, as the operating system counts them.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

/// Free bytes and size of the file system that `path` is on; none when it cannot be told.
pub fn disk(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}

/// Bytes of the files in a folder. Files that go meanwhile do not count.
pub fn folder_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file);
    files.map(|file| file.len()).sum()
}

/// What the system has counted of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Bytes of memory that are resident.
    pub memory_bytes: f64,
    /// Seconds of CPU time.
    pub cpu_s: f64,
    /// Open files and sockets.
    pub open_fds: f64,
    /// How many it may have; infinite without a limit.
    pub max_fds: f64,
    /// When it began, in seconds since 1970.
    pub start_s: f64,
}

impl Process {
    /// Of this process; what cannot be told is 0.
    pub fn read() -> Self {
        let text =
            |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let (stat, uptime) = (text("stat"), fs::read_to_string("/proc/uptime").unwrap_or_default());
        let times = Times::parse(&stat);
        let up = uptime.split(' ').next().and_then(|up| up.parse::<f64>().ok()).unwrap_or(0.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let limit = getrlimit(Resource::Nofile).current;
        // The folder's own descriptor is one of them.
        let open = fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count().saturating_sub(1));
        Self {
            memory_bytes: resident(&text("status")),
            cpu_s: times.cpu_s,
            open_fds: open as f64,
            max_fds: limit.map_or(f64::INFINITY, |limit| limit as f64),
            start_s: now - up + times.start_s,
        }
    }
}

/// Ticks of the kernel's clock that make a second, in `/proc` of every Linux.
const TICKS: f64 = 100.0;

/// From `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    /// Seconds of CPU time, of user and kernel together.
    cpu_s: f64,
    /// Seconds from the machine's start to that of the process.
    start_s: f64,
}

impl Times {
    fn parse(stat: &str) -> Self {
        // The name in field 2 may hold spaces and brackets: fields are counted from behind it.
        let rest = stat.rfind(')').and_then(|end| stat.get(end + 1..)).unwrap_or_default();
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| -> f64 {
            fields.get(number - 3).and_then(|field| field.parse().ok()).unwrap_or(0.0)
        };
        Self { cpu_s: (field(14) + field(15)) / TICKS, start_s: field(22) / TICKS }
    }
}

/// Bytes of resident memory, from `/proc/PID/status`.
fn resident(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) * 1_024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a ) (b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 1200 1 1";
        assert_eq!(Times::parse(stat), Times { cpu_s: 3.0, start_s: 12.0 });
        for cut in ["", "7", "7 (a", "7 (a)", "7 (a) S 1"] {
            assert_eq!(Times::parse(cut), Times::default(), "{cut}");
        }
    }

    #[test]
    fn this_process_and_its_disk() {
        let process = Process::read();
        assert!(process.memory_bytes > 1e6 && process.open_fds >= 3.0, "{process:?}");
        assert!(process.max_fds >= process.open_fds, "{process:?}");
        // After 2020.
        assert!(process.start_s > 1_577_836_800.0, "{process:?}");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), [0; 1_000]).unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        assert_eq!(folder_bytes(dir.path()), 1_000);
        let (free, size) = disk(dir.path()).unwrap();
        assert!(0 < free && free <= size);
        assert_eq!(
            (folder_bytes(&dir.path().join("none")), disk(&dir.path().join("none"))),
            (0, None)
        );
    }
}
