//! The ledger's modules: each has its state, calls, queries and events in a folder of its own.
//!
//! A new one adds a variant to [`Call`] and a line to [`execute`]; the others stay as they are.

pub mod consortium;
pub mod parameters;
pub mod records;
pub mod rights;
pub mod standby;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::context::Context;
use crate::modules::consortium::{KeyRole, User, UserRole};
use crate::tx::TxBody;
use crate::types::OrgName;

/// What a transaction does: a call of one module. The order of variants is part of the encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Organisations, nodes, pairs, addresses, users; motions, by which the consortium changes.
    Consortium(consortium::Call),
    /// Planned switches.
    Standby(standby::Call),
    /// Data sets and records.
    Records(records::Call),
    /// Rights on ranges of records.
    Rights(rights::Call),
}

/// Who sends a transaction: a key with a role.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) key: PublicKey,
    pub(crate) org: OrgName,
    pub(crate) role: KeyRole,
    /// What it is as a user; none when its role is another.
    pub(crate) user: Option<User>,
}

impl Sender {
    pub(crate) fn must_be_admin(&self) -> Result<(), Error> {
        if self.role == KeyRole::Admin {
            Ok(())
        } else {
            Err(Error::NotAllowed { sender: self.key, needed: "an organisation's admin key" })
        }
    }

    /// Whether it is a user with a role.
    pub(crate) fn is(&self, role: UserRole) -> bool {
        self.user.is_some_and(|user| user.role == role)
    }

    /// Whether it may move seat and pair between the nodes that its organisation has.
    pub(crate) fn runs_nodes(&self) -> bool {
        self.role == KeyRole::Admin || self.is(UserRole::Operator)
    }

    pub(crate) fn must_run_nodes(&self) -> Result<(), Error> {
        if self.runs_nodes() {
            return Ok(());
        }
        let needed = "an organisation's admin key, or an operator of it,";
        Err(Error::NotAllowed { sender: self.key, needed })
    }
}

/// Executes a transaction's call: what it returns, or why it failed. The changes of a call that
/// failed are the caller's to undo.
pub(crate) fn execute(ctx: &mut Context, body: &TxBody) -> Result<Vec<u8>, Error> {
    let sender = consortium::sender_of(&mut ctx.state, body)?;
    match &body.call {
        Call::Consortium(call) => consortium::execute(ctx, &sender, call),
        Call::Standby(call) => standby::execute(ctx, &sender, call),
        Call::Records(call) => records::execute(ctx, &sender, call),
        Call::Rights(call) => rights::execute(ctx, &sender, call),
    }
}
