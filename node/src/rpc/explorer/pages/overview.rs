//! What there is to see at once.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::{Asked, Nav, Page};
use crate::pairs::troubles;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::frame::MAX_ALARMS;
use crate::rpc::explorer::parts::{self, Tone, foreign, grouped, millis, panel};
use crate::rpc::explorer::summary::{TxSummary, proposers};
use crate::rpc::explorer::{live, picture};
use crate::rpc::shapes::tandem::Seats;

/// Blocks in the bars.
const BARS: usize = 60;
/// Blocks and transactions in the lists.
const LIST: usize = 10;

/// A number with its name.
fn figure(name: &str, number: Markup, under: Markup) -> Markup {
    html! {
        div.figure { dt { (name) } dd { span.big { (number) } span.under { (under) } } }
    }
}

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let rpc = visit.rpc();
    let (tip, view) = (rpc.tip(), rpc.view());
    let seats: Seats = visit.ask("seats", json!({ "blocks": 100 })).await?;
    let waiting: Value = visit.ask("num_unconfirmed_txs", json!({})).await?;
    let newest = tip.height;
    let blocks =
        visit.read(move |explorer, rpc| explorer.summaries.down(rpc, newest, BARS as u64)).await?;
    let shows_txs = visit.reader("block").await.is_ok();
    let orgs = proposers(rpc);
    let alarms = troubles(&tip, &view.clocks_ahead);

    let intervals: Vec<u64> = blocks.iter().rev().filter_map(|block| block.interval_ms).collect();
    let counts: Vec<u64> = blocks.iter().rev().map(|block| block.txs as u64).collect();
    let time: u64 = intervals.iter().sum();
    let mean = time.checked_div(intervals.len() as u64);
    let rate =
        if time == 0 { 0.0 } else { counts.iter().sum::<u64>() as f64 * 1_000.0 / time as f64 };
    let ready = seats.seats.iter().filter(|seat| seat.partner_ready == Some(true)).count();
    let paired = seats.seats.iter().filter(|seat| seat.partner.is_some()).count();
    let txs: Vec<TxSummary> =
        blocks.iter().flat_map(|block| block.first.iter().rev().cloned()).take(LIST).collect();
    let proposer = blocks.first().and_then(|block| orgs.get(&block.proposer));
    let mean_text = mean.map_or("–".to_owned(), millis);
    let slowest = intervals.iter().copied().max().unwrap_or(0);

    let body = html! {
        h1.hidden { "Overview of " (rpc.genesis.chain_id) }
        (live("alarms", html! {
            @if !alarms.is_empty() {
                div.alarm role="note" {
                    strong { "Pairs that need a look" }
                    ul { @for alarm in alarms.iter().take(MAX_ALARMS) { li { (foreign(alarm)) } } }
                }
            }
        }))
        (live("figures", html! {
            dl.figures {
                (figure("Height", html! { (grouped(newest.0)) }, html! { (parts::time(tip.time)) }))
                (figure("Block time", html! { (mean_text) }, html! { "mean of " (intervals.len()) ", longest " (millis(slowest)) }))
                (figure("Transactions", html! { (format!("{rate:.1}")) " / s" }, html! {
                    "in " (blocks.len()) " blocks, " (waiting["n_txs"].as_str().unwrap_or("0")) " wait"
                }))
                (figure("Standbys ready", html! { (ready) " of " (seats.seats.len()) }, html! {
                    @if paired < seats.seats.len() { (seats.seats.len() - paired) " seats have none" } @else { "one for each seat" }
                }))
            }
        }))
        div.columns {
            (panel("Pairs", Some(("/explorer/pairs", "Who holds what")), html! {
                (live("ring", html! {
                    (picture::ring(&seats.seats, proposer, newest.0))
                }))
                ul.legend {
                    li { span.key.holder {} "holds the seat" }
                    li { span.key.partner {} "partner" }
                    li { span.key.proposing {} "proposed the newest block" }
                    li { span.key.dead {} "recorded dead" }
                }
            }))
            (panel("Pace", None, html! {
                (live("pace", html! {
                    h3 { "Time between blocks" span.muted { " up to " (millis(slowest)) } }
                    (picture::bars(&intervals, BARS, &format!("Time between the last {} blocks, {mean_text} in the mean", intervals.len())))
                    h3 { "Transactions in each block" span.muted { " up to " (grouped(counts.iter().copied().max().unwrap_or(0))) } }
                    (picture::bars(&counts, BARS, &format!("Transactions in the last {} blocks, {rate:.1} a second", counts.len())))
                    p.muted.axis { span { (blocks.len()) " blocks ago" } span { "now" } }
                }))
            }))
        }
        (panel("Newest blocks", Some(("/explorer/blocks", "All blocks")), live("blocks", parts::blocks(&blocks[..blocks.len().min(LIST)], &orgs))))
        (panel("Newest transactions", None, live("txs", html! {
            @if shows_txs { (parts::txs("Transactions, the newest first", &txs)) }
            @else { p.empty { "Transactions are shown to who may read whole blocks here " (parts::badge(Tone::Plain, "limited")) } }
        })))
    };
    Ok(Page { title: "Overview".to_owned(), nav: Nav::Overview, poll: Some(1_000), body })
}
