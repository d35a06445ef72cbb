//! What is around every page.

use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::live;
use super::pages::{Nav, Page};
use super::parts::{foreign, grouped};
use crate::rpc::methods::node::faults;
use crate::rpc::state::RpcState;

/// Alarms that are shown.
pub(super) const MAX_ALARMS: usize = 20;

/// Ways to the pages.
const WAYS: [(Nav, &str, &str); 8] = [
    (Nav::Overview, "/explorer", "Overview"),
    (Nav::Pairs, "/explorer/pairs", "Pairs"),
    (Nav::Blocks, "/explorer/blocks", "Blocks"),
    (Nav::Organizations, "/explorer/organizations", "Organisations"),
    (Nav::Motions, "/explorer/motions", "Motions"),
    (Nav::Network, "/explorer/network", "Network"),
    (Nav::Data, "/explorer/data-sets", "Data"),
    (Nav::Parameters, "/explorer/parameters", "Parameters"),
];

/// The page as it is sent.
pub(super) fn whole(rpc: &RpcState, page: &Page) -> Markup {
    let tip = rpc.tip();
    let chain = &rpc.genesis.chain_id;
    let own = tip.register.nodes.get(&rpc.me).map(|node| node.org.to_string());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (page.title) " · " (chain) " · Tandem" }
                link rel="icon" href=(ICON.path) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE.path);
                script src=(SCRIPT.path) {}
            }
            body data-poll=[page.poll] {
                a.skip href="#main" { "Skip to the page" }
                header.top {
                    div.wide {
                        a.brand href="/explorer" {
                            (mark())
                            span { "Tandem" }
                            span.chain { (chain) }
                        }
                        form.search action="/explorer/search" role="search" {
                            label.hidden for="q" { "Search" }
                            input #q name="q" type="search" autocomplete="off" spellcheck="false" maxlength="600"
                                placeholder="Height, hash, key, organisation, data set";
                            button type="submit" { "Search" }
                        }
                        div.switches {
                            @if page.poll.is_some() {
                                button.live #live type="button" aria-pressed="true" hidden {
                                    span.lamp aria-hidden="true" {} span #live-word { "Live" }
                                }
                            }
                            button.theme #theme type="button" hidden aria-label="Light or dark" {
                                svg viewBox="0 0 20 20" aria-hidden="true" {
                                    circle cx="10" cy="10" r="7" {}
                                    path d="M10 3a7 7 0 0 1 0 14z" {}
                                }
                            }
                        }
                    }
                    nav.ways aria-label="Pages of the explorer" {
                        ul.wide {
                            @for (nav, target, name) in WAYS {
                                li { a href=(target) aria-current=[(nav == page.nav).then_some("page")] { (name) } }
                            }
                            li { a href="/explorer/api" aria-current=[(page.nav == Nav::Api).then_some("page")] { "API" } }
                        }
                    }
                }
                main #main.wide tabindex="-1" {
                    (live("state", state(rpc)))
                    (page.body)
                }
                footer.wide {
                    p {
                        "Node of " @if let Some(own) = own { a href={ "/explorer/organization/" (own) } { (own) } }
                        @else { "no organisation" }
                        ", at height " span #foot-height.num data-live { (grouped(tip.height.0)) }
                        ". What it shows is what this node has checked itself."
                    }
                    p { "Times are in " span #zone { "UTC" } ". Tandem " (env!("CARGO_PKG_VERSION")) "." }
                    p.hidden #said role="status" aria-live="polite" {}
                }
            }
        }
    }
}

/// What is not well with this node, as the method `health` tells everyone.
fn state(rpc: &RpcState) -> Markup {
    let faults = faults(rpc);
    html! {
        @if !faults.is_empty() {
            div.alarm role="note" {
                strong { @if rpc.view().catching_up { "This node is syncing" } @else { "This node is not well" } }
                ul { @for fault in faults.iter().take(MAX_ALARMS) { li { (foreign(fault)) } } }
            }
        }
    }
}

/// Two that ride together.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 32 20" aria-hidden="true" {
            circle.back cx="22" cy="10" r="8" {}
            circle.front cx="10" cy="10" r="8" {}
        }
    }
}
