//! Log lines that others can cause: written only so often, with how many there would have been.

use std::time::{Duration, Instant};

/// Decides on one kind of line.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    written: Option<Instant>,
    /// Occasions since the line was written last.
    times: u64,
}

impl Sparse {
    /// Counts an occasion. When a line is due, since none was written for the time `apart`: how many
    /// occasions it stands for.
    pub(super) fn count(&mut self, apart: Duration, now: Instant) -> Option<u64> {
        self.times += 1;
        if self.written.is_some_and(|last| now.saturating_duration_since(last) < apart) {
            return None;
        }
        self.written = Some(now);
        Some(std::mem::take(&mut self.times))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_stands_for_all_since_the_last() {
        let apart = Duration::from_secs(1);
        let start = Instant::now();
        let mut sparse = Sparse::default();
        assert_eq!(sparse.count(apart, start), Some(1));
        assert_eq!(sparse.count(apart, start), None);
        assert_eq!(sparse.count(apart, start + apart / 2), None);
        assert_eq!(sparse.count(apart, start + apart), Some(3));
        assert_eq!(sparse.count(apart, start + apart), None);
        assert_eq!(sparse.count(apart, start + 3 * apart), Some(2));
    }
}
