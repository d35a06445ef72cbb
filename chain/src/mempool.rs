//! Transactions that wait for a block: first come, first served, within bounds.
//!
//! | of what | transactions and bytes |
//! |---|---|
//! | all | [`MAX_MEMPOOL_TXS`], [`MAX_MEMPOOL_BYTES`] |
//! | one sender | [`MAX_MEMPOOL_TXS_PER_SENDER`], [`MAX_MEMPOOL_BYTES_PER_SENDER`]: a quarter |
//! | registrations by invitations of one organisation | [`MAX_MEMPOOL_INVITED_TXS`], each of [`MAX_INVITED_TX_BYTES`]: their senders have no role yet, and count together |
//! | module `records` | all but the reserve, [`MEMPOOL_RESERVE_TXS`] and [`MEMPOOL_RESERVE_BYTES`] |
//! | one sender, while only the reserve is left | [`MEMPOOL_RESERVE_TXS_PER_SENDER`], [`MEMPOOL_RESERVE_BYTES_PER_SENDER`] |
//!
//! So records, however many, and one sender, whatever it sends, leave room for what runs the chain:
//! planned switches, registrations, parameters.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::block::Block;
use crate::error::Error;
use crate::keys::PublicKey;
use crate::limits::{
    MAX_INVITED_TX_BYTES, MAX_MEMPOOL_BYTES, MAX_MEMPOOL_BYTES_PER_SENDER, MAX_MEMPOOL_INVITED_TXS,
    MAX_MEMPOOL_REMEMBERED, MAX_MEMPOOL_TXS, MAX_MEMPOOL_TXS_PER_SENDER, MAX_TX_VALIDITY,
    MEMPOOL_RESERVE_BYTES, MEMPOOL_RESERVE_BYTES_PER_SENDER, MEMPOOL_RESERVE_TXS,
    MEMPOOL_RESERVE_TXS_PER_SENDER,
};
use crate::modules::{Call, consortium};
use crate::tx::Tx;
use crate::types::{Height, OrgName, TxHash};

/// A number of transactions and their bytes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    txs: usize,
    bytes: usize,
}

impl Load {
    const MAX: Self = Self { txs: MAX_MEMPOOL_TXS, bytes: MAX_MEMPOOL_BYTES };
    const MAX_OF_RECORDS: Self = Self {
        txs: MAX_MEMPOOL_TXS - MEMPOOL_RESERVE_TXS,
        bytes: MAX_MEMPOOL_BYTES - MEMPOOL_RESERVE_BYTES,
    };
    const MAX_OF_SENDER: Self =
        Self { txs: MAX_MEMPOOL_TXS_PER_SENDER, bytes: MAX_MEMPOOL_BYTES_PER_SENDER };
    const MAX_OF_INVITATIONS: Self = Self {
        txs: MAX_MEMPOOL_INVITED_TXS,
        bytes: MAX_MEMPOOL_INVITED_TXS * MAX_INVITED_TX_BYTES,
    };
    const MAX_OF_SENDER_IN_RESERVE: Self =
        Self { txs: MEMPOOL_RESERVE_TXS_PER_SENDER, bytes: MEMPOOL_RESERVE_BYTES_PER_SENDER };

    /// Refuses one transaction more that would make this more than `max`; `what` names the two
    /// numbers.
    fn check(self, tx: &Tx, max: Self, what: [&'static str; 2]) -> Result<(), Error> {
        if self.txs >= max.txs {
            Err(Error::MempoolFull { what: what[0], max: max.txs })
        } else if self.bytes + tx.bytes().len() > max.bytes {
            Err(Error::MempoolFull { what: what[1], max: max.bytes })
        } else {
            Ok(())
        }
    }

    fn add(&mut self, tx: &Tx) {
        self.txs += 1;
        self.bytes += tx.bytes().len();
    }

    fn remove(&mut self, tx: &Tx) {
        self.txs -= 1;
        self.bytes -= tx.bytes().len();
    }
}

/// Whom a transaction counts against.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    /// Its sender.
    Sender(PublicKey),
    /// The organisation that invites its sender, which has no role yet: whoever has an invitation
    /// can make as many senders as he likes.
    Inviting(OrgName),
}

impl Account {
    fn of(tx: &Tx) -> Self {
        match &tx.body().call {
            Call::Consortium(consortium::Call::RegisterInvited { invitation, .. }) => {
                Self::Inviting(invitation.body.org.clone())
            }
            _ => Self::Sender(tx.body().sender),
        }
    }

    /// What may wait, and what an error calls it.
    fn bound(&self) -> (Load, [&'static str; 2]) {
        match self {
            Self::Sender(_) => {
                (Load::MAX_OF_SENDER, ["transactions of this sender", "bytes of this sender"])
            }
            Self::Inviting(_) => (
                Load::MAX_OF_INVITATIONS,
                [
                    "registrations by invitations of this organisation",
                    "bytes of registrations by invitations of this organisation",
                ],
            ),
        }
    }
}

/// Verified transactions in the order in which they came.
///
/// One map of hashes is the truth; the rest are indexes of it. Hashes of transactions that were
/// committed lately are remembered, so that a copy that arrives late is not taken in again.
#[derive(Debug, Default)]
pub struct Mempool {
    places: BTreeMap<TxHash, u64>,
    queue: BTreeMap<u64, Tx>,
    expiries: BTreeSet<(Height, u64)>,
    accounts: BTreeMap<Account, Load>,
    load: Load,
    next_place: u64,
    committed: BTreeSet<TxHash>,
    committed_order: VecDeque<TxHash>,
}

impl Mempool {
    /// An empty mempool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a transaction whose signature was verified; `height` is that of the tip.
    ///
    /// # Errors
    /// [`Error::Repeated`] when it waits already or was committed lately, [`Error::Expired`],
    /// [`Error::TooFar`], [`Error::MempoolFull`].
    pub fn add(&mut self, tx: Tx, height: Height) -> Result<(), Error> {
        let (hash, valid_until) = (tx.hash(), tx.body().valid_until);
        check_validity(valid_until, height.next())?;
        if self.places.contains_key(&hash) || self.committed.contains(&hash) {
            return Err(Error::Repeated { hash });
        }
        self.check_room(&tx)?;
        let place = self.next_place;
        self.next_place += 1;
        self.load.add(&tx);
        self.accounts.entry(Account::of(&tx)).or_default().add(&tx);
        self.places.insert(hash, place);
        self.expiries.insert((valid_until, place));
        self.queue.insert(place, tx);
        Ok(())
    }

    fn check_room(&self, tx: &Tx) -> Result<(), Error> {
        const OF_ALL: [&str; 2] = ["transactions", "bytes"];
        let account = Account::of(tx);
        let (max, what) = account.bound();
        let own = self.accounts.get(&account).copied().unwrap_or_default();
        own.check(tx, max, what)?;
        let common = self.load.check(tx, Load::MAX_OF_RECORDS, OF_ALL);
        if common.is_ok() || matches!(tx.body().call, Call::Records(_)) {
            return common;
        }
        self.load.check(tx, Load::MAX, OF_ALL)?;
        own.check(tx, Load::MAX_OF_SENDER_IN_RESERVE, what)
    }

    /// Whether a transaction waits here.
    #[must_use]
    pub fn contains(&self, hash: &TxHash) -> bool {
        self.places.contains_key(hash)
    }

    /// The longest-waiting transactions, up to the first that does not fit in `max_bytes` and
    /// `max_txs`. They stay here until they are committed or expire.
    #[must_use]
    pub fn take(&self, max_bytes: usize, max_txs: usize) -> Vec<Tx> {
        let mut room = max_bytes;
        let mut taken = Vec::new();
        for tx in self.queue.values().take(max_txs) {
            let Some(left) = room.checked_sub(tx.bytes().len()) else { break };
            room = left;
            taken.push(tx.clone());
        }
        taken
    }

    /// Takes out the transactions of a committed block and those that no later block may carry.
    pub fn committed(&mut self, block: &Block) {
        for tx in &block.txs {
            self.remove(&tx.hash());
            if self.committed.insert(tx.hash()) {
                self.committed_order.push_back(tx.hash());
            }
        }
        while self.committed_order.len() > MAX_MEMPOOL_REMEMBERED {
            if let Some(hash) = self.committed_order.pop_front() {
                self.committed.remove(&hash);
            }
        }
        while let Some((valid_until, place)) = self.expiries.first().copied() {
            if valid_until > block.header.height {
                break;
            }
            self.remove_place(place);
        }
    }

    /// Takes out one transaction; nothing happens when it is not here.
    pub fn remove(&mut self, hash: &TxHash) {
        if let Some(place) = self.places.get(hash) {
            self.remove_place(*place);
        }
    }

    /// Number of transactions that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of the transactions that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.load.bytes
    }

    fn remove_place(&mut self, place: u64) {
        let tx = self.queue.remove(&place).expect("an index names a place that is taken");
        self.places.remove(&tx.hash());
        self.expiries.remove(&(tx.body().valid_until, place));
        self.load.remove(&tx);
        let account = Account::of(&tx);
        let own = self.accounts.get_mut(&account).expect("accounts of the queue are counted");
        own.remove(&tx);
        if own.txs == 0 {
            self.accounts.remove(&account);
        }
    }
}

/// Checks that a transaction that is valid until `valid_until` may stand in the block of `height`.
///
/// # Errors
/// [`Error::Expired`], [`Error::TooFar`].
pub fn check_validity(valid_until: Height, height: Height) -> Result<(), Error> {
    let latest = height.plus(MAX_TX_VALIDITY);
    if valid_until < height {
        Err(Error::Expired { valid_until, height })
    } else if valid_until > latest {
        Err(Error::TooFar { valid_until, latest })
    } else {
        Ok(())
    }
}
