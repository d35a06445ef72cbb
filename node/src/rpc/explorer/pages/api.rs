//! How to ask the node from a program.

use maud::{Markup, html};

use super::{Asked, Nav, Page};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, panel};
use crate::rpc::methods::METHODS;
use crate::rpc::openapi;
use crate::rpc::reading::{Needs, SCHEME};
use crate::rpc::websocket;

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let rpc = visit.rpc();
    let at = format!("http://{}", rpc.config.rpc.listen);
    let rows: Vec<Vec<Markup>> = METHODS
        .iter()
        .chain(websocket::METHODS)
        .map(|method| {
            vec![
                html! {
                    @if method.params.is_empty() && method.needs != Needs::Nothing {
                        a href={ "/" (method.name) } { code { (method.name) } }
                    } @else { code { (method.name) } }
                },
                html! { span.muted { (method.params.join(", ")) } },
                html! { (method.about) },
                match method.needs {
                    // The same wherever: the request itself is signed with the node's key.
                    _ if method.params.contains(&"time") => badge(Tone::Warn, "the operator"),
                    Needs::Nothing => badge(Tone::Plain, "everyone"),
                    Needs::Member => badge(Tone::Plain, "members"),
                    Needs::Blocks => badge(Tone::Plain, "own organisation"),
                },
            ]
        })
        .collect();
    let newest = rpc.tip().height.0.max(1);
    let body = html! {
        (parts::heading("API", Some(html! {
            "JSON-RPC 2.0 over HTTP in the shapes of CometBFT 0.38, on this very port. Whatever these pages show, a program can ask."
        })))
        div.columns {
            (panel("By GET", None, html! {
                p { "Parameters stand in the query: texts in quotes, bytes as " code { "0x" } " and hex digits." }
                pre tabindex="0" { "curl '" (at) "/status'\ncurl '" (at) "/block?height=" (newest) "'\ncurl '" (at) "/seats?blocks=100'" }
            }))
            (panel("By POST", None, html! {
                p { "One request, or a list of " (rpc.config.rpc.max_batch) " at most. Integers of 64 bits are strings." }
                pre tabindex="0" { "curl " (at) " -d '{\"jsonrpc\": \"2.0\", \"id\": 1,\n  \"method\": \"block\", \"params\": {\"height\": \"" (newest) "\"}}'" }
            }))
            (panel("A transaction", None, html! {
                p { "Made and signed on your machine, sent to any node. Only a receipt is a promise: send the same bytes again until there is one." }
                pre tabindex="0" { "tandem tx record put prices oil 81.20 \\\n  --key user.json --node " (at) }
                p { "In any other language: " code { "tx_prepare" } " answers with the bytes to sign, " code { "tx_assemble" } " takes them with the signature." }
            }))
            (panel("A permit", None, html! {
                p { "Where reading is limited, a request shows by a permit as whom it reads. This node is " strong {
                    @match rpc.config.rpc.reading { crate::config::Reading::Open => "open", crate::config::Reading::Limited => "limited" }
                } "." }
                pre tabindex="0" { "curl -H \"Authorization: " (SCHEME) " HEX\" \\\n  '" (at) "/seats'" }
            }))
        }
        (panel("Methods", None, html! {
            p { "A WebSocket at " code { (websocket::PATH) } " takes all of them, and those about subscriptions, which nothing else takes." }
            p { "For programs: " a href=(openapi::PATH) { "an OpenAPI document" } " with every parameter, result and error." }
            (parts::table("Methods", &["Method", "Parameters", "Answer", "Where reading is limited"], &rows))
        }))
    };
    Ok(Page { title: "API".to_owned(), nav: Nav::Api, poll: None, body })
}
