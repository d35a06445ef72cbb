//! A transaction: its call, its result, its block.

use maud::html;
use tandem_chain::types::{Hash, escaped};

use super::block::attributes;
use super::{Asked, Nav, Page};
use crate::decode::content::show;
use crate::decode::readable;
use crate::rpc::error::RpcError;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, foreign, panel};
use crate::rpc::explorer::query::parsed;
use crate::rpc::explorer::value;

/// Events of a transaction that are shown.
const EVENTS: usize = 100;

pub(super) async fn page(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let hash: Hash = parsed(names[0])?;
    let reader = visit.reader("tx").await?;
    let found = visit.read(move |_, rpc| {
        let Some(found) = rpc.find(&hash)? else { return Ok(None) };
        let Some(certified) = rpc.db.block(found.height)? else {
            return Err(rpc.not_available(found.height));
        };
        let tx = match found.index.checked_sub(1) {
            None => None,
            Some(index) => {
                Some(certified.block.txs.get(index as usize).cloned().ok_or_else(|| {
                    RpcError::internal(format!("transaction {hash} is not at its place"))
                })?)
            }
        };
        reader.must_read_tx(rpc, &rpc.db.snapshot(), tx.as_ref().map(|tx| &tx.body().sender))?;
        let call = tx.as_ref().map(|tx| value::call(&readable(&tx.body().call)));
        Ok(Some((found, certified.block, tx, call)))
    });
    let Some((found, block, tx, call)) = found.await? else {
        let first = visit.rpc().db.first_height();
        let pruned = if first.0 > 1 {
            format!("; blocks below height {first} are not here: ask a node that keeps all")
        } else {
            String::new()
        };
        return Err(Fault::not_found(format!(
            "no transaction {} is in a block that is here{pruned}. It may still wait for one.",
            escaped(names[0])
        )));
    };
    let receipt = &found.receipt;
    let (title, call) =
        call.unwrap_or_else(|| ("liveness record".to_owned(), serde_json::Map::new()));
    let body = html! {
        (parts::heading("Transaction", Some(html! { span.hex.whole { (hash) } })))
        (panel("Result", None, html! {
            (facts(&[
                ("Outcome", html! {
                    (parts::outcome(Some(receipt.is_ok())))
                    @if !receipt.is_ok() { " " (badge(Tone::Plain, &format!("code {}", receipt.code))) }
                }),
                ("Block", html! { (parts::height(found.height)) ", place " (found.index) }),
                ("Time", parts::time(block.header.time)),
            ]))
            @if !receipt.log.is_empty() { p.bad-text { (foreign(&receipt.log)) } }
            @if !receipt.data.is_empty() {
                h3 { "Returned" }
                @if let Some(fields) = show(&receipt.data, None).as_object() { (value::content(fields)) }
            }
        }))
        @match &tx {
            Some(tx) => {
                @let body = tx.body();
                (panel("Call", None, html! { p.lead { (title) } (value::fields(&call)) }))
                (panel("Envelope", None, facts(&[
                    ("Sender", parts::whole_key(&body.sender)),
                    ("Valid until", html! { "height " (parts::grouped(body.valid_until.0)) }),
                    ("Nonce", html! { span.num { (body.nonce) } }),
                    ("Size", html! { (parts::bytes(tx.bytes().len() as u64)) }),
                ])))
            }
            None => (panel("Call", None, html! {
                p { "Transaction 0 of every block is its liveness record. " a href={ "/explorer/block/" (found.height) } { "The block" } " shows it." }
            })),
        }
        (panel("Events", None, html! {
            @if receipt.events.is_empty() { p.empty { "None." } }
            @for event in receipt.events.iter().take(EVENTS) {
                p { code { (foreign(&event.kind)) } " " (attributes(&event.attributes)) }
            }
        }))
    };
    Ok(Page {
        title: format!("Transaction {}", parts::short(&hash.to_string())),
        nav: Nav::Blocks,
        poll: None,
        body,
    })
}
