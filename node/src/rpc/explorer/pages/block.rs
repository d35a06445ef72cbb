//! A block: header, certificate, liveness record, transactions, events.

use std::collections::BTreeSet;
use std::sync::Arc;

use maud::{Markup, html};
use tandem_chain::block::{Block, Commit};
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::standby;
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{Address, Hash, Height};

use super::{Asked, Nav, Page};
use crate::decode::readable;
use crate::rpc::error::RpcError;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, panel};
use crate::rpc::explorer::query::{number, parsed};
use crate::rpc::explorer::summary::{TxSummary, proposers};
use crate::rpc::explorer::value;
use crate::rpc::state::RpcState;
use crate::storage::BlockResults;

/// Transactions on a page.
const TXS: usize = 50;
/// Nodes of a record that are shown.
const NODES: usize = 200;
/// Events of a block that are shown.
const EVENTS: usize = 100;

/// A block with what belongs to it.
pub(super) struct Whole {
    pub(super) block: Arc<Block>,
    /// The certificate that the next block carries, or of the newest the one that is here.
    pub(super) commit: Commit,
    pub(super) is_canonical: bool,
    pub(super) results: Option<BlockResults>,
    /// The role table of its height, where that is kept.
    pub(super) table: Option<RoleTable>,
}

/// Reads the block of a height that has one.
pub(super) fn read(rpc: &RpcState, height: Height) -> Result<Whole, RpcError> {
    let height = rpc.block_height(Some(height))?;
    let certified = rpc.db.block(height)?.ok_or_else(|| rpc.not_available(height))?;
    let next = rpc.db.block(height.next())?;
    let is_canonical = next.is_some();
    let commit = next.map_or(certified.certificate.commit, |next| next.block.last_commit.clone());
    let table = standby::table_at(&rpc.db, height)?;
    let table = table.filter(|table| {
        tandem_chain::comet::validators_hash(table) == certified.block.header.validators_hash
    });
    let results = rpc.db.results(height)?;
    Ok(Whole { block: certified.block, commit, is_canonical, results, table })
}

/// The nodes of a record's bits, in their order, by today's register; none where that is not the one of
/// then, as far as can be told: it has as many nodes, those that signed are among them, and a record that
/// this node remembers calls the same ones alive.
pub(super) fn nodes_of(rpc: &RpcState, block: &Block) -> Option<Vec<PublicKey>> {
    let tip = rpc.tip();
    let nodes: Vec<PublicKey> = tip.register.nodes.keys().copied().collect();
    let alive = &block.record.record.alive;
    let addresses: BTreeSet<Address> = nodes.iter().map(PublicKey::address).collect();
    let mut signers = block.last_commit.signatures.iter().flatten();
    let called = || {
        let bits = nodes.iter().zip(alive.iter());
        bits.filter(|(_, bit)| *bit).map(|(key, _)| *key).collect::<BTreeSet<_>>()
    };
    let is_same = nodes.len() == alive.len()
        && signers.all(|sig| addresses.contains(&sig.address))
        && rpc.alive.at(block.header.height).is_none_or(|remembered| *remembered == called());
    is_same.then_some(nodes)
}

/// The height that a path names, by number or hash.
async fn height_of(asked: &Asked<'_>) -> Result<Height, Fault> {
    let name = asked.names[0];
    if name.len() == 64 {
        let id: Hash = parsed(name)?;
        let found = asked.visit.read(move |_, rpc| Ok(rpc.db.block_height_by_id(&id)?)).await?;
        return found.ok_or_else(|| Fault::not_found(format!("no block here has the hash {id}")));
    }
    match number("a height", name)? {
        0 => Err(Fault::bad(
            "there is no block of height 0: the chain begins with genesis".to_owned(),
        )),
        height => Ok(Height(height)),
    }
}

pub(super) async fn page(asked: Asked<'_>) -> Result<Page, Fault> {
    asked.query.only(&["page"])?;
    let (visit, rpc) = (asked.visit, asked.visit.rpc());
    let height = height_of(&asked).await?;
    // What is not there is not there, and what is pruned or to come says so.
    rpc.block_height(Some(height)).map_err(|error| Fault::from(error).missing())?;
    let page_number = asked.query.number("page")?.unwrap_or(1);
    let limited = visit.reader("block").await.err();
    if let Some(fault) = limited.as_ref().filter(|fault| !fault.is_of_reading()) {
        return Err(Fault { status: fault.status, text: fault.text.clone() });
    }
    let place = usize::try_from(page_number).unwrap_or(usize::MAX);
    let first = place.saturating_sub(1).saturating_mul(TXS);
    // What is shown of them is made where blocks are read: it may take a while, too.
    let read = visit.read(move |_, rpc| {
        let whole = read(rpc, height)?;
        let (block, receipts) = (&whole.block, whole.results.as_ref().map(|of| &of.receipts));
        let code = |i: usize| receipts?.get(i + 1).map(|receipt| receipt.code);
        let txs: Vec<TxSummary> = (block.txs.iter().enumerate().skip(first).take(TXS))
            .map(|(i, tx)| TxSummary::new(tx, height, block.header.time, code(i)))
            .collect();
        Ok((whole, txs))
    });
    let (whole, txs) = read.await?;
    let block = &whole.block;
    let (count, pages) = (block.txs.len(), block.txs.len().div_ceil(TXS).max(1));
    if !(1..=pages).contains(&place) {
        return Err(Fault::not_found(format!(
            "page should be within 1 to {pages}, given {page_number}"
        )));
    }
    let to = |page: usize| format!("/explorer/block/{height}?page={page}#txs");
    let newest = rpc.tip().height;
    let beside = |other: u64| format!("/explorer/block/{other}");
    let below = (height.0 > rpc.db.first_height().0.max(1)).then(|| beside(height.0 - 1));
    let above = (height < newest).then(|| beside(height.0 + 1));
    let title = format!("Block {height}");
    let body = html! {
        (parts::heading(&format!("Block {}", parts::grouped(height.0)), Some(html! {
            (parts::time(block.header.time)) ", proposed by " (parts::proposer(&proposers(rpc), &block.header.proposer_address))
        })))
        (parts::pager(below, above, ("Block below", "Block above")))
        div.columns {
            (panel("Header", None, header(block)))
            (panel("Certificate", None, certificate(&whole)))
        }
        (panel("Liveness record", None, record(rpc, block)))
        @match &limited {
            Some(fault) => (panel("Transactions", None, html! { p.empty { "Not shown: " (fault.text) } })),
            None => {
                section.panel #txs {
                    div.bar { h2 { "Transactions" } span.muted { (parts::grouped(count as u64)) } }
                    (parts::txs("Transactions of the block", &txs))
                    @if pages > 1 {
                        (parts::pager((place > 1).then(|| to(place - 1)), (place < pages).then(|| to(place + 1)), ("Before", "Behind")))
                    }
                }
                (events(&whole))
            }
        }
        @if !block.evidence.is_empty() {
            (panel("Evidence of double signing", None, value::tree(&readable(&block.evidence))))
        }
    };
    Ok(Page { title, nav: Nav::Blocks, poll: None, body })
}

fn header(block: &Block) -> Markup {
    let header = &block.header;
    let hash = parts::hash;
    facts(&[
        ("Hash", hash(&block.id())),
        (
            "Block below",
            html! {
                @match &header.last_block_id {
                    Some(id) => a.hex.whole href={ "/explorer/block/" (id) } { (id) },
                    None => "none: the first",
                }
            },
        ),
        ("Proposer", html! { span.hex.whole { (header.proposer_address) } }),
        ("State before it", hash(&header.app_hash)),
        ("Transactions", hash(&header.data_hash)),
        ("Results of the block below", hash(&header.last_results_hash)),
        ("Role table", hash(&header.validators_hash)),
        ("Role table of the next", hash(&header.next_validators_hash)),
        ("Certificate in it", hash(&header.last_commit_hash)),
        ("Limits", hash(&header.consensus_hash)),
        ("Evidence", hash(&header.evidence_hash)),
    ])
}

/// Who signed a block.
pub(super) fn certificate(whole: &Whole) -> Markup {
    let commit = &whole.commit;
    let signed = commit.signatures.iter().flatten().count();
    let validators = whole.table.as_ref().map(RoleTable::validators);
    let rows: Vec<Vec<Markup>> = (commit.signatures.iter().enumerate())
        .map(|(i, sig)| {
            let who = validators.and_then(|all| all.get(i));
            vec![
                match (who, sig) {
                    (Some(validator), _) => html! { (parts::org(&validator.org)) " " (parts::key(&validator.key)) },
                    (None, Some(sig)) => html! { span.hex { (parts::short(&sig.address.to_string())) } },
                    (None, None) => html! { "place " (i + 1) },
                },
                html! { span.num { @if let Some(validator) = who { (validator.power) } @else { "–" } } },
                match sig {
                    Some(sig) => html! { (badge(Tone::Good, "signed")) " " (parts::time(sig.timestamp)) },
                    None => badge(Tone::Plain, "not in it"),
                },
            ]
        })
        .collect();
    html! {
        (facts(&[
            ("Signatures", html! { (signed) " of " (commit.signatures.len()) }),
            ("Round", html! { (commit.round) }),
            ("Kind", html! {
                @if whole.is_canonical { "canonical: the next block carries it" } @else { "this node's own: the next block will carry one" }
            }),
        ]))
        (parts::table("Validators and their signatures", &["Validator", "Power", "Signature"], &rows))
    }
}

/// Who was alive, and who saw it.
fn record(rpc: &RpcState, block: &Block) -> Markup {
    let record = &block.record.record;
    if record.alive.is_empty() {
        return html! { p.empty { "The first block has no record: there is no block before it to tell of." } };
    }
    let tip = rpc.tip();
    let Some(nodes) = nodes_of(rpc, block) else {
        return html! {
            p { "Bits of " (record.alive.len()) " nodes, in the order of their keys: " }
            p.hex.whole { (record.alive.iter().map(|bit| if bit { '1' } else { '0' }).collect::<String>()) }
            p.muted { "Other nodes are registered now than then, so this page cannot name them." }
        };
    };
    let observers = record.observations.iter().flatten().count();
    let rows: Vec<Vec<Markup>> = (nodes.iter().enumerate().take(NODES))
        .map(|(i, key)| {
            let saw = record.observations.iter().flatten().filter(|o| o.seen.get(i)).count();
            vec![
                html! { @if let Some(node) = tip.register.nodes.get(key) { (parts::org(&node.org)) } },
                parts::key(key),
                parts::alive(Some(record.alive.get(i))),
                html! { span.num { (saw) " of " (observers) } },
            ]
        })
        .collect();
    html! {
        p.muted {
            "About block " (block.header.height.0 - 1) ", signed by the proposer and derived again by every validator. A node is alive if "
            "observers with more than a third of the power saw it. Nodes are named by today's register."
        }
        (parts::table("Nodes in the record", &["Organisation", "Node", "Record", "Seen by"], &rows))
        @if nodes.len() > NODES { p.muted { "The first " (NODES) " of " (nodes.len()) "." } }
    }
}

fn events(whole: &Whole) -> Markup {
    let Some(results) = &whole.results else {
        return panel(
            "Events",
            None,
            html! {
                p.empty { "Results of this block are not kept: the state after it comes from a snapshot." }
            },
        );
    };
    let of_txs = results
        .receipts
        .iter()
        .enumerate()
        .flat_map(|(i, receipt)| receipt.events.iter().map(move |event| (Some(i), event)));
    let all = results.events.iter().map(|event| (None, event)).chain(of_txs);
    let shown: Vec<_> = all.take(EVENTS + 1).collect();
    let rows: Vec<Vec<Markup>> = (shown.iter().take(EVENTS))
        .map(|(place, event)| {
            vec![
                html! {
                    @match place.and_then(|i: usize| whole.block.txs.get(i.checked_sub(1)?)) {
                        Some(tx) => (parts::tx(&tx.hash())),
                        None => span.muted { "the block" },
                    }
                },
                html! { code { (parts::foreign(&event.kind)) } },
                attributes(&event.attributes),
            ]
        })
        .collect();
    panel(
        "Events",
        None,
        html! {
            (parts::table("Events of the block", &["Of", "Event", "With"], &rows))
            @if shown.len() > EVENTS { p.muted { "The first " (EVENTS) " are shown." } }
        },
    )
}

/// The attributes of an event.
pub(super) fn attributes(attributes: &[(String, String)]) -> Markup {
    html! {
        span.attributes {
            @for (name, text) in attributes {
                span { span.muted { (parts::foreign(name)) " " } (value::field(name, text)) }
            }
        }
    }
}
