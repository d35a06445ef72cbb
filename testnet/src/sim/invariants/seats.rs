//! The design's sections 5 (record) and 6 (switch), a second time: which node holds which seat at
//! which height, from nothing but genesis and the blocks of the one chain. What calls of
//! organisations do to it is in `calls`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tandem_chain::block::Block;
use tandem_chain::genesis::{Genesis, GenesisRole};
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Receipt;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::standby::Reason;
use tandem_chain::tip::Tip;
use tandem_chain::types::Address;

use super::calls::{Changes, Scene};
use super::invitations::Invitations;
use super::motions::Motions;
use super::register::{self, Entries};
use super::{Verdict, Violation, broken};

pub(super) const RULE: &str = "sections 5 and 6";

/// A seat in a role table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its holder.
    pub holder: PublicKey,
    /// The holder's address.
    pub address: Address,
    /// Its power.
    pub power: u64,
    /// Its term.
    pub term: u64,
}

/// A role table: the filled seats by name.
pub type Table = BTreeMap<String, Holder>;

/// A change of a seat's holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The seat.
    pub seat: String,
    /// Its holder before.
    pub from: Option<PublicKey>,
    /// Its holder after.
    pub to: Option<PublicKey>,
    /// Why.
    pub reason: Reason,
    /// For an automatic switch: the first block of the run.
    pub first: u64,
}

/// What a seat's organisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Member,
    Suspended,
    /// And forgotten as soon as no table to come names its holder.
    Removed,
}

#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) admin: PublicKey,
    pub(super) power: u64,
    pub(super) pair: BTreeSet<PublicKey>,
    pub(super) holder: Option<PublicKey>,
    /// Its holder signed twice, and stays since nobody else can take the last seat.
    pub(super) bad: bool,
    /// It is left out since its organisation has joined or was restored.
    pub(super) joining: bool,
    pub(super) standing: Standing,
    /// Nodes of a suspended organisation, which are not in the register.
    pub(super) shelved: BTreeSet<PublicKey>,
    pub(super) leaving: Option<PublicKey>,
    pub(super) term: u64,
    pub(super) effective: u64,
    pub(super) count: u64,
    sum: u64,
    first: u64,
}

/// All seats over the whole history.
#[derive(Debug)]
pub struct Seats {
    /// Parameters in force at each height.
    parameters: Vec<Rc<Parameters>>,
    pub(super) motions: Motions,
    pub(super) invitations: Invitations,
    pub(super) seats: BTreeMap<String, Seat>,
    /// Registered nodes with their organisations.
    pub(super) members: BTreeMap<PublicKey, String>,
    /// Addresses of these, and of those of suspended organisations.
    pub(super) addresses: BTreeMap<PublicKey, Vec<String>>,
    /// What calls changed.
    pub(super) changes: Changes,
    /// By height; 0 as 1.
    tables: Vec<Table>,
    /// The same, in CometBFT's order: by power, the highest first, then by address.
    orders: Vec<Rc<[Holder]>>,
    /// Registered nodes after each height.
    registers: Vec<BTreeSet<PublicKey>>,
    /// The same with what is known of each node.
    entries: Vec<Entries>,
    pub(super) barred: BTreeSet<PublicKey>,
    /// What the record of each height calls alive.
    alive: Vec<Option<BTreeSet<PublicKey>>>,
    times: Vec<u64>,
    /// By height, the time from genesis, each interval between blocks capped.
    elapsed: Vec<u64>,
}

fn at(height: u64) -> usize {
    usize::try_from(height).expect("heights of a history are few")
}

fn in_order(table: &Table) -> Rc<[Holder]> {
    let mut order: Vec<Holder> = table.values().cloned().collect();
    order.sort_by_key(|seat| (u64::MAX - seat.power, seat.address));
    order.into()
}

fn total(table: &Table) -> u64 {
    table.values().map(|seat| seat.power).sum()
}

/// f of a table.
#[must_use]
pub fn f(table: &Table) -> u64 {
    (total(table).max(1) - 1) / 3
}

/// The liveness grace in nanoseconds.
pub(in crate::sim) fn grace(parameters: &Parameters, table: &Table) -> u64 {
    let mut powers: Vec<u64> = table.values().map(|seat| seat.power).collect();
    powers.sort_unstable();
    let mut sum = 0;
    let turns = powers.iter().take_while(|power| {
        sum += **power;
        sum <= f(table)
    });
    let k = turns.count() as u64;
    let ms = parameters.max_clock_ahead_ms
        + (k + 1) * parameters.idle_block_interval_ms
        + parameters.network_bound_ms;
    ms * 4_000_000 / 3 / 1_000 * 1_000
}

impl Seats {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let mut seats = BTreeMap::new();
        let (mut members, mut addresses) = (BTreeMap::new(), BTreeMap::new());
        for org in &genesis.organizations {
            members.extend(org.nodes.iter().map(|node| (node.key, org.name.to_string())));
            addresses.extend(org.nodes.iter().map(|node| (node.key, node.addresses.clone())));
            let of_pair = org.nodes.iter().filter(|node| node.role != GenesisRole::Observer);
            let holder = org.nodes.iter().find(|node| node.role == GenesisRole::Validator);
            let seat = Seat {
                pair: of_pair.map(|node| node.key).collect(),
                holder: holder.map(|node| node.key),
                joining: false,
                ..Seat::vacant(org.admin_key, org.power.0, 0, 0)
            };
            seats.insert(org.name.to_string(), seat);
        }
        let mut model = Self {
            parameters: [(); 2].map(|()| Rc::new(genesis.parameters.clone())).to_vec(),
            motions: Motions::new(genesis),
            invitations: Invitations::default(),
            seats,
            tables: Vec::new(),
            orders: Vec::new(),
            registers: vec![members.keys().copied().collect()],
            entries: Vec::new(),
            members,
            addresses,
            changes: Changes::default(),
            barred: BTreeSet::new(),
            alive: vec![None],
            times: vec![genesis.genesis_time.0],
            elapsed: vec![0],
        };
        model.entries = vec![model.entries()];
        model.tables = vec![model.current(); 3];
        model.orders = vec![in_order(&model.tables[0]); 3];
        model
    }

    fn current(&self) -> Table {
        let filled = self.seats.iter().filter_map(|(name, seat)| {
            let Seat { power, term, .. } = *seat;
            let holder = seat.holder?;
            Some((name.clone(), Holder { holder, address: holder.address(), power, term }))
        });
        filled.collect()
    }

    pub(super) fn table(&self, height: u64) -> Option<&Table> {
        self.tables.get(usize::try_from(height).ok()?)
    }

    /// The holders of a height whose table is known, in the order in which votes index them.
    pub(super) fn order(&self, height: u64) -> Rc<[Holder]> {
        Rc::clone(&self.orders[at(height)])
    }

    pub(super) fn newest(&self) -> &Table {
        self.tables.last().expect("genesis has a table")
    }

    pub(super) fn pair(&self, seat: &str) -> BTreeSet<PublicKey> {
        self.seats.get(seat).map(|seat| seat.pair.clone()).unwrap_or_default()
    }

    pub(super) fn terms(&self) -> BTreeMap<String, u64> {
        self.seats.iter().map(|(name, seat)| (name.clone(), seat.term)).collect()
    }

    /// Numbers of the motions that can be voted on in a block of a time.
    pub(super) fn open_motions(&self, time: u64) -> Vec<u64> {
        self.motions.open(time)
    }

    /// An organisation's admin key; none when it is no member.
    pub(super) fn admin(&self, org: &str) -> Option<PublicKey> {
        self.seats.get(org).filter(|seat| !seat.is_removed()).map(|seat| seat.admin)
    }

    /// Whether an organisation is suspended; none when it is no member.
    pub(super) fn is_suspended(&self, org: &str) -> Option<bool> {
        self.seats.get(org).filter(|seat| !seat.is_removed()).map(Seat::is_closed)
    }

    pub(super) fn is_barred(&self, key: &PublicKey) -> bool {
        self.barred.contains(key)
    }

    /// What the record in a block of the chain calls alive; none where there is no record.
    pub(super) fn alive_in(&self, height: u64) -> Option<&BTreeSet<PublicKey>> {
        self.alive.get(at(height)).and_then(Option::as_ref)
    }

    /// Registered nodes after a block of the chain.
    pub(super) fn register(&self, height: u64) -> &BTreeSet<PublicKey> {
        &self.registers[at(height)]
    }

    /// The time of a block of the chain; that of genesis for 0.
    pub(super) fn time(&self, height: u64) -> u64 {
        self.times[at(height)]
    }

    /// How long the blocks after `first` up to `last` took, in nanoseconds, each interval capped.
    pub(super) fn took(&self, first: u64, last: u64) -> u64 {
        self.elapsed[at(last)].saturating_sub(self.elapsed[at(first)])
    }

    /// The time of the newest block of the chain.
    pub(super) fn newest_time(&self) -> u64 {
        *self.times.last().expect("genesis has a time")
    }

    /// Whether a node holds a seat at the next height or the one after it.
    pub(super) fn holds_a_seat(&self, key: &PublicKey) -> bool {
        let tables = self.tables.iter().rev().take(2);
        tables.flat_map(BTreeMap::values).any(|seat| seat.holder == *key)
    }

    /// Parameters in force at the next height of the one chain.
    pub(super) fn parameters(&self) -> &Parameters {
        self.parameters.last().expect("genesis has parameters")
    }

    /// Parameters in force at a height, of those up to the next one.
    pub(super) fn parameters_at(&self, height: u64) -> &Parameters {
        &self.parameters[usize::try_from(height).expect("heights of a history are few")]
    }

    pub(super) fn is_registered(&self, key: &PublicKey) -> bool {
        self.members.contains_key(key)
    }

    pub(super) fn changes(&self) -> Changes {
        self.changes
    }

    /// The one chain has a new block, k: gives the nodes that its record calls alive, and moves
    /// seats.
    pub(super) fn extended(
        &mut self,
        block: &Block,
        receipts: &[Receipt],
    ) -> Result<Vec<Moved>, Violation> {
        let k = block.header.height.0;
        let at = self.tables.len() - 2;
        assert_eq!(at as u64, k, "blocks come one after another");
        let alive = if k >= 2 { Some(self.derive(at, block)?) } else { None };
        let interval = block.header.time.0.saturating_sub(self.time(k - 1));
        let next = self.tables[at + 1].clone();
        let mut moved = Vec::new();
        let is_alive = |key: &PublicKey| alive.as_ref().is_some_and(|a| a.contains(key));
        self.bar(k, block, &next);
        self.fill(k, &is_alive, &mut moved);
        let scene = Scene {
            k,
            time: block.header.time.0,
            next: &next,
            is_alive: &is_alive,
            has_record: alive.is_some(),
            moved: &mut moved,
        };
        let parameters = self.calls(scene, block, receipts)?;
        if alive.is_some() {
            self.count(k, interval, &next, &is_alive, &mut moved);
        } else {
            self.seats.values_mut().for_each(|seat| seat.count = 0);
        }
        self.registers.push(self.members.keys().copied().collect());
        self.entries.push(self.entries_after(block, &self.entries[at - 1]));
        let before = Rc::clone(&self.parameters[at]);
        self.parameters.push(parameters.map_or(before, Rc::new));
        let table = self.current();
        let is_same = self.tables.last() == Some(&table);
        let order = self.orders.last().filter(|_| is_same).cloned();
        self.orders.push(order.unwrap_or_else(|| in_order(&table)));
        self.tables.push(table);
        self.times.push(block.header.time.0);
        let cap = self.parameters[at].idle_block_interval_ms * 1_000_000;
        self.elapsed.push(self.elapsed[at - 1] + interval.min(cap));
        self.alive.push(alive);
        Ok(moved)
    }

    /// R_k from the observations in it.
    fn derive(&self, k: usize, block: &Block) -> Result<BTreeSet<PublicKey>, Violation> {
        let (table, order) = (&self.tables[k - 1], &self.orders[k - 1]);
        let register = &self.registers[k - 2];
        let record = &block.record.record;
        let mut alive = BTreeSet::new();
        for (bit, node) in register.iter().enumerate() {
            let seen: u64 = order
                .iter()
                .zip(&record.observations)
                .filter(|(_, o)| o.as_ref().is_some_and(|o| o.seen.get(bit)))
                .map(|(seat, _)| seat.power)
                .sum();
            if seen > f(table) {
                alive.insert(*node);
            }
            if record.alive.get(bit) != (seen > f(table)) {
                let what = format!("record of {k} errs about {node}, seen by {seen} power");
                return Err(Violation { rule: RULE, what });
            }
        }
        if record.observations.len() != order.len() || record.alive.len() != register.len() {
            let what = format!("record of {k} is of another table or register");
            return Err(Violation { rule: RULE, what });
        }
        Ok(alive)
    }

    fn bar(&mut self, k: u64, block: &Block, next: &Table) {
        let leaving: Vec<(String, PublicKey)> = self
            .seats
            .iter_mut()
            .filter_map(|(name, seat)| {
                let key = seat.leaving.take_if(|key| next.values().all(|s| s.holder != *key))?;
                Some((name.clone(), key))
            })
            .collect();
        for (name, key) in &leaving {
            self.members.remove(key);
            let Some(seat) = self.seats.get_mut(name) else { continue };
            if seat.is_removed() {
                self.forget(name);
            } else if seat.is_closed() && !self.barred.contains(key) {
                seat.shelved.insert(*key);
            }
        }
        for evidence in &block.evidence {
            let key = evidence.key;
            self.barred.insert(key);
            for seat in self.seats.values_mut() {
                seat.shelved.remove(&key);
            }
            // It may be of another organisation's pair by now, an observer, or gone.
            if let Some(seat) = self.seats.values_mut().find(|seat| seat.pair.contains(&key)) {
                seat.pair.remove(&key);
                if seat.holder == Some(key) {
                    seat.bad = true;
                    continue;
                }
                seat.effective = k + 2;
                seat.count = 0;
            }
            self.members.remove(&key);
        }
    }

    fn fill(&mut self, k: u64, is_alive: &dyn Fn(&PublicKey) -> bool, moved: &mut Vec<Moved>) {
        let mut filled = self.seats.values().filter(|seat| seat.holder.is_some()).count();
        for (name, seat) in &mut self.seats {
            if seat.is_closed() || (seat.holder.is_some() && !seat.bad) {
                continue;
            }
            let partner = seat.pair.iter().copied().find(is_alive);
            if partner.is_some() {
                filled += usize::from(seat.holder.is_none());
            } else if seat.holder.is_some() && filled > 1 {
                filled -= 1;
            } else {
                continue;
            }
            let reason = if seat.joining { Reason::Membership } else { Reason::Barred };
            moved.push(seat.give(k, name, partner, reason));
        }
    }

    fn count(
        &mut self,
        k: u64,
        interval: u64,
        next: &Table,
        is_alive: &dyn Fn(&PublicKey) -> bool,
        moved: &mut Vec<Moved>,
    ) {
        let parameters = Rc::clone(&self.parameters[usize::try_from(k).expect("few heights")]);
        let interval = interval.min(parameters.idle_block_interval_ms * 1_000_000);
        let blocks = parameters.failover_blocks.max(next.len() as u64 + 1);
        let time = (parameters.failover_min_ms * 1_000_000).max(grace(&parameters, next));
        for (name, seat) in &mut self.seats {
            let holder = next.get(name).map(|seat| seat.holder);
            let partner = seat.pair.iter().copied().find(|key| Some(*key) != holder);
            let runs = k > seat.effective
                && holder.is_some_and(|key| !is_alive(&key))
                && partner.is_some_and(|key| is_alive(&key))
                && seat.power <= f(next);
            if !runs {
                seat.count = 0;
                continue;
            }
            if seat.count == 0 {
                (seat.sum, seat.first) = (0, k);
            } else {
                seat.sum += interval;
            }
            seat.count += 1;
            if seat.count >= blocks && seat.sum >= time {
                moved.push(seat.give(k, name, partner, Reason::Automatic));
            }
        }
    }

    /// What a node's ledger says after a block of the chain is what the model says.
    pub(super) fn compare(&self, tip: &Tip) -> Verdict {
        let k = at(tip.height.0);
        for (height, table) in
            [(k, &tip.table), (k + 1, &tip.next_table), (k + 2, &tip.next_next_table)]
        {
            let expected = &self.tables[height];
            let same = table.seats().iter().zip(expected).all(|((name, seat), (other, held))| {
                let got = (name.as_str(), seat.holder, seat.power.0, seat.term.0);
                got == (other.as_str(), held.holder, held.power, held.term)
            });
            if !same || table.seats().len() != expected.len() {
                let got = table.seats();
                return broken(RULE, format!("table of {height} is {got:?}, not {expected:?}"));
            }
        }
        for (height, register) in [(k, &tip.register), (k.max(1) - 1, &tip.previous_register)] {
            register::compare(height, register, &self.entries[height])?;
        }
        if tip.time.0 != self.times[k] || *tip.parameters != *self.parameters[k + 1] {
            return broken(RULE, format!("time or parameters after {k} differ"));
        }
        if tip.alive.as_deref() != self.alive[k].as_ref() {
            return broken(RULE, format!("the record of {k} is understood differently"));
        }
        Ok(())
    }
}

impl Seat {
    /// Whether its organisation is suspended or removed.
    pub(super) fn is_closed(&self) -> bool {
        self.standing != Standing::Member
    }

    pub(super) fn is_removed(&self) -> bool {
        self.standing == Standing::Removed
    }

    /// A seat that is left out until a node of its organisation is named.
    pub(super) fn vacant(admin: PublicKey, power: u64, term: u64, effective: u64) -> Self {
        Self {
            admin,
            power,
            pair: BTreeSet::new(),
            holder: None,
            bad: false,
            joining: true,
            standing: Standing::Member,
            shelved: BTreeSet::new(),
            leaving: None,
            term,
            effective,
            count: 0,
            sum: 0,
            first: 0,
        }
    }

    pub(super) fn give(
        &mut self,
        k: u64,
        name: &str,
        to: Option<PublicKey>,
        reason: Reason,
    ) -> Moved {
        let from = self.holder;
        if self.bad {
            self.leaving = from;
        }
        (self.holder, self.bad, self.term, self.effective) = (to, false, self.term + 1, k + 2);
        (self.count, self.joining) = (0, to.is_none() && reason == Reason::Membership);
        Moved { seat: name.to_owned(), from, to, reason, first: self.first }
    }
}
