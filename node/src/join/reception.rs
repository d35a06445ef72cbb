//! The member's side of a visit: who is received, and what a guest is answered.
//!
//! A guest is told of the chain what it needs to join, and no more: the genesis, the height, and how
//! its own registration stands.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::{MAX_INVITED_TX_BYTES, MAX_TX_BYTES};
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, KeyRole, Standing};
use tandem_chain::tip::Tip;
use tandem_chain::tx::Tx;
use tandem_chain::types::{Hash, OrgName, TxHash};
use tandem_chain::{Error, codec};
use tokio::sync::watch;
use tracing::{debug, error};

use super::wire::{Answer, Executed, Greeting, GuestHello, MAX_CHUNK_BYTES, Question, reason};
use crate::admission::Admission;
use crate::network::limits::{MAX_GUEST_HELLO_BYTES, MAX_GUEST_REQUEST_BYTES};
use crate::network::{Guest, Host, PROTOCOL_VERSION, Welcome};
use crate::storage::Database;

/// Receives guests. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Reception(Arc<Inner>);

struct Inner {
    me: PublicKey,
    genesis_hash: Hash,
    /// Its encoding, of which the hash is.
    genesis: Vec<u8>,
    db: Database,
    tip: watch::Receiver<Arc<Tip>>,
    admission: Admission,
}

impl Reception {
    /// That of the node with key `me`.
    #[must_use]
    pub fn new(
        genesis: &Genesis,
        me: PublicKey,
        db: Database,
        tip: watch::Receiver<Arc<Tip>>,
        admission: Admission,
    ) -> Self {
        let (genesis_hash, genesis) = (genesis.hash(), codec::encode(genesis));
        Self(Arc::new(Inner { me, genesis_hash, genesis, db, tip, admission }))
    }
}

impl Host for Reception {
    fn welcome(&self, visitor: PublicKey, hello: Vec<u8>) -> BoxFuture<'static, Welcome> {
        let inner = Arc::clone(&self.0);
        // It looks into the database and checks signatures.
        let judged = tokio::task::spawn_blocking(move || inner.judge(&visitor, &hello));
        judged.map(|welcome| welcome.unwrap_or(Welcome::Stranger)).boxed()
    }
}

impl Inner {
    fn tip(&self) -> Arc<Tip> {
        self.tip.borrow().clone()
    }

    fn is_registered(&self, node: &PublicKey, org: &OrgName) -> bool {
        let tip = self.tip();
        tip.register.nodes.get(node).is_some_and(|entry| entry.org == *org)
    }

    /// Whether a key is a node's in the database.
    fn has_joined(&self, node: &PublicKey, org: &OrgName) -> bool {
        let found = consortium::key(&self.db, node);
        let found = found.inspect_err(|error| error!(%error, "a key cannot be looked up")).ok();
        found.flatten().is_some_and(|entry| entry.org == *org && entry.role == KeyRole::Node)
    }

    /// Whoever shows no invitation of this chain that its organisation's admin key has signed, or
    /// does not speak for the node that it names, is told nothing.
    fn judge(self: Arc<Self>, visitor: &PublicKey, hello: &[u8]) -> Welcome {
        let decoded = codec::decode_canonical("guest's hello", hello, MAX_GUEST_HELLO_BYTES);
        let hello: GuestHello = match decoded {
            Ok(hello) => hello,
            Err(error) => {
                debug!(%visitor, %error, "a stranger");
                return Welcome::Stranger;
            }
        };
        let is_of_here = hello.protocol == PROTOCOL_VERSION && hello.genesis == self.genesis_hash;
        if !is_of_here || !hello.is_proved(visitor, &self.me) {
            debug!(%visitor, "a stranger of another chain, or without proof of its node's key");
            return Welcome::Stranger;
        }
        let (tip, org) = (self.tip(), hello.invitation.body.org.clone());
        let standing = consortium::standing(&self.db, &tip, &hello.invitation);
        let registered = self.is_registered(&hello.node, &org);
        let refusal = match standing {
            Err(error) if error.is_of_store() => {
                error!(%error, "an invitation cannot be looked up in the database");
                return Welcome::Stranger;
            }
            // No admin key of this chain has signed it.
            Err(
                error @ (Error::OtherChain { .. }
                | Error::NotFound { .. }
                | Error::BadSignature { .. }),
            ) => {
                debug!(%visitor, %error, "a stranger");
                return Welcome::Stranger;
            }
            _ if registered => None,
            Ok(Standing::Open) => None,
            // The database may be a block ahead of the tip that this node tells.
            Ok(Standing::Used { by }) if by == hello.node && self.has_joined(&by, &org) => None,
            Ok(Standing::Used { by }) => Some(Error::InvitationUsed { node: by }),
            Err(error) => Some(error),
        };
        if let Some(error) = refusal {
            let (code, reason) = (error.code(), reason(&error.to_string()));
            return Welcome::Refused(codec::encode(&Greeting::Refused { code, reason }));
        }
        let greeting = codec::encode(&Greeting::Received { height: tip.height, registered });
        Welcome::Guest(greeting, Arc::new(Served { inner: self, hello }))
    }
}

/// A guest that is received.
struct Served {
    inner: Arc<Inner>,
    hello: GuestHello,
}

impl Guest for Served {
    fn node(&self) -> PublicKey {
        self.hello.node
    }

    fn answer(&self, question: Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>> {
        let (inner, hello) = (Arc::clone(&self.inner), self.hello.clone());
        async move {
            let question =
                codec::decode_canonical("question", &question, MAX_GUEST_REQUEST_BYTES).ok()?;
            let answer = match question {
                Question::Genesis { offset } => inner.chunk(offset),
                Question::Register { tx } => inner.register(&hello, tx).await?,
                Question::Standing { tx } => inner.standing(hello, tx).await?,
            };
            Some(codec::encode(&answer))
        }
        .boxed()
    }
}

impl Inner {
    fn chunk(&self, offset: u64) -> Answer {
        let total = self.genesis.len();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(total);
        let end = total.min(start.saturating_add(MAX_CHUNK_BYTES));
        Answer::Genesis { total: total as u64, bytes: self.genesis[start..end].to_vec() }
    }

    /// Takes in the registration that the guest was received for. None for any other transaction.
    async fn register(&self, hello: &GuestHello, bytes: Vec<u8>) -> Option<Answer> {
        if bytes.len() > MAX_INVITED_TX_BYTES.min(MAX_TX_BYTES) {
            return None;
        }
        let tx = Tx::decode(bytes.clone()).ok()?;
        let is_its_own = match &tx.body().call {
            Call::Consortium(consortium::Call::RegisterInvited { invitation, .. }) => {
                *invitation == hello.invitation && tx.body().sender == hello.node
            }
            _ => false,
        };
        if !is_its_own {
            return None;
        }
        Some(match self.admission.submit(bytes).await {
            Ok(_) => Answer::Register { code: 0, reason: String::new() },
            Err(error) => {
                Answer::Register { code: error.code(), reason: reason(&error.to_string()) }
            }
        })
    }

    async fn standing(self: Arc<Self>, hello: GuestHello, tx: TxHash) -> Option<Answer> {
        let look = move || {
            // The height first: when the receipt is not there at a height, it is in no block up to it.
            let height = self.tip().height;
            let registered = self.is_registered(&hello.node, &hello.invitation.body.org);
            let receipt = self.receipt(&hello.node, &tx)?;
            Ok(Answer::Standing { height, registered, receipt })
        };
        let looked: Result<Answer, Error> = tokio::task::spawn_blocking(look).await.ok()?;
        looked
            .inspect_err(|error| error!(%error, "a receipt cannot be read from the database"))
            .ok()
    }

    /// The receipt of the node's own transaction; of any other there is none.
    fn receipt(&self, node: &PublicKey, tx: &TxHash) -> Result<Option<Executed>, Error> {
        let Some((height, index)) = self.db.tx(tx)? else { return Ok(None) };
        let (block, results) = (self.db.block(height)?, self.db.results(height)?);
        let own = block.is_some_and(|block| {
            let of_node = |own: &Tx| own.hash() == *tx && own.body().sender == *node;
            block.block.txs.iter().any(of_node)
        });
        let receipt = results.and_then(|all| all.receipts.into_iter().nth(index as usize));
        Ok(receipt.filter(|_| own).map(|receipt| Executed {
            height,
            code: receipt.code,
            log: reason(&receipt.log),
        }))
    }
}
