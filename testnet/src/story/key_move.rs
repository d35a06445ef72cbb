//! A node's key moves to a new home: under load, while the chain goes on without it, and once more while the
//! chain stands still and waits for that very key. The old homes refuse to start, a file is good for one
//! import, and nothing is signed twice.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Height;
use tandem_node::home::Home;
use tokio::process::Command;

use super::Stage;
use super::machine::{Machine, tandem};
use super::scene::{READY, SOON};
use crate::layout::Spec;
use crate::rpc::height;
use crate::watcher::Watcher;

/// Blocks that the chain makes while the key is on its way.
const MEANWHILE: u64 = 20;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher =
        stage.open(Spec::default(), &[], &["delta-a", "delta-b", "charlie-a", "charlie-b"]).await?;
    let (charlie, delta) = (stage.net().orgs()[2].clone(), stage.net().orgs()[3].clone());
    let seat = stage.seat(&delta, &watcher).await?;
    let (holder, partner) = (seat.holder.name.as_str(), seat.partner.name.as_str());
    let key = seat.holder.key;
    let other = stage.net().layout().nodes[0].clone();
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 100.0)).await?;
    // Nobody is to take the seat meanwhile.
    stage.net().stop(&[partner]).await?;
    watcher.reached(watcher.height().plus(MEANWHILE), READY).await?;

    let old = Home::new(stage.net().layout().home(&seat.holder));
    let file = stage.folder.path().join("key").display().to_string();
    let first = file.clone() + "-1";
    let running = export(stage, &old, &first).await.err().context("the node is running")?;
    ensure!(
        running.to_string().contains("another tandem process uses"),
        "a running node's key is refused by: {running}"
    );
    stage.net().stop(&[holder]).await?;
    let signed = signed_by(&export(stage, &old, &first).await?)?;
    stage.report.holds(format!(
        "{holder} is stopped, {partner} is, too; its key is in a file, and has signed up to height {signed}"
    ));
    refuses(stage, &old, "moved away").await?;
    stage.report.holds(format!("{holder}'s home refuses to start"));
    watcher.reached(signed.plus(MEANWHILE), SOON).await?;

    let mut machine = Machine::new(stage, "delta-c")?;
    let imported = machine.import(stage, &first).await?;
    ensure!(signed_by(&imported)? == signed, "another record has come: {imported}");
    refuses(stage, &old, "moved away").await?;
    let third = Machine::new(stage, "delta-d")?;
    let again = third.import(stage, &first).await.err().context("a file is imported twice")?;
    ensure!(again.to_string().contains("was imported into"), "it is refused by: {again}");
    stage.report.holds("a new home has the key; a third one, with the same file, is refused");
    let started = watcher.height();
    machine.start(stage).await?;
    machine.follows(stage.net().rpc(&other.name), watcher.height()).await?;
    let first = signs_from(&watcher, &key, signed.next()).await?;
    ensure!(first >= started, "it signed at height {first}, before it was started at {started}");
    let blocks = first.0 - signed.0;
    stage.report.holds(format!(
        "at the tip, it votes from its new home: no certificate has its signature above height {signed} \
         before that of {first}"
    ));
    let tracker = load.tracker().clone();
    stage.end_load(load).await?;

    // Two seats of four are down: the chain waits for this key.
    let pair: Vec<String> =
        stage.net().layout().pair(&charlie).map(|node| node.name.clone()).collect();
    let pair: Vec<&str> = pair.iter().map(String::as_str).collect();
    stage.net().stop(&pair).await?;
    watcher.reached(watcher.height().plus(3), READY).await?;
    machine.stop().await?;
    let second = file + "-2";
    let signed = signed_by(&export(stage, machine.home(), &second).await?)?;
    let stands = stage.net().rpc(&other.name).height().await?;
    ensure!(
        stands <= signed && signed <= stands.next(),
        "the key has signed at height {signed}, and the chain stands at {stands}"
    );
    let mut last = third;
    last.import(stage, &second).await?;
    last.start(stage).await?;
    let goes_on = watcher.reached(stands.plus(MEANWHILE), READY).await;
    let goes_on = goes_on.map_err(|error| last.explain(error))?.block.height;
    refuses(stage, machine.home(), "moved away").await?;
    stage.report.holds(format!(
        "with seat {charlie} down the chain stood still at block {stands}, where the key had signed at \
         height {signed}: moved once more, it goes on there, and block {goes_on} is made"
    ));
    stage.net().start(&pair, READY).await?;
    stage.net().start(&[partner], READY).await?;
    stage.is_standby_at_tip(&seat.partner, &watcher).await?;

    let others = stage.net().names().into_iter().filter(|name| name != holder);
    let others: Vec<String> = others.collect();
    stage.same_state(&others).await?;
    let chain = stage.read_chain(&other.name).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("blocks_without_the_key", blocks);
    last.stop().await
}

/// Exports the key of a home.
async fn export(stage: &Stage, home: &Home, file: &str) -> Result<Value> {
    let root = home.root().display().to_string();
    tandem(stage, &["keys", "export", file, "--home", &root]).await
}

/// The height that a key has signed at last, by the answer of an export or import.
fn signed_by(answer: &Value) -> Result<Height> {
    height(answer["signed"]["height"].as_str().context("a key that held a seat has signed")?)
}

/// A home's node does not start, and says why.
async fn refuses(stage: &Stage, home: &Home, word: &str) -> Result<()> {
    let mut command = Command::new(&stage.tandem);
    command.arg("start").arg("--home").arg(home.root()).kill_on_drop(true);
    let ended = tokio::time::timeout(READY, command.output()).await;
    let ended = ended.context("a home whose key has left starts a node")??;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        !ended.status.success() && said.contains(word),
        "it ends with {}: {said}",
        ended.status
    );
    Ok(())
}

/// The first height from `from` on whose certificate has a signature of a key.
async fn signs_from(watcher: &Watcher, key: &PublicKey, from: Height) -> Result<Height> {
    let address = key.address();
    let found = watcher
        .find("the key signs", from.next(), SOON, |block| {
            let mut signed = block.last_commit.signatures.iter().flatten();
            signed.any(|signature| signature.address == address).then_some(block.last_commit.height)
        })
        .await?;
    Ok(found.1)
}
