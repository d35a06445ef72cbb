//! Planned switches, and what changes of a pair do to its seat.

use crate::codec;
use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::context::Context;
use crate::modules::Sender;
use crate::modules::consortium;
use crate::modules::standby::state::{known, move_seat, read_seats, write_seats};
use crate::modules::standby::vacant::{changed, may_take};
use crate::modules::standby::{Call, Reason, SeatState};
use crate::types::{Height, OrgName};

/// Executes a call. Its data is the height from which the switch is in effect.
pub(crate) fn execute(ctx: &mut Context, sender: &Sender, call: &Call) -> Result<Vec<u8>, Error> {
    let Call::Switch { seat: name, target, term } = call;
    let mut seats = read_seats(&mut ctx.state)?;
    let Some(seat) = seats.get_mut(name) else {
        return Err(Error::NotFound { what: "seat", name: name.to_string() });
    };
    let holder = ctx.table_after().seats().get(name).map(|seat| seat.holder);
    let is_own = sender.runs_nodes() && sender.org == *name;
    if !is_own && holder != Some(sender.key) {
        let needed = "the seat's admin key, an operator of its organisation, or its holder";
        return Err(Error::NotAllowed { sender: sender.key, needed });
    }
    must_be_first_change(ctx, seat)?;
    if *term != seat.term {
        return Err(Error::Term { expected: *term, got: seat.term });
    }
    let refuse = |reason| Err(Error::NoSwitch { reason });
    if seat.holder.is_none() {
        return refuse("the seat is left out: it is filled when its partner is alive or named");
    }
    if seat.holder == Some(*target) {
        return refuse("the target holds the seat already");
    }
    if !consortium::pair(&mut ctx.state, name)?.contains(target) {
        return refuse("the target is not of the seat's pair");
    }
    if !ctx.is_alive(target) {
        return refuse("the target is not alive in this block's record");
    }
    move_seat(ctx, name, seat, Some(*target), Reason::Planned)?;
    let effective = seat.effective;
    write_seats(&mut ctx.state, &seats);
    Ok(codec::encode(&effective))
}

/// Refuses a second change of a seat in one block.
pub(super) fn must_be_first_change(ctx: &Context, seat: &SeatState) -> Result<(), Error> {
    if seat.effective == ctx.effective() {
        return Err(Error::NoSwitch { reason: "the seat has changed in this block already" });
    }
    Ok(())
}

/// What a change of a seat's pair does to it: its window starts anew, and where it has no good
/// holder, the node that was named takes it; the seat of an organisation that has joined or was
/// restored waits where that could stop the chain. The height from which that is in effect.
pub(crate) fn pair_changed(
    ctx: &mut Context,
    name: &OrgName,
    named: Option<&PublicKey>,
) -> Result<Height, Error> {
    let mut seats = read_seats(&mut ctx.state)?;
    let vacant = known(&mut seats, name)?.vacant;
    let waits = match (vacant, named) {
        (Some(Reason::Membership), Some(node)) => !may_take(ctx, &seats, name, node)?,
        _ => false,
    };
    let seat = known(&mut seats, name)?;
    must_be_first_change(ctx, seat)?;
    if named.is_some() && !waits && (seat.holder.is_none() || seat.barred) {
        move_seat(ctx, name, seat, named.copied(), vacant.unwrap_or(Reason::Barred))?;
    } else {
        changed(ctx, seat);
    }
    write_seats(&mut ctx.state, &seats);
    Ok(ctx.effective())
}

/// The holder of an organisation's seat in table(k+2) as it is so far.
pub(crate) fn holder(ctx: &mut Context, name: &OrgName) -> Result<Option<PublicKey>, Error> {
    Ok(known(&mut read_seats(&mut ctx.state)?, name)?.holder)
}

/// Whether a node holds its organisation's seat in table(k+1), or in table(k+2) as it is so far.
pub(crate) fn is_holder(
    ctx: &mut Context,
    name: &OrgName,
    node: &PublicKey,
) -> Result<bool, Error> {
    let in_next = ctx.table_after().by_key(node).is_some();
    Ok(in_next || holder(ctx, name)? == Some(*node))
}
