//! Blocks from a file into a home: a catch-up without peers.
//!
//! Each block is checked as one that a peer sent: its certificate by the role table that the chain has
//! reached, every signature of consensus in it, and that it follows from the block before; then it is
//! executed and stored as the node does it. An import that was interrupted goes on behind the last
//! block that it has stored.
//!
//! Nothing is signed here, and nothing that was signed is forgotten. A home whose key has a signing
//! record is refused. A key that held a seat at a height of the file, or holds one at the next two, may
//! have signed there, wherever that was: its guard file says from then on that it was restored, so that
//! the node, when it starts, signs nothing before the others have told how far the chain is.

use std::io::BufRead;
use std::sync::Arc;

use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Ledger;
use tandem_chain::tip::Tip;
use tandem_chain::types::{Hash, Height};
use tandem_consensus::validate::{self, Fixed};
use tandem_consensus::verify::{Fault, Keys, certified_block};

use super::blocks::BlockLine;
use super::lines::{Header, Kind, LineError, LineFault, LineReader};
use crate::backup;
use crate::config::Config;
use crate::driver::{self, Memo};
use crate::home::{GuardFile, GuardState, Home};
use crate::run::{NodeError, load_genesis};
use crate::storage::Database;

/// Why an import ended before the end of its file. Blocks that were imported before stay.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The home or its database.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A line of the file.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The node of the home has signed votes.
    #[error(
        "the key of this home has signed votes, as far as height {last}: blocks are imported into \
         the home of a node that has not; this one fetches what it lacks when it is started"
    )]
    Signed {
        /// The height of the newest.
        last: Height,
    },
}

impl From<tandem_chain::Error> for ImportError {
    fn from(error: tandem_chain::Error) -> Self {
        Self::Node(error.into())
    }
}

/// What an import has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Blocks that were there already, and are those of the file.
    pub known: u64,
    /// Blocks that were added.
    pub added: u64,
    /// The height of the home's newest block.
    pub height: Height,
    /// Its state commitment.
    pub app_hash: Hash,
    /// Whether the home's key held a seat at a height that was added, or holds one at the next two, and
    /// counts as lost now.
    pub key_is_lost: bool,
}

/// Imports the blocks of a file into a home, whose node does not run. `tell` is given the height of
/// each block that was added.
///
/// # Errors
/// [`ImportError`].
pub fn import(
    home: &Home,
    input: impl BufRead,
    mut tell: impl FnMut(Height),
) -> Result<Imported, ImportError> {
    let config = Config::load(&home.config_path()).map_err(NodeError::from)?;
    let genesis = load_genesis(home, None)?.0;
    let me = home.node_public_key().map_err(NodeError::from)?;
    let mut lines = LineReader::begin(input)?;
    check_header(lines.header(), &genesis.chain_id, genesis.hash())
        .map_err(|reason| lines.fault(LineFault::Content(reason)))?;
    backup::finish(home).map_err(NodeError::from)?;
    let storage = home.storage(&config).map_err(NodeError::from)?;
    let db =
        Database::open(&home.data_path(), genesis.hash(), &storage).map_err(NodeError::from)?;
    home.check_key_is_here().map_err(NodeError::from)?;
    db.initialise(&Ledger::<Database>::genesis(&genesis))?;
    if let Some(durable) = driver::load_durable(&db)? {
        let votes = durable.journal.votes.iter().map(|vote| vote.height).max();
        let last = durable.journal.guard.last().map(|place| place.height);
        if let Some(last) = last.max(votes) {
            return Err(ImportError::Signed { last });
        }
    }
    let ledger = Ledger::open(db.clone(), &genesis)?;
    let fixed = Fixed::of(ledger.tip());
    let (expected, memo) = (lines.header().from, Memo::default());
    let mut work = Import { home, me, db, ledger, fixed, memo, expected, key_is_lost: false };
    let (mut known, mut added) = (0, 0);
    while let Some(line) = lines.take::<BlockLine>()? {
        let fault = |fault: Wrong| match fault {
            Wrong::Line(fault) => ImportError::Line(lines.fault(fault)),
            Wrong::Node(error) => ImportError::Node(error),
        };
        if work.take(&line).map_err(fault)? {
            added += 1;
            tell(line.height);
        } else {
            known += 1;
        }
    }
    let Header { to, .. } = lines.header();
    if work.expected != to.next() {
        let reason =
            format!("the last block is {}, the first line says {to}", work.expected.back(1));
        return Err(lines.fault(LineFault::Content(reason)).into());
    }
    work.db.sync()?;
    let tip = work.ledger.tip();
    Ok(Imported {
        known,
        added,
        height: tip.height,
        app_hash: tip.app_hash,
        key_is_lost: work.key_is_lost,
    })
}

fn check_header(
    header: &Header,
    chain_id: &tandem_chain::types::ChainId,
    genesis: Hash,
) -> Result<(), String> {
    if header.tandem_export != Kind::Blocks {
        return Err("the file holds records; only blocks can be imported, since a record is what \
                    its transactions made of it"
            .to_owned());
    }
    if (&header.chain_id, header.genesis) != (chain_id, genesis) {
        return Err(format!(
            "the file is of chain {} with genesis {}, this home is of {chain_id} with {genesis}: use \
             another home, or the genesis file that belongs to the file",
            header.chain_id, header.genesis
        ));
    }
    if header.from == Height::ZERO || header.from > header.to || header.to.0 == u64::MAX {
        return Err(format!("there are no heights {} to {}", header.from, header.to));
    }
    Ok(())
}

/// What is wrong with a block: of the file, or of the home.
enum Wrong {
    Line(LineFault),
    Node(NodeError),
}

impl From<LineFault> for Wrong {
    fn from(fault: LineFault) -> Self {
        Self::Line(fault)
    }
}

/// The store's own faults are no fault of the file.
impl From<tandem_chain::Error> for Wrong {
    fn from(error: tandem_chain::Error) -> Self {
        if error.is_of_store() {
            Self::Node(error.into())
        } else {
            Self::Line(LineFault::Content(error.to_string()))
        }
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self::Line(LineFault::Content(fault.to_string()))
    }
}

/// An import under way.
struct Import<'a> {
    home: &'a Home,
    me: PublicKey,
    db: Database,
    ledger: Ledger<Database>,
    fixed: Fixed,
    memo: Memo,
    /// The height of the next line.
    expected: Height,
    key_is_lost: bool,
}

impl Import<'_> {
    /// Takes in the block of a line; whether it was not there already.
    fn take(&mut self, line: &BlockLine) -> Result<bool, Wrong> {
        let content = |reason: String| Wrong::Line(LineFault::Content(reason));
        let certified = line.check()?;
        let (height, tip) = (line.height, Arc::clone(self.ledger.tip()));
        if height != self.expected {
            return Err(content(format!("height {height} stands where {} belongs", self.expected)));
        }
        self.expected = height.next();
        if height <= tip.height {
            let stored = self.db.block(height)?.ok_or_else(|| tandem_chain::Error::Damaged {
                what: "block",
                reason: format!("block {height} is missing"),
            })?;
            if stored.block != certified.block {
                return Err(content(format!("this home has another block at height {height}")));
            }
            return Ok(false);
        }
        if height != tip.height.next() {
            return Err(content(format!(
                "the file begins at height {height}, this home has blocks up to {}: import one that \
                 begins at {} or before",
                tip.height,
                tip.height.next()
            )));
        }
        validate::check_certificate(&tip, &certified.certificate)?;
        certified_block(&self.memo, &Keys::of(&tip), &tip.next_table, &certified)?;
        validate::check(&tip, &self.fixed, &certified.block)?;
        self.ledger.check(&certified.block)?;
        self.lose_seated_key(&tip)?;
        let committed = driver::commit(&mut self.ledger, &self.db, &Arc::new(certified))?;
        self.fixed = self.fixed.next(&tip, &committed.tip);
        self.lose_seated_key(&committed.tip)?;
        Ok(true)
    }

    /// A key that holds a seat at one of the two heights behind a tip may have signed there elsewhere: the
    /// next start takes it for lost. That is written before the first block with which it could be taken
    /// for a good one.
    fn lose_seated_key(&mut self, tip: &Tip) -> Result<(), Wrong> {
        let mut tables = [&tip.next_table, &tip.next_next_table].into_iter();
        if !self.key_is_lost && tables.any(|table| table.by_key(&self.me).is_some()) {
            let guard = GuardFile { public_key: self.me, state: GuardState::Restored };
            let written = guard.store(&self.home.guard_path());
            written.map_err(|error| Wrong::Node(error.into()))?;
            self.key_is_lost = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
