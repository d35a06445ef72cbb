//! How often each method was called.

use std::sync::atomic::{AtomicU64, Ordering};

use super::methods::METHODS;

/// Counts of calls since the start, by method. Shared.
#[derive(Debug)]
pub struct Requests(Vec<Count>);

#[derive(Debug, Default)]
struct Count {
    begun: AtomicU64,
    failed: AtomicU64,
}

impl Default for Requests {
    fn default() -> Self {
        Self(METHODS.iter().map(|_| Count::default()).collect())
    }
}

impl Requests {
    /// Counts a call. It has failed, unless it is told that it has not.
    pub(super) fn begin(&self, method: &'static str) -> Call<'_> {
        let place = METHODS.iter().position(|m| m.name == method);
        let count = place.and_then(|place| self.0.get(place));
        if let Some(count) = count {
            count.begun.fetch_add(1, Ordering::Relaxed);
        }
        Call(count)
    }

    /// By method: calls, and how many of them were answered with an error or given up.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        METHODS.iter().zip(&self.0).map(move |(m, c)| (m.name, read(&c.begun), read(&c.failed)))
    }
}

/// A call that is under way.
pub(super) struct Call<'a>(Option<&'a Count>);

impl Call<'_> {
    /// It has an answer that is no error.
    pub fn succeeded(mut self) {
        self.0 = None;
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
