//! What must hold of any chain, seen from outside, over RPC.

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tandem_chain::block::Commit;
use tandem_chain::comet;
use tandem_chain::keys::{PublicKey, Strict};
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Address, Hash, Height, OrgName, Round, TxHash};
use tandem_consensus::proposer::proposer;

use crate::layout::{Layout, Node};
use crate::network::Network;
use crate::rpc::{BlockView, HeaderView, MAX_HEADERS, Results, Rpc};
use crate::until::until;

/// A whole chain, as one node tells it, with the role table of each height.
pub struct Chain {
    /// Blocks from height 1 on.
    pub blocks: Vec<BlockView>,
    /// Role tables by the hash that headers name them with.
    tables: BTreeMap<Hash, RoleTable>,
    /// The registered nodes after a block, and until the next that changed them.
    registers: BTreeMap<Height, BTreeSet<PublicKey>>,
    /// Transactions that stand in the chain and failed, with their result codes.
    failed: HashMap<TxHash, u32>,
}

impl Chain {
    /// Reads every block up to `tip` from one node and checks what can be checked of the chain
    /// alone: heights without gaps, each block the child of the one before, times that rise, no
    /// evidence; that each was made by a node whose turn it was, those left out that the record
    /// before it calls dead; and for each certificate that the holders in its height's role table,
    /// and nobody else, signed it with more than 2/3 of the power, every signature verified.
    ///
    /// Role tables that are not among `known` are asked for; nodes keep those of the last
    /// [`EVIDENCE_WINDOW`](tandem_chain::limits::EVIDENCE_WINDOW) heights.
    ///
    /// # Errors
    /// When one of these does not hold, naming the height.
    pub async fn read(
        rpc: &Rpc,
        layout: &Layout,
        tip: Height,
        known: Vec<RoleTable>,
    ) -> Result<Self> {
        let known = known.into_iter().map(|table| (comet::validators_hash(&table), table));
        let tables = known.collect();
        let genesis = layout.nodes.iter().map(|node| node.key).collect();
        let registers = BTreeMap::from([(Height::ZERO, genesis)]);
        let mut chain = Self { blocks: Vec::new(), tables, registers, failed: HashMap::new() };
        for height in 1..=tip.0 {
            let block = rpc.block(Height(height)).await?;
            chain
                .append(rpc, layout, block)
                .await
                .with_context(|| format!("block {height} as {} tells it", rpc.name()))?;
        }
        Ok(chain)
    }

    async fn append(&mut self, rpc: &Rpc, layout: &Layout, block: BlockView) -> Result<()> {
        if let Entry::Vacant(entry) = self.tables.entry(block.validators_hash) {
            let table = rpc.role_table(block.height).await?;
            ensure!(
                comet::validators_hash(&table) == block.validators_hash,
                "the role table that RPC gives is not the one that the header names"
            );
            entry.insert(table);
        }
        ensure!(block.evidence == 0, "there is evidence of double signing in it");
        if let Some(parent) = self.blocks.last() {
            ensure!(block.height == parent.height.next(), "it is of height {}", block.height);
            ensure!(block.parent == Some(parent.id), "it is not the child of the block before");
            ensure!(block.time > parent.time, "its time is not later than its parent's");
            let commit = &block.last_commit;
            ensure!(commit.height == parent.height, "its certificate is of another height");
            self.certifies(layout, commit)?;
            let table = &self.tables[&parent.validators_hash];
            self.check_turn(parent, table, commit.round)?;
        }
        if !block.txs.is_empty() {
            let Results { codes, register } = rpc.results(block.height).await?;
            ensure!(codes.len() == block.txs.len(), "it has {} results", codes.len());
            let results = block.txs.iter().copied().zip(codes);
            self.failed.extend(results.filter(|(_, code)| *code != 0));
            self.change_register(block.height, register);
        }
        self.blocks.push(block);
        Ok(())
    }

    /// Checks that a certificate, from whatever node, is for the block that this chain has at its
    /// height, and that the holders in that height's role table, and nobody else, signed it with
    /// more than 2/3 of the power.
    ///
    /// # Errors
    /// When it is not so.
    pub fn certifies(&self, layout: &Layout, commit: &Commit) -> Result<()> {
        let height = commit.height;
        let block = self.block(height).with_context(|| format!("there is no block {height}"))?;
        ensure!(
            commit.block == Some(block.id),
            "a certificate of height {height} is for another block than {}",
            block.id
        );
        let table = &self.tables[&block.validators_hash];
        let what = || format!("a certificate of height {height}");
        commit.check_power(table).with_context(what)?;
        commit.check_signatures(&Strict, &layout.chain_id, table).with_context(what)
    }

    /// Notes who came into the register in a block, and who left it.
    fn change_register(&mut self, height: Height, changes: Vec<(PublicKey, bool)>) {
        let Some((_, last)) = self.registers.last_key_value() else { return };
        let mut register = last.clone();
        for (node, comes) in changes {
            if comes {
                register.insert(node);
            } else {
                register.remove(&node);
            }
        }
        if register != *last {
            self.registers.insert(height, register);
        }
    }

    /// A block that was decided in round `decided` was made in that round or one before.
    fn check_turn(&self, block: &BlockView, table: &RoleTable, decided: Round) -> Result<()> {
        let alive = self.block(block.height.back(1)).and_then(|before| {
            let bits = &before.record.record.alive;
            // Record k is about the nodes registered after block k - 2, in the order of their keys.
            let (_, register) = self.registers.range(..=before.height.back(2)).next_back()?;
            let alive = register.iter().enumerate().filter(|(place, _)| bits.get(*place));
            (!bits.is_empty()).then(|| alive.map(|(_, key)| *key).collect())
        });
        let turn = |round| proposer(table, alive.as_ref(), block.height, Round(round)).holder;
        ensure!(
            (0..=decided.0).any(|round| turn(round).address() == block.proposer),
            "block {} was made by {}, whose turn it was in no round up to {decided}",
            block.height,
            block.proposer
        );
        Ok(())
    }

    /// The block at a height.
    #[must_use]
    pub fn block(&self, height: Height) -> Option<&BlockView> {
        self.blocks.get(usize::try_from(height.0.checked_sub(1)?).ok()?)
    }

    /// The role table of a height.
    #[must_use]
    pub fn table(&self, height: Height) -> Option<&RoleTable> {
        self.tables.get(&self.block(height)?.validators_hash)
    }

    /// Heights at which each transaction stands.
    #[must_use]
    pub fn transactions(&self) -> HashMap<TxHash, Vec<Height>> {
        let mut found: HashMap<TxHash, Vec<Height>> = HashMap::new();
        for block in &self.blocks {
            for tx in &block.txs {
                found.entry(*tx).or_default().push(block.height);
            }
        }
        found
    }

    /// Checks that each transaction with a receipt stands in the chain exactly once, at the
    /// height that its receipt named, and succeeded.
    ///
    /// # Errors
    /// For the first of which that is not so.
    pub fn has_each_once(&self, receipts: &HashMap<TxHash, Height>) -> Result<()> {
        let succeeded = receipts.iter().map(|(tx, height)| (*tx, (*height, 0)));
        self.has_each_receipt_once(&succeeded.collect())
    }

    /// Checks that each transaction with a receipt stands in the chain exactly once, at the height
    /// and with the result code that its receipt named.
    ///
    /// # Errors
    /// For the first of which that is not so.
    pub fn has_each_receipt_once(&self, receipts: &HashMap<TxHash, (Height, u32)>) -> Result<()> {
        let found = self.transactions();
        for (tx, (height, code)) in receipts {
            match found.get(tx).map(Vec::as_slice) {
                Some([at]) if at == height => {}
                Some([at]) => bail!("{tx} stands at height {at}, its receipt said {height}"),
                Some(at) => bail!("{tx} stands {} times, at heights {at:?}", at.len()),
                None => bail!("{tx} had a receipt of height {height} and is not in the chain"),
            }
            let got = self.failed.get(tx).copied().unwrap_or(0);
            ensure!(got == *code, "{tx} at height {height} ended with code {got}, not {code}");
        }
        Ok(())
    }

    /// Checks that a node has the same blocks, and the same states after them: at each height the
    /// header that this chain has.
    ///
    /// # Errors
    /// When it has another, or does not answer.
    pub async fn is_that_of(&self, rpc: &Rpc) -> Result<()> {
        for blocks in self.blocks.chunks(MAX_HEADERS) {
            let headers = rpc.headers(blocks[0].height, blocks.len()).await?;
            for (block, header) in blocks.iter().zip(headers) {
                same_header(block, &header).with_context(|| {
                    format!("block {} as {} tells it", block.height, rpc.name())
                })?;
            }
        }
        Ok(())
    }

    /// Certificates that a key's signature stands in, within heights `from` to `to`.
    #[must_use]
    pub fn signed_by(&self, key: &PublicKey, from: Height, to: Height) -> Vec<Height> {
        let address = key.address();
        let of_range = self.blocks.iter().map(|block| &block.last_commit);
        let of_range = of_range.filter(|commit| (from..=to).contains(&commit.height));
        let signed = of_range
            .filter(|commit| commit.signatures.iter().flatten().any(|sig| sig.address == address));
        signed.map(|commit| commit.height).collect()
    }
}

fn same_header(block: &BlockView, header: &HeaderView) -> Result<()> {
    let state = (block.app_hash, header.app_hash);
    ensure!(state.0 == state.1, "another state commitment: {}, not {}", state.1, state.0);
    ensure!(block.id == header.id, "another block: {}, not {}", header.id, block.id);
    Ok(())
}

/// Checks that no seat has two signers at a height: among certificates from whatever source, those
/// of one height hold signatures of one node of each organisation at most. What the role table says
/// is not looked at.
///
/// # Errors
/// When one has two, or a stranger has signed.
pub fn one_signer_a_seat<'a>(
    layout: &Layout,
    certificates: impl IntoIterator<Item = &'a Commit>,
) -> Result<()> {
    let nodes: HashMap<Address, &Node> =
        layout.nodes.iter().map(|node| (node.key.address(), node)).collect();
    let mut signers: HashMap<(Height, &OrgName), &Node> = HashMap::new();
    for commit in certificates {
        let height = commit.height;
        for signature in commit.signatures.iter().flatten() {
            let address = signature.address;
            let signer = nodes.get(&address);
            let signer = *signer.with_context(|| format!("{address} signed at height {height}"))?;
            let first = *signers.entry((height, &signer.org)).or_insert(signer);
            ensure!(
                first.key == signer.key,
                "{} and {} both signed at height {height}",
                first.name,
                signer.name
            );
        }
    }
    Ok(())
}

/// Waits until all of `nodes` have the same newest height's block and state, and returns it.
///
/// What is compared at height h is the id of block h + 1: it covers the chain up to h and the
/// state commitment after h, which each node has computed for itself before it committed h + 1.
///
/// # Errors
/// When two nodes differ, or they do not come to a common height within `deadline`.
pub async fn same_state(network: &Network, nodes: &[String], deadline: Duration) -> Result<Height> {
    let mut tip = Height::ZERO;
    for name in nodes {
        // A node may be stopped for good; that shows below.
        tip = tip.max(network.rpc(name).height().await.with_context(|| name.clone())?);
    }
    let height = tip.next();
    let mut first: Option<(&String, BlockView)> = None;
    for name in nodes {
        let rpc = network.rpc(name);
        let what = format!("{name} reaches height {height}");
        let block = until(&what, deadline, || async { rpc.block(height).await }).await?;
        match &first {
            None => first = Some((name, block)),
            Some((other, expected)) => ensure!(
                expected.id == block.id && expected.app_hash == block.app_hash,
                "{name} and {other} differ at height {height}: {} and {}, state {} and {}",
                block.id,
                expected.id,
                block.app_hash,
                expected.app_hash
            ),
        }
    }
    Ok(tip)
}
