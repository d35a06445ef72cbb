//! Every change of a node's role is told to its hooks once and in order, over planned switches, kills and
//! restarts, by a program that hangs at times and a webhook that refuses each change at first.

mod receiver;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tandem_chain::types::Height;
use tandem_node::config::Hooks;
use tandem_node::rpc::shapes::tandem::Switches;

use super::Stage;
use super::planned::switch;
use super::scene::{READY, SOON, Seat, rounds_above_zero};
use crate::layout::{Node, Spec};
use crate::until::until;
use crate::watcher::Watcher;

use receiver::Receiver;

/// Writes each change down in the node's home folder, and hangs while there is a file called `hang`.
const SCRIPT: &str = "echo $TANDEM_HEIGHT $TANDEM_OLD_ROLE $TANDEM_NEW_ROLE $TANDEM_TERM $TANDEM_AGAIN \
                      >> changes; while [ -e hang ]; do sleep 0.1; done";
/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(3);
/// Blocks in which a change that is told twice, or a round that a hook cost, would show.
const BLOCKS: u64 = 30;

/// A change that a hook was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    height: u64,
    old: String,
    new: String,
    term: u64,
    /// It may have been told before.
    again: bool,
}

impl Line {
    fn new(height: Height, old: &str, new: &str, term: u64) -> Self {
        Self { height: height.0, old: old.to_owned(), new: new.to_owned(), term, again: false }
    }
}

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let receiver = Receiver::start().await?;
    let hooks = Hooks {
        role_change: ["/bin/sh", "-c", SCRIPT].map(str::to_owned).to_vec(),
        role_change_webhook: receiver.url().to_owned(),
        timeout: LIMIT,
    };
    let spec = Spec { hooks, observers: 1, ..Spec::default() };
    let watcher = stage.open(spec, &[], &["bravo-a", "charlie-a", "charlie-b"]).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 100.0)).await?;
    told(stage, &receiver, 0).await?;
    stage.report.holds("each node's program and webhook were told its role at the first block");

    let [alpha, bravo, charlie] = [0, 1, 2].map(|i| stage.net().orgs()[i].clone());
    let seat = stage.seat(&alpha, &watcher).await?;
    let effective = moves(stage, &seat, &watcher).await?;
    told(stage, &receiver, 0).await?;
    stage.report.holds(format!(
        "a planned switch: the nodes of {alpha} were told of height {effective}, and no other"
    ));

    let seat = stage.seat(&bravo, &watcher).await?;
    let (holder, from) = (seat.holder.name.clone(), watcher.height());
    stage.net().kill(&[&holder]).await?;
    let moved = stage.seat_moves(&bravo, &seat, &watcher, from, SOON).await?;
    stage.net().start(&[&holder], READY).await?;
    stage.is_standby_at_tip(&seat.holder, &watcher).await?;
    told(stage, &receiver, 0).await?;
    stage.report.holds(format!(
        "{holder} is killed: its standby was told of height {}, and {holder} itself when it was back",
        moved.block.height
    ));

    // At the very blocks in which the role changes, so that the program may be running or not.
    let times = stage.size(stage.options.times, 10, 2);
    let mut repeats = 0;
    for time in 0..times as u64 {
        let seat = stage.seat(&charlie, &watcher).await?;
        let holder = seat.holder.name.clone();
        let effective = switch(stage, &seat).await?;
        watcher.reached(effective.plus(time % 4).back(2), SOON).await?;
        stage.net().kill(&[&holder]).await?;
        stage.net().start(&[&holder], READY).await?;
        stage.is_standby_at_tip(&seat.holder, &watcher).await?;
        watcher.reached(effective.plus(BLOCKS), SOON).await?;
        repeats = told(stage, &receiver, usize::MAX).await?;
        stage.recorded(&seat.holder, true, &watcher, watcher.height()).await?;
    }
    stage.report.holds(format!(
        "{times} times the node that loses a seat is killed as it does: it was told each time, {repeats} \
         times with the mark that it may have been told before"
    ));

    let seat = stage.seat(&alpha, &watcher).await?;
    let (gaining, from) = (seat.partner.clone(), watcher.height());
    let hang = stage.net().layout().home(&gaining).join("hang");
    std::fs::write(&hang, "")?;
    let effective = moves(stage, &seat, &watcher).await?;
    let back = stage.seat(&alpha, &watcher).await?;
    let last = moves(stage, &back, &watcher).await?;
    let end = last.plus(BLOCKS);
    watcher.reached(end.next(), SOON).await?;
    let rounds = rounds_above_zero(&watcher, from, end);
    ensure!(rounds == 0, "{rounds} rounds above 0 from height {from} to {end}");
    told(stage, &receiver, repeats).await?;
    stage.report.holds(format!(
        "the program of {} hangs at heights {effective} and {last}: it is killed after {} s each time, and \
         no round above 0 came of it",
        gaining.name,
        LIMIT.as_secs()
    ));

    let seat = stage.seat(&alpha, &watcher).await?;
    let effective = moves(stage, &seat, &watcher).await?;
    line_of(stage, &gaining, effective).await?;
    stage.net().kill(&[&gaining.name]).await?;
    std::fs::remove_file(&hang)?;
    stage.net().start(&[&gaining.name], READY).await?;
    until("it is told again", SOON, || async {
        let lines = lines(stage, &gaining)?;
        let own: Vec<&Line> = lines.iter().filter(|line| line.height == effective.0).collect();
        ensure!(own.len() == 2 && own[1].again, "{own:?}");
        Ok(())
    })
    .await?;
    told(stage, &receiver, repeats + 1).await?;
    stage.report.holds(format!(
        "{} is killed while its program runs: it is told again of height {effective}, with the mark",
        gaining.name
    ));

    let names = stage.net().names();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let before: Vec<Vec<Line>> =
        nodes(stage).iter().map(|node| lines(stage, node)).collect::<Result<_>>()?;
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    stage.net().stop(&all).await?;
    stage.net().start(&all, READY).await?;
    let height = stage.net().rpc(&names[0]).height().await?;
    watcher.reached(height.plus(BLOCKS), READY).await?;
    let after: Vec<Vec<Line>> =
        nodes(stage).iter().map(|node| lines(stage, node)).collect::<Result<_>>()?;
    ensure!(before == after, "a restart told of something: {before:?}, {after:?}");
    stage.report.holds("all nodes are stopped and started again: nothing was told");

    stage.same_state(&names).await?;
    let chain = stage.read_chain(&names[0]).await?;
    chain.has_each_once(&tracker.receipts())?;
    let posted = receiver.took_each_once()?;
    stage
        .report
        .holds(format!("the webhook refused each of {posted} changes once, and took it once"));
    stage.report.figure("changes", posted);
    stage.report.figure("committed_txs", summary.committed);
    Ok(())
}

/// Gives a seat to its partner; the height from which that has it.
async fn moves(stage: &mut Stage, seat: &Seat, watcher: &Watcher) -> Result<Height> {
    let from = watcher.height();
    let effective = switch(stage, seat).await?;
    let moved = stage.seat_moves(&seat.holder.org, seat, watcher, from, SOON).await?;
    ensure!(moved.block.height == effective, "the seat moved at {}", moved.block.height);
    Ok(effective)
}

fn nodes(stage: &Stage) -> Vec<Node> {
    stage.net().layout().nodes.clone()
}

/// What a node's program has written down.
fn lines(stage: &Stage, node: &Node) -> Result<Vec<Line>> {
    let path = stage.net().layout().home(node).join("changes");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    text.lines()
        .map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            let [height, old, new, term, again] = parts[..] else {
                anyhow::bail!("{}: a line is {line:?}", path.display())
            };
            let (height, term) = (height.parse()?, term.parse()?);
            let (old, new) = (old.to_owned(), new.to_owned());
            Ok(Line { height, old, new, term, again: again == "1" })
        })
        .collect()
}

/// Waits until a node's program was told of a height.
async fn line_of(stage: &Stage, node: &Node, height: Height) -> Result<()> {
    until(&format!("{} is told of height {height}", node.name), SOON, || async {
        let lines = lines(stage, node)?;
        ensure!(lines.iter().any(|line| line.height == height.0), "{lines:?}");
        Ok(())
    })
    .await
}

/// What each node must have been told, by the genesis and the history of switches on the chain.
async fn due(stage: &Stage) -> Result<BTreeMap<String, Vec<Line>>> {
    let layout = stage.net().layout();
    let mut due: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for node in &layout.nodes {
        let first = Line::new(Height(1), "unregistered", node.role.name(), 0);
        due.insert(node.name.clone(), vec![first]);
    }
    let answer: Switches =
        stage.net().rpc("delta-a").call("switches", json!({ "limit": "100" })).await?;
    for entry in answer.switches.iter().rev() {
        let changes = [(entry.from, "validator", "standby"), (entry.to, "standby", "validator")];
        for (key, old, new) in changes {
            let key = key.context("no seat is left out")?;
            let node = layout.by_key(&key).context("a stranger held a seat")?;
            let line = Line::new(entry.effective, old, new, entry.term.0);
            due.entry(node.name.clone()).or_default().push(line);
        }
    }
    Ok(due)
}

/// Waits until every node's program and webhook were told what they must be, in order. Returns how often
/// a program was told something again, marked, which may be `repeats` times.
async fn told(stage: &Stage, receiver: &Receiver, repeats: usize) -> Result<usize> {
    until("every hook is told what is due", READY, || async {
        let due = due(stage).await?;
        let mut repeated = 0;
        for node in nodes(stage) {
            let expected = &due[&node.name];
            let mut told = lines(stage, &node)?;
            let count = told.len();
            told.dedup_by(|line, before| {
                line.again && Line { again: before.again, ..line.clone() } == *before
            });
            repeated += count - told.len();
            for (what, told) in [("program", told), ("webhook", receiver.lines(&node.key)?)] {
                let told: Vec<Line> =
                    told.into_iter().map(|line| Line { again: false, ..line }).collect();
                ensure!(told == *expected, "{} of {}: {told:?}, due {expected:?}", what, node.name);
            }
        }
        ensure!(repeated <= repeats, "{repeated} changes were told again");
        Ok(repeated)
    })
    .await
}
