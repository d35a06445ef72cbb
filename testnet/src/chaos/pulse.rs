//! Whether this process itself ran all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(100);

/// Beats until the value is dropped. A beat that comes late shows that this process, and most likely
/// the nodes beside it, were stopped or got no time of the machine.
pub struct Pulse {
    longest: Arc<Longest>,
    task: JoinHandle<()>,
}

/// The longest time by which a beat was late, in milliseconds.
#[derive(Default)]
struct Longest(AtomicU64);

impl Longest {
    fn note(&self, due: Instant, now: Instant) {
        let late_ms = (now - due).as_millis().try_into().unwrap_or(u64::MAX);
        self.0.fetch_max(late_ms, Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Pulse {
    /// Starts to beat.
    #[must_use]
    pub fn start() -> Self {
        let longest = Arc::<Longest>::default();
        let task = tokio::spawn(beat(Arc::clone(&longest)));
        Self { longest, task }
    }

    /// The longest time for which this process did not run.
    pub async fn longest_stop(&self) -> Duration {
        // A stop that is just over is seen at the next beat.
        sleep(2 * BEAT).await;
        self.longest.get()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(longest: Arc<Longest>) {
    loop {
        let due = Instant::now() + BEAT;
        sleep(BEAT).await;
        longest.note(due, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_stop_is_kept() {
        let (longest, due) = (Longest::default(), Instant::now());
        longest.note(due, due);
        assert_eq!(longest.get(), Duration::ZERO);
        for late in [BEAT, Duration::from_secs(3), BEAT * 2] {
            longest.note(due, due + late);
        }
        assert_eq!(longest.get(), Duration::from_secs(3));
        // A timer may fire a moment before its time.
        longest.note(due + BEAT, due);
        assert_eq!(longest.get(), Duration::from_secs(3));
    }
}
