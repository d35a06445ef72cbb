//! Virtual time and what is to happen in it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Virtual time: nanoseconds since the history began.
pub type Time = u64;

/// Nanoseconds in a millisecond.
pub const MS: Time = 1_000_000;
/// Nanoseconds in a second.
pub const S: Time = 1_000_000_000;

/// Things to come, ordered by (time, order of scheduling).
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    now: Time,
    count: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Time,
    count: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.count) == (other.at, other.count)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.count).cmp(&(other.at, other.count))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), now: 0, count: 0 }
    }
}

impl<T> Queue<T> {
    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Schedules something; what lies in the past happens next.
    pub fn at(&mut self, at: Time, what: T) {
        let at = at.max(self.now);
        self.count += 1;
        self.heap.push(Reverse(Entry { at, count: self.count, what }));
    }

    /// Schedules something after a delay.
    pub fn after(&mut self, delay: Time, what: T) {
        self.at(self.now.saturating_add(delay), what);
    }

    /// Moves on to the next thing.
    pub fn pop(&mut self) -> Option<T> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_in_the_order_of_time_and_then_of_scheduling() {
        let mut queue = Queue::default();
        queue.at(2, "c");
        queue.at(1, "a");
        queue.at(1, "b");
        assert_eq!((queue.pop(), queue.now()), (Some("a"), 1));
        queue.at(0, "late");
        assert_eq!((queue.pop(), queue.now()), (Some("b"), 1));
        assert_eq!((queue.pop(), queue.now()), (Some("late"), 1));
        assert_eq!((queue.pop(), queue.now()), (Some("c"), 2));
        assert_eq!(queue.pop(), None);
    }
}
