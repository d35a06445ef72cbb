//! Transactions made and signed ahead of the moment at which they are sent.

use tandem_chain::keys::SecretKey;
use tandem_chain::limits::{MAX_RECORD_VALUE_BYTES, MAX_TX_VALIDITY};
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::{ChainId, DataSetName, Height};

use crate::layout::Layout;

/// Heights that a transaction of the load stays valid for: less than is allowed, since a node that
/// is a little behind judges it by an older height.
const VALIDITY: u64 = MAX_TX_VALIDITY - 500;

/// What the size of a transaction is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// All its bytes; no smaller than an empty record's.
    Whole(usize),
    /// The bytes of the record's value alone.
    Value(usize),
}

/// Makes `put`s of new records, from each of its senders in turn.
#[derive(Clone)]
pub struct Signer {
    chain_id: ChainId,
    senders: Vec<(SecretKey, DataSetName)>,
    value_bytes: usize,
    made: u64,
}

impl Signer {
    /// For the users of a network; at most `senders` of them.
    #[must_use]
    pub fn new(layout: &Layout, senders: usize, size: Size) -> Self {
        let by_org: Vec<Vec<SecretKey>> = layout.orgs.iter().map(|org| layout.users(org)).collect();
        // One of each organisation, then the second of each, and so on.
        let ranks = (0..layout.spec.users_per_org).flat_map(|rank| {
            layout
                .orgs
                .iter()
                .zip(&by_org)
                .map(move |(org, users)| (users[rank].clone(), data_set(org.as_str())))
        });
        let senders = ranks.take(senders.max(1)).collect();
        let mut signer =
            Self { chain_id: layout.chain_id.clone(), senders, value_bytes: 0, made: 0 };
        signer.value_bytes = match size {
            Size::Value(bytes) => bytes,
            Size::Whole(bytes) => bytes.saturating_sub(signer.make(Height::ZERO).bytes().len()),
        };
        signer.value_bytes = signer.value_bytes.min(MAX_RECORD_VALUE_BYTES);
        signer
    }

    /// The data sets that it writes to, each with a sender that may create it.
    #[must_use]
    pub fn data_sets(&self) -> Vec<(SecretKey, DataSetName)> {
        let mut sets: Vec<(SecretKey, DataSetName)> = Vec::new();
        for (key, name) in &self.senders {
            if sets.iter().all(|(_, other)| other != name) {
                sets.push((key.clone(), name.clone()));
            }
        }
        sets
    }

    /// The chain that it signs for.
    #[must_use]
    pub fn chain_id(&self) -> &ChainId {
        &self.chain_id
    }

    /// The next transaction, to be sent when the chain is near height `now`.
    pub fn make(&mut self, now: Height) -> Tx {
        let count = self.senders.len() as u64;
        let index = usize::try_from(self.made % count).expect("an index of a list");
        let (key, data_set) = &self.senders[index];
        // Records are never written twice, and values differ, so that nothing is cheaper than in
        // earnest: no compression of equal values, no overwriting.
        let nonce: u64 = rand::random();
        let mut value = Vec::with_capacity(self.value_bytes + 8);
        while value.len() < self.value_bytes {
            value.extend(rand::random::<u64>().to_le_bytes());
        }
        value.truncate(self.value_bytes);
        let call = records::Call::Put {
            data_set: data_set.clone(),
            key: [self.made.to_be_bytes(), nonce.to_be_bytes()].concat(),
            content_type: None,
            value,
            expected: None,
        };
        self.made += 1;
        sign(&self.chain_id, key, nonce, now, Call::Records(call))
    }

    /// `count` transactions at once, on all cores.
    #[must_use]
    pub fn make_many(&mut self, count: usize, now: Height) -> Vec<Tx> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let share = count.div_ceil(cores);
        let shares = (0..count).step_by(share.max(1)).map(|from| {
            let mut signer = self.clone();
            signer.made += from as u64;
            let share = share.min(count - from);
            std::thread::spawn(move || (0..share).map(|_| signer.make(now)).collect::<Vec<Tx>>())
        });
        let shares: Vec<_> = shares.collect();
        self.made += count as u64;
        shares.into_iter().flat_map(|share| share.join().expect("signing does not panic")).collect()
    }
}

/// Signs a call for a chain that is near height `now`.
#[must_use]
pub fn sign(chain_id: &ChainId, key: &SecretKey, nonce: u64, now: Height, call: Call) -> Tx {
    let body = TxBody {
        chain_id: chain_id.clone(),
        sender: key.public(),
        nonce,
        valid_until: now.plus(VALIDITY),
        call,
    };
    Tx::sign(body, key)
}

/// The data set of the load that an organisation owns.
fn data_set(org: &str) -> DataSetName {
    format!("load.{org}").parse().expect("the organisations' names are short")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::layout::Spec;

    fn layout() -> Layout {
        let spec = Spec { orgs: 2, users_per_org: 3, ..Spec::default() };
        Layout::new(Path::new("/x"), spec).unwrap().0
    }

    #[test]
    fn transactions_are_signed_of_the_size_asked_for_and_all_different() {
        let layout = layout();
        let mut signer = Signer::new(&layout, 6, Size::Whole(512));
        let txs = signer.make_many(100, Height(7));
        let hashes: BTreeSet<_> = txs.iter().map(Tx::hash).collect();
        assert_eq!(hashes.len(), 100);
        let senders: BTreeSet<_> = txs.iter().map(|tx| tx.body().sender).collect();
        assert_eq!(senders.len(), 6);
        for tx in &txs {
            // The senders' data sets have names of one length here; both organisations' have five.
            assert_eq!(tx.bytes().len(), 512);
            tx.verify(&tandem_chain::keys::Strict, &layout.chain_id).unwrap();
        }
        assert_eq!(signer.data_sets().len(), 2);
    }

    #[test]
    fn a_value_of_the_size_asked_for_by_few_senders() {
        let mut signer = Signer::new(&layout(), 1, Size::Value(512));
        let tx = signer.make(Height(1));
        let Call::Records(records::Call::Put { value, .. }) = &tx.body().call else { panic!() };
        assert_eq!(value.len(), 512);
        assert_eq!(signer.data_sets().len(), 1);
        assert_eq!(Signer::new(&layout(), 9, Size::Whole(1)).value_bytes, 0);
    }
}
