//! What one seed picks: the network, its parameters, its load, its faults, its liars.

pub mod fault;
mod focus;

use std::fmt;

use tandem_chain::modules::consortium::{Policy, Threshold};
use tandem_chain::modules::parameters::Parameters;

pub use self::fault::{CrashPoint, Fault};
use self::focus::Focus;
use super::actor::Kind;
use super::crypto::Scheme;
use super::queue::{MS, S, Time};
use super::random::Random;

/// What is asked for beside a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// So many organisations, each with a pair of nodes and nothing else; or as the seed picks.
    pub orgs: Option<usize>,
    /// Neither faults nor liars, and about one transaction a block: what is measured then is the
    /// protocol's cost.
    pub calm: bool,
    /// What signatures are; or as the seed picks.
    pub signatures: Option<Scheme>,
}

/// An organisation of a history.
#[derive(Clone, Copy, Debug)]
pub struct Org {
    /// Whether it has a standby.
    pub pair: bool,
    /// Observers besides.
    pub observers: usize,
    /// Machines that are not registered at genesis.
    pub spares: usize,
    /// Power of its seat.
    pub power: u64,
    /// Whether it is to join; else it is of genesis.
    pub joins: bool,
}

impl Org {
    /// Nodes that it has at genesis: the holder of its seat, its standby, its observers.
    #[must_use]
    pub fn at_genesis(&self) -> usize {
        if self.joins { 0 } else { 1 + usize::from(self.pair) + self.observers }
    }
}

/// An organisation with Byzantine nodes. Its power counts as lying, whichever they are.
#[derive(Clone, Debug)]
pub struct Liar {
    /// The organisation.
    pub org: usize,
    /// Which of its nodes are, those of genesis first, and how.
    pub kinds: Vec<Option<Kind>>,
}

/// How links behave while faults last.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// Least time of a message on its way.
    pub delay_min: Time,
    /// Longest time, but for the late ones.
    pub delay_max: Time,
    /// Whether messages of one link arrive in the order in which they were sent.
    pub ordered: bool,
    /// Messages in a thousand that are lost.
    pub loss: u64,
    /// Messages in a thousand that arrive twice.
    pub duplicates: u64,
    /// Messages in a thousand that arrive late, by up to [`Links::late_max`].
    pub late: u64,
    /// How late those are at most.
    pub late_max: Time,
}

impl Links {
    /// The same links without faults.
    #[must_use]
    pub fn healed(self) -> Self {
        Self { loss: 0, duplicates: 0, late: 0, ..self }
    }
}

/// Times that parts of a node take.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Longest time of an fsync.
    pub fsync_max: Time,
    /// Longest time to verify, check, build or execute.
    pub work_max: Time,
    /// Longest time by which a timer fires late.
    pub late_max: Time,
}

impl Machine {
    /// One of the machines of a network, of which `self` is the slowest.
    #[must_use]
    pub fn one(self, random: &mut Random) -> Self {
        let part = |random: &mut Random, most: Time| most * random.between(1, 4) / 4;
        Self {
            fsync_max: part(random, self.fsync_max),
            work_max: part(random, self.work_max),
            late_max: part(random, self.late_max),
        }
    }
}

/// All that a seed picks beforehand.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The organisations.
    pub orgs: Vec<Org>,
    /// Parameters of the chain at genesis.
    pub parameters: Parameters,
    /// What they were made from.
    preset: Parameters,
    /// Policy of the consortium at genesis.
    pub policy: Policy,
    /// Whether some motions are forced.
    pub may_force: bool,
    /// Signatures.
    pub scheme: Scheme,
    /// Links.
    pub links: Links,
    /// The slowest machine there may be.
    pub machine: Machine,
    /// Faults that may happen; a fault that stands twice happens twice as often.
    pub faults: Vec<Fault>,
    /// Longest time between two faults.
    pub fault_interval: Time,
    /// Longest times that a fault lasts; each one picks.
    pub fault_lengths: Vec<Time>,
    /// Organisations whose nodes may fail; with the Byzantine at most f power in gentle histories,
    /// so that the others go on.
    pub victims: Vec<usize>,
    /// Whether a node that has just been given a seat often dies at that moment.
    pub hunts: bool,
    /// Organisations with Byzantine nodes: at most f power together, unless `beyond_f`.
    pub byzantine: Vec<Liar>,
    /// Whether more than f power lies while the faults last, though less than a certificate needs.
    pub beyond_f: bool,
    /// An organisation whose disks may be rolled back behind the nodes' backs, which makes them
    /// faulty: then it is the only one, with at most f power.
    pub rolls_back: Option<usize>,
    /// How long faults last.
    pub fault_time: Time,
    /// Most organisations whose holder stays dead after that.
    pub stay_dead: usize,
    /// Clients that send transactions.
    pub clients: usize,
    /// Longest time between two new transactions of a client.
    pub load_interval: Time,
}

impl Plan {
    /// Whether the network grows from one seat, and shrinks again.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.orgs.iter().any(|org| org.joins)
    }

    /// What a seed picks, in the shape that is asked for.
    #[must_use]
    pub fn new(seed: u64, shape: Shape, random: &mut Random) -> Self {
        let focus = match Focus::of(seed) {
            _ if shape.calm => Focus::Swarm,
            // It has another number of organisations from time to time.
            Focus::Growth if shape.orgs.is_some() => Focus::Swarm,
            focus => focus,
        };
        let orgs = orgs(random, focus, shape);
        let preset = if random.chance(700) { Parameters::lan() } else { Parameters::wan() };
        let mut parameters = scaled(random, &preset);
        let links = links(random, &parameters);
        let links = if focus == Focus::Loss { Links { loss: 300, ..links } } else { links };
        let calm = (random.chance(80) && focus == Focus::Swarm) || shape.calm;
        let faults = if calm { Vec::new() } else { focus.pick(random) };
        let total: u64 = orgs.iter().map(|org| org.power).sum();
        let f = (total - 1) / 3;
        let has_liars = random.chance(focus.liars()) && !shape.calm;
        let may_roll_back = random.chance(if focus == Focus::Restores { 600 } else { 50 });
        let rolls_back =
            if may_roll_back && !calm && focus.loses() { faulty(random, &orgs, f) } else { None };
        let is_wild = focus == Focus::Swarm && random.chance(100) && !shape.calm;
        let byzantine = match rolls_back {
            None if is_wild => byzantine(random, seed, &orgs, total * 2 / 3, 600),
            // Less than all of f leaves some for the dead and for lost keys.
            None if has_liars && f > 0 => {
                let room = random.between(1, f);
                byzantine(random, seed, &orgs, room, 150)
            }
            _ => Vec::new(),
        };
        let clings = byzantine.iter().any(|liar| liar.kinds[0] == Some(Kind::Clinger));
        if clings {
            // It is itself once it has lost its seat, which must be before the history's end.
            parameters.failover_blocks = parameters.failover_blocks.min(3);
        }
        // What some do takes until after a switch.
        let lies_for = match (byzantine.is_empty(), clings) {
            (true, _) => 0,
            (false, false) => 10 * S,
            (false, true) => 30 * S,
        };
        let scheme = if random.chance(80) { Scheme::Ed25519 } else { Scheme::Hashed };
        let mut plan = Self {
            seed,
            scheme: shape.signatures.unwrap_or(scheme),
            links: if calm || random.chance(focus.whole_links()) { links.healed() } else { links },
            machine: Machine {
                fsync_max: random.pick(&[MS, 2 * MS, 10 * MS]),
                work_max: random.pick(&[MS / 10, MS, 3 * MS]),
                late_max: random.pick(&[MS / 10, MS, 5 * MS]),
            },
            faults,
            fault_interval: random.pick(focus.intervals()) * MS,
            fault_lengths: fault_lengths(random),
            victims: Vec::new(),
            hunts: !calm && random.chance(focus.hunts()),
            byzantine,
            beyond_f: false,
            rolls_back,
            fault_time: random.between(5, 30) * S + focus.more_time() + lies_for,
            stay_dead: 0,
            clients: random.index(4),
            load_interval: random.pick(&[20, 100, 500]) * MS,
            orgs,
            preset,
            parameters,
            policy: Policy::default(),
            may_force: false,
        };
        let lying: u64 = plan.lying().map(|org| plan.orgs[org].power).sum();
        plan.beyond_f = lying > f;
        let is_gentle = random.chance(focus.gentleness());
        let room = f.saturating_sub(lying);
        plan.victims = plan.victims(random, is_gentle.then_some(room));
        let heaviest = plan.orgs.iter().map(|org| org.power).max().unwrap_or(1);
        let light = usize::try_from(room / heaviest).expect("few organisations");
        let may_stay_dead = random.chance(700) && !shape.calm && focus.loses();
        plan.stay_dead = if may_stay_dead { light } else { 0 };
        if focus == Focus::Motions {
            (plan.policy, plan.may_force) = (any_policy(random), true);
        }
        if shape.calm {
            // A transaction now and then, so that most blocks hold one.
            (plan.clients, plan.load_interval, plan.fault_time) = (1, 200 * MS, 60 * S);
        }
        plan
    }

    /// Organisations with a node that is faulty, or may become so: at most f power together, unless
    /// [`Plan::beyond_f`].
    pub fn lying(&self) -> impl Iterator<Item = usize> {
        self.byzantine.iter().map(|liar| liar.org).chain(self.rolls_back)
    }

    /// Whether an organisation is one of [`Plan::lying`].
    #[must_use]
    pub fn lies(&self, org: usize) -> bool {
        self.lying().any(|liar| liar == org)
    }

    /// Everyone; or, in gentle histories, the liars and organisations with power of at most `room`.
    fn victims(&self, random: &mut Random, room: Option<u64>) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.orgs.len()).collect();
        let Some(mut left) = room else { return all };
        random.shuffle(&mut all);
        all.retain(|org| {
            let lies = self.lies(*org);
            let is_taken = self.orgs[*org].power <= left && !lies;
            left -= if is_taken { self.orgs[*org].power } else { 0 };
            is_taken || lies
        });
        all
    }

    /// Other parameters that the consortium may change to. The links and clocks of this history keep
    /// to them, too: bounds on what they do are never lowered below those of genesis.
    #[must_use]
    pub fn other_parameters(&self, random: &mut Random) -> Parameters {
        let genesis = &self.parameters;
        let other = scaled(random, &self.preset);
        let network_bound_ms = genesis.network_bound_ms * random.between(10, 20) / 10;
        let max_clock_ahead_ms = genesis.max_clock_ahead_ms * random.between(10, 15) / 10;
        Parameters {
            idle_block_interval_ms: other.idle_block_interval_ms.max(max_clock_ahead_ms),
            network_bound_ms,
            max_clock_ahead_ms,
            timeout_max_ms: other.timeout_max_ms.max(2 * network_bound_ms),
            ..other
        }
    }
}

/// Any policy that may be.
pub fn any_policy(random: &mut Random) -> Policy {
    let mut any = || random.pick(&Threshold::ALL);
    let mut policy = Policy {
        add: any(),
        remove: any(),
        suspend: any(),
        restore: any(),
        power: any(),
        admin_key: any(),
        parameters: any(),
        policy: Threshold::AnyOne,
    };
    policy.policy = policy
        .by_name()
        .map(|(_, threshold)| threshold)
        .into_iter()
        .max()
        .unwrap_or(Threshold::All);
    policy
}

/// Organisations that a network grows to.
pub const GROWN: usize = 7;
/// Organisations that it shrinks to then.
pub const SHRUNK: usize = 4;

/// One with one server, and those that join it, with a machine for a standby or without.
fn growing(random: &mut Random) -> Vec<Org> {
    let org = |joins, spares| Org { pair: false, observers: 0, spares, power: 1, joins };
    (0..GROWN).map(|i| org(i > 0, usize::from(i > 0) + random.index(3))).collect()
}

fn orgs(random: &mut Random, focus: Focus, shape: Shape) -> Vec<Org> {
    if focus == Focus::Growth {
        return growing(random);
    }
    let few = random.chance(250) && focus == Focus::Swarm;
    let picked = match (few, random.chance(850)) {
        (true, _) => random.between(1, 3),
        (false, true) => random.between(4, 7),
        (false, false) => random.between(8, 10),
    };
    let pairs = match focus {
        Focus::Hunts | Focus::Lags => 1000,
        _ => random.pick(&[1000, 1000, 700, 0]),
    };
    let weighted = random.chance(150);
    let churns =
        matches!(focus, Focus::Churn | Focus::Orders | Focus::Motions) || random.chance(300);
    let picked = usize::try_from(picked).expect("few organisations");
    (0..shape.orgs.unwrap_or(picked))
        .map(|_| Org {
            pair: random.chance(pairs) || shape.orgs.is_some(),
            observers: usize::from(random.chance(150) && shape.orgs.is_none()),
            spares: if churns && shape.orgs.is_none() { random.index(3) } else { 0 },
            power: if weighted && shape.orgs.is_none() { random.between(1, 3) } else { 1 },
            joins: false,
        })
        .collect()
}

/// Parameters of half a preset's values to half as much again.
fn scaled(random: &mut Random, base: &Parameters) -> Parameters {
    let scale = |random: &mut Random, ms: u64| (ms * random.between(5, 15) / 10).max(1);
    let idle = scale(random, base.idle_block_interval_ms);
    let propose = scale(random, base.propose_timeout_ms);
    let bound = scale(random, base.network_bound_ms);
    Parameters {
        idle_block_interval_ms: idle,
        network_bound_ms: bound,
        max_clock_ahead_ms: idle.min(base.max_clock_ahead_ms),
        failover_blocks: random.between(1, 12),
        failover_min_ms: if random.chance(200) { random.between(1, 4000) } else { 0 },
        propose_timeout_ms: propose,
        vote_timeout_ms: scale(random, base.vote_timeout_ms),
        timeout_step_ms: scale(random, base.timeout_step_ms),
        timeout_max_ms: scale(random, base.timeout_max_ms).max(propose).max(2 * bound),
        block_max_bytes: 256 * 1024,
        block_max_txs: random.pick(&[2, 20, 4000]),
    }
}

/// Delays within the bound that the parameters promise: there and back takes less than a half.
fn links(random: &mut Random, parameters: &Parameters) -> Links {
    let bound = parameters.network_bound_ms * MS;
    let delay_max = bound / random.pick(&[8, 20, 100]);
    let (loss, duplicates, late) = (
        if random.chance(400) { random.pick(&[5, 30, 100, 300]) } else { 0 },
        if random.chance(300) { 100 } else { 0 },
        if random.chance(300) { 50 } else { 0 },
    );
    Links {
        delay_min: delay_max / 4,
        delay_max,
        ordered: random.chance(500),
        loss,
        duplicates,
        late,
        late_max: bound * 4,
    }
}

fn fault_lengths(random: &mut Random) -> Vec<Time> {
    let lengths: &[&[u64]] = &[&[50, 200, 1000], &[200, 1000, 4000], &[1000, 8000, 20_000]];
    random.pick(lengths).iter().map(|ms| ms * MS).collect()
}

/// An organisation of at most f power, if there is one.
fn faulty(random: &mut Random, orgs: &[Org], f: u64) -> Option<usize> {
    let light: Vec<usize> = (0..orgs.len()).filter(|org| orgs[*org].power <= f).collect();
    if light.is_empty() { None } else { Some(random.pick(&light)) }
}

/// Liars with power of at most `room` together. In `alike` of a thousand histories all holders among
/// them do what is worth more together; else the first does what it is the turn of.
fn byzantine(random: &mut Random, seed: u64, orgs: &[Org], mut room: u64, alike: u64) -> Vec<Liar> {
    let mut order: Vec<usize> = (0..orgs.len()).collect();
    random.shuffle(&mut order);
    let kinds = Focus::of(seed).kinds();
    let turn = (seed / 16 + seed % 16 * 7) % kinds.len() as u64;
    let mut first = Some(kinds[usize::try_from(turn).expect("an index of a list")]);
    // Pairs are rare as it is.
    let is_of_pair = first.is_some_and(Kind::needs_pair);
    order.sort_by_key(|org| is_of_pair && !orgs[*org].pair);
    let is_alike = random.chance(alike) && !is_of_pair;
    let stronger = [Kind::TwoFaced, Kind::TwoFaced, Kind::Liar, Kind::Framer];
    let same = is_alike.then(|| random.pick(&stronger));
    let mut chosen = Vec::new();
    for org in order {
        if orgs[org].power <= room {
            room -= orgs[org].power;
            let only = same.or(first.take_if(|kind| orgs[org].pair || !kind.needs_pair()));
            let kinds = only.as_ref().map_or(kinds, std::slice::from_ref);
            let kinds = Kind::cast(random, kinds, &orgs[org]);
            chosen.push(Liar { org, kinds });
        }
    }
    chosen
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.parameters;
        let orgs: Vec<String> = self
            .orgs
            .iter()
            .map(|org| {
                let nodes = org.at_genesis();
                format!("{nodes} node(s) and {} to come, of power {}", org.spares, org.power)
            })
            .collect();
        writeln!(f, "organisations: {}", orgs.join(", "))?;
        writeln!(
            f,
            "idle interval {} ms, bound {} ms, failover {} blocks, {} ms; timeouts {}+{} ms, \
             step {} ms, cap {} ms",
            p.idle_block_interval_ms,
            p.network_bound_ms,
            p.failover_blocks,
            p.failover_min_ms,
            p.propose_timeout_ms,
            p.vote_timeout_ms,
            p.timeout_step_ms,
            p.timeout_max_ms
        )?;
        writeln!(f, "{:?}, {:?}, {:?}", self.scheme, self.links, self.machine)?;
        writeln!(
            f,
            "faults {:?} in {:?}, at most {} ms apart, at most {:?} ms long",
            self.faults,
            self.victims,
            self.fault_interval / MS,
            self.fault_lengths.iter().map(|length| length / MS).collect::<Vec<_>>()
        )?;
        if self.beyond_f {
            writeln!(f, "lying power is beyond f: {}", super::invariants::BEYOND_F)?;
        }
        write!(
            f,
            "Byzantine {:?}, disks of {:?} roll back, {} stay dead, {} clients, faults last {} s",
            self.byzantine,
            self.rolls_back,
            self.stay_dead,
            self.clients,
            self.fault_time / S
        )
    }
}
