//! Who holds each seat, whether its partner could take it, and who was alive.

use maud::{Markup, html};
use serde_json::json;

use super::{Asked, Nav, Page, switch};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, grouped, millis, panel};
use crate::rpc::explorer::summary::proposers;
use crate::rpc::explorer::{live, picture};
use crate::rpc::shapes::tandem::{Seat, Seats, Switches};

/// Blocks of the grid.
const GRID: u64 = 100;
/// Switches below the pairs.
const SWITCHES: u64 = 10;

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let rpc = visit.rpc();
    let seats: Seats = visit.ask("seats", json!({ "blocks": GRID })).await?;
    let switches: Switches = visit.ask("switches", json!({ "limit": SWITCHES })).await?;
    let newest = rpc.tip().height;
    let last = visit.read(move |explorer, rpc| explorer.summaries.down(rpc, newest, 1)).await?;
    let orgs = proposers(rpc);
    let proposer = last.first().and_then(|block| orgs.get(&block.proposer));
    let one = seats.seats.first();
    let body = html! {
        (parts::heading("Pairs", Some(html! {
            "Each organisation holds one seat and fills it with a pair of nodes. When the chain has recorded a holder dead for "
            @if let Some(seat) = one { (seat.failover_blocks) " blocks" } @else { "long enough" }
            " in a row, and its partner alive in all of them, the seat passes to the partner."
        })))
        div.columns.pairs {
            section.panel {
                h2.hidden { "Picture" }
                (live("ring", picture::ring(&seats.seats, proposer, seats.height.0)))
                ul.legend {
                    li { span.key.holder {} "holds the seat" }
                    li { span.key.partner {} "partner" }
                    li { span.key.dead {} "recorded dead" }
                }
            }
            (panel("What it takes", None, live("rule", match one {
                Some(seat) => parts::facts(&[
                    ("Blocks in a row", html! { (seat.failover_blocks) }),
                    ("Their time", html! { "at least " (millis(seat.failover_min_ms)) }),
                    ("Height", html! { (grouped(seats.height.0)) }),
                    ("Grid", html! { "blocks " (grouped(seats.grid_from.0)) " to " (grouped(seats.height.0)) }),
                    ("Marks", html! { "high: alive · low: dead · dot: this node does not know" }),
                ]),
                None => html! { p.empty { "There is no seat." } },
            })))
        }
        (live("lanes", html! {
            div.lanes { @for seat in &seats.seats { (lane(seat)) } }
        }))
        (panel("Switches", Some(("/explorer/switches", "All switches")), live("switches", switch::table(&switches.switches))))
    };
    Ok(Page { title: "Pairs".to_owned(), nav: Nav::Pairs, poll: Some(1_000), body })
}

/// A seat with its pair.
fn lane(seat: &Seat) -> Markup {
    let state = if seat.is_down {
        (Tone::Bad, "down")
    } else if seat.blocks_until_switch.is_some() {
        (Tone::Warn, "about to switch")
    } else if seat.holder.is_none() {
        (Tone::Warn, "left out")
    } else if seat.partner.is_none() {
        (Tone::Warn, "no standby")
    } else if seat.partner_ready == Some(false) {
        (Tone::Warn, "standby not ready")
    } else if seat.partner_ready.is_none() {
        (Tone::Plain, "no record yet")
    } else {
        (Tone::Good, "standby ready")
    };
    html! {
        article.lane aria-label={ "Seat of " (seat.seat) } {
            header {
                h3 { (parts::org(&seat.seat)) }
                (badge(state.0, state.1))
                span.muted { "term " span.num { (seat.term) } " · power " span.num { (seat.power) } }
            }
            div.rows {
                div.row {
                    span.who { span.key.holder {} "holder" }
                    @match &seat.holder { Some(key) => (parts::key(key)), None => span.muted { "none" } }
                    (parts::alive(seat.holder.and(seat.holder_alive)))
                    (picture::strip(&seat.holder_grid, &format!("Holder of {}", seat.seat)))
                }
                div.row {
                    span.who { span.key.partner {} "partner" }
                    @match &seat.partner { Some(key) => (parts::key(key)), None => span.muted { "none" } }
                    @if seat.partner.is_some() { (parts::alive(seat.partner_ready)) } @else { span {} }
                    (picture::strip(&seat.partner_grid, &format!("Partner of {}", seat.seat)))
                }
            }
            p.note {
                @match (seat.blocks_until_switch, &seat.never_automatic) {
                    (Some(left), _) => {
                        (picture::progress(seat.run_blocks, seat.failover_blocks, &format!("{} of {} blocks", seat.run_blocks, seat.failover_blocks)))
                        "Recorded dead for " (seat.run_blocks) " blocks, " (millis(seat.run_ms)) ": "
                        strong { "switch in " (left) " blocks at the earliest" }
                    }
                    (None, Some(reason)) => span.muted { "Never switched automatically as it is: " (reason) },
                    (None, None) => span.muted { "No run is under way. In effect since " (parts::height(seat.effective)) },
                }
            }
        }
    }
}
