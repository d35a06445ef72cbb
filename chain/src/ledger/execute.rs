//! The work on a block.

use std::sync::Arc;

use crate::block::Block;
use crate::comet;
use crate::error::Error;
use crate::ledger::context::Context;
use crate::ledger::last::{Last, write_previous_register};
use crate::ledger::state::State;
use crate::ledger::{Event, Execution, Receipt, recent};
use crate::modules::{self, consortium, parameters, standby};
use crate::roles::Register;
use crate::store::{Batch, Column, Store};
use crate::tip::Tip;
use crate::tree::{self, Change};
use crate::tx::Tx;
use crate::types::{Hash, Height};

pub(super) fn execute(store: &dyn Store, tip: &Tip, block: &Block) -> Result<Execution, Error> {
    let header = &block.header;
    assert_eq!(header.height, tip.height.next(), "blocks are executed in order");
    let alive = (header.height > Height(1))
        .then(|| block.record.record.alive_nodes(&tip.previous_register));
    let mut ctx = Context {
        state: State::new(store),
        tip,
        height: header.height,
        time: header.time,
        alive,
        events: Vec::new(),
    };

    let mut events = part(&mut ctx, |ctx| standby::settle(ctx, &block.evidence))?.1;
    let mut receipts = vec![Receipt::default()];
    for tx in &block.txs {
        receipts.push(execute_tx(&mut ctx, tx)?);
    }
    let register = register_after(&mut ctx)?;
    events.extend(part(&mut ctx, |ctx| standby::switch_automatically(ctx, &register))?.1);
    let table = part(&mut ctx, standby::finish)?.0;

    let next = Last {
        height: header.height,
        block: Some(header.id()),
        time: header.time,
        results_hash: comet::results_hash(receipts.iter().map(|r| (r.code, r.data.as_slice()))),
        alive: ctx.alive.take(),
    };
    let parameters = if ctx.state.has_changed(b"parameters/") {
        Arc::new(parameters::read(&mut ctx.state)?)
    } else {
        tip.parameters.clone()
    };
    let mut batch = Batch::default();
    recent::remember(&mut ctx.state, block, &mut batch)?;
    next.write(&mut ctx.state);
    keep_previous_register(&mut ctx.state, tip, &register);
    ctx.state.keep();
    let app_hash = write_state(ctx.state, &mut batch)?;

    let tip = Tip {
        chain_id: tip.chain_id.clone(),
        height: next.height,
        block: next.block,
        time: next.time,
        app_hash,
        results_hash: next.results_hash,
        table: tip.next_table.clone(),
        next_table: tip.next_next_table.clone(),
        next_next_table: table.map_or_else(|| tip.next_next_table.clone(), Arc::new),
        previous_register: tip.register.clone(),
        register,
        alive: next.alive.map(Arc::new),
        parameters,
    };
    Ok(Execution { batch, receipts, events, tip: Arc::new(tip) })
}

/// Does one part of a block that is no transaction and cannot fail: its result and events.
fn part<T>(
    ctx: &mut Context,
    work: impl FnOnce(&mut Context) -> Result<T, Error>,
) -> Result<(T, Vec<Event>), Error> {
    let result = work(ctx)?;
    ctx.state.keep();
    Ok((result, std::mem::take(&mut ctx.events)))
}

/// Executes a transaction wholly or not at all.
fn execute_tx(ctx: &mut Context, tx: &Tx) -> Result<Receipt, Error> {
    match modules::execute(ctx, tx.body()) {
        Ok(data) => {
            ctx.state.keep();
            let events = std::mem::take(&mut ctx.events);
            Ok(Receipt { code: 0, data, log: String::new(), events })
        }
        Err(fault) if fault.is_of_store() => Err(fault),
        Err(error) => {
            ctx.state.undo();
            ctx.events.clear();
            Ok(Receipt::failed(&error))
        }
    }
}

/// The register after the block; the one before it when nothing in it changed.
fn register_after(ctx: &mut Context) -> Result<Arc<Register>, Error> {
    let before = &ctx.tip.register;
    if !consortium::may_have_changed_register(&ctx.state) {
        return Ok(before.clone());
    }
    let after = consortium::register(&mut ctx.state)?;
    Ok(if after == **before { before.clone() } else { Arc::new(after) })
}

/// Sees to it that [`super::Ledger::open`] finds the register before `register`.
fn keep_previous_register(state: &mut State, tip: &Tip, register: &Arc<Register>) {
    if !Arc::ptr_eq(register, &tip.register) {
        write_previous_register(state, Some(&tip.register));
    } else if !Arc::ptr_eq(&tip.register, &tip.previous_register) {
        write_previous_register(state, None);
    }
}

/// Adds all changes to the batch and gives the state commitment after them.
pub(super) fn write_state(state: State, batch: &mut Batch) -> Result<Hash, Error> {
    let store = state.store();
    let mut changes = Vec::new();
    for (key, value) in state.into_changes() {
        changes.push(Change::new(&key, value.as_deref()));
        batch.0.push((Column::State, key, value));
    }
    tree::update(store, changes, batch)
}
