//! What a scrape finds.

use std::collections::BTreeSet;
use std::sync::Arc;

use tandem_chain::Error;
use tandem_chain::codec;
use tandem_chain::modules::standby::{self, SeatView};
use tandem_chain::tip::Tip;

use super::blocks::{Blocks, Counts};
use super::machine::{Process, disk, folder_bytes};
use super::page::Page;
use super::server::Sources;
use super::table as metric;
use crate::admission::Counted;
use crate::health::{self, PARTS};
use crate::hooks::Roles;
use crate::view::Part;

/// What admission refuses for what is in the transaction itself, and not for want of room.
const FAILED: [Counted; 8] = [
    Counted::Undecodable,
    Counted::OtherChain,
    Counted::BadSignature,
    Counted::Validity,
    Counted::UnknownSender,
    Counted::Committed,
    Counted::BadFrame,
    Counted::Other,
];

/// Looks at everything. It reads the database: not for an async loop.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn take(sources: &Sources, blocks: &Blocks) -> Result<Page, Error> {
    let mut page = Page::default();
    let tip = sources.tip.borrow().clone();
    consensus(&mut page, sources, &tip, &blocks.counts());
    network(&mut page, sources);
    mempool(&mut page, sources);
    sink(&mut page, sources, &tip);
    node(&mut page, sources, &tip);
    seats(&mut page, sources, &tip)?;
    machine(&mut page, sources);
    Ok(page)
}

fn consensus(page: &mut Page, sources: &Sources, tip: &Tip, counts: &Counts) {
    let view = sources.view.borrow().clone();
    let table = &tip.next_table;
    let own = table.by_key(&sources.me);
    page.one(&metric::HEIGHT, tip.height.0 as f64);
    page.one(&metric::LATEST_BLOCK_HEIGHT, tip.height.0 as f64);
    page.one(&metric::ROUNDS, f64::from(view.round.0));
    page.one(&metric::VALIDATORS, table.validators().len() as f64);
    page.one(&metric::VALIDATORS_POWER, table.total_power().0 as f64);
    page.one(&metric::VALIDATOR_POWER, own.map_or(0.0, |(_, holder)| holder.power.0 as f64));
    let me = || [sources.me.address().to_string()];
    let signed = counts.last_signed.map(|height| (me(), height.0 as f64));
    page.each(&metric::LAST_SIGNED_HEIGHT, signed);
    let votes = counts.last_signed.is_some() || counts.missed > 0;
    page.each(&metric::MISSED_BLOCKS, votes.then(|| (me(), counts.missed as f64)));
    page.one(&metric::MISSING_VALIDATORS, counts.missing.count as f64);
    page.one(&metric::MISSING_VALIDATORS_POWER, counts.missing.power.0 as f64);
    page.one(&metric::BYZANTINE_VALIDATORS, counts.byzantine.count as f64);
    page.one(&metric::BYZANTINE_VALIDATORS_POWER, counts.byzantine.power.0 as f64);
    page.distribution(&metric::BLOCK_INTERVAL, counts.intervals.clone());
    let newest = counts.newest.as_ref().map(|certified| &certified.block);
    page.one(&metric::NUM_TXS, newest.map_or(0.0, |block| block.txs.len() as f64));
    page.one(&metric::TOTAL_TXS, counts.txs as f64);
    let size = newest.map_or(0, |block| codec::encode(&**block).len());
    page.one(&metric::BLOCK_SIZE, size as f64);
    page.one(&metric::SYNCING, flag(view.catching_up));
    page.one(&metric::EVIDENCE, counts.evidence as f64);
    let switches = counts.switches.iter();
    page.each(&metric::SWITCHES, switches.map(|(reason, n)| ([reason.clone()], *n as f64)));
}

fn network(page: &mut Page, sources: &Sources) {
    let peers = sources.network.peers();
    page.one(&metric::PEERS, peers.len() as f64);
    let id = |key: &tandem_chain::keys::PublicKey| [hex::encode(key.address().as_bytes())];
    page.each(&metric::PEER_RECEIVED, peers.iter().map(|p| (id(&p.key), p.received as f64)));
    page.each(&metric::PEER_SENT, peers.iter().map(|p| (id(&p.key), p.sent as f64)));
    let counters = sources.network.counters();
    let of = |direction: &str| {
        let suffix = format!("_bytes_{direction}");
        let found = counters
            .iter()
            .filter_map(|(name, n)| Some(([name.strip_suffix(&suffix)?.to_owned()], *n as f64)));
        found.collect::<Vec<_>>()
    };
    page.each(&metric::RECEIVED, of("received"));
    page.each(&metric::SENT, of("sent"));
    let events = counters.iter().filter(|(name, _)| !name.contains("_bytes_"));
    page.each(&metric::NETWORK_EVENTS, events.map(|(name, n)| ([(*name).to_owned()], *n as f64)));
}

fn mempool(page: &mut Page, sources: &Sources) {
    let (count, bytes) = sources.admission.waiting();
    page.one(&metric::MEMPOOL_SIZE, count as f64);
    page.one(&metric::MEMPOOL_BYTES, bytes as f64);
    let counters = sources.admission.counters();
    let failed: u64 = FAILED.iter().map(|what| counters.get(*what)).sum();
    page.one(&metric::FAILED_TXS, failed as f64);
    let outcomes = counters.all().map(|(name, n)| ([name.to_owned()], n as f64));
    page.each(&metric::TRANSACTIONS, outcomes);
    let named = |name: &str| [name.to_owned()];
    let calls = sources.requests.all();
    page.each(&metric::RPC_REQUESTS, calls.map(|(name, begun, _)| (named(name), begun as f64)));
    let calls = sources.requests.all();
    page.each(&metric::RPC_FAILED, calls.map(|(name, _, failed)| (named(name), failed as f64)));
}

fn sink(page: &mut Page, sources: &Sources, tip: &Tip) {
    let figures = sources.sink.as_ref().map(|figures| *figures.borrow());
    let height = figures.and_then(|figures| figures.height);
    page.each(&metric::SINK_HEIGHT, height.map(|height| ([], height.0 as f64)));
    let lag = height.map(|height| ([], tip.height.0.saturating_sub(height.0) as f64));
    page.each(&metric::SINK_LAG, lag);
    let skipped = figures.map(|figures| ([], figures.skipped as f64));
    page.each(&metric::SINK_SKIPPED, skipped);
    let failures = figures.map(|figures| ([], figures.failures as f64));
    page.each(&metric::SINK_FAILURES, failures);
}

fn node(page: &mut Page, sources: &Sources, tip: &Tip) {
    let view = sources.view.borrow().clone();
    page.each(&metric::BUILD, [([env!("CARGO_PKG_VERSION").to_owned()], 1.0)]);
    let (own, _) = Part::of(&view.role);
    let parts = Part::ALL.map(|part| ([part.name().to_owned()], flag(part == own)));
    page.each(&metric::ROLE, parts);
    let faults = health::faults(&sources.view, tip);
    page.one(&metric::HEALTHY, flag(faults.is_empty()));
    let peers = sources.network.peers().len();
    let reasons = health::not_ready(&sources.view, tip, &sources.me, peers);
    page.one(&metric::READY, flag(reasons.is_empty()));
    let of = |part: &str| reasons.iter().filter(|fault| health::is_of(fault, part)).count();
    page.each(&metric::FAULTS, PARTS.map(|part| ([part.to_owned()], of(part) as f64)));
    let offset = view.clock_offset_ms.map(|ms| ([], ms as f64 / 1_000.0));
    page.each(&metric::CLOCK_OFFSET, offset);
    let ahead_max = tip.parameters.max_clock_ahead_ms as f64 / 1_000.0;
    page.one(&metric::CLOCK_AHEAD_MAX, ahead_max);
    page.one(&metric::ROUNDS_ABOVE_ZERO, view.rounds_above_zero as f64);
    page.one(&metric::FSYNCS, view.fsyncs as f64);
    let hooks = sources.roles.as_ref().map(Roles::figures).unwrap_or_default();
    let waiting = hooks.iter().map(|hook| ([hook.name.to_owned()], hook.waiting as f64));
    page.each(&metric::HOOKS_WAITING, waiting);
    let runs = hooks.iter().flat_map(|hook| {
        [("done", hook.done), ("failed", hook.failed)]
            .map(|(outcome, n)| ([hook.name.to_owned(), outcome.to_owned()], n as f64))
    });
    page.each(&metric::HOOK_RUNS, runs);
    let ahead: BTreeSet<_> = view.clocks_ahead.iter().collect();
    let seats = tip.next_table.seats().keys();
    page.each(
        &metric::SEAT_CLOCK_AHEAD,
        seats.map(|org| ([org.to_string()], flag(ahead.contains(org)))),
    );
    let nodes = tip.register.nodes.iter();
    let alive = tip.alive.as_ref().map(|alive| {
        nodes.map(|(key, entry)| {
            let labels = [entry.org.to_string(), hex::encode(key.address().as_bytes())];
            (labels, flag(alive.contains(key)))
        })
    });
    page.each(&metric::ALIVE, alive.into_iter().flatten());
}

fn seats(page: &mut Page, sources: &Sources, tip: &Arc<Tip>) -> Result<(), Error> {
    // Of a chain without a block there is nothing to tell yet.
    let seats =
        if tip.height.0 == 0 { Vec::new() } else { standby::seats(&sources.db.snapshot())? };
    let mut each = |metric, value: &dyn Fn(&SeatView) -> Option<f64>| {
        let found = seats.iter().filter_map(|seat| Some(([seat.seat.to_string()], value(seat)?)));
        page.each(metric, found);
    };
    each(&metric::SEAT_POWER, &|seat| Some(seat.power.0 as f64));
    each(&metric::SEAT_TERM, &|seat| Some(seat.term.0 as f64));
    each(&metric::SEAT_FILLED, &|seat| Some(flag(seat.holder.is_some())));
    each(&metric::SEAT_DOWN, &|seat| Some(flag(seat.is_down())));
    each(&metric::STANDBY_ELIGIBLE, &|seat| {
        seat.partner?;
        Some(flag(seat.partner_alive == Some(true) && seat.never_automatic.is_none()))
    });
    each(&metric::RUN_BLOCKS, &|seat| Some(seat.run.count as f64));
    each(&metric::BLOCKS_UNTIL_SWITCH, &|seat| Some(seat.blocks_until_switch? as f64));
    each(&metric::SEAT_CHANGED, &|seat| Some(seat.effective.0 as f64));
    Ok(())
}

fn machine(page: &mut Page, sources: &Sources) {
    let path = sources.db.path();
    let disk = disk(path);
    page.each(&metric::DISK_FREE, disk.map(|(free, _)| ([], free as f64)));
    page.each(&metric::DISK_SIZE, disk.map(|(_, size)| ([], size as f64)));
    page.one(&metric::DATABASE, folder_bytes(path) as f64);
    page.one(&metric::LOWEST_BLOCK, sources.db.first_height().0 as f64);
    let process = Process::read();
    page.one(&metric::MEMORY, process.memory_bytes);
    page.one(&metric::CPU, process.cpu_s);
    page.one(&metric::OPEN_FDS, process.open_fds);
    page.one(&metric::MAX_FDS, process.max_fds);
    page.one(&metric::START, process.start_s);
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}
