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
    longest_ms: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Pulse {
    /// Starts to beat.
    #[must_use]
    pub fn start() -> Self {
        let longest_ms = Arc::<AtomicU64>::default();
        let task = tokio::spawn(beat(Arc::clone(&longest_ms)));
        Self { longest_ms, task }
    }

    /// The longest time for which this process did not run.
    pub async fn longest_stop(&self) -> Duration {
        // A stop that is just over is seen at the next beat.
        sleep(2 * BEAT).await;
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn beat(longest_ms: Arc<AtomicU64>) {
    loop {
        let due = Instant::now() + BEAT;
        sleep(BEAT).await;
        let late_ms = due.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        longest_ms.fetch_max(late_ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_shows() {
        let pulse = Pulse::start();
        assert!(pulse.longest_stop().await < Duration::from_millis(500));
        // The one thread of this test's runtime does nothing else meanwhile.
        std::thread::sleep(Duration::from_secs(1));
        assert!(pulse.longest_stop().await > Duration::from_millis(800));
    }
}
