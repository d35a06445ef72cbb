//! Bad messages of registered nodes: what they send is refused by name, and changes nothing.
//!
//! Both processes of one pair are killed, so that the seat keeps its holder, and their keys go into
//! other hands: one holds a seat, the other holds none. While the first is recorded dead it has its
//! turn in rounds that are not reached, where a bad proposal costs nothing; while it is recorded
//! alive, in round 0 too.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::Tx;
use tandem_chain::types::{Height, Round};
use tandem_consensus::message::Message;
use tandem_node::home::Home;
use tandem_node::network::Channel;
use tokio::time::Instant;

use super::super::Stage;
use super::super::scene::{READY, SOON};
use super::cases::{
    Answer, By, Case, answers, blocks, certificates, messages, proposals, transactions,
    transactions_in_turn,
};
use super::liar::{Liar, encoded};
use super::processes::{find_line, log_len};
use super::rogue::{self, Rogue};
use crate::layout::Node;
use crate::network::owned;
use crate::until::until;
use crate::watcher::Watcher;

/// Time for a line in a log before a message is sent again: nodes tell of one peer once a second,
/// and a message may come when its height is over.
const PATIENCE: Duration = Duration::from_millis(300);
/// Blocks that the chain makes after each message.
const BLOCKS_AFTER: u64 = 2;

/// A running node that is sent things, and its log.
struct Target {
    node: Node,
    log: PathBuf,
}

/// Whoever sends, and to whom.
struct Scene<'a> {
    watcher: &'a Watcher,
    targets: Vec<Target>,
    holder: Rogue,
    other: Rogue,
    liar: Liar,
    cases: usize,
}

/// Plays them; the number of cases.
pub async fn play(stage: &mut Stage, watcher: &Watcher) -> Result<usize> {
    let layout = stage.net().layout().clone();
    let json = std::fs::read_to_string(Home::new(layout.home(&layout.nodes[0])).genesis_path())?;
    let genesis = Genesis::from_json(&json)?;
    let org = layout.orgs.last().context("a network has organisations")?;
    let seat = stage.seat(org, watcher).await?;
    let pair = [seat.holder.name.as_str(), seat.partner.name.as_str()];
    let key = layout.users(&layout.orgs[0]).remove(0);
    let committed = commit(stage, watcher, &key).await?;

    stage.net().kill(&pair).await?;
    let before = watcher.height();
    for node in [&seat.holder, &seat.partner] {
        stage.recorded(node, false, watcher, before).await?;
    }
    let mut targets = Vec::new();
    for other in layout.orgs.iter().filter(|other| *other != org) {
        targets.push(stage.seat(other, watcher).await?.holder);
    }
    let holder = rogue::config(stage, &genesis, pair[0], &targets)?;
    let other = rogue::config(stage, &genesis, pair[1], &targets)?;
    for channel in [Channel::Consensus, Channel::Transactions] {
        let log = layout.log(&targets[0]);
        let start = log_len(&log);
        rogue::overlong(&other, &targets[0], channel).await?;
        let words = [&format!("frame of {channel} has"), "connection closed"];
        until("the node names it", SOON, || async { find_line(&log, start, &words) }).await?;
    }
    stage.report.holds("a registered peer's frame over the limit ends its connection, by name");

    let (holder, holder_key) = Rogue::connect(holder, &targets).await?;
    let (other, other_key) = Rogue::connect(other, &targets).await?;
    let log = |node: Node| Target { log: layout.log(&node), node };
    let mut scene = Scene {
        watcher,
        targets: targets.into_iter().map(log).collect(),
        holder,
        other,
        liar: Liar::new(&genesis, holder_key, other_key, key, committed)?,
        cases: 2,
    };
    for (what, cases) in [
        ("bad messages and votes", messages()),
        ("bad proposals", proposals()),
        ("proposals of bad blocks", blocks()),
        ("proposals with bad certificates", certificates()),
        ("proposals with bad transactions", transactions()),
        ("proposals with transactions that the ledger refuses", transactions_in_turn()),
    ] {
        let count = cases.len();
        for case in cases {
            scene.is_refused(&case).await.with_context(|| case.what)?;
        }
        stage.report.holds(format!("{count} {what} by registered nodes are refused by name"));
    }
    scene.question_is_refused().await.context("a question that is none")?;
    let answers = answers();
    let count = answers.len();
    for answer in answers {
        scene.answer_is_refused(&answer).await.with_context(|| answer.what)?;
    }
    stage.report.holds(format!("{count} bad answers to fetches are refused by name"));
    let Scene { holder, other, cases, .. } = scene;
    holder.leave().await;
    other.leave().await;

    let absent = [pair[0], pair[1], "obs-1"];
    let names = stage.net().names().into_iter();
    let running: Vec<String> = names.filter(|name| !absent.contains(&name.as_str())).collect();
    stage.same_state(&running).await?;
    let still = stage.seat(org, watcher).await?;
    ensure!(still.holder.key == seat.holder.key && still.term == seat.term, "the seat moved");
    let back = watcher.height();
    stage.net().start(&pair, READY).await?;
    for node in [&seat.holder, &seat.partner] {
        stage.recorded(node, true, watcher, back).await?;
    }
    stage.report.holds(format!("{} and {}, started again, are back", pair[0], pair[1]));
    Ok(cases)
}

/// A transaction of `key` that stands in the chain.
async fn commit(stage: &Stage, watcher: &Watcher, key: &SecretKey) -> Result<Tx> {
    let call = Call::Records(records::Call::Create { data_set: "bad-peers".parse()? });
    let chain_id = &stage.net().layout().chain_id;
    let tx = crate::load::sign(chain_id, key, rand::random(), watcher.height(), call);
    let receipt = stage.net().rpc("alpha-a").execute(&tx, SOON).await?.receipt;
    ensure!(receipt.code == 0, "it failed: {}", receipt.log);
    Ok(tx)
}

/// A line that a target's log must come to have.
struct Line {
    target: Node,
    log: PathBuf,
    /// Where the log ended when it was first waited for.
    start: u64,
    words: Vec<String>,
    deadline: Instant,
}

impl Line {
    /// Whether it comes within a moment.
    async fn has_come(&self) -> Result<bool> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let look = || async { find_line(&self.log, self.start, &words) };
        match until("the line in the log", PATIENCE, look).await {
            Ok(_) => Ok(true),
            Err(error) if Instant::now() >= self.deadline => {
                Err(error.context(format!("{} does not name it", self.target.name)))
            }
            Err(_) => Ok(false),
        }
    }
}

impl Scene<'_> {
    /// A line about `peer` in the log of a target: of each by turns, since a node tells of a peer
    /// once a second.
    fn line(&self, peer: &Rogue, words: &[&str]) -> Line {
        let Target { node, log } = &self.targets[self.cases % self.targets.len()];
        let mut words = owned(words);
        words.push(peer.key().to_string());
        Line {
            target: node.clone(),
            log: log.clone(),
            start: log_len(log),
            words,
            deadline: Instant::now() + SOON,
        }
    }

    /// Sends a message, made anew for the newest block, until the node's log names it.
    async fn is_refused(&mut self, case: &Case) -> Result<()> {
        let sender = match case.by {
            By::Holder => &self.holder,
            By::Other => &self.other,
        };
        let line = self.line(sender, case.words);
        let to = &line.target.key;
        loop {
            self.liar.catch_up(&self.other, to).await?;
            if case.in_turn {
                // Whoever follows the chain is recorded alive, and has its turns.
                for target in &self.targets {
                    let follow = self.liar.follow(&self.liar.holder);
                    sender.send(&target.node.key, Channel::Consensus, follow);
                }
            }
            if case.in_turn && !self.liar.is_turn(Round::ZERO) {
                ensure!(Instant::now() < line.deadline, "it never has its turn");
                self.watcher.reached(self.liar.height(), SOON).await?;
                continue;
            }
            sender.send(to, case.channel, (case.make)(&self.liar));
            if line.has_come().await? {
                return self.goes_on().await;
            }
        }
    }

    async fn question_is_refused(&mut self) -> Result<()> {
        let line = self.line(&self.other, &["question about snapshots cannot be decoded"]);
        loop {
            let answer = self.other.ask(&line.target.key, b"?").await;
            ensure!(answer.is_err(), "it was answered");
            if line.has_come().await? {
                return self.goes_on().await;
            }
        }
    }

    /// Claims a height until the node asks, and answers, until its log names the answer.
    async fn answer_is_refused(&mut self, answer: &Answer) -> Result<()> {
        let claim = encoded(&Message::Status { committed: Height(u64::MAX) });
        let line = self.line(&self.other, answer.words);
        let to = line.target.key;
        self.liar.catch_up(&self.other, &to).await?;
        loop {
            self.other.send(&to, Channel::Consensus, claim.clone());
            if let Some(question) = self.other.question(&to, PATIENCE).await {
                // The node may have given up waiting.
                let _ = question.reply.send((answer.make)(&self.liar, question.first));
            }
            if line.has_come().await? {
                return self.goes_on().await;
            }
        }
    }

    async fn goes_on(&mut self) -> Result<()> {
        self.cases += 1;
        self.watcher.reached(self.watcher.height().plus(BLOCKS_AFTER), SOON).await.map(|_| ())
    }
}
