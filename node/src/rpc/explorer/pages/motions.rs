//! Motions, and what each would do now.

use maud::{Markup, html};
use serde_json::json;
use tandem_chain::modules::consortium::MotionStatus;

use super::{Asked, Nav, Page};
use crate::decode::readable;
use crate::rpc::explorer::fault::Fault;
use crate::rpc::explorer::parts::{self, Tone, badge, facts, foreign, panel};
use crate::rpc::explorer::query::number;
use crate::rpc::explorer::{live, value};
use crate::rpc::shapes::motions::{
    MotionEntry, MotionInfo, Motions, NumbersEntry, PolicyInfo, Tried,
};

/// Motions on a page.
const MOTIONS: u64 = 30;
/// Open ones of them of which the list says what they would do.
const TRIED: usize = 10;

fn status(status: MotionStatus) -> Markup {
    match status {
        MotionStatus::Open => badge(Tone::Accent, "open"),
        MotionStatus::Carried => badge(Tone::Good, "carried"),
        MotionStatus::Dropped => badge(Tone::Plain, "dropped"),
        MotionStatus::Expired => badge(Tone::Plain, "expired"),
    }
}

/// A table of motions.
pub(super) fn table(motions: &[&MotionEntry]) -> Markup {
    let rows: Vec<Vec<Markup>> = motions
        .iter()
        .map(|motion| {
            vec![
                html! { a.num href={ "/explorer/motion/" (motion.motion) } { (motion.motion) } },
                html! {
                    (motion.change.kind().replace('_', " "))
                    @if let Some(name) = motion.change.about() { " " strong { (name) } }
                    @if motion.force { " " (badge(Tone::Warn, "forced")) }
                },
                status(motion.status),
                html! { span.num { (motion.counted) " of " (motion.needed) } },
                parts::org(&motion.made_by),
                parts::height(motion.height),
                parts::time_text(&motion.expires),
            ]
        })
        .collect();
    let heads = ["Motion", "Change", "Stands", "Votes", "By", "Made in", "Until"];
    parts::table("Motions, the newest first", &heads, &rows)
}

pub(super) async fn list(Asked { visit, query, .. }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&["before"])?;
    let before = query.number("before")?;
    let mut params = json!({ "limit": MOTIONS });
    if let Some(before) = before {
        params["before"] = json!(before);
    }
    let found: Motions = visit.ask("motions", params).await?;
    let policy: PolicyInfo = visit.ask("policy", json!({})).await?;
    let motions: Vec<&MotionEntry> = found.motions.iter().collect();
    let mut open: Vec<MotionInfo> = Vec::new();
    for motion in motions.iter().filter(|motion| motion.status == MotionStatus::Open).take(TRIED) {
        open.push(visit.ask("motion", json!({ "motion": motion.motion })).await?);
    }
    let last = motions.last().map(|motion| motion.motion).filter(|last| *last > 1);
    let older = last
        .filter(|_| motions.len() as u64 == MOTIONS)
        .map(|last| format!("/explorer/motions?before={last}"));
    let newer = before.map(|_| "/explorer/motions".to_owned());
    let rows: Vec<Vec<Markup>> = (policy.policy.by_name().iter())
        .map(|(name, threshold)| {
            vec![
                html! { (name.replace('_', " ")) },
                html! { (threshold.to_string().replace('-', " ")) },
                html! { span.num { (policy.needed.get(*name).copied().unwrap_or(0)) " of " (policy.members) } },
            ]
        })
        .collect();
    let body = html! {
        (parts::heading("Motions", Some(html! {
            "Changes of the consortium, which its members vote on. "
            a href="/explorer/try" { "Try a change on paper" }
        })))
        section.panel { (live("motions", table(&motions))) }
        (live("tried", html! {
            @if !open.is_empty() { (panel("What the open ones would do now", None, on_paper(&open))) }
        }))
        (parts::pager(newer, older, ("Newest", "Older")))
        (panel("Policy", None, parts::table("Votes that each kind of change takes", &["Change", "Threshold", "Votes"], &rows)))
    };
    let poll = before.is_none().then_some(3_000);
    Ok(Page { title: "Motions".to_owned(), nav: Nav::Motions, poll, body })
}

/// Open motions, and in a line what each would do.
fn on_paper(open: &[MotionInfo]) -> Markup {
    html! {
        ul.open {
            // One that was closed in between does nothing more.
            @for (motion, tried) in open.iter().filter_map(|info| Some((&info.motion, info.tried.as_ref()?))) {
                li {
                    p {
                        a href={ "/explorer/motion/" (motion.motion) } { "Motion " (motion.motion) } ", "
                        (motion.change.kind().replace('_', " "))
                        @if let Some(name) = motion.change.about() { " " (name) }
                    }
                    @for changed in &tried.changes { p { (foreign(&changed.to_string())) } }
                    @if let Some(summary) = &tried.summary { p { strong { (foreign(summary)) } } }
                    (verdict(tried))
                }
            }
        }
    }
}

pub(super) async fn page(Asked { visit, names, query }: Asked<'_>) -> Result<Page, Fault> {
    query.only(&[])?;
    let motion = number("a motion", names[0])?;
    // One that is not there is told from one that cannot be read.
    let before = motion.saturating_add(1);
    let known: Motions = visit.ask("motions", json!({ "before": before, "limit": 1 })).await?;
    if known.motions.first().is_none_or(|known| known.motion != motion) {
        return Err(Fault::not_found(format!("there is no motion {motion}")));
    }
    let MotionInfo { motion, tried } = visit.ask("motion", json!({ "motion": motion })).await?;
    let about = motion.change.about();
    let body = html! {
        (parts::heading(&format!("Motion {}", motion.motion), Some(html! {
            (motion.change.kind().replace('_', " "))
            @if let Some(name) = about { " " (name) }
        })))
        (live("motion", html! {
            (panel("Where it stands", None, html! {
                (facts(&[
                    ("Status", status(motion.status)),
                    ("Votes", html! {
                        span.num { (motion.counted) " of " (motion.needed) " needed" } ", "
                        (motion.members) " members have one"
                    }),
                    ("For it", html! { @for org in &motion.votes { (parts::org(org)) " " } }),
                    ("Made by", parts::org(&motion.made_by)),
                    ("Made in", parts::height(motion.height)),
                    ("Open until", parts::time_text(&motion.expires)),
                    ("Forced", html! { @if motion.force { "yes: it is carried out though fewer than a quorum would be online" } @else { "no" } }),
                    ("In effect from", html! { @if let Some(height) = motion.effective { (parts::height(height)) } @else { "–" } }),
                ]))
            }))
            @if let Some(tried) = &tried { (panel("What it would do now", None, self::tried(tried))) }
        }))
        (panel("The change", None, value::tree(&readable(&motion.change))))
    };
    Ok(Page {
        title: format!("Motion {}", motion.motion),
        nav: Nav::Motions,
        poll: Some(3_000),
        body,
    })
}

/// Whether the ledger would carry a change out.
fn verdict(tried: &Tried) -> Markup {
    html! {
        @match (&tried.impossible_because, &tried.unsafe_because) {
            (Some(reason), _) => p.verdict { (badge(Tone::Bad, "refused")) " " (foreign(reason)) },
            (None, Some(reason)) => p.verdict { (badge(Tone::Warn, "refused unless forced")) " " (foreign(reason)) },
            (None, None) => p.verdict { (badge(Tone::Good, "allowed")) " The ledger would carry it out." },
        }
    }
}

/// What a change does on paper.
pub(super) fn tried(tried: &Tried) -> Markup {
    let rows = |before: &NumbersEntry, after: &NumbersEntry| -> Vec<Vec<Markup>> {
        let row = |name: &str, before: u64, after: u64| {
            vec![html! { (name) }, html! { span.num { (before) } }, html! { span.num { (after) } }]
        };
        vec![
            row("Seats", before.seats, after.seats),
            row("Power", before.power.0, after.power.0),
            row("Quorum", before.quorum.0, after.quorum.0),
            row("May fail (f)", before.f.0, after.f.0),
            row("Online", before.online.0, after.online.0),
        ]
    };
    let changes: Vec<Vec<Markup>> = (tried.changes.iter())
        .map(|changed| {
            let cell = |text: &str| html! { code { (foreign(text)) } };
            vec![cell(&changed.name), cell(&changed.old), cell(&changed.new)]
        })
        .collect();
    html! {
        (verdict(tried))
        @if let Some(summary) = &tried.summary { p.lead { (foreign(summary)) } }
        @if !changes.is_empty() {
            (parts::table("Values before and after", &["What it replaces", "Now", "After it"], &changes))
        }
        @if let (Some(before), Some(after)) = (&tried.before, &tried.after) {
            (parts::table("The seats before and after", &["Of the seats", "Now", "After it"], &rows(before, after)))
        }
        @if !tried.warnings.is_empty() {
            h3 { "To be known" }
            ul { @for warning in &tried.warnings { li { (foreign(warning)) } } }
        }
    }
}
