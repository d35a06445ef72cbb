//! Which rows of the switch table happened, found out from successive blocks of the chain: the
//! registers, role tables and records after them, and the receipts in them. What processes did is
//! asked only where a row is about that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tandem_chain::block::CertifiedBlock;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Receipt;
use tandem_chain::modules::Call;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::standby::{self, Reason};
use tandem_chain::roles::RoleTable;
use tandem_chain::tip::Tip;
use tandem_chain::types::{OrgName, Timestamp};

use super::part::Part;
use super::{Case, Tally};
use crate::sim::invariants::{Moved, Table, grace};
use crate::sim::queue::{MS, S, Time};

/// Time without enough power from which on a chain that goes on afterwards is worth a count.
const OUTAGE: Time = S;
/// Blocks that a process may lack and still not be behind.
const AT_TIP: u64 = 2;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// No process of it runs.
    Down,
    /// Its process stands still.
    StandsStill,
    /// It runs.
    Runs,
    /// It runs, with another state than the chain's.
    Astray,
}

/// A new block of the chain, as the first correct node that commits it does.
pub struct NewBlock<'a> {
    /// The block.
    pub block: &'a CertifiedBlock,
    /// The state after it.
    pub tip: &'a Tip,
    /// Its receipts.
    pub receipts: &'a [Receipt],
    /// What changed seats.
    pub moved: &'a [Moved],
    /// The role table of the next height, as the invariants have it.
    pub table: &'a Table,
    /// What nodes do now.
    pub doing: &'a BTreeMap<PublicKey, Doing>,
}

/// Blocks in a row of which something holds.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    count: u64,
    time: u64,
}

impl Run {
    /// One block more, or the end.
    fn step(&mut self, holds: bool, interval: u64) {
        let time = if self.count == 0 { 0 } else { self.time + interval };
        *self = if holds { Self { count: self.count + 1, time } } else { Self::default() };
    }

    fn is_full(self, window: Window) -> bool {
        self.count >= window.blocks && self.time >= window.time
    }
}

/// How long a run must be for a switch.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    blocks: u64,
    time: u64,
    /// Whether the time is the grace.
    by_grace: bool,
}

/// The node that held a seat before an automatic switch.
#[derive(Clone, Debug)]
struct Old {
    key: PublicKey,
    /// Its process, if that ran on when the seat was taken from it, and did not know.
    cut_off: Option<u64>,
    returned: bool,
    /// Blocks with both nodes alive.
    quiet: u64,
}

#[derive(Clone, Debug, Default)]
struct Seat {
    pair: BTreeSet<PublicKey>,
    /// Height from which the last change of holder or pair is in effect.
    effective: u64,
    /// Holder dead, partner alive.
    run: Run,
    /// Holder dead, no partner alive.
    lone: Run,
    old: Option<Old>,
}

/// What is remembered of the chain so far.
#[derive(Default)]
pub(super) struct Switches {
    height: u64,
    time: Timestamp,
    parameters: Option<Arc<Parameters>>,
    table: Option<Arc<RoleTable>>,
    window: Window,
    seats: BTreeMap<OrgName, Seat>,
    /// Heights from which planned switches are in effect, if no round was lost so far.
    planned: BTreeSet<u64>,
    /// Since when, and from which height on, too little power is up.
    outage: Option<(Time, u64)>,
    is_over: bool,
}

impl Switches {
    /// Holders with so much power are up.
    pub fn power(&mut self, now: Time, up: u64, total: u64) {
        if total - up > (total.max(1) - 1) / 3 {
            self.outage.get_or_insert((now, self.height));
        } else if let Some((since, height)) = self.outage.take() {
            // A block may have been on its way.
            self.is_over |= now - since > OUTAGE && self.height <= height + 1;
        }
    }

    /// The chain has a new block.
    pub fn extended(&mut self, new: &NewBlock, parts: &[Option<Part>], hits: &mut Tally<Case>) {
        let k = new.block.block.header.height.0;
        let before = self.parameters.replace(Arc::clone(&new.tip.parameters));
        let parameters = before.unwrap_or_else(|| Arc::clone(&new.tip.parameters));
        let interval = new.tip.time.0.saturating_sub(self.time.0);
        let interval = interval.min(parameters.idle_block_interval_ms * MS);
        let seats = new.tip.next_table.seats().len() as u64;
        let grace = grace(&parameters, new.table);
        self.window = Window {
            blocks: parameters.failover_blocks.max(seats + 1),
            time: grace.max(parameters.failover_min_ms * MS),
            by_grace: grace >= parameters.failover_min_ms * MS,
        };
        self.went_on(new, hits);
        receipts(new, hits);
        self.evidence(new, hits);
        self.moved(new, &parameters, parts, hits);
        self.pairs(k, new.tip);
        self.runs(new, interval, parts, hits);
        self.olds(new, parts, hits);
        (self.height, self.time) = (k, new.tip.time);
        self.table = Some(Arc::clone(&new.tip.next_next_table));
    }

    fn went_on(&mut self, new: &NewBlock, hits: &mut Tally<Case>) {
        if std::mem::take(&mut self.is_over) {
            hits.hit(Case::Halted);
        }
        let k = new.block.block.header.height.0;
        if new.block.certificate.commit.round.0 > 0 {
            self.planned.clear();
        }
        let in_time = self.planned.iter().filter(|effective| **effective < k).count();
        (0..in_time).for_each(|_| hits.hit(Case::InTime));
        self.planned.retain(|effective| *effective >= k);
    }

    fn evidence(&self, new: &NewBlock, hits: &mut Tally<Case>) {
        for evidence in &new.block.block.evidence {
            let key = evidence.key;
            let is_holder = self.table.as_ref().is_some_and(|table| table.by_key(&key).is_some());
            if !is_holder && self.seats.values().any(|seat| seat.pair.contains(&key)) {
                hits.hit(Case::BarredPartner);
            }
        }
    }

    /// Seats have changed their holders.
    fn moved(
        &mut self,
        new: &NewBlock,
        parameters: &Parameters,
        parts: &[Option<Part>],
        hits: &mut Tally<Case>,
    ) {
        let k = new.block.block.header.height.0;
        let by_itself = new.moved.iter().filter(|moved| moved.reason == Reason::Automatic);
        if by_itself.count() > 1 {
            hits.hit(Case::Several);
        }
        for moved in new.moved {
            let Ok(name) = moved.seat.parse::<OrgName>() else { continue };
            let seat = self.seats.entry(name).or_default();
            let was_moved = seat.old.is_some();
            let run = std::mem::take(&mut seat.run);
            seat.lone = Run::default();
            seat.effective = k + 2;
            seat.old = None;
            match moved.reason {
                Reason::Barred => hits.hit(match (moved.from, moved.to) {
                    (Some(_), Some(_)) => Case::BarredMoves,
                    (_, None) => Case::LeftOut,
                    (None, Some(_)) => Case::Filled,
                }),
                Reason::Membership => {}
                Reason::Planned => {
                    self.planned.insert(k + 2);
                    if run.count > 0 {
                        hits.hit(Case::OverRun);
                    }
                }
                Reason::Automatic => {
                    hits.hit(Case::Automatic);
                    if was_moved {
                        hits.hit(Case::Again);
                    }
                    let Window { blocks, time, by_grace } = self.window;
                    if run.count >= blocks {
                        hits.hit(if by_grace { Case::ByGrace } else { Case::ByMin });
                    } else if run.time >= time {
                        hits.hit(Case::ByBlocks);
                        if blocks > parameters.failover_blocks {
                            hits.hit(Case::ByRaisedBlocks);
                        }
                    }
                    let Some(from) = moved.from else { continue };
                    let part = part(parts, &from);
                    if part.is_some_and(Part::is_silent) {
                        hits.hit(Case::CannotSign);
                    }
                    let cut_off = part.filter(|part| part.height().0 + AT_TIP < k);
                    let cut_off = cut_off.map(Part::incarnation);
                    seat.old = Some(Old { key: from, cut_off, returned: false, quiet: 0 });
                }
            }
        }
    }

    /// Pairs have changed.
    fn pairs(&mut self, k: u64, tip: &Tip) {
        let mut pairs: BTreeMap<&OrgName, BTreeSet<PublicKey>> = BTreeMap::new();
        for (key, node) in tip.register.nodes.iter().filter(|(_, node)| node.pair) {
            pairs.entry(&node.org).or_default().insert(*key);
        }
        for name in pairs.keys() {
            self.seats.entry((*name).clone()).or_default();
        }
        for (name, seat) in &mut self.seats {
            let pair = pairs.remove(name).unwrap_or_default();
            let before = std::mem::replace(&mut seat.pair, pair);
            // That of genesis is no change.
            if before != seat.pair && !before.is_empty() {
                seat.effective = k + 2;
                (seat.run, seat.lone) = (Run::default(), Run::default());
            }
        }
    }

    /// What the record says of each pair.
    fn runs(
        &mut self,
        new: &NewBlock,
        interval: u64,
        parts: &[Option<Part>],
        hits: &mut Tally<Case>,
    ) {
        let k = new.block.block.header.height.0;
        let Some(alive) = &new.tip.alive else { return };
        let f = new.tip.next_table.f();
        for (name, entry) in new.tip.next_table.seats() {
            let Some(seat) = self.seats.get_mut(name) else { continue };
            let partner = seat.pair.iter().find(|key| **key != entry.holder);
            let is_dead = !alive.contains(&entry.holder);
            let has_partner = partner.is_some_and(|key| alive.contains(key));
            let counts = is_dead && has_partner && entry.power <= f;
            if counts && k <= seat.effective {
                hits.hit(Case::NotYet);
            }
            if seat.run.count > 0 && !is_dead {
                hits.hit(Case::HolderBack);
            } else if seat.run.count > 0 && !has_partner {
                hits.hit(Case::PartnerGone);
            }
            seat.run.step(counts && k > seat.effective, interval);
            let was_full = seat.lone.is_full(self.window);
            seat.lone.step(is_dead && !has_partner, interval);
            if was_full || !seat.lone.is_full(self.window) {
                continue;
            }
            let doing = |key| new.doing.get(key).copied().unwrap_or(Doing::Down);
            let Some(partner) = partner else {
                hits.hit(Case::NoPartner);
                continue;
            };
            match (doing(&entry.holder), doing(partner)) {
                (Doing::Down, Doing::Down) => hits.hit(Case::BothDead),
                (_, Doing::Astray) => hits.hit(Case::OtherState),
                (_, Doing::Runs)
                    if part(parts, partner).is_some_and(|part| part.height().0 + AT_TIP < k) =>
                {
                    hits.hit(Case::Behind);
                }
                _ => {}
            }
        }
    }

    /// What became of those that held a seat before.
    fn olds(&mut self, new: &NewBlock, parts: &[Option<Part>], hits: &mut Tally<Case>) {
        let k = new.block.block.header.height.0;
        let Some(alive) = &new.tip.alive else { return };
        for (name, entry) in new.tip.next_table.seats() {
            let Some(seat) = self.seats.get_mut(name) else { continue };
            let Some(old) = seat.old.as_mut().filter(|old| seat.pair.contains(&old.key)) else {
                continue;
            };
            if k <= seat.effective || entry.holder == old.key || !alive.contains(&old.key) {
                continue;
            }
            if !std::mem::replace(&mut old.returned, true) {
                hits.hit(Case::Returns);
            }
            let runs_on = part(parts, &old.key).map(Part::incarnation);
            if old.cut_off.take_if(|process| runs_on == Some(*process)).is_some() {
                hits.hit(Case::CutOff);
            }
            old.quiet += u64::from(alive.contains(&entry.holder));
            if old.quiet == self.window.blocks {
                hits.hit(Case::NoWayBack);
            }
        }
    }
}

/// What became of orders for planned switches.
fn receipts(new: &NewBlock, hits: &mut Tally<Case>) {
    let receipts = new.receipts.iter().skip(1);
    for (tx, receipt) in new.block.block.txs.iter().zip(receipts) {
        let body = tx.body();
        let Call::Standby(standby::Call::Switch { seat, .. }) = &body.call else { continue };
        if receipt.is_ok() {
            let node = new.tip.register.nodes.get(&body.sender);
            let by_node = node.is_some_and(|node| node.org == *seat);
            hits.hit(if by_node { Case::ByHolder } else { Case::ByAdmin });
            continue;
        }
        let reasons = [
            ("does not exist", Case::NoSuchSeat),
            ("may not do this", Case::NotAllowed),
            ("was expected", Case::OldTerm),
            ("has changed in this block", Case::TwiceInBlock),
            ("is left out", Case::SeatIsOut),
            ("holds the seat already", Case::HoldsAlready),
            ("is not of the seat's pair", Case::NotOfPair),
            ("is not alive", Case::TargetDead),
        ];
        let reason = reasons.into_iter().find(|(text, _)| receipt.log.contains(text));
        reason.into_iter().for_each(|(_, case)| hits.hit(case));
    }
}

/// The process of a correct node, if it runs.
fn part<'a>(parts: &'a [Option<Part>], key: &PublicKey) -> Option<&'a Part> {
    parts.iter().flatten().find(|part| part.key() == key)
}
