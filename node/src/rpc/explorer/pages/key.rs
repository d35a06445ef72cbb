//! What a public key is.

use maud::html;
use serde_json::json;
use tandem_chain::keys::PublicKey;

use super::{Asked, Nav, Page, members};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, panel};
use crate::rpc::explorer::query::parsed;
use crate::rpc::shapes::tandem::{KeyInfo, Nodes};

pub(super) async fn page(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let key: PublicKey = parsed(names[0])?;
    let info: KeyInfo = visit.ask("key", json!({ "key": key })).await?;
    let nodes: Nodes = visit.ask("nodes", json!({})).await?;
    let node = nodes.nodes.iter().find(|node| node.key == key);
    let body = html! {
        (parts::heading("Key", Some(html! { span.hex.whole { (key) } })))
        (panel("In the chain", None, facts(&[
            ("Organisation", html! {
                @match &info.organization {
                    Some(name) => (parts::org(name)),
                    None => "none: the chain does not know this key",
                }
            }),
            ("Part", html! {
                @match info.role.as_deref() {
                    Some("barred") => (badge(Tone::Bad, "barred: it signed twice")),
                    Some(role) => (badge(Tone::Accent, role)),
                    None => "–",
                }
                @if let Some(role) = &info.user_role { " " (badge(Tone::Plain, &role.to_string())) }
            }),
            ("Address", html! { span.hex.whole { (key.address()) } }),
        ])))
        @if let Some(node) = node { (panel("As a node", None, members::nodes(&[node], true))) }
    };
    let title = format!("Key {}", parts::short(&key.to_string()));
    Ok(Page { title, nav: Nav::Organizations, poll: None, body })
}
