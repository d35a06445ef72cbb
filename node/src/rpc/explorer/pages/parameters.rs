//! The chain's parameters, and what follows from them.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::{Asked, Nav, Page};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::live;
use crate::rpc::explorer::parts::{self, facts, grouped, millis, panel};
use crate::rpc::shapes::tandem::ParametersInfo;

/// What each parameter is for.
const ABOUT: [(&str, &str); 11] = [
    ("idle_block_interval_ms", "time between blocks while there are no transactions"),
    ("network_bound_ms", "within which a live node's messages arrive"),
    ("max_clock_ahead_ms", "how far a proposal's time may be ahead"),
    ("failover_blocks", "blocks in a row before a seat moves"),
    ("failover_min_ms", "time that those blocks take at least; 0 for the liveness grace"),
    ("propose_timeout_ms", "for a proposal in round 0"),
    ("vote_timeout_ms", "for late votes in round 0"),
    ("timeout_step_ms", "what each round adds to both"),
    ("timeout_max_ms", "the most that they grow to"),
    ("block_max_bytes", "of transactions in a block"),
    ("block_max_txs", "in a block"),
];

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let rpc = visit.rpc();
    let found: ParametersInfo = visit.ask("parameters", json!({})).await?;
    let set = serde_json::to_value(&found.parameters).unwrap_or_default();
    let shown = |name: &str, value: &Value| match value.as_u64() {
        Some(number) if name.ends_with("_ms") => millis(number),
        Some(number) if name.ends_with("_bytes") => parts::bytes(number),
        Some(number) => grouped(number),
        None => value.to_string(),
    };
    let rows: Vec<Vec<Markup>> = (set.as_object().into_iter().flatten())
        .map(|(name, value)| {
            let about = ABOUT.iter().find(|(known, _)| known == name).map(|(_, about)| *about);
            vec![
                html! { code { (name) } },
                html! { strong.num { (shown(name, value)) } },
                html! { span.muted { (about.unwrap_or_default()) } },
            ]
        })
        .collect();
    let genesis = &rpc.genesis;
    let body = html! {
        (parts::heading("Parameters", Some(html! { "Set at genesis or by the consortium, the same on every node." })))
        (panel("What follows from them", None, live("derived", facts(&[
            ("A node counts as alive for", html! { (millis(found.liveness_grace_ms)) " after it last showed a block" }),
            ("A seat moves after", html! { (found.failover_blocks) " blocks in a row that take at least " (millis(found.failover_min_ms)) }),
        ]))))
        (panel("As set", None, live("set", parts::table("Parameters", &["Parameter", "Value", "What it is"], &rows))))
        (panel("Genesis", None, facts(&[
            ("Chain", html! { (genesis.chain_id) }),
            ("Time", parts::time(genesis.genesis_time)),
            ("Hash", parts::hash(&rpc.genesis_hash)),
            ("Organisations then", html! { @for org in &genesis.organizations { (org.name) " " } }),
        ])))
    };
    Ok(Page { title: "Parameters".to_owned(), nav: Nav::Parameters, poll: Some(5_000), body })
}
