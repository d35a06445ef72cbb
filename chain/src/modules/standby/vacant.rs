//! Seats without a holder for another reason than evidence: of organisations that have just joined,
//! are suspended or were removed.

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::context::Context;
use crate::ledger::state::{State, key_of};
use crate::modules::consortium;
use crate::modules::standby::calls::must_be_first_change;
use crate::modules::standby::state::{known, move_seat, read_seats, write_seats};
use crate::modules::standby::{Reason, Run, SeatState, Seats};
use crate::types::{OrgName, Term};

/// Prefix of the terms of seats whose organisation was removed: if its name is used again, the
/// seat's term goes on from there, as a fencing token must.
const PAST_TERM: &str = "standby/past_term/";

fn past_term_key(name: &OrgName) -> Vec<u8> {
    key_of(PAST_TERM, name.as_str().as_bytes())
}

/// A seat for a new organisation, left out until a node is named for it.
pub(crate) fn open_seat(ctx: &mut Context, name: &OrgName) -> Result<(), Error> {
    let term: Option<Term> = ctx.state.read("past term", &past_term_key(name))?;
    if term.is_some() {
        ctx.state.delete(past_term_key(name));
    }
    let mut seats = read_seats(&mut ctx.state)?;
    let seat = SeatState {
        vacant: Some(Reason::Membership),
        term: term.unwrap_or_default(),
        effective: ctx.effective(),
        ..SeatState::default()
    };
    seats.insert(name.clone(), seat);
    write_seats(&mut ctx.state, &seats);
    Ok(())
}

/// Leaves a seat out until it is opened again: that others are filled has been seen on paper. Gives
/// the holder of the next height, which still signs for it.
///
/// Whatever became of the seat before in this block: else its organisation could keep others from
/// closing it by a switch in each.
pub(crate) fn close_seat(ctx: &mut Context, name: &OrgName) -> Result<Option<PublicKey>, Error> {
    let mut seats = read_seats(&mut ctx.state)?;
    let seat = known(&mut seats, name)?;
    let last = ctx.table_after().seats().get(name).map(|seat| seat.holder);
    if seat.holder.is_some() {
        move_seat(ctx, name, seat, None, Reason::Membership)?;
    } else {
        changed(ctx, seat);
    }
    (seat.leaving, seat.closed) = (last, true);
    write_seats(&mut ctx.state, &seats);
    Ok(last)
}

/// Lets a seat be filled again, as soon as a node of its pair is alive.
pub(crate) fn reopen_seat(ctx: &mut Context, name: &OrgName) -> Result<(), Error> {
    let mut seats = read_seats(&mut ctx.state)?;
    let seat = known(&mut seats, name)?;
    must_be_first_change(ctx, seat)?;
    changed(ctx, seat);
    (seat.closed, seat.vacant) = (false, Some(Reason::Membership));
    write_seats(&mut ctx.state, &seats);
    Ok(())
}

/// A seat has another voting power from k+2 on; its window starts anew.
pub(crate) fn power_changed(ctx: &mut Context, name: &OrgName) -> Result<(), Error> {
    let mut seats = read_seats(&mut ctx.state)?;
    changed(ctx, known(&mut seats, name)?);
    write_seats(&mut ctx.state, &seats);
    Ok(())
}

/// Forgets the seat of an organisation that was removed, but for its term.
pub(crate) fn forget_seat(state: &mut State, name: &OrgName) -> Result<(), Error> {
    let mut seats = read_seats(state)?;
    take_seat(state, &mut seats, name);
    write_seats(state, &seats);
    Ok(())
}

pub(super) fn take_seat(state: &mut State, seats: &mut Seats, name: &OrgName) {
    let gone = seats.remove(name);
    if let Some(seat) = gone.filter(|seat| seat.term > Term::ZERO) {
        state.write(past_term_key(name), &seat.term);
    }
}

pub(super) fn changed(ctx: &Context, seat: &mut SeatState) {
    seat.effective = ctx.effective();
    seat.run = Run::default();
}

/// Whether a node that is named for a seat without a holder takes it at once: when it is alive, or
/// those of the other seats that are alive are a quorum though it is not. Where a new seat would
/// stop the chain it waits instead, until its node is alive.
pub(super) fn may_take(
    ctx: &mut Context,
    seats: &Seats,
    name: &OrgName,
    node: &PublicKey,
) -> Result<bool, Error> {
    if ctx.is_alive(node) {
        return Ok(true);
    }
    let mut total = consortium::org(&mut ctx.state, name)?.power.0;
    let mut online = 0;
    for (other, seat) in seats {
        let Some(holder) = seat.holder.filter(|_| other != name) else { continue };
        let power = consortium::org(&mut ctx.state, other)?.power.0;
        total += power;
        online += if ctx.alive.is_none() || ctx.is_alive(&holder) { power } else { 0 };
    }
    Ok(online * 3 > total * 2)
}
