//! Finds what a text may be: a height, a hash, a key, an organisation, a data set.

use maud::{Markup, html};
use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Hash;

use super::{Asked, Made, Nav, Page};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, foreign, grouped};
use crate::rpc::shapes::tandem::{KeyInfo, Organizations};

/// Bytes of a text that is searched for.
const MAX_TEXT: usize = 600;

/// Something that was found.
struct Found {
    what: String,
    target: String,
}

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Made, Fault> {
    query.only(&["q"])?;
    let text = query.text("q").unwrap_or_default();
    if text.len() > MAX_TEXT {
        return Err(Fault::bad(format!("a search has at most {MAX_TEXT} bytes")));
    }
    let mut found = Vec::new();
    let mut add = |what: String, target: String| found.push(Found { what, target });
    let plain = text.strip_prefix("0x").unwrap_or(text);
    let tip = visit.rpc().tip();
    let digits = text.replace([',', ' ', '\u{2009}'], "");
    if let Ok(height) = digits.parse::<u64>() {
        if (1..=tip.height.0).contains(&height) {
            add(format!("Block {}", grouped(height)), format!("/explorer/block/{height}"));
        }
    }
    if let Some(id) = hex::decode(plain).ok().and_then(|bytes| Hash::from_slice(&bytes).ok()) {
        let places =
            visit.read(move |_, rpc| Ok((rpc.db.block_height_by_id(&id)?, rpc.db.tx(&id)?)));
        let (block, tx) = places.await?;
        if let Some(height) = block {
            add(format!("Block {}", grouped(height.0)), format!("/explorer/block/{height}"));
        }
        if tx.is_some() {
            add("Transaction".to_owned(), format!("/explorer/tx/{id}"));
        }
        if let Ok(key) = PublicKey::from_slice(&id.0) {
            let info: KeyInfo = visit.ask("key", json!({ "key": key })).await?;
            if let Some(org) = info.organization {
                add(format!("Key of {org}"), format!("/explorer/key/{key}"));
            }
        }
    }
    // An address, or the beginning of a node's key.
    let upper = plain.to_ascii_uppercase();
    if (6..64).contains(&upper.len()) && upper.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let nodes = tip.register.nodes.iter().filter(|(key, _)| {
            key.to_string().starts_with(&upper) || key.address().to_string() == upper
        });
        for (key, node) in nodes.take(10) {
            add(format!("Node of {}", node.org), format!("/explorer/key/{key}"));
        }
    }
    let lower = text.to_lowercase();
    let is_name = !lower.is_empty()
        && lower.len() <= tandem_chain::limits::MAX_NAME_LEN
        && lower.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_name {
        let orgs: Organizations = visit.ask("organizations", json!({})).await?;
        let sets = visit.data_sets().await?;
        let names = orgs
            .organizations
            .iter()
            .map(|org| ("Organisation", org.name.as_str(), "organization"));
        let names = names
            .chain(sets.data_sets.iter().map(|set| ("Data set", set.name.as_str(), "data-set")));
        let mut fitting: Vec<_> = names.filter(|(_, name, _)| name.contains(&lower)).collect();
        fitting.sort_by_key(|(_, name, _)| (*name != lower, name.len()));
        for (what, name, way) in fitting.into_iter().take(20) {
            add(format!("{what} {name}"), format!("/explorer/{way}/{name}"));
        }
    }
    match found.as_slice() {
        [one] => Ok(Made::Other(one.target.clone())),
        found => Ok(Made::Page(Page {
            title: "Search".to_owned(),
            nav: Nav::None,
            poll: None,
            body: results(text, found),
        })),
    }
}

fn results(text: &str, found: &[Found]) -> Markup {
    html! {
        (parts::heading("Search", Some(html! {
            @if text.is_empty() { "Nothing was asked for." } @else { "For " strong { (foreign(text)) } }
        })))
        section.panel {
            @if found.is_empty() {
                p.empty {
                    "Nothing here is that. There are heights up to the newest, hashes of blocks and transactions and keys in hex, "
                    "addresses, the first six digits or more of a node's key, and names of organisations and data sets or parts of them."
                }
            } @else {
                ul.found { @for one in found { li { a href=(one.target) { (one.what) } } } }
            }
        }
    }
}
