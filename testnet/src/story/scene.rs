//! What most stories begin with, do and look at: a running network, load on it, its seats.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Height, OrgName, Term, Timestamp};

use super::Stage;
use crate::checks::{self, Chain};
use crate::control::Command;
use crate::layout::{Node, Preset, Spec};
use crate::load::{Load, Plan, Signer, Size, Summary};
use crate::network::{Network, owned};
use crate::rpc::BlockView;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::{Seen, Watcher};

/// Time for a whole network's processes to answer.
pub const READY: Duration = Duration::from_secs(60);
/// Time for anything that should come within seconds, on a machine that is busy.
pub const SOON: Duration = Duration::from_secs(30);
/// Bytes of a transaction, where a story does not say otherwise.
pub const TX_BYTES: usize = 512;

/// An organisation's seat when a story looks at it.
#[derive(Clone, Debug)]
pub struct Seat {
    /// The node that holds it.
    pub holder: Node,
    /// The other node of the pair.
    pub partner: Node,
    /// Its term.
    pub term: Term,
}

impl Stage {
    /// Makes a network, starts all nodes but `absent`, and follows its chain from the start.
    /// `suspects` are the nodes that the story will harm: they are asked only when no other is.
    pub async fn open(
        &mut self,
        spec: Spec,
        absent: &[&str],
        suspects: &[&str],
    ) -> Result<Watcher> {
        let network = self.make(spec).await?;
        let names = network.names();
        let present: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !absent.contains(name)).collect();
        let start = std::time::Instant::now();
        // Those that come later are not known to the others.
        let dial = (!absent.is_empty()).then(|| owned(&present));
        network.tell(Command::Start { nodes: owned(&present), dial }).await?;
        network.ready(&present, READY).await?;
        let watcher =
            Watcher::start(network.rpcs_with_last(&[suspects, absent].concat()), Height::ZERO);
        watcher.reached(Height(3), READY).await?;
        let (nodes, orgs) = (present.len(), network.orgs().len());
        self.report.holds(format!(
            "{nodes} nodes of {orgs} organisations run, and made 3 blocks within {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        Ok(watcher)
    }

    /// The story's network.
    ///
    /// # Panics
    /// Before [`Stage::open`].
    pub fn net(&self) -> &Network {
        self.network.as_ref().expect("a story opens its network first")
    }

    /// Starts a load of signed transactions by many senders, to all nodes.
    pub async fn load(&self, watcher: &Watcher, plan: Plan) -> Result<Load> {
        Load::start(self.net().rpcs_but(&[]), watcher, self.signer(), plan).await
    }

    /// Makes signed transactions by all users.
    pub fn signer(&self) -> Signer {
        Signer::new(self.net().layout(), usize::MAX, Size::Whole(TX_BYTES))
    }

    /// Starts a load of `rate` transactions a second and waits until a second's worth of it is
    /// committed.
    pub async fn steady_load(&mut self, watcher: &Watcher, rate: f64) -> Result<Load> {
        let load = self.load(watcher, Plan::steady(rate)).await?;
        until("the load is committed", SOON, || async {
            let committed = load.tracker().counts().committed;
            #[expect(clippy::cast_precision_loss, reason = "a small count")]
            let enough = committed as f64 >= rate;
            ensure!(enough, "{committed} transactions are, of {rate} a second");
            Ok(())
        })
        .await?;
        self.report.holds(format!("signed transactions run at {rate} a second, to all nodes"));
        Ok(load)
    }

    /// Ends a load: every transaction has its receipt, none two.
    pub async fn end_load(&mut self, load: Load) -> Result<Summary> {
        let tracker = std::sync::Arc::clone(load.tracker());
        let summary = load.finish(READY).await.with_context(|| {
            format!("answers other than acceptance: {:?}", tracker.counts().refusals)
        })?;
        self.report.holds(format!(
            "all {} transactions got exactly one receipt ({} were sent again for one)",
            summary.committed, summary.sent_again
        ));
        Ok(summary)
    }

    /// The role table of a height, from a node that may be a moment behind.
    async fn table(&self, node: &Node, height: Height) -> Result<RoleTable> {
        let what = format!("{} knows the role table of height {height}", node.name);
        let rpc = self.net().rpc(&node.name);
        until(&what, SOON, || async { rpc.role_table(height).await }).await
    }

    /// The seat of an organisation with a pair, by its newest role table.
    pub async fn seat(&self, org: &OrgName, watcher: &Watcher) -> Result<Seat> {
        let table = self.table(&self.net().layout().nodes[0], watcher.height()).await?;
        self.seat_in(&table, org)
    }

    /// The seat of an organisation with a pair, by a role table.
    pub fn seat_in(&self, table: &RoleTable, org: &OrgName) -> Result<Seat> {
        let network = self.net();
        let seat = table.seats().get(org).with_context(|| format!("seat {org} is empty"))?;
        let node = |holds: bool| {
            let mut pair = network.layout().pair(org);
            pair.find(|node| (node.key == seat.holder) == holds).cloned()
        };
        let holder = node(true).with_context(|| format!("a stranger holds seat {org}"))?;
        let partner = node(false).with_context(|| format!("{org} has no pair"))?;
        Ok(Seat { holder, partner, term: seat.term })
    }

    /// Waits for the first change of the role table from height `from` on, checks that it gives
    /// `before`'s seat to its partner in the next term and changes nothing else, and returns the
    /// first block of the new table.
    pub async fn seat_moves(
        &self,
        org: &OrgName,
        before: &Seat,
        watcher: &Watcher,
        from: Height,
        deadline: Duration,
    ) -> Result<Seen> {
        let old = watcher.reached(from, SOON).await?.block.validators_hash;
        let what = format!("seat {org} moves from {}", before.holder.name);
        let changed = |block: &BlockView| (block.validators_hash != old).then_some(());
        let (seen, ()) = watcher.find(&what, from, deadline, changed).await?;
        let height = seen.block.height;
        let old = self.table(&before.partner, height.back(1)).await?;
        let new = self.table(&before.partner, height).await?;
        let seat = new.seats().get(org).with_context(|| format!("seat {org} is empty"))?;
        ensure!(seat.holder == before.partner.key, "seat {org} went to {}", seat.holder);
        ensure!(seat.term == before.term.next(), "the new term is {}", seat.term);
        let others_stay = old.seats().iter().all(|(name, seat)| {
            name == org || new.seats().get(name).is_some_and(|other| other == seat)
        });
        ensure!(others_stay && old.seats().len() == new.seats().len(), "another seat changed too");
        Ok(seen)
    }

    /// Waits until a node has caught up with what the chain was when it was asked, and says that
    /// it is a standby.
    pub async fn is_standby_at_tip(&self, node: &Node, watcher: &Watcher) -> Result<()> {
        let (tip, rpc) = (watcher.height(), self.net().rpc(&node.name));
        until(&format!("{} is a standby at the tip", node.name), READY, || async {
            let status = rpc.status().await?;
            ensure!(
                status.sync_info.latest_block_height >= tip,
                "it is at height {} of {tip}",
                status.sync_info.latest_block_height
            );
            ensure!(
                !status.sync_info.catching_up,
                "it is catching up, at height {}",
                status.sync_info.latest_block_height
            );
            ensure!(status.tandem.role == "standby", "it is a {}", status.tandem.role);
            Ok(())
        })
        .await
    }

    /// Reads the whole chain from one node and checks it: see [`Chain::read`].
    pub async fn read_chain(&mut self, from: &str) -> Result<Chain> {
        self.read_long_chain(from, Vec::new()).await
    }

    /// The same of a chain that may be longer than nodes keep role tables for: those are `known`.
    pub async fn read_long_chain(&mut self, from: &str, known: Vec<RoleTable>) -> Result<Chain> {
        let network = self.net();
        let rpc = network.rpc(from);
        let tip = rpc.height().await?;
        let chain = Chain::read(rpc, network.layout(), tip, known).await?;
        self.report.holds(format!(
            "all {tip} blocks, read from {from}: every certificate is signed by holders of seats \
             at its height alone, and there is no evidence of double signing"
        ));
        Ok(chain)
    }

    /// All running nodes have the same block and state at one height.
    pub async fn same_state(&mut self, nodes: &[String]) -> Result<()> {
        let height = checks::same_state(self.net(), nodes, SOON).await?;
        self.report.holds(format!("{} nodes have the same state at height {height}", nodes.len()));
        Ok(())
    }

    /// The parameters of the story's chain.
    pub fn parameters(&self) -> Parameters {
        match self.net().layout().spec.preset {
            Preset::Lan => Parameters::lan(),
            Preset::Wan => Parameters::wan(),
        }
    }

    /// Whether a block's record calls a node alive.
    pub fn is_alive(&self, block: &BlockView, key: &PublicKey) -> bool {
        let place = self.net().layout().place_in_register(key);
        place.is_some_and(|place| block.record.record.alive.get(place))
    }

    /// Waits until a node is called alive, or dead, from height `from` on.
    pub async fn recorded(
        &self,
        node: &Node,
        alive: bool,
        watcher: &Watcher,
        from: Height,
    ) -> Result<Seen> {
        let what = format!("{} is recorded {}", node.name, if alive { "alive" } else { "dead" });
        let wanted = |block: &BlockView| (self.is_alive(block, &node.key) == alive).then_some(());
        Ok(watcher.find(&what, from, SOON, wanted).await?.0)
    }
}

/// Time from one moment to another, for people.
pub fn since(start: tokio::time::Instant, end: tokio::time::Instant) -> String {
    format!("{:.0} ms", ms(end.saturating_duration_since(start)))
}

/// This machine's clock.
pub fn wall_clock() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_millis(now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX)))
}

/// Rounds above 0 of the heights `from` to `to`, both among blocks that were seen and whose
/// certificates stand in the next block.
pub fn rounds_above_zero(watcher: &Watcher, from: Height, to: Height) -> u32 {
    let certificates = watcher.since(from.next());
    let certificates = certificates.iter().map(|seen| &seen.block.last_commit);
    certificates.filter(|c| (from..=to).contains(&c.height)).map(|c| c.round.0).sum()
}
