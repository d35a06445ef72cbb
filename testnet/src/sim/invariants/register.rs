//! The register: at every height each node knows the same nodes, with the same organisations, places
//! and addresses, as the blocks up to it have made them.

use std::collections::BTreeMap;
use std::rc::Rc;

use tandem_chain::block::Block;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::Call;
use tandem_chain::roles::Register;

use super::seats::{RULE, Seats};
use super::{Verdict, broken};

/// A node's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    org: String,
    pair: bool,
    addresses: Vec<String>,
}

/// All entries after a block.
pub(super) type Entries = Rc<BTreeMap<PublicKey, Entry>>;

impl Seats {
    /// What the register is made of now.
    pub(super) fn entries(&self) -> Entries {
        let entries = self.members.iter().map(|(key, org)| {
            // Of an organisation that was removed there is the node that held its seat, for a block.
            let seat = self.seats.get(org);
            let is_last = seat.is_some_and(|seat| seat.is_removed() && !self.barred.contains(key));
            let entry = Entry {
                org: org.clone(),
                pair: is_last || seat.is_some_and(|seat| seat.pair.contains(key)),
                addresses: self.addresses.get(key).cloned().unwrap_or_default(),
            };
            (*key, entry)
        });
        Rc::new(entries.collect())
    }

    /// The same after a block, which may have changed nothing.
    pub(super) fn entries_after(&self, block: &Block, before: &Entries) -> Entries {
        let is_of_nodes = block.txs.iter().any(|tx| matches!(tx.body().call, Call::Consortium(_)));
        let is_same =
            block.evidence.is_empty() && !is_of_nodes && self.members.keys().eq(before.keys());
        if is_same { Rc::clone(before) } else { self.entries() }
    }
}

/// A node's register after a block is what the blocks have made it.
pub(super) fn compare(height: usize, register: &Register, expected: &Entries) -> Verdict {
    let is_equal = register.nodes.len() == expected.len()
        && register.nodes.iter().zip(expected.iter()).all(|((key, node), (other, entry))| {
            key == other
                && node.org.as_str() == entry.org
                && node.pair == entry.pair
                && node.addresses == entry.addresses
        });
    if is_equal {
        return Ok(());
    }
    let got = &register.nodes;
    broken(RULE, format!("the register after {height} is {got:?}, not {expected:?}"))
}
