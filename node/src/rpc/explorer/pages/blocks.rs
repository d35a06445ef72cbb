//! Blocks, the newest first.

use maud::html;
use tandem_chain::types::Height;

use super::{Asked, Nav, Page};
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::live;
use crate::rpc::explorer::parts::{self, grouped};
use crate::rpc::explorer::summary::proposers;

/// Blocks on a page.
const BLOCKS: u64 = 25;

pub(super) async fn page(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["from"])?;
    let rpc = visit.rpc();
    let newest = rpc.tip().height;
    let asked = query.number("from")?.map(Height);
    match asked {
        Some(Height::ZERO) => return Err(Fault::bad("there is no block of height 0".to_owned())),
        Some(_) => drop(rpc.block_height(asked).map_err(|error| Fault::from(error).missing())?),
        None => {}
    }
    let from = asked.map_or(newest, |asked| asked.min(newest));
    let blocks =
        visit.read(move |explorer, rpc| explorer.summaries.down(rpc, from, BLOCKS)).await?;
    let lowest = rpc.db.first_height();
    let orgs = proposers(rpc);
    let last = blocks.last().map_or(from.0, |block| block.height.0);
    let to = |height: u64| format!("/explorer/blocks?from={height}");
    let newer = (from < newest).then(|| match from.0.saturating_add(BLOCKS) {
        above if above < newest.0 => to(above),
        _ => "/explorer/blocks".to_owned(),
    });
    let older = (last > lowest.0.max(1)).then(|| to(last - 1));
    let under = html! {
        (live("reach", html! {
            "Heights " (grouped(lowest.0.max(1).min(newest.0))) " to " (grouped(newest.0)) " are here."
        }))
    };
    let body = html! {
        (parts::heading("Blocks", Some(under)))
        section.panel { (live("blocks", parts::blocks(&blocks, &orgs))) }
        (live("pager", parts::pager(newer, older, ("Newer", "Older"))))
    };
    let poll = asked.is_none().then_some(1_000);
    Ok(Page { title: "Blocks".to_owned(), nav: Nav::Blocks, poll, body })
}
