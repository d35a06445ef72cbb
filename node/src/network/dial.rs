//! Whom to dial, where, and when again.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use rand::RngExt as _;
use tandem_chain::keys::PublicKey;

use super::Source;
use super::limits::{BACK_OFF_MAX, BACK_OFF_MIN, MAX_DIALLED_ADDRESSES};

/// Time between attempts: doubles up to a most, with jitter, so that nodes that lost each other at
/// one time do not all come back at one time.
#[derive(Debug)]
pub(super) struct BackOff(Duration);

impl Default for BackOff {
    fn default() -> Self {
        Self(BACK_OFF_MIN)
    }
}

impl BackOff {
    /// Time until the next attempt.
    pub(super) fn next(&mut self) -> Duration {
        let time = self.0.mul_f64(rand::rng().random_range(0.75..1.25));
        self.0 = (self.0 * 2).min(BACK_OFF_MAX);
        time
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.0 = BACK_OFF_MIN;
    }
}

/// Addresses of nodes in the configuration.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    /// To be used in the place of those of the chain.
    pub(crate) dial: BTreeMap<PublicKey, Vec<String>>,
    /// To be tried beside those of the chain.
    pub(crate) bootstrap: BTreeMap<PublicKey, Vec<String>>,
}

impl Configured {
    /// The nodes that have an address here; some twice.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &PublicKey> {
        self.dial.keys().chain(self.bootstrap.keys())
    }

    /// The addresses of a node: those to be used in the place of the chain's; or else the chain's,
    /// and those to be tried besides; as far as they can be read.
    pub(crate) fn addresses_of(&self, key: &PublicKey, on_chain: &[String]) -> Vec<Multiaddr> {
        let texts: Vec<&String> = match self.dial.get(key) {
            Some(dial) => dial.iter().collect(),
            None => on_chain.iter().chain(self.bootstrap.get(key).into_iter().flatten()).collect(),
        };
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for address in texts.into_iter().filter_map(|text| text.parse().ok()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Where connections of a node come from, as far as its addresses tell: all of them.
    pub(super) fn sources_of(&self, key: &PublicKey, on_chain: &[String]) -> HashSet<Source> {
        let configured = [&self.dial, &self.bootstrap].into_iter().filter_map(|map| map.get(key));
        let texts = on_chain.iter().chain(configured.flatten());
        texts.filter_map(|text| Source::of(&text.parse().ok()?)).collect()
    }
}

/// Whether an address has a name in it that must be resolved.
pub(super) fn has_name(address: &Multiaddr) -> bool {
    address
        .iter()
        .any(|part| matches!(part, Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)))
}

/// The addresses with names resolved by the system's resolver; those whose names are unknown are
/// left out. At most [`MAX_DIALLED_ADDRESSES`].
pub(crate) async fn resolve(addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let mut resolved = Vec::new();
    for address in addresses {
        let mut parts = address.iter();
        let (name, wants): (_, fn(&IpAddr) -> bool) = match parts.next() {
            Some(Protocol::Dns(name)) => (name, |_| true),
            Some(Protocol::Dns4(name)) => (name, IpAddr::is_ipv4),
            Some(Protocol::Dns6(name)) => (name, IpAddr::is_ipv6),
            _ => {
                resolved.push(address);
                continue;
            }
        };
        let found = match tokio::net::lookup_host((&*name, 0)).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%address, %error, "name not resolved");
                continue;
            }
        };
        let rest: Vec<Protocol<'_>> = parts.collect();
        resolved.extend(found.map(|found| found.ip()).filter(wants).map(|ip| {
            let start = std::iter::once(Protocol::from(ip));
            start.chain(rest.iter().cloned()).collect::<Multiaddr>()
        }));
    }
    resolved.truncate(MAX_DIALLED_ADDRESSES);
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_and_start_again_after_a_success() {
        let mut back_off = BackOff::default();
        let mut base = BACK_OFF_MIN;
        for _ in 0..10 {
            let time = back_off.next();
            assert!(time >= base.mul_f64(0.75) && time <= base.mul_f64(1.25), "{time:?}");
            base = (base * 2).min(BACK_OFF_MAX);
        }
        back_off.reset();
        assert!(back_off.next() <= BACK_OFF_MIN.mul_f64(1.25));
    }

    #[test]
    fn the_configuration_goes_before_the_chain() {
        let [one, two, other] = [1, 2, 3].map(|byte| PublicKey([byte; 32]));
        let at = |port| vec![format!("/ip4/127.0.0.1/tcp/{port}")];
        let configured = Configured {
            dial: BTreeMap::from([(one, at(1))]),
            bootstrap: BTreeMap::from([
                (one, at(7)),
                (two, [at(3), vec!["/ip4/192.0.2.1/tcp/2".to_owned()]].concat()),
            ]),
        };
        let on_chain = ["/ip4/192.0.2.1/tcp/2".to_owned(), "nonsense".to_owned()];
        let text = |key| {
            let addresses = configured.addresses_of(key, &on_chain);
            addresses.iter().map(Multiaddr::to_string).collect::<Vec<_>>()
        };
        assert_eq!(text(&one), ["/ip4/127.0.0.1/tcp/1"]);
        assert_eq!(text(&two), ["/ip4/192.0.2.1/tcp/2", "/ip4/127.0.0.1/tcp/3"], "each once");
        assert_eq!(text(&other), ["/ip4/192.0.2.1/tcp/2"]);
        let count = |key: PublicKey| configured.sources_of(&key, &on_chain).len();
        assert_eq!([one, two, other].map(count), [2, 2, 1], "from all of them");
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let parse = |text: &str| text.parse::<Multiaddr>().unwrap();
        let plain = parse("/ip4/192.0.2.1/tcp/1");
        let name = parse("/dns4/localhost/tcp/26656");
        assert!(has_name(&name) && !has_name(&plain));
        let resolved = resolve(vec![plain.clone(), name]).await;
        assert_eq!(resolved, [plain, parse("/ip4/127.0.0.1/tcp/26656")]);
    }
}
