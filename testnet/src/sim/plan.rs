//! What one seed picks: the network, its parameters, its load, its faults, its liars.

use std::fmt;

use tandem_chain::modules::parameters::Parameters;

use super::actor::Kind;
use super::crypto::Scheme;
use super::queue::{MS, S, Time};
use super::random::Random;

/// Most organisations of a history.
const MAX_ORGS: u64 = 7;

/// An organisation of a history.
#[derive(Clone, Copy, Debug)]
pub struct Org {
    /// Whether it has a standby.
    pub pair: bool,
    /// Observers besides.
    pub observers: usize,
    /// Power of its seat.
    pub power: u64,
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

/// A kind of fault that is injected from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process ends at once, and starts again later.
    Crash,
    /// A process ends in the middle of carrying out effects.
    CrashAtEffect,
    /// All processes end at once.
    Blackout,
    /// A process stands still.
    Pause,
    /// The nodes fall into groups that do not hear each other.
    Partition,
    /// One node is cut off from all others.
    Isolate,
    /// Some links fail, each in one direction.
    OneWay,
    /// A disk is lost with everything on it.
    Wipe,
    /// A wall clock jumps.
    Clock,
    /// An organisation orders a planned switch.
    Switch,
}

impl Fault {
    const ALL: [Self; 10] = [
        Self::Crash,
        Self::CrashAtEffect,
        Self::Blackout,
        Self::Pause,
        Self::Partition,
        Self::Isolate,
        Self::OneWay,
        Self::Wipe,
        Self::Clock,
        Self::Switch,
    ];
}

/// Times that parts of a node take.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Longest time of an fsync.
    pub fsync_max: Time,
    /// Longest time to verify, check, build or execute.
    pub work_max: Time,
}

/// All that a seed picks beforehand.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The organisations.
    pub orgs: Vec<Org>,
    /// Parameters of the chain.
    pub parameters: Parameters,
    /// Signatures.
    pub scheme: Scheme,
    /// Links.
    pub links: Links,
    /// Machines.
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
    /// Byzantine validators of genesis, by organisation: at most f power together.
    pub byzantine: Vec<(usize, Kind)>,
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
    /// What a seed picks.
    #[must_use]
    pub fn new(seed: u64, random: &mut Random) -> Self {
        let orgs =
            if random.chance(250) { random.between(1, 3) } else { random.between(4, MAX_ORGS) };
        let pairs = random.pick(&[1000, 1000, 700, 0]);
        let weighted = random.chance(150);
        let orgs: Vec<Org> = (0..orgs)
            .map(|_| Org {
                pair: random.chance(pairs),
                observers: usize::from(random.chance(150)),
                power: if weighted { random.between(1, 3) } else { 1 },
            })
            .collect();
        let parameters = parameters(random);
        let links = links(random, &parameters);
        let calm = random.chance(80);
        let faults = if calm { Vec::new() } else { faults(random) };
        let total: u64 = orgs.iter().map(|org| org.power).sum();
        let f = (total - 1) / 3;
        let byzantine = if random.chance(400) { byzantine(random, &orgs, f) } else { Vec::new() };
        let lying: u64 = byzantine.iter().map(|(org, _)| orgs[*org].power).sum();
        let victims = victims(random, &orgs, f - lying, &byzantine);
        let heaviest = orgs.iter().map(|org| org.power).max().unwrap_or(1);
        let spare = usize::try_from((f - lying) / heaviest).expect("few organisations");
        Self {
            seed,
            scheme: if random.chance(80) { Scheme::Ed25519 } else { Scheme::Hashed },
            links: if calm { links.healed() } else { links },
            machine: Machine {
                fsync_max: random.pick(&[MS, 2 * MS, 10 * MS]),
                work_max: random.pick(&[MS / 10, MS, 3 * MS]),
            },
            faults,
            fault_interval: random.pick(&[300, 1000, 3000, 8000]) * MS,
            fault_lengths: fault_lengths(random),
            victims,
            hunts: !calm && random.chance(300),
            byzantine,
            fault_time: random.between(5, 30) * S,
            stay_dead: if random.chance(700) { spare } else { 0 },
            clients: random.index(4),
            load_interval: random.pick(&[20, 100, 500]) * MS,
            orgs,
            parameters,
        }
    }
}

fn parameters(random: &mut Random) -> Parameters {
    let base = if random.chance(700) { Parameters::lan() } else { Parameters::wan() };
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

fn faults(random: &mut Random) -> Vec<Fault> {
    let mut faults = Vec::new();
    for fault in Fault::ALL {
        let rare = matches!(fault, Fault::Blackout | Fault::Clock);
        if random.chance(if rare { 250 } else { 450 }) {
            let weight = if rare { 1 } else { random.between(1, 3) };
            faults.extend((0..weight).map(|_| fault));
        }
    }
    faults
}

fn fault_lengths(random: &mut Random) -> Vec<Time> {
    let lengths: &[&[u64]] = &[&[50, 200, 1000], &[200, 1000, 4000], &[1000, 8000, 20_000]];
    random.pick(lengths).iter().map(|ms| ms * MS).collect()
}

/// Everyone; or, in gentle histories, organisations with power of at most `room`.
fn victims(
    random: &mut Random,
    orgs: &[Org],
    room: u64,
    byzantine: &[(usize, Kind)],
) -> Vec<usize> {
    let mut all: Vec<usize> = (0..orgs.len()).collect();
    if room == 0 || random.chance(500) {
        return all;
    }
    random.shuffle(&mut all);
    let mut left = room;
    all.retain(|org| {
        let is_taken = orgs[*org].power <= left && byzantine.iter().all(|(liar, _)| liar != org);
        left -= if is_taken { orgs[*org].power } else { 0 };
        is_taken
    });
    all
}

fn byzantine(random: &mut Random, orgs: &[Org], f: u64) -> Vec<(usize, Kind)> {
    let mut order: Vec<usize> = (0..orgs.len()).collect();
    random.shuffle(&mut order);
    let mut room = f;
    let mut chosen = Vec::new();
    for org in order {
        if orgs[org].power <= room {
            room -= orgs[org].power;
            chosen.push((org, random.pick(&Kind::ALL)));
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
                let nodes = 1 + usize::from(org.pair) + org.observers;
                format!("{nodes} node(s) of power {}", org.power)
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
        write!(
            f,
            "Byzantine {:?}, {} stay dead, {} clients, faults last {} s",
            self.byzantine,
            self.stay_dead,
            self.clients,
            self.fault_time / S
        )
    }
}
