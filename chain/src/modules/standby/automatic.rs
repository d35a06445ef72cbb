//! Automatic switches: the rule, applied to every seat at the end of a block.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::context::Context;
use crate::modules::standby::state::{move_seat, read_seats, write_seats};
use crate::modules::standby::{Reason, Step};
use crate::roles::Register;
use crate::types::OrgName;

/// Advances the run of every seat and switches those whose run is long enough. `register` is that
/// after the block's transactions.
pub(crate) fn switch_automatically(ctx: &mut Context, register: &Register) -> Result<(), Error> {
    let mut pairs: BTreeMap<&OrgName, Vec<PublicKey>> = BTreeMap::new();
    for (key, node) in register.nodes.iter().filter(|(_, node)| node.pair) {
        pairs.entry(&node.org).or_default().push(*key);
    }
    let parameters = &ctx.tip.parameters;
    let table = ctx.table_after();
    let (f, failover_blocks, failover_min) =
        (table.f(), parameters.failover_blocks(table), parameters.failover_min(table));
    let interval = ctx.time.since(ctx.tip.time);
    let mut seats = read_seats(&mut ctx.state)?;
    let mut is_changed = false;
    for (name, seat) in &mut seats {
        // A seat that is left out in table(k+1), or from k+2 on, has no run.
        let in_table = table.seats().get(name);
        let holder = in_table.map(|seat| seat.holder);
        let partner = pairs.get(name).into_iter().flatten().find(|key| Some(**key) != holder);
        let step = Step {
            height: ctx.height,
            effective: seat.effective,
            holder_is_dead: ctx.alive.is_some() && holder.is_some_and(|key| !ctx.is_alive(&key)),
            partner_is_alive: partner.is_some_and(|key| ctx.is_alive(key)),
            power: in_table.map(|seat| seat.power).unwrap_or_default(),
            f,
            interval,
            idle_block_interval: parameters.idle_block_interval(),
            failover_blocks,
            failover_min,
        };
        let (run, switches) = seat.run.step(&step);
        is_changed |= run != seat.run || switches;
        seat.run = run;
        if switches {
            move_seat(ctx, name, seat, partner.copied(), Reason::Automatic)?;
        }
    }
    if is_changed {
        write_seats(&mut ctx.state, &seats);
    }
    Ok(())
}
