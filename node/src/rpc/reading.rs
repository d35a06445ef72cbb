//! Who may read what, where `rpc.reading` is limited.
//!
//! A request shows as whom it reads by a permit ([`tandem_chain::permit`]) in its header
//! `Authorization: Tandem-Permit HEX`; the request that a permit names is the body of a POST, or path and
//! query of a GET, also of one that opens a WebSocket. What that key may read the ledger says, anew for each call. Each method says what
//! it [`Needs`]; records, and transactions of one's own, are asked for in the methods themselves.
//! `docs/rights.md` has the table, and a test executes it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use tandem_chain::Error as ChainError;
use tandem_chain::keys::{PublicKey, Strict};
use tandem_chain::ledger::may_send;
use tandem_chain::modules::rights::{self, Range, Reach};
use tandem_chain::permit::{Part, Permit, Shown};
use tandem_chain::store::Store;
use tandem_chain::types::{DataSetName, Hash, Timestamp};
use tokio::sync::OnceCell;

use super::error::RpcError;
use super::methods::Method;
use super::state::RpcState;
use crate::config::Reading;
use crate::run::wall_clock;

/// The scheme in the header `Authorization`.
pub const SCHEME: &str = "Tandem-Permit";

/// What a method needs where reading is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: what must be known to send a transaction, to make a permit or to watch a node.
    Nothing,
    /// A key of a member: what the chain is. Of records and transactions the method asks more.
    Member,
    /// A key that reads whole blocks here, with every record that was ever written, or hashes of them.
    Blocks,
}

/// As whom a request reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As whoever is at this node: reading is open.
    Anyone,
    /// As nobody: the method tells everyone the same.
    Nobody,
    /// As a key of a member.
    Key {
        /// The key.
        key: PublicKey,
        /// The records that its permit is for alone; none for all that it may read.
        only: Option<Part>,
    },
}

/// A request with what it shows of who asks. The permit is checked when the first method needs it.
pub struct Asking {
    /// The permit, or why there is none.
    permit: Result<Permit, String>,
    /// What a permit for this request alone names.
    request: Bytes,
    checked: OnceCell<Result<Checked, RpcError>>,
}

/// What a good permit says.
#[derive(Clone)]
struct Checked {
    key: PublicKey,
    only: Option<Part>,
    ends: Timestamp,
}

impl Asking {
    /// From a request's headers, and its body or its path and query.
    #[must_use]
    pub fn new(headers: &HeaderMap, request: Bytes) -> Self {
        Self { permit: shown(headers), request, checked: OnceCell::new() }
    }

    /// As whom a method is called.
    ///
    /// # Errors
    /// When the method needs a permit and there is none that is good, or not of such a key.
    pub async fn reader(
        &self,
        state: &Arc<RpcState>,
        method: &'static Method,
    ) -> Result<Reader, RpcError> {
        self.reader_at(state, method, wall_clock()).await
    }

    /// As [`Asking::reader`], at this time.
    pub(super) async fn reader_at(
        &self,
        state: &Arc<RpcState>,
        method: &'static Method,
        now: Timestamp,
    ) -> Result<Reader, RpcError> {
        if state.config.rpc.reading == Reading::Open {
            return Ok(Reader::Anyone);
        }
        if method.needs == Needs::Nothing {
            return Ok(Reader::Nobody);
        }
        let Checked { key, only, ends } = self.checked(state, now).await?;
        // A request is over in time; a WebSocket asks as long as it lasts.
        if ends <= now {
            return Err(refused(&ChainError::PermitEnded { ends, now }));
        }
        let admit = move |state: &RpcState| {
            let snapshot = state.db.snapshot();
            may_send(&snapshot, &key).map_err(not_allowed)?;
            let reader = Reader::Key { key, only };
            if method.needs == Needs::Blocks && !reader.reads_blocks(state, &snapshot)? {
                return Err(no_blocks(state, method.name, &key));
            }
            Ok(reader)
        };
        state.read(admit).await
    }

    async fn checked(&self, state: &Arc<RpcState>, now: Timestamp) -> Result<Checked, RpcError> {
        let check = async || {
            let permit = self.permit.clone().map_err(|reason| {
                RpcError::permit_needed(format!(
                    "reading is limited at this node, and {reason}: send `Authorization: {SCHEME} HEX` \
                     with what `tandem permit make` prints"
                ))
            })?;
            let request = self.request.clone();
            state.read(move |state| check(state, &permit, &request, now)).await
        };
        self.checked.get_or_init(check).await.clone()
    }
}

/// The permit in a request's headers.
fn shown(headers: &HeaderMap) -> Result<Permit, String> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err("the request shows no permit".to_owned()),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err("the request has two headers Authorization".to_owned()),
    };
    // Whatever else stands there is not told: it may be a secret for another service.
    let text = value.to_str().unwrap_or_default();
    let (scheme, permit) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err("the request's header Authorization is of another scheme".to_owned());
    }
    permit.trim().parse().map_err(|error: ChainError| format!("the permit is none ({error})"))
}

/// As whom a permit reads here and now.
fn check(
    state: &RpcState,
    permit: &Permit,
    request: &[u8],
    now: Timestamp,
) -> Result<Checked, RpcError> {
    let named = permit.body.request;
    let request = named.map_or(Hash::EMPTY, |_| Hash::of(request));
    let shown =
        Shown { chain_id: &state.genesis.chain_id, node: &state.me, request: &request, now };
    match permit.check(&Strict, &shown) {
        Ok(key) => Ok(Checked { key, only: permit.body.only.clone(), ends: permit.body.ends }),
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &ChainError) -> RpcError {
    RpcError::permit_needed(format!("the permit is refused: {error}"))
}

/// An error of the ledger about a key that asks.
fn not_allowed(error: ChainError) -> RpcError {
    match error {
        ChainError::Storage { .. } | ChainError::Damaged { .. } => error.into(),
        other => RpcError::not_permitted(other.to_string()),
    }
}

/// The error for a key that may not read whole blocks.
fn no_blocks(state: &RpcState, what: &str, key: &PublicKey) -> RpcError {
    let tip = state.tip();
    let whose = tip.register.nodes.get(&state.me).map(|node| node.org.to_string());
    let whose = whose.unwrap_or_else(|| "this node's organisation, which is not registered".into());
    RpcError::not_permitted(format!(
        "{what} shows every record that a block wrote, or hashes of them, to the admin key, nodes, admins and auditors of \
         {whose} alone, by a permit for everything; key {key} reads it not here"
    ))
}

impl Reader {
    /// Whether it may read whole blocks, transactions and their results at this node.
    ///
    /// # Errors
    /// Those of the store; when the key is a member's no more.
    pub fn reads_blocks(&self, state: &RpcState, store: &dyn Store) -> Result<bool, RpcError> {
        match self {
            Self::Anyone => Ok(true),
            Self::Nobody | Self::Key { only: Some(_), .. } => Ok(false),
            Self::Key { key, only: None } => {
                let tip = state.tip();
                let Some(node) = tip.register.nodes.get(&state.me) else { return Ok(false) };
                rights::may_read_blocks(store, key, &node.org).map_err(not_allowed)
            }
        }
    }

    /// Refuses who may neither read whole blocks here nor has sent a transaction itself.
    ///
    /// # Errors
    /// As [`Reader::reads_blocks`], and that.
    pub fn must_read_tx(
        &self,
        state: &RpcState,
        store: &dyn Store,
        sender: Option<&PublicKey>,
    ) -> Result<(), RpcError> {
        match self {
            Self::Key { key, only: None } if sender == Some(key) => Ok(()),
            _ if self.reads_blocks(state, store)? => Ok(()),
            Self::Key { key, .. } => Err(no_blocks(state, "tx of another's transaction", key)),
            Self::Anyone | Self::Nobody => Err(RpcError::permit_needed("tx needs a permit")),
        }
    }

    /// The records of a data set that it may read; all of one that is not there, of which there is
    /// nothing to be read.
    ///
    /// # Errors
    /// As [`Reader::reads_blocks`].
    pub fn reach(&self, store: &dyn Store, data_set: &DataSetName) -> Result<Reach, RpcError> {
        let everything = || Reach::new(vec![Range::all()]);
        let (key, only) = match self {
            Self::Anyone => return Ok(everything()),
            Self::Nobody => return Ok(Reach::default()),
            Self::Key { key, only } => (key, only),
        };
        let reach = match rights::reach(store, key, data_set) {
            Err(ChainError::NotFound { .. }) => return Ok(everything()),
            found => found.map_err(not_allowed)?,
        };
        Ok(match only {
            None => reach,
            Some(part) if part.data_set == *data_set => reach.within(&part.range),
            Some(_) => Reach::default(),
        })
    }

    /// The error for records that it may not read.
    #[must_use]
    pub fn no_records(&self, what: &str) -> RpcError {
        match self {
            Self::Key { only: Some(Part { data_set, range }), .. } => {
                RpcError::not_permitted(format!(
                    "{what}: nothing is granted there to the permit's key, or the permit is not for it: it \
                     is for {range} in {data_set} alone"
                ))
            }
            Self::Key { key, only: None } => RpcError::not_permitted(format!(
                "{what}: nothing is granted there to key {key}; an admin of the data set's owner grants \
                 it (`tandem tx right grant`)"
            )),
            Self::Anyone | Self::Nobody => {
                RpcError::permit_needed(format!("{what}: needs a permit"))
            }
        }
    }
}
