//! Questions about seats, answered from any store.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::last::Last;
use crate::ledger::state::State;
use crate::limits::MAX_LIST;
use crate::modules::standby::state::{read_seats, switch, switches, table};
use crate::modules::standby::{Run, Switch};
use crate::modules::{consortium, parameters};
use crate::roles::RoleTable;
use crate::store::Store;
use crate::types::{Height, OrgName, Power, Term};

/// A seat after the last block, as an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatView {
    /// The organisation.
    pub seat: OrgName,
    /// Its voting power.
    pub power: Power,
    /// The holder from the height after the next on; none while the seat is left out.
    pub holder: Option<PublicKey>,
    /// The other node of the pair.
    pub partner: Option<PublicKey>,
    /// Whether the last record calls the holder alive; none before there was a record.
    pub holder_alive: Option<bool>,
    /// Whether the last record calls the partner alive; none without one, or without a record.
    pub partner_alive: Option<bool>,
    /// How often the holder has changed.
    pub term: Term,
    /// Height from which the last change of holder or pair is in effect.
    pub effective: Height,
    /// Blocks in a row that the holder was dead and the partner alive, and their time.
    pub run: Run,
    /// N: blocks that an automatic switch takes.
    pub failover_blocks: u64,
    /// Milliseconds that those blocks take at least.
    pub failover_min_ms: u64,
    /// The least number of further blocks until the seat is switched; none while no run is under
    /// way.
    pub blocks_until_switch: Option<u64>,
    /// Why the seat is never switched automatically as things are; none when it may be.
    pub never_automatic: Option<String>,
}

impl SeatView {
    /// Whether the seat does not vote, and there is no partner that will take it.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let holder_votes = self.holder.is_some() && self.holder_alive != Some(false);
        !holder_votes && self.partner_alive != Some(true)
    }
}

/// All seats by name, after the last block.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn seats(store: &dyn Store) -> Result<Vec<SeatView>, Error> {
    let state = &mut State::new(store);
    let last = Last::read(state)?;
    let parameters = parameters::read(state)?;
    let table = table(store, last.height.plus(2))?.unwrap_or_default();
    let (blocks, min) = (parameters.failover_blocks(&table), parameters.failover_min(&table));
    let alive = |key: Option<PublicKey>| Some(last.alive.as_ref()?.contains(&key?));
    let mut views = Vec::new();
    for (name, seat) in read_seats(state)? {
        let power = consortium::org(state, &name)?.power;
        let pair = consortium::pair(state, &name)?;
        let partner = pair.into_iter().find(|key| Some(*key) != seat.holder);
        let never_automatic = match (seat.holder, partner) {
            (None, _) if seat.closed => Some("its organisation is suspended".to_owned()),
            (None, _) => Some("the seat is left out".to_owned()),
            (_, None) => Some("it has no partner".to_owned()),
            _ if power > table.f() => {
                Some(format!("its power {power} is more than f = {}", table.f()))
            }
            _ => None,
        };
        views.push(SeatView {
            power,
            holder: seat.holder,
            partner,
            holder_alive: alive(seat.holder),
            partner_alive: alive(partner),
            term: seat.term,
            effective: seat.effective,
            run: seat.run,
            failover_blocks: blocks,
            failover_min_ms: u64::try_from(min.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
            blocks_until_switch: seat.run.blocks_left(
                parameters.idle_block_interval(),
                blocks,
                min,
            ),
            never_automatic,
            seat: name,
        });
    }
    Ok(views)
}

/// Up to `limit` (at most [`MAX_LIST`]) switches, the newest first, leaving out the `skip` newest.
/// Only the last [`crate::limits::MAX_SWITCH_HISTORY`] are remembered.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn history(store: &dyn Store, skip: u64, limit: usize) -> Result<Vec<Switch>, Error> {
    let state = &mut State::new(store);
    let end = switches(state)?.saturating_sub(skip);
    let numbers = (0..end).rev().take(limit.min(MAX_LIST));
    numbers.map_while(|number| switch(state, number).transpose()).collect()
}

/// The role table of a height: of the last [`crate::limits::EVIDENCE_WINDOW`] or of the two after
/// the tip; none before that. Heights beyond have the newest table there is.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn table_at(store: &dyn Store, height: Height) -> Result<Option<RoleTable>, Error> {
    table(store, height)
}
