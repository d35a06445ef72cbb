//! Organisations, and one of them.

use maud::{Markup, html};
use serde_json::json;
use tandem_chain::types::OrgName;

use super::{Asked, Nav, Page};
use crate::rpc::error::RpcError;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, foreign, panel};
use crate::rpc::explorer::query::parsed;
use crate::rpc::explorer::{Visit, live};
use crate::rpc::shapes::motions::Motions;
use crate::rpc::shapes::rights::Users;
use crate::rpc::shapes::tandem::{DataSets, NodeEntry, NodeRole, Nodes, Organizations, Seats};

/// Motions that are looked through for those about an organisation.
const MOTIONS: u64 = 100;
/// Users that are shown.
const USERS: usize = 200;

/// A table of nodes.
pub(super) fn nodes(nodes: &[&NodeEntry], with_org: bool) -> Markup {
    let rows: Vec<Vec<Markup>> = nodes
        .iter()
        .map(|node| {
            let mut row = Vec::new();
            if with_org {
                row.push(parts::org(&node.organization));
            }
            row.extend([
                parts::key(&node.key),
                badge(
                    if node.role == NodeRole::Validator { Tone::Accent } else { Tone::Plain },
                    &node.role.to_string(),
                ),
                parts::alive(node.alive),
                badge(
                    if node.connected { Tone::Good } else { Tone::Plain },
                    if node.connected { "connected" } else { "not connected" },
                ),
                html! { @for address in &node.addresses { span.address { (foreign(address)) } } },
            ]);
            row
        })
        .collect();
    let heads = ["Organisation", "Node", "Role", "Record", "From here", "Listens at"];
    parts::table("Nodes", &heads[usize::from(!with_org)..], &rows)
}

pub(super) async fn list(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let found: Organizations = visit.ask("organizations", json!({})).await?;
    let seats: Seats = visit.ask("seats", json!({ "blocks": 1 })).await?;
    let rows: Vec<Vec<Markup>> = (found.organizations.iter())
        .map(|org| {
            let seat = seats.seats.iter().find(|seat| seat.seat == org.name);
            vec![
                html! { strong { (parts::org(&org.name)) } },
                match seat {
                    _ if org.is_suspended => badge(Tone::Warn, "suspended"),
                    Some(seat) if seat.is_down => badge(Tone::Bad, "seat down"),
                    Some(seat) if seat.holder.is_some() => badge(Tone::Good, "seated"),
                    _ => badge(Tone::Warn, "no holder"),
                },
                html! { span.num { (org.power) } },
                html! { span.num { (org.pair.len()) } },
                html! { span.num { (org.observers.len()) } },
                html! { span.num { (org.users) } },
                parts::key(&org.admin_key),
            ]
        })
        .collect();
    let heads = ["Organisation", "Seat", "Power", "Pair", "Observers", "Users", "Admin key"];
    let body = html! {
        (parts::heading("Organisations", Some(html! { "The members of the consortium." })))
        section.panel { (live("members", parts::table("Organisations", &heads, &rows))) }
    };
    Ok(Page { title: "Organisations".to_owned(), nav: Nav::Organizations, poll: Some(3_000), body })
}

pub(super) async fn page(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let name: OrgName = parsed(names[0])?;
    let found: Organizations = visit.ask("organizations", json!({})).await?;
    let Some(org) = found.organizations.into_iter().find(|org| org.name == name) else {
        return Err(Fault::not_found(format!("no organisation {name} is a member")));
    };
    let users: Users = visit.ask("users", json!({ "organization": name })).await?;
    let all: Nodes = visit.ask("nodes", json!({})).await?;
    let own: Vec<&NodeEntry> = all.nodes.iter().filter(|node| node.organization == name).collect();
    let motions: Motions = visit.ask("motions", json!({ "limit": MOTIONS })).await?;
    let about = motions
        .motions
        .iter()
        .filter(|motion| motion.made_by == name || motion.change.about() == Some(&name));
    let about: Vec<_> = about.take(20).collect();
    let sets = visit.data_sets().await?;
    let sets: Vec<_> = sets.data_sets.iter().filter(|set| set.owner == name).collect();
    let user_rows: Vec<Vec<Markup>> = (users.users.iter().take(USERS))
        .map(|user| {
            vec![
                parts::key(&user.key),
                badge(Tone::Plain, &user.role.to_string()),
                html! {
                    (parts::height(user.since))
                },
            ]
        })
        .collect();
    let body = html! {
        (parts::heading(name.as_str(), Some(html! {
            "A member of the consortium. "
            @if org.is_suspended { (badge(Tone::Warn, "suspended")) }
        })))
        (panel("Organisation", Some(("/explorer/pairs", "Its pair among the others")), facts(&[
            ("Admin key", parts::whole_key(&org.admin_key)),
            ("Power of its seat", html! { span.num { (org.power) } }),
            ("Nodes", html! { span.num { (own.len()) } }),
            ("Users", html! { span.num { (org.users) } }),
        ])))
        (panel("Nodes", None, live("nodes", nodes(&own, false))))
        (panel("Users", None, html! {
            (parts::table("Users", &["Key", "Role", "Since"], &user_rows))
            @if users.users.len() > USERS { p.muted { "The first " (USERS) " of " (users.users.len()) "." } }
        }))
        (panel("Data sets", Some(("/explorer/data-sets", "All data sets")), html! {
            @if sets.is_empty() { p.empty { "It owns none." } }
            ul.tags { @for set in sets { li { a href={ "/explorer/data-set/" (set.name) } { (set.name) } } } }
        }))
        (panel("Motions by it and about it", Some(("/explorer/motions", "All motions")), html! {
            (super::motions::table(&about))
            p.muted { "Of the last " (MOTIONS) " motions." }
        }))
    };
    Ok(Page { title: name.to_string(), nav: Nav::Organizations, poll: Some(3_000), body })
}

impl Visit {
    /// The data sets.
    pub(super) async fn data_sets(&self) -> Result<DataSets, Fault> {
        let found = self.query("/records", "").await?.value;
        Ok(serde_json::from_slice(&found).map_err(|error| RpcError::internal(error.to_string()))?)
    }
}
