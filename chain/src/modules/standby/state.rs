//! What the module keeps in the state.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::genesis::Genesis;
use crate::keys::PublicKey;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::ledger::state::{State, decode, key_of, missing};
use crate::limits::{EVIDENCE_WINDOW, MAX_LIST, MAX_SWITCH_HISTORY};
use crate::modules::consortium;
use crate::modules::standby::{Reason, SeatState, Seats, Switch};
use crate::roles::{RoleTable, Seat};
use crate::store::{Column, Entry, Store};
use crate::types::{Height, OrgName};

const SEATS: &str = "standby/seats";
const TABLE: &str = "standby/table/";
const SWITCH: &str = "standby/switch/";
const SWITCHES: &str = "standby/switches";

pub(crate) fn genesis(state: &mut State, genesis: &Genesis) {
    let table = genesis.role_table();
    let seats: Seats = table
        .seats()
        .iter()
        .map(|(name, seat)| {
            let state =
                SeatState { holder: Some(seat.holder), term: seat.term, ..SeatState::default() };
            (name.clone(), state)
        })
        .collect();
    write_seats(state, &seats);
    state.write(table_key(Height(1)), &table);
}

pub(super) fn read_seats(state: &mut State) -> Result<Seats, Error> {
    state.read("seats", SEATS.as_bytes())?.ok_or_else(|| missing("seats"))
}

/// The seat of an organisation that is known to exist.
pub(super) fn known<'a>(seats: &'a mut Seats, name: &OrgName) -> Result<&'a mut SeatState, Error> {
    seats.get_mut(name).ok_or_else(|| missing("seat of an organisation"))
}

pub(super) fn write_seats(state: &mut State, seats: &Seats) {
    state.write(SEATS.into(), seats);
}

/// Who holds each seat in table(k+2) as it is so far; none where it is left out.
pub(crate) fn holders(state: &mut State) -> Result<BTreeMap<OrgName, Option<PublicKey>>, Error> {
    let seats = read_seats(state)?;
    Ok(seats.into_iter().map(|(name, seat)| (name, seat.holder)).collect())
}

fn table_key(height: Height) -> Vec<u8> {
    key_of(TABLE, &(u64::MAX - height.0).to_be_bytes())
}

/// The newest table at or below `height` and the key that it is stored under.
fn newest_table(store: &dyn Store, height: Height) -> Result<Option<Entry>, Error> {
    let newer = table_key(height.next());
    let found = store.scan(Column::State, TABLE.as_bytes(), Some(&newer), 1)?;
    Ok(found.into_iter().next())
}

/// The role table of a height of the evidence window, or of the two heights after the tip.
pub(super) fn table(store: &dyn Store, height: Height) -> Result<Option<RoleTable>, Error> {
    let found = newest_table(store, height)?;
    found.map(|(_, bytes)| decode("role table", &bytes)).transpose()
}

/// Gives a seat another holder, or none, from k+2 on; writes it down and tells it.
pub(super) fn move_seat(
    ctx: &mut Context,
    name: &OrgName,
    seat: &mut SeatState,
    to: Option<PublicKey>,
    reason: Reason,
) -> Result<(), Error> {
    let from = seat.holder;
    let vacant = to.is_none().then_some(reason);
    let leaving = if seat.barred { from } else { seat.leaving };
    *seat = SeatState {
        holder: to,
        barred: false,
        vacant,
        closed: seat.closed,
        leaving,
        term: seat.term.next(),
        effective: ctx.effective(),
        run: super::Run::default(),
    };
    let switch = Switch {
        height: ctx.height,
        effective: seat.effective,
        seat: name.clone(),
        from,
        to,
        term: seat.term,
        reason,
    };
    ctx.events.push(event(&switch));
    add_to_history(&mut ctx.state, &switch)
}

fn event(switch: &Switch) -> Event {
    let key = |key: Option<PublicKey>| key.map(|key| key.to_string()).unwrap_or_default();
    Event::new(
        "switch",
        [
            ("seat", switch.seat.to_string()),
            ("from", key(switch.from)),
            ("to", key(switch.to)),
            ("term", switch.term.to_string()),
            ("effective_height", switch.effective.to_string()),
            ("reason", switch.reason.to_string()),
        ],
    )
}

fn switch_key(number: u64) -> Vec<u8> {
    key_of(SWITCH, &number.to_be_bytes())
}

fn add_to_history(state: &mut State, switch: &Switch) -> Result<(), Error> {
    let number = switches(state)?;
    state.write(switch_key(number), switch);
    state.write(SWITCHES.into(), &(number + 1));
    if let Some(oldest) = number.checked_sub(MAX_SWITCH_HISTORY) {
        state.delete(switch_key(oldest));
    }
    Ok(())
}

/// How many switches there were.
pub(super) fn switches(state: &mut State) -> Result<u64, Error> {
    Ok(state.read("number of switches", SWITCHES.as_bytes())?.unwrap_or(0))
}

/// A switch by its number, from 0; none when it is forgotten.
pub(super) fn switch(state: &mut State, number: u64) -> Result<Option<Switch>, Error> {
    state.read("switch", &switch_key(number))
}

/// Fixes table(k+2), after everything that may move a seat. None when it is that of k+1.
pub(crate) fn finish(ctx: &mut Context) -> Result<Option<RoleTable>, Error> {
    let seats = read_seats(&mut ctx.state)?;
    if seats.values().all(|seat| seat.effective != ctx.effective()) {
        return Ok(None);
    }
    let mut filled = BTreeMap::new();
    for (name, seat) in &seats {
        if let Some(holder) = seat.holder {
            let power = consortium::org(&mut ctx.state, name)?.power;
            filled.insert(name.clone(), Seat { holder, power, term: seat.term });
        }
    }
    let table = RoleTable::from(filled);
    if table == *ctx.table_after() {
        return Ok(None);
    }
    ctx.state.write(table_key(ctx.effective()), &table);
    forget_tables(ctx)?;
    Ok(Some(table))
}

/// Deletes tables of heights that evidence in the next block cannot be about any more.
fn forget_tables(ctx: &mut Context) -> Result<(), Error> {
    let oldest = Height(ctx.height.next().back(EVIDENCE_WINDOW).0.max(1));
    let store = ctx.state.store();
    let Some((needed, _)) = newest_table(store, oldest)? else { return Ok(()) };
    let old = store.scan(Column::State, TABLE.as_bytes(), Some(&needed), MAX_LIST)?;
    for (key, _) in old {
        ctx.state.delete(key);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::kit::{Chain, key, org};
    use crate::store::{Batch, MemoryStore};

    /// Block k of a chain moves the seat of a.
    fn move_in(store: &mut MemoryStore, k: u64) {
        let chain = Chain::new();
        let tip = chain.ledger.tip();
        let (state, height, time) = (State::new(&*store), Height(k), tip.time);
        let mut ctx = Context { state, tip, height, time, alive: None, events: Vec::new() };
        let mut seats = read_seats(&mut ctx.state).unwrap();
        let seat = known(&mut seats, &org("a")).unwrap();
        move_seat(&mut ctx, &org("a"), seat, Some(key("a2")), Reason::Planned).unwrap();
        write_seats(&mut ctx.state, &seats);
        assert!(finish(&mut ctx).unwrap().is_some());
        ctx.state.keep();
        let mut batch = Batch::default();
        for (key, value) in ctx.state.into_changes() {
            match value {
                Some(value) => batch.put(Column::State, key, value),
                None => batch.delete(Column::State, key),
            }
        }
        store.apply(&batch);
    }

    #[test]
    fn tables_stand_newest_first_and_go_when_no_evidence_can_be_about_their_heights() {
        let mut store = Chain::new().store().clone();
        for (k, heights) in [
            (5, vec![7, 1]),
            (6, vec![8, 7, 1]),
            // Evidence in block k+1 is about height k+1 less the window at the oldest.
            (EVIDENCE_WINDOW + 5, vec![EVIDENCE_WINDOW + 7, 8, 7, 1]),
            (EVIDENCE_WINDOW + 6, vec![EVIDENCE_WINDOW + 8, EVIDENCE_WINDOW + 7, 8, 7]),
            (
                EVIDENCE_WINDOW + 7,
                vec![EVIDENCE_WINDOW + 9, EVIDENCE_WINDOW + 8, EVIDENCE_WINDOW + 7, 8],
            ),
        ] {
            move_in(&mut store, k);
            let found = store.scan(Column::State, b"standby/table/", None, 9).unwrap();
            let keys: Vec<Vec<u8>> = found.into_iter().map(|(key, _)| key).collect();
            let key =
                |height: &u64| [b"standby/table/".as_slice(), &(!height).to_be_bytes()].concat();
            assert_eq!(keys, heights.iter().map(key).collect::<Vec<_>>(), "after block {k}");
        }
    }
}
