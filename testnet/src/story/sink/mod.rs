//! kill -9 of two nodes that write to one PostgreSQL, and of that server, at random moments under load: at the
//! end every transaction and event of the chain stands there exactly once, and nothing else does.

mod postgres;
mod standing;

use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls};

use super::Stage;
use super::scene::READY;
use crate::layout::{Sink, Spec};
use crate::sim::random::Random;
use crate::until::until;
use crate::watcher::Watcher;

use postgres::Postgres;
use standing::Standing;

/// The nodes that write there: an organisation's pair.
const WRITERS: [&str; 2] = ["alpha-a", "alpha-b"];
/// The node that is not harmed, which tells what the chain holds.
const SOURCE: &str = "delta-a";
/// The longest time from one kill to the next, and that the server is down.
const LONG_MS: u64 = 1_500;
/// The same of every second kill: while what was missed is written, one after the other.
const SHORT_MS: u64 = 150;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let seed = stage.options.seed.unwrap_or_else(rand::random);
    let secs = stage.size(stage.options.secs, 300, 15);
    stage.report.does(format!("the moments are those of --seed {seed}"));
    let made = Postgres::new().and_then(|mut server| server.start().map(|()| server));
    let mut server = made.map_err(Error::msg)?;
    let sink = Sink {
        nodes: WRITERS.map(str::to_owned).to_vec(),
        url: server.url("postgres"),
        password_file: server.password_file(),
    };
    let spec = Spec { relays: false, sink: Some(sink), ..Spec::default() };
    let watcher = stage.open(spec, &[], &WRITERS).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 100.0)).await?;
    is_at_tip(&server, &watcher).await?;
    stage.report.holds(format!("{} write to a PostgreSQL what they commit", WRITERS.join(" and ")));

    let (mut random, begun) = (Random::new(seed), Instant::now());
    let (mut of_server, mut of_nodes) = (0, 0);
    while begun.elapsed() < Duration::from_secs(secs) {
        pause(&mut random).await;
        if random.chance(500) {
            block_in_place(|| server.kill());
            let before = watcher.height();
            pause(&mut random).await;
            // Nobody waits for it.
            watcher.reached(before.next(), READY).await?;
            block_in_place(|| server.start()).map_err(Error::msg)?;
            of_server += 1;
        } else {
            let node = random.pick(&WRITERS);
            stage.net().kill(&[node]).await?;
            stage.net().start(&[node], READY).await?;
            of_nodes += 1;
        }
    }
    stage.report.holds(format!(
        "in {secs} s of load the server was killed {of_server} times, the nodes {of_nodes} times, and the \
         chain went on while it was down"
    ));
    let tracker = load.tracker().clone();
    let summary = stage.end_load(load).await?;
    is_at_tip(&server, &watcher).await?;

    let client = connect(&server).await?;
    let standing = Standing::compare(&client, stage.net(), SOURCE).await;
    let standing = standing.with_context(|| format!("with --seed {seed}"))?;
    stage.report.holds(format!(
        "of all {} blocks, as {SOURCE} tells them, each of {} transactions and {} events stands there \
         once, with the same content, and nothing else does",
        standing.blocks, standing.txs, standing.events
    ));
    for (tx, height) in &tracker.receipts() {
        let found = standing.by_hash.get(tx).map(Vec::as_slice);
        ensure!(found == Some(&[*height][..]), "{tx} of height {height} stands there at {found:?}");
    }
    stage.report.holds(format!("all {} transactions with a receipt are there", summary.committed));
    let names = stage.net().names();
    stage.same_state(&names).await?;
    stage.read_chain(SOURCE).await?.has_each_once(&tracker.receipts())?;
    let report = &mut stage.report;
    report.figure("seed", seed);
    report.figure("kills_of_server", of_server);
    report.figure("kills_of_nodes", of_nodes);
    report.figure("blocks", standing.blocks);
    report.figure("transactions", standing.txs);
    report.figure("events", standing.events);
    Ok(())
}

/// A time in which much is written, or any.
async fn pause(random: &mut Random) {
    let longest = if random.chance(500) { SHORT_MS } else { LONG_MS };
    sleep(Duration::from_micros(random.below(longest * 1_000))).await;
}

async fn connect(server: &Postgres) -> Result<Client> {
    let mut config: tokio_postgres::Config = server.url("postgres").parse()?;
    let password = std::fs::read_to_string(server.password_file())?;
    let (client, connection) = config.password(password.trim_end()).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until what the chain is now stands in the server.
async fn is_at_tip(server: &Postgres, watcher: &Watcher) -> Result<()> {
    let tip = watcher.height();
    until("PostgreSQL is at the tip", READY, || async {
        let client = connect(server).await?;
        let highest = client.query_one("SELECT max(height) FROM blocks", &[]).await?;
        let highest = highest.get::<_, Option<i64>>(0).unwrap_or_default();
        ensure!(highest >= i64::try_from(tip.0)?, "it is at height {highest} of {tip}");
        Ok(())
    })
    .await
}
