//! How many requests a second one client may make.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::RpcError;
use crate::network::Source;

/// What a client may save up by asking nothing.
const BURST: Duration = Duration::from_secs(1);
/// Clients that are told apart; those above are one.
const MAX_CLIENTS: usize = 10_000;

/// The rates of all clients' requests.
#[derive(Debug)]
pub struct Rates {
    /// Requests a second of one client; 0 for no bound.
    max: u32,
    /// When all that a client has asked would have come at the allowed rate: of those for which that is yet
    /// to come, and perhaps of others.
    due: Mutex<HashMap<Source, Instant>>,
}

/// More requests have come than a client may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    max: u32,
    /// When to ask again.
    pub wait: Duration,
}

impl Rates {
    /// At most so many a second of each client; 0 for no bound.
    #[must_use]
    pub fn new(max: u32) -> Self {
        Self { max, due: Mutex::default() }
    }

    /// Counts requests of a client that come together. More than a second's are taken from who owes
    /// nothing, and nothing else until their time is over.
    ///
    /// # Errors
    /// When there are too many: then they are not counted.
    pub fn count(&self, client: IpAddr, requests: usize, now: Instant) -> Result<(), TooMany> {
        self.take(client, requests, 0, now)
    }

    /// The same of those that came with one that was counted a moment ago.
    ///
    /// # Errors
    /// As [`Rates::count`].
    pub fn count_rest(&self, client: IpAddr, rest: usize, now: Instant) -> Result<(), TooMany> {
        self.take(client, rest, 1, now)
    }

    /// Takes them also from who owes no more than those that were `counted` of the same.
    fn take(
        &self,
        client: IpAddr,
        requests: usize,
        counted: u32,
        now: Instant,
    ) -> Result<(), TooMany> {
        let max = self.max;
        if max == 0 {
            return Ok(());
        }
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let takes = Duration::from_secs(requests.into()) / max;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = Source::from(client);
        if due.len() >= MAX_CLIENTS && !due.contains_key(&client) {
            due.retain(|_, due| *due > now);
            if due.len() >= MAX_CLIENTS {
                client = Source::UNKNOWN;
            }
        }
        let owed =
            due.get(&client).map_or(Duration::ZERO, |due| due.saturating_duration_since(now));
        if owed > BURST * counted / max && owed + takes > BURST {
            return Err(TooMany { max, wait: owed.min((owed + takes).saturating_sub(BURST)) });
        }
        due.insert(client, now + owed + takes);
        Ok(())
    }
}

impl From<TooMany> for RpcError {
    fn from(TooMany { max, wait }: TooMany) -> Self {
        let wait = wait.as_millis().max(1);
        Self::busy(format!(
            "your address asks more often than rpc.max_requests_per_s ({max}): ask again in {wait} ms"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn address(number: usize) -> IpAddr {
        let [_, _, _, _, a, b, c, d] = (number as u64).to_be_bytes();
        [a, b, c, d].into()
    }

    /// The time to wait, in milliseconds.
    fn wait(rates: &Rates, client: IpAddr, requests: usize, now: Instant) -> Option<u128> {
        rates.count(client, requests, now).err().map(|refused| refused.wait.as_millis())
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds_for_each_client() {
        let (rates, start) = (Rates::new(10), Instant::now());
        let [one, other] = [1, 2].map(address);
        for _ in 0..10 {
            assert_eq!(wait(&rates, one, 1, start), None);
        }
        assert_eq!(wait(&rates, one, 1, start), Some(100));
        assert_eq!(wait(&rates, other, 1, start), None);
        assert_eq!(wait(&rates, one, 1, start + 99 * MS), Some(1));
        assert_eq!(wait(&rates, one, 1, start + 100 * MS), None, "what is refused costs nothing");
        assert_eq!(wait(&rates, one, 1, start + 100 * MS), Some(100));
        let later = start + 60_000 * MS;
        assert_eq!(wait(&rates, one, 10, later), None, "no more than a burst is saved up");
        assert_eq!(wait(&rates, one, 1, later), Some(100));
        // More than a second's at once.
        let later = later + 60_000 * MS;
        assert_eq!(wait(&rates, one, 30, later), None);
        assert_eq!(wait(&rates, one, 30, later + 2_900 * MS), Some(100));
        assert_eq!(wait(&rates, one, 30, later + 3_000 * MS), None);
        assert_eq!(wait(&rates, other, 1, later), None);
        assert_eq!(rates.count_rest(other, 29, later), Ok(()), "they came with that one");
        assert_eq!(wait(&rates, other, 1, later + 1_999 * MS), Some(101));
        // A network of IPv6 is one client.
        let [a, b] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        assert_eq!(wait(&rates, a, 10, start), None);
        assert_eq!(wait(&rates, b, 1, start), Some(100));
        assert_eq!(wait(&Rates::new(0), one, usize::MAX, start), None);
        assert_eq!(wait(&rates, address(3), usize::MAX, later), None);
    }

    #[test]
    fn clients_that_are_remembered_are_bounded() {
        let (rates, start) = (Rates::new(1), Instant::now());
        for number in 0..MAX_CLIENTS {
            assert_eq!(wait(&rates, address(1 + number), 1, start), None);
        }
        // Those above are one.
        assert_eq!(wait(&rates, address(1 + MAX_CLIENTS), 1, start), None);
        assert_eq!(wait(&rates, address(2 + MAX_CLIENTS), 1, start), Some(1_000));
        assert_eq!(rates.due.lock().unwrap().len(), MAX_CLIENTS + 1);
        // Who owes nothing is forgotten.
        assert_eq!(wait(&rates, address(2 + MAX_CLIENTS), 1, start + 1_000 * MS), None);
        assert_eq!(rates.due.lock().unwrap().len(), 1);
    }
}
