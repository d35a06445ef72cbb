//! Switches and what proves them.

use maud::{Markup, html};
use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::{Call, standby};
use tandem_chain::types::{Height, OrgName};

use super::block::{self, attributes};
use super::{Asked, Nav, Page};
use crate::decode::readable;
use crate::rpc::error::RpcError;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, panel};
use crate::rpc::explorer::query::{number, parsed};
use crate::rpc::explorer::value;
use crate::rpc::shapes::tandem::{SwitchEntry, Switches};
use crate::rpc::state::RpcState;

/// Switches on a page.
const SWITCHES: u64 = 50;
/// Records before a switch that are shown.
const RECORDS: u64 = 40;
/// Switches that are looked through for one of a height.
const LOOKED_THROUGH: u64 = 1_000;

/// A table of switches.
pub(super) fn table(switches: &[SwitchEntry]) -> Markup {
    let rows: Vec<Vec<Markup>> = switches
        .iter()
        .map(|switch| {
            let key = |key: Option<PublicKey>| match key {
                Some(key) => parts::key(&key),
                None => html! { span.muted { "none" } },
            };
            vec![
                parts::height(switch.height),
                parts::org(&switch.seat),
                html! { (key(switch.from)) " → " (key(switch.to)) },
                reason(&switch.reason),
                html! { span.num { (switch.term) } },
                parts::height(switch.effective),
                html! { a href={ "/explorer/switch/" (switch.height) "/" (switch.seat) } { "Proof" } },
            ]
        })
        .collect();
    let heads = ["Decided in", "Seat", "From → to", "Why", "Term", "In effect from", "Proof"];
    parts::table("Switches, the newest first", &heads, &rows)
}

fn reason(reason: &str) -> Markup {
    badge(if reason == "barred" { Tone::Bad } else { Tone::Accent }, reason)
}

pub(super) async fn list(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["skip"])?;
    let skip = query.number("skip")?.unwrap_or(0);
    let found: Switches = visit.ask("switches", json!({ "skip": skip, "limit": SWITCHES })).await?;
    let to = |skip: u64| format!("/explorer/switches?skip={skip}");
    let newer = (skip > 0).then(|| to(skip.saturating_sub(SWITCHES)));
    let older = (found.switches.len() as u64 == SWITCHES).then(|| to(skip + SWITCHES));
    let body = html! {
        (parts::heading("Switches", Some(html! { "Changes of holders. The last thousand are remembered." })))
        section.panel { (table(&found.switches)) }
        (parts::pager(newer, older, ("Newer", "Older")))
    };
    Ok(Page { title: "Switches".to_owned(), nav: Nav::Pairs, poll: None, body })
}

pub(super) async fn page(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let height = Height(number("a height", names[0])?);
    let seat: OrgName = parsed(names[1])?;
    let mut skip = 0;
    let switch = loop {
        let found: Switches = visit.ask("switches", json!({ "skip": skip, "limit": 100 })).await?;
        let is_end = found.switches.len() < 100 || skip >= LOOKED_THROUGH;
        let one = found.switches.into_iter().find(|s| s.height == height && s.seat == seat);
        if let Some(one) = one {
            break one;
        }
        if is_end {
            let text = format!("no switch of seat {seat} in block {height} is remembered");
            return Err(Fault::not_found(text));
        }
        skip += 100;
    };
    // Records are of what the chain is; the transactions are shown where whole blocks are.
    let limited = visit.reader("block").await.is_err();
    let shown = switch.clone();
    let proof = visit
        .read(move |_, rpc| {
            Ok(match rpc.block_height(Some(shown.height)) {
                Err(error) => html! { p.empty { "The block is not here: " (error.data) } },
                Ok(_) => proof(rpc, &shown, limited)?,
            })
        })
        .await?;
    let body = html! {
        (parts::heading(&format!("Switch of {seat}"), Some(html! { "Decided in block " (parts::height(height)) })))
        (panel("Switch", None, facts(&[
            ("Why", reason(&switch.reason)),
            ("From", html! { @if let Some(key) = &switch.from { (parts::whole_key(key)) } @else { "nobody: the seat was left out" } }),
            ("To", html! { @if let Some(key) = &switch.to { (parts::whole_key(key)) } @else { "nobody: the seat is left out" } }),
            ("Term after it", html! { (switch.term) }),
            ("In effect from", parts::height(switch.effective)),
        ])))
        (proof)
    };
    Ok(Page { title: format!("Switch of {seat} at {height}"), nav: Nav::Pairs, poll: None, body })
}

/// What in the chain shows that a switch is right.
fn proof(rpc: &RpcState, switch: &SwitchEntry, limited: bool) -> Result<Markup, RpcError> {
    let whole = block::read(rpc, switch.height)?;
    let block = &whole.block;
    let caused: Vec<_> = (block.txs.iter())
        .filter(|tx| match &tx.body().call {
            Call::Standby(standby::Call::Switch { seat, .. }) => *seat == switch.seat,
            Call::Consortium(_) => switch.reason == "membership",
            _ => false,
        })
        .take(20)
        .collect();
    let results = whole.results.iter();
    let events =
        results.flat_map(|r| r.events.iter().chain(r.receipts.iter().flat_map(|r| &r.events)));
    let event = events
        .filter(|event| event.kind == "switch")
        .find(|event| event.attribute("seat") == Some(switch.seat.as_str()));
    let cause = match switch.reason.as_str() {
        "automatic" => records(rpc, switch)?,
        "barred" => panel(
            "Evidence",
            None,
            html! {
                @if block.evidence.is_empty() {
                    p { "The seat is filled again in this block; the evidence stands in an earlier one." }
                } @else { (value::tree(&readable(&block.evidence))) }
            },
        ),
        _ if limited => panel(
            "Transaction",
            None,
            html! {
                p.empty { "Transactions are shown to who may read whole blocks here." }
            },
        ),
        _ => panel(
            "Transaction",
            None,
            html! {
                @if caused.is_empty() {
                    p { "No transaction of this block did it: the seat was waiting for a node of its pair to be recorded alive." }
                }
                @for tx in caused {
                    p { (parts::tx(&tx.hash())) " by " (parts::key(&tx.body().sender)) }
                }
            },
        ),
    };
    let agreed = agreed(rpc, switch)?;
    Ok(html! {
        (cause)
        (panel("What the chain says", None, html! {
            @match event {
                Some(event) => p { code { "switch" } " " (attributes(&event.attributes)) },
                None => p.empty { "The events of that block are not kept here." },
            }
        }))
        (agreed)
    })
}

/// The records that an automatic switch follows from.
fn records(rpc: &RpcState, switch: &SwitchEntry) -> Result<Markup, RpcError> {
    let lowest = rpc.db.first_height().0.max(1);
    let from = (switch.height.0 + 1).saturating_sub(RECORDS).max(lowest);
    let mut rows = Vec::new();
    let mut nameless = 0;
    for height in (from..=switch.height.0).rev().map(Height) {
        let Some(certified) = rpc.db.block(height)? else { continue };
        let record = &certified.block.record.record;
        let Some(nodes) = block::nodes_of(rpc, &certified.block) else {
            nameless += 1;
            continue;
        };
        let place = |key: Option<PublicKey>| nodes.iter().position(|node| Some(*node) == key);
        let (from, to) = (place(switch.from), place(switch.to));
        let said = |place: Option<usize>| place.map(|i| record.alive.get(i));
        if said(from) != Some(false) || said(to) != Some(true) {
            break;
        }
        let observations = record.observations.iter().flatten();
        let saw = |i: usize| observations.clone().filter(|o| o.seen.get(i)).count();
        let cell = |place: Option<usize>| {
            html! {
                (parts::alive(said(place)))
                @if let Some(i) = place { " " span.muted.num { "seen by " (saw(i)) " of " (observations.clone().count()) } }
            }
        };
        rows.push(vec![
            parts::height(height),
            parts::time(certified.block.header.time),
            cell(from),
            cell(to),
        ]);
    }
    Ok(panel(
        "Records",
        None,
        html! {
            p.muted {
                "The blocks up to the decision in which the holder is recorded dead and its partner alive, the newest first; "
                (RECORDS) " at most are shown. Each record is signed by its block's proposer and derived again by every validator. "
                "Nodes are named by today's register."
            }
            (parts::table("Records that the switch follows from", &["Block", "Time", "Holder", "Partner"], &rows))
            @if nameless > 0 {
                p.muted { (nameless) " records name other nodes than are registered now, and are left out." }
            }
        },
    ))
}

/// The headers and certificates that bind the new holder.
fn agreed(rpc: &RpcState, switch: &SwitchEntry) -> Result<Markup, RpcError> {
    let next = switch.height.next();
    let Some(certified) = rpc.db.block(next)? else {
        return Ok(panel(
            "Certificate",
            None,
            html! { p.empty { "The next block is not here yet." } },
        ));
    };
    let whole = block::read(rpc, next)?;
    let signed = whole.commit.signatures.iter().flatten().count();
    Ok(panel(
        "Certificate",
        None,
        facts(&[
            (
                "Header",
                html! { (parts::height(next)) " names the role table of the height after it" },
            ),
            ("Role table before", parts::hash(&certified.block.header.validators_hash)),
            ("Role table after", parts::hash(&certified.block.header.next_validators_hash)),
            ("Signed by", html! { (signed) " of " (whole.commit.signatures.len()) " validators" }),
        ]),
    ))
}
