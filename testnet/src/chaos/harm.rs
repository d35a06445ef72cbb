//! Carries out a schedule of faults over a running network.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::OrgName;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::fault::{Target, What};
use super::plan::Plan;
use super::registers::submit;
use super::witness::any_table;
use crate::control::{Command, State};
use crate::load::sign;
use crate::story::Stage;
use crate::story::scene::Seat;
use crate::watcher::Watcher;

/// Time for a node to answer: who holds the seats, of which those known last are taken when none does,
/// and whether its key is good.
const ANSWER: Duration = Duration::from_millis(500);
/// Time for a planned switch to get its receipt.
const SWITCH: Duration = Duration::from_secs(10);

/// Faults that were done, by name.
pub type Counts = BTreeMap<&'static str, u64>;

/// A fault's beginning or end.
#[derive(Clone, Copy)]
enum Turn {
    Begins(usize),
    Ends(usize),
}

struct Harm<'a> {
    stage: &'a mut Stage,
    watcher: &'a Watcher,
    plan: &'a Plan,
    /// The seats when they were last known.
    seats: BTreeMap<OrgName, Seat>,
    /// Nodes that each fault under way has struck.
    struck: BTreeMap<usize, Vec<String>>,
    /// Nodes whose disk was wiped, and that were not seen with a good key since.
    wiped: Vec<String>,
    switches: JoinSet<()>,
    counts: Counts,
}

/// Carries out the whole of a schedule, and undoes each fault when its time is over.
///
/// # Errors
/// When a node ends by itself, does not stop when it is asked to, or the supervisor has gone.
pub async fn carry_out(stage: &mut Stage, watcher: &Watcher, plan: &Plan) -> Result<Counts> {
    let mut turns: Vec<(u64, Turn)> = Vec::new();
    for (i, fault) in plan.faults.iter().enumerate() {
        turns.push((fault.at_ms, Turn::Begins(i)));
        turns.push((fault.at_ms + fault.lasts_ms, Turn::Ends(i)));
    }
    turns.sort_by_key(|(at_ms, _)| *at_ms);
    let mut harm = Harm {
        stage,
        watcher,
        plan,
        seats: BTreeMap::new(),
        struck: BTreeMap::new(),
        wiped: Vec::new(),
        switches: JoinSet::new(),
        counts: Counts::new(),
    };
    for org in harm.stage.net().orgs().to_vec() {
        let seat = harm.stage.seat(&org, watcher).await?;
        harm.seats.insert(org, seat);
    }
    let start = Instant::now();
    for (at_ms, turn) in turns {
        sleep_until(start + Duration::from_millis(at_ms)).await;
        match turn {
            Turn::Begins(i) => harm.begin(i).await?,
            Turn::Ends(i) => harm.end(i).await?,
        }
    }
    sleep_until(start + plan.length).await;
    while harm.switches.join_next().await.is_some() {}
    Ok(harm.counts)
}

/// Makes a network whole: its links, its paused nodes, its dead nodes.
///
/// # Errors
/// When a node has ended by itself.
pub async fn heal(stage: &Stage) -> Result<()> {
    let network = stage.net();
    network.tell(Command::Heal).await?;
    let in_state = async |wanted: State| -> Result<Vec<String>> {
        let found = states(stage).await?.into_iter().filter(|(_, state)| *state == wanted);
        Ok(found.map(|(name, _)| name).collect())
    };
    network.tell(Command::Resume { nodes: in_state(State::Paused).await? }).await?;
    let nodes = in_state(State::Down).await?;
    network.tell(Command::Start { nodes, dial: None }).await?;
    Ok(())
}

/// What each node's process does.
///
/// # Errors
/// When one has ended by itself: no fault makes a correct node end.
pub async fn states(stage: &Stage) -> Result<BTreeMap<String, State>> {
    let processes = stage.net().tell(Command::Nodes).await?;
    for process in &processes {
        if let State::Exited(status) = &process.state {
            bail!("{} ended by itself with {status}", process.name);
        }
    }
    Ok(processes.into_iter().map(|process| (process.name, process.state)).collect())
}

impl Harm<'_> {
    async fn begin(&mut self, i: usize) -> Result<()> {
        let plan = self.plan;
        let (fault, what) = (&plan.faults[i], &plan.faults[i].what);
        let Some(nodes) = self.strike(what).await? else {
            return Ok(());
        };
        *self.counts.entry(what.name()).or_default() += 1;
        let names = if nodes.is_empty() || matches!(what, What::Blackout | What::Split(_)) {
            String::new()
        } else {
            format!(" ({})", nodes.join(", "))
        };
        let lasts = match what {
            What::Switch(_) => String::new(),
            _ => format!(", for {:.1} s", Duration::from_millis(fault.lasts_ms).as_secs_f64()),
        };
        let height = self.watcher.height();
        self.stage.report.does(format!("block {height}: {what}{names}{lasts}"));
        self.struck.insert(i, nodes);
        Ok(())
    }

    /// Does something, and tells to which nodes; none when they are not in the state for it.
    async fn strike(&mut self, what: &What) -> Result<Option<Vec<String>>> {
        let states = states(self.stage).await?;
        let running = |name: &String| matches!(states[name], State::Up | State::Paused);
        let mut nodes = self.nodes(what).await;
        match what {
            What::Kill(_) | What::KillPair(_) | What::Blackout => {
                nodes.retain(running);
                if nodes.is_empty() {
                    return Ok(None);
                }
                self.tell(Command::Kill { nodes: nodes.clone() }).await?;
            }
            What::Restart(_) => {
                nodes.retain(running);
                if nodes.is_empty() {
                    return Ok(None);
                }
                self.tell(Command::Stop { nodes: nodes.clone() }).await?;
            }
            What::Pause(_) => {
                nodes.retain(|name| states[name] == State::Up);
                if nodes.is_empty() {
                    return Ok(None);
                }
                self.tell(Command::Pause { nodes: nodes.clone() }).await?;
            }
            What::Wipe(_) => {
                if !self.keys_are_good(&nodes).await {
                    return Ok(None);
                }
                let kill: Vec<String> =
                    nodes.iter().filter(|name| running(name)).cloned().collect();
                self.tell(Command::Kill { nodes: kill }).await?;
                self.tell(Command::Wipe { nodes: nodes.clone() }).await?;
                self.wiped.extend(nodes.iter().cloned());
            }
            What::CutOff(_) | What::CutOffPair(_) | What::Split(_) => {
                self.cut(vec![nodes.clone()], false).await?;
            }
            What::Mute(_) => self.cut(vec![nodes.clone()], true).await?,
            What::Deafen(_) => {
                let others = self.stage.net().names();
                let others = others.into_iter().filter(|name| !nodes.contains(name)).collect();
                self.cut(vec![others, nodes.clone()], true).await?;
            }
            What::Slow(_, delay_ms) => self.link(&nodes, *delay_ms, 0.0).await?,
            #[expect(clippy::cast_precision_loss, reason = "percent")]
            What::Lossy(_, percent) => self.link(&nodes, 0, *percent as f64).await?,
            What::Switch(org) => self.order_switch(*org),
        }
        Ok(Some(nodes))
    }

    async fn end(&mut self, i: usize) -> Result<()> {
        let Some(nodes) = self.struck.remove(&i) else { return Ok(()) };
        let states = states(self.stage).await?;
        let in_state = |wanted: State| nodes.iter().filter(move |name| states[*name] == wanted);
        match &self.plan.faults[i].what {
            What::Kill(_)
            | What::KillPair(_)
            | What::Blackout
            | What::Restart(_)
            | What::Wipe(_) => {
                let nodes = in_state(State::Down).cloned().collect();
                self.tell(Command::Start { nodes, dial: None }).await
            }
            What::Pause(_) => {
                let nodes = in_state(State::Paused).cloned().collect();
                self.tell(Command::Resume { nodes }).await
            }
            What::CutOff(_)
            | What::CutOffPair(_)
            | What::Mute(_)
            | What::Deafen(_)
            | What::Split(_) => self.cut(Vec::new(), false).await,
            What::Slow(..) | What::Lossy(..) => self.link(&nodes, 0, 0.0).await,
            What::Switch(_) => Ok(()),
        }
    }

    async fn tell(&self, command: Command) -> Result<()> {
        self.stage.net().tell(command).await.map(|_| ())
    }

    async fn cut(&self, groups: Vec<Vec<String>>, one_way: bool) -> Result<()> {
        self.tell(Command::Partition { groups, one_way }).await
    }

    async fn link(&self, nodes: &[String], delay_ms: u64, loss_percent: f64) -> Result<()> {
        let between = nodes.to_vec();
        self.tell(Command::Link { between, and: vec![], delay_ms, loss_percent }).await
    }

    /// The nodes that something is about; none for all links and for a switch.
    async fn nodes(&mut self, what: &What) -> Vec<String> {
        let targets = match what {
            What::Kill(target)
            | What::Restart(target)
            | What::Pause(target)
            | What::Wipe(target)
            | What::CutOff(target)
            | What::Mute(target)
            | What::Deafen(target)
            | What::Slow(Some(target), _)
            | What::Lossy(Some(target), _) => vec![*target],
            What::KillPair(org) | What::CutOffPair(org) => {
                vec![Target::Holder(*org), Target::Standby(*org)]
            }
            What::Split(side) => side.clone(),
            What::Blackout => return self.stage.net().names(),
            What::Slow(None, _) | What::Lossy(None, _) | What::Switch(_) => Vec::new(),
        };
        self.look_at_seats().await;
        targets.into_iter().map(|target| self.name(target)).collect()
    }

    fn name(&self, target: Target) -> String {
        let seat = |org: usize| &self.seats[&self.stage.net().orgs()[org]];
        match target {
            Target::Holder(org) => seat(org).holder.name.clone(),
            Target::Standby(org) => seat(org).partner.name.clone(),
            Target::Observer => super::OBSERVER.to_owned(),
        }
    }

    /// Asks who holds the seats now.
    async fn look_at_seats(&mut self) {
        let nodes = self.stage.net().rpcs_but(&[]);
        let asked = timeout(ANSWER, any_table(&nodes, self.watcher.height())).await;
        let Ok(Some(table)) = asked else { return };
        for org in self.stage.net().orgs().to_vec() {
            if let Ok(seat) = self.stage.seat_in(&table, &org) {
                self.seats.insert(org, seat);
            }
        }
    }

    /// Whether no key but those of `nodes` is lost: keys of at most f power may be at a time, and
    /// not both of a pair, for the chain to be sure to go on.
    async fn keys_are_good(&mut self, nodes: &[String]) -> bool {
        for name in std::mem::take(&mut self.wiped) {
            let client = self.stage.net().rpc(&name);
            // One that stands still would hold up the faults to come.
            let good = match timeout(ANSWER, client.status()).await {
                Ok(Ok(status)) => {
                    !status.tandem.key_lost && status.tandem.silent_through < status.tandem.height
                }
                _ => false,
            };
            if !good {
                self.wiped.push(name);
            }
        }
        self.wiped.iter().all(|name| nodes.contains(name))
    }

    /// Has a planned switch signed with the organisation's admin key and sent until it has a receipt.
    /// It may be refused: its standby may be dead, or the seat move meanwhile.
    fn order_switch(&mut self, org: usize) {
        let layout = self.stage.net().layout();
        let org = &layout.orgs[org];
        let seat = &self.seats[org];
        let call =
            standby::Call::Switch { seat: org.clone(), target: seat.partner.key, term: seat.term };
        let (admin, now) = (layout.admin(org), self.watcher.height());
        let tx = sign(&layout.chain_id, &admin, rand::random(), now, Call::Standby(call));
        let nodes = self.stage.net().rpcs_but(&[]);
        self.switches.spawn(async move {
            // Its receipt, or want of one, shows in the history of switches.
            submit(&nodes, 0, &tx, SWITCH).await;
        });
    }
}
