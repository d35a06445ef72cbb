//! Pictures: the pairs around their table, strips of who was alive, bars of blocks. Each has its
//! text: what it shows is told to who does not see it.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use maud::{Markup, html};
use tandem_chain::types::OrgName;

use super::parts::grouped;
use crate::rpc::shapes::tandem::Seat;

/// Seats whose names have room in the picture.
const MAX_NAMED: usize = 16;

/// Width and height of the picture of pairs.
const WIDE: f64 = 460.0;
const HIGH: f64 = 350.0;

fn dot(alive: Option<bool>) -> &'static str {
    match alive {
        Some(true) => "alive",
        Some(false) => "dead",
        None => "unknown",
    }
}

/// The pairs around a table: within, who holds the seats; without, their partners.
pub(super) fn ring(seats: &[Seat], proposer: Option<&OrgName>, height: u64) -> Markup {
    let (x, y) = (WIDE / 2.0, HIGH / 2.0);
    let small = seats.len() > MAX_NAMED;
    let (inner, outer) = if small { (110.0, 140.0) } else { (88.0, 130.0) };
    let (large_dot, small_dot) = if small { (5.0, 3.5) } else { (15.0, 9.0) };
    let at = |angle: f64, radius: f64| (x + radius * angle.cos(), y + radius * angle.sin());
    let alive =
        seats.iter().filter(|seat| seat.holder_alive != Some(false) && seat.holder.is_some());
    let ready = seats.iter().filter(|seat| seat.partner_ready == Some(true)).count();
    let told = format!(
        "Pairs at height {height}: {} of {} seats have a holder that is alive, {ready} have a partner that \
         could take over. The table of pairs has the same in words.",
        alive.clone().count(),
        seats.len()
    );
    html! {
        svg.ring viewBox={ "0 0 " (WIDE) " " (HIGH) } role="img" aria-label=(told) {
            circle.table cx=(x) cy=(y) r=(inner) {}
            text.big x=(x) y=(y + 4.0) text-anchor="middle" { (grouped(height)) }
            text.under x=(x) y=(y + 24.0) text-anchor="middle" {
                (alive.count()) " of " (seats.len()) " seats alive"
            }
            @for (i, seat) in seats.iter().enumerate() {
                @let angle = TAU * (i as f64 / seats.len() as f64) - TAU / 4.0;
                @let (ax, ay) = at(angle, inner);
                @let (bx, by) = at(angle, outer);
                g.seat {
                    title { (seat_told(seat)) }
                    @if seat.partner.is_some() {
                        line class={ "tie" @if seat.blocks_until_switch.is_some() { " moving" } }
                            x1=(p(ax)) y1=(p(ay)) x2=(p(bx)) y2=(p(by)) {}
                        circle class={ "partner " (dot(seat.partner_ready)) }
                            cx=(p(bx)) cy=(p(by)) r=(small_dot) {}
                        @if seat.partner_ready == Some(false) { (cross(bx, by, small_dot)) }
                    }
                    @if proposer == Some(&seat.seat) {
                        circle.proposer cx=(p(ax)) cy=(p(ay)) r=(large_dot + 5.0) {}
                    }
                    @if seat.holder.is_some() {
                        circle class={ "holder " (dot(seat.holder_alive)) }
                            cx=(p(ax)) cy=(p(ay)) r=(large_dot) {}
                        @if seat.holder_alive == Some(false) { (cross(ax, ay, large_dot)) }
                    } @else {
                        circle.holder.empty cx=(p(ax)) cy=(p(ay)) r=(large_dot) {}
                    }
                    @if !small {
                        @let (tx, ty) = at(angle, outer + 20.0);
                        text.name x=(p(tx)) y=(p(ty + 5.0)) text-anchor=(anchor(angle)) { (seat.seat) }
                    }
                }
            }
        }
    }
}

/// A number with one digit behind the point.
fn p(number: f64) -> String {
    format!("{number:.1}")
}

fn anchor(angle: f64) -> &'static str {
    match angle.cos() {
        cos if cos > 0.3 => "start",
        cos if cos < -0.3 => "end",
        _ => "middle",
    }
}

/// A mark that needs no colour to be seen.
fn cross(x: f64, y: f64, radius: f64) -> Markup {
    let a = radius * 0.42;
    let d = format!(
        "M{:.1} {:.1}L{:.1} {:.1}M{:.1} {:.1}L{:.1} {:.1}",
        x - a,
        y - a,
        x + a,
        y + a,
        x - a,
        y + a,
        x + a,
        y - a
    );
    html! { path.cross d=(d) {} }
}

/// A seat in words.
pub(super) fn seat_told(seat: &Seat) -> String {
    let word = |alive| match alive {
        Some(true) => "alive",
        Some(false) => "dead",
        None => "without a record yet",
    };
    let mut text = format!("{}, term {}: ", seat.seat, seat.term);
    match seat.holder {
        Some(_) => text.extend(["holder ", word(seat.holder_alive)]),
        None => text += "left out",
    }
    match seat.partner {
        Some(_) => text.extend([", partner ", word(seat.partner_ready)]),
        None => text += ", no partner",
    }
    if let Some(blocks) = seat.blocks_until_switch {
        let _ = write!(text, ", switch in {blocks} blocks at the earliest");
    }
    text
}

/// One bar for each block of a grid: high for alive, low for dead, a dot for what is not known.
pub(super) fn strip(grid: &str, whose: &str) -> Markup {
    const STEP: usize = 4;
    let [mut alive, mut dead, mut unknown] = [(); 3].map(|()| (0usize, String::new()));
    for (i, mark) in grid.bytes().enumerate() {
        let x = i * STEP;
        let (found, bar) = match mark {
            b'1' => (&mut alive, "v20h3v-20z"),
            b'0' => (&mut dead, "v9h3v-9z"),
            _ => (&mut unknown, "v3h3v-3z"),
        };
        let y = match mark {
            b'1' => 0,
            b'0' => 11,
            _ => 8,
        };
        found.0 += 1;
        let _ = write!(found.1, "M{x} {y}{bar}");
    }
    let told = format!(
        "{whose}: alive in {}, dead in {}, not known in {} of the last {} blocks",
        alive.0,
        dead.0,
        unknown.0,
        grid.len()
    );
    html! {
        svg.strip viewBox={ "0 0 " (grid.len().max(1) * STEP) " 20" } preserveAspectRatio="none"
            role="img" aria-label=(told) {
            path.alive d=(alive.1) {}
            path.dead d=(dead.1) {}
            path.unknown d=(unknown.1) {}
        }
    }
}

/// How far a run is: `done` of `all`.
pub(super) fn progress(done: u64, all: u64, told: &str) -> Markup {
    let share = done as f64 / all.max(1) as f64;
    html! {
        svg.progress viewBox="0 0 200 8" preserveAspectRatio="none" role="img" aria-label=(told) {
            rect.back width="200" height="8" rx="4" {}
            rect.front width=(p(200.0 * share.clamp(0.0, 1.0))) height="8" rx="4" {}
        }
    }
}

/// A bar for each number, the oldest first; `places` of them.
pub(super) fn bars(numbers: &[u64], places: usize, told: &str) -> Markup {
    const STEP: usize = 8;
    let most = numbers.iter().copied().max().unwrap_or(0).max(1);
    let skip = places.saturating_sub(numbers.len());
    let mut d = String::new();
    for (i, number) in numbers.iter().enumerate() {
        let high = (60.0 * (*number as f64) / most as f64).max(if *number > 0 { 1.5 } else { 0.0 });
        let _ = write!(d, "M{} {:.1}v{high:.1}h6v-{high:.1}z", (skip + i) * STEP, 60.0 - high);
    }
    html! {
        svg.bars viewBox={ "0 0 " (places.max(1) * STEP) " 60" } preserveAspectRatio="none"
            role="img" aria-label=(told) {
            path.base d={ "M0 59.5h" (places.max(1) * STEP) } {}
            path d=(d) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_and_bars_tell_what_they_show() {
        let shown = strip("?110", "Holder of alpha").into_string();
        let told = "Holder of alpha: alive in 2, dead in 1, not known in 1 of the last 4 blocks";
        assert!(shown.contains(told) && shown.contains("M4 0v20h3v-20zM8 0v20"), "{shown}");
        assert!(strip("", "x").into_string().contains("of the last 0 blocks"));
        assert!(bars(&[], 0, "none").into_string().contains("viewBox=\"0 0 8 60\""));
        let shown = bars(&[1, u64::MAX], 4, "two").into_string();
        assert!(shown.contains("M24 0.0v60.0"), "{shown}");
        assert!(progress(9, 0, "x").into_string().contains("width=\"200.0\""));
    }
}
