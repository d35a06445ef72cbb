//! A change of the consortium on paper: a form, and what the ledger says.

use axum::http::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, json};
use tandem_chain::keys::SecretKey;
use tandem_chain::types::Hash;

use super::{Asked, Nav, Page, motions};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, panel};
use crate::rpc::explorer::query::{Query, number, parsed};
use crate::rpc::shapes::motions::Tried;
use crate::rpc::shapes::tandem::Organizations;

/// Kinds of changes, by their names in the ledger, with what a person calls them.
const KINDS: [(&str, &str); 7] = [
    ("add_org", "Add an organisation"),
    ("remove_org", "Remove an organisation"),
    ("suspend_org", "Suspend an organisation"),
    ("restore_org", "End a suspension"),
    ("set_power", "Set the power of a seat"),
    ("replace_admin_key", "Replace an admin key"),
    ("json", "Any change, as JSON"),
];
/// Characters of a change as JSON.
const MAX_JSON: usize = 20_000;

/// The change that the form asks for, in the method's JSON; none when nothing was asked.
fn change(query: &Query) -> Result<Option<Value>, Fault> {
    let Some(kind) = query.text("kind") else { return Ok(None) };
    let name = || query.text("name").ok_or_else(|| Fault::bad("name an organisation".to_owned()));
    let power = || number("the power", query.text("power").unwrap_or("1"));
    // On paper any key will do that nobody has.
    let key = |name: &str| -> Result<Value, Fault> {
        Ok(match query.text("key") {
            Some(text) => json!(parsed::<tandem_chain::keys::PublicKey>(text)?),
            None => json!(SecretKey::from_seed(&Hash::of(name.as_bytes()).0).public()),
        })
    };
    let inner = match kind {
        "add_org" => {
            json!({ "name": name()?, "admin_key": key(name()?)?, "power": power()? })
        }
        "remove_org" | "suspend_org" | "restore_org" => json!({ "name": name()? }),
        "set_power" => json!({ "name": name()?, "power": power()? }),
        "replace_admin_key" => json!({ "name": name()?, "key": key(name()?)? }),
        "json" => {
            let text = query.text("change").unwrap_or_default();
            if text.len() > MAX_JSON {
                return Err(Fault::bad(format!("a change has at most {MAX_JSON} characters")));
            }
            let value = serde_json::from_str(text);
            return value.map(Some).map_err(|error| Fault::bad(format!("the change: {error}")));
        }
        _ => {
            let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            return Err(Fault::bad(format!("kind must be one of {}", kinds.join(", "))));
        }
    };
    Ok(Some(json!({ kind: inner })))
}

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["kind", "name", "power", "key", "change"])?;
    let orgs: Organizations = visit.ask("organizations", json!({})).await?;
    // What is wrong with what was filled in stands beside the form.
    let answer: Result<Option<Tried>, Fault> = match change(query) {
        Ok(None) => Ok(None),
        Ok(Some(change)) => visit.ask("try_change", json!({ "change": change })).await.map(Some),
        Err(fault) => Err(fault),
    };
    if let Err(fault) = &answer
        && fault.status != StatusCode::BAD_REQUEST
    {
        return Err(Fault { status: fault.status, text: fault.text.clone() });
    }
    let body = html! {
        (parts::heading("A change on paper", Some(html! {
            "What a change of the consortium would do to seats and quorum, by the newest record. Nothing is sent: a motion is made with "
            code { "tandem org propose" } ", which shows the same first."
        })))
        div.columns {
            (panel("The change", None, form(query, &orgs)))
            (panel("What it would do", None, html! {
                @match &answer {
                    Ok(Some(tried)) => (motions::tried(tried)),
                    Ok(None) => p.empty { "Fill in the form, and its answer stands here." },
                    Err(fault) => p.bad-text role="alert" { (parts::foreign(&fault.text)) },
                }
            }))
        }
    };
    Ok(Page { title: "A change on paper".to_owned(), nav: Nav::Motions, poll: None, body })
}

fn form(query: &Query, orgs: &Organizations) -> Markup {
    let filled = |name| query.text(name).unwrap_or_default();
    html! {
        form.fields action="/explorer/try" {
            label { span { "Change" }
                select name="kind" {
                    @for (kind, words) in KINDS {
                        option value=(kind) selected[filled("kind") == kind] { (words) }
                    }
                }
            }
            label { span { "Organisation" }
                input name="name" list="orgs" value=(filled("name")) autocomplete="off" spellcheck="false";
            }
            datalist #orgs { @for org in &orgs.organizations { option value=(org.name) {} } }
            label { span { "Power " small { "to add, or to set" } }
                input name="power" inputmode="numeric" value=(filled("power")) placeholder="1" autocomplete="off";
            }
            label { span { "Admin key " small { "in hex; one is made up for the trial when it is left out" } }
                input.hex name="key" value=(filled("key")) autocomplete="off" spellcheck="false";
            }
            label { span { "JSON " small { "for parameters and policy, as the method try_change takes it" } }
                textarea name="change" rows="4" spellcheck="false" { (filled("change")) }
            }
            button type="submit" { "Try it" }
        }
    }
}
