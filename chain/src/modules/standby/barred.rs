//! What evidence does to seats: a barred key loses every role.

use crate::error::Error;
use crate::evidence::Evidence;
use crate::keys::PublicKey;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::modules::consortium::{self, Barred};
use crate::modules::standby::state::{move_seat, read_seats, table, write_seats};
use crate::modules::standby::vacant::{changed, take_seat};
use crate::modules::standby::{Reason, Seats};
use crate::types::OrgName;

/// The first part of a block: bars the keys that evidence is about, and gives every seat without a
/// good holder to a partner that is alive, or leaves it out; never the last seat.
///
/// A barred holder still holds its seat in table(k+1), so it stays registered for a block, that
/// the others may still reach it: with few seats the chain would stop without its vote.
pub(crate) fn settle(ctx: &mut Context, evidence: &[Evidence]) -> Result<(), Error> {
    let before = read_seats(&mut ctx.state)?;
    let mut seats = before.clone();
    let mut gone = Vec::new();
    for (name, seat) in &mut seats {
        if let Some(key) = seat.leaving.take_if(|key| ctx.table_after().by_key(key).is_none())
            && consortium::unregister(&mut ctx.state, name, &key)?
        {
            gone.push(name.clone());
        }
    }
    for name in gone {
        take_seat(&mut ctx.state, &mut seats, &name);
    }
    for evidence in evidence {
        let voters = table(ctx.state.store(), evidence.height())?.unwrap_or_default();
        if let Some((_, voter)) = voters.by_key(&evidence.key) {
            bar(ctx, &mut seats, &voter.org, &evidence.key)?;
        }
    }
    fill(ctx, &mut seats)?;
    if seats != before {
        write_seats(&mut ctx.state, &seats);
    }
    Ok(())
}

/// Bars a key that signed twice for the seat of `voted_for`, and takes it out of the seat or pair
/// that it is in now, which may be another organisation's.
fn bar(
    ctx: &mut Context,
    seats: &mut Seats,
    voted_for: &OrgName,
    key: &PublicKey,
) -> Result<(), Error> {
    let Barred { org, was_pair } = consortium::bar(&mut ctx.state, voted_for, key)?;
    let attributes = [("org", org.to_string()), ("node", key.to_string())];
    ctx.events.push(Event::new("key_barred", attributes));
    // It may have been of an organisation that was removed since.
    let Some(seat) = seats.get_mut(&org) else { return Ok(()) };
    if seat.holder == Some(*key) {
        seat.barred = true;
        return Ok(());
    }
    if was_pair {
        changed(ctx, seat);
    }
    consortium::unregister(&mut ctx.state, &org, key)?;
    Ok(())
}

fn fill(ctx: &mut Context, seats: &mut Seats) -> Result<(), Error> {
    let mut filled = seats.values().filter(|seat| seat.holder.is_some()).count();
    for (name, seat) in seats {
        if seat.closed || (seat.holder.is_some() && !seat.barred) {
            continue;
        }
        let pair = consortium::pair(&mut ctx.state, name)?;
        let partner = pair.into_iter().find(|key| ctx.is_alive(key));
        if partner.is_some() {
            filled += usize::from(seat.holder.is_none());
            move_seat(ctx, name, seat, partner, seat.vacant.unwrap_or(Reason::Barred))?;
        } else if seat.holder.is_some() && filled > 1 {
            filled -= 1;
            move_seat(ctx, name, seat, None, Reason::Barred)?;
        }
    }
    Ok(())
}
