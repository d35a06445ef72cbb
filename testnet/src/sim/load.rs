//! Clients: each sends transactions, the same bytes again and again until there is a receipt.

use std::sync::Arc;

use tandem_chain::keys::{PublicKey, Signer};
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::{Tx, TxBody};

use super::queue::{MS, S, Time};
use super::world::{Event, Phase, World};

/// Transactions of one client that have no receipt.
const MAX_OPEN: usize = 20;
/// Time after which a transaction is sent again.
const RETRY: Time = 2 * S;

/// A client.
pub struct Client {
    org: usize,
    key: PublicKey,
    signer: Arc<dyn Signer>,
    open: Vec<(Time, Tx)>,
    made: u64,
}

impl Client {
    /// A user of an organisation.
    #[must_use]
    pub fn new(org: usize, signer: Arc<dyn Signer>) -> Self {
        Self { org, key: signer.public(), signer, open: Vec::new(), made: 0 }
    }

    /// Transactions that have no receipt as far as it knows.
    pub fn open(&self) -> impl Iterator<Item = &Tx> {
        self.open.iter().map(|(_, tx)| tx)
    }
}

impl World {
    /// A client looks for receipts, sends again what has none, and perhaps something new.
    pub(super) fn client(&mut self, index: usize) {
        let now = self.queue.now();
        let height = self.invariants.height();
        let invariants = &self.invariants;
        let client = &mut self.clients[index];
        client.open.retain(|(_, tx)| {
            !invariants.has_receipt(&tx.hash()) && tx.body().valid_until > height
        });
        let mut due: Vec<Tx> = Vec::new();
        for (sent, tx) in &mut client.open {
            if *sent + RETRY <= now {
                *sent = now;
                due.push(tx.clone());
            }
        }
        if self.phase == Phase::Faults && client.open.len() < MAX_OPEN {
            let tx = self.new_tx(index);
            self.good_txs.insert(tx.hash());
            self.clients[index].open.push((now, tx.clone()));
            due.push(tx);
        }
        for tx in due {
            self.submit(&tx);
        }
        let delay = self.random.below(self.plan.load_interval) + MS;
        self.queue.after(delay, Event::Client(index));
    }

    fn new_tx(&mut self, index: usize) -> Tx {
        let valid_for = self.random.pick(&[100, 1_000, 9_000]);
        let client = &mut self.clients[index];
        client.made += 1;
        let data_set = self.names[client.org].as_str();
        let data_set = data_set.parse().expect("an organisation's name is one");
        let call = if client.made == 1 {
            records::Call::Create { data_set }
        } else {
            let key = self.random.below(20).to_be_bytes().to_vec();
            let value = vec![0x5a; self.random.index(64)];
            records::Call::Put { data_set, key, content_type: None, value, expected: None }
        };
        let body = TxBody {
            chain_id: self.genesis.chain_id.clone(),
            sender: client.key,
            nonce: self.random.next(),
            valid_until: self.invariants.height().plus(valid_for),
            call: Call::Records(call),
        };
        Tx::sign(body, &*client.signer)
    }

    /// Hands a transaction to a node or two that run.
    pub(super) fn submit(&mut self, tx: &Tx) {
        let up: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].is_up() && self.nodes[*node].is_correct())
            .collect();
        if up.is_empty() {
            return;
        }
        for _ in 0..self.random.between(1, 2) {
            let to = self.random.pick(&up);
            let delay = self.random.below(2 * MS);
            self.queue.after(delay, Event::Submitted { to, tx: tx.clone() });
        }
    }
}
