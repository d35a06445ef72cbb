//! `tandem seats` and `tandem switches`.

use tandem_node::rpc::shapes::tandem::{Seat, Seats, SwitchEntry, Switches};
use tandem_node::telemetry::colours;

use super::grid::{Colours, marks};
use crate::args::{Global, Seats as SeatsArgs};
use crate::{input, output};

/// Width of the column of keys.
const KEY_WIDTH: usize = 12;

pub async fn seats(global: &Global, args: &SeatsArgs) -> anyhow::Result<()> {
    let seats = input::client(global, None).await?.seats(args.blocks).await?;
    let colours = Colours::new(colours(&std::io::stdout()));
    output::show(global, &seats, |seats| text(seats, &colours))
}

/// The seats with their grids, and what is to be said of them.
pub fn text(seats: &Seats, colours: &Colours) -> String {
    let names = seats.seats.iter().map(|seat| seat.seat.as_str().len());
    let width = names.max().unwrap_or(0).max(4);
    let head = format!(
        "{:width$}  {:>4}  {:>5}  {:KEY_WIDTH$}  {:9}  ALIVE IN BLOCKS {} TO {}",
        "SEAT", "TERM", "POWER", "NODE", "ROLE", seats.grid_from, seats.height
    );
    let mut lines = vec![colours.bold(&head)];
    for seat in &seats.seats {
        let (term, power) = (seat.term.to_string(), seat.power.to_string());
        let holder = output::short_or_dash(seat.holder.as_ref());
        lines.push(format!(
            "{:width$}  {term:>4}  {power:>5}  {holder:KEY_WIDTH$}  {:9}  {}",
            seat.seat.as_str(),
            if seat.holder.is_some() { "validator" } else { "left out" },
            marks(&seat.holder_grid, colours)
        ));
        if let Some(partner) = &seat.partner {
            lines.push(format!(
                "{:width$}  {:>4}  {:>5}  {:KEY_WIDTH$}  {:9}  {}",
                "",
                "",
                "",
                output::short(partner),
                "standby",
                marks(&seat.partner_grid, colours)
            ));
        }
        let indent = " ".repeat(width + 2);
        lines.extend(remarks(seat, colours).into_iter().map(|remark| format!("{indent}{remark}")));
    }
    lines.join("\n")
}

/// What is to be said about a seat beyond its grid.
fn remarks(seat: &Seat, colours: &Colours) -> Vec<String> {
    let mut remarks = Vec::new();
    if seat.holder.is_none() {
        remarks.push(colours.bad("nobody signs for this seat until a node of its pair is alive"));
    } else if seat.is_down {
        remarks.push(colours.bad("DOWN: nobody signs for this seat, and no partner can take it"));
    }
    if let Some(left) = seat.blocks_until_switch {
        remarks.push(format!(
            "the holder is dead for {} of {} blocks, {} of {} ms: its partner takes the seat after \
             at least {left} more",
            seat.run_blocks, seat.failover_blocks, seat.run_ms, seat.failover_min_ms
        ));
    } else if seat.partner.is_some() && seat.partner_ready == Some(false) && !seat.is_down {
        remarks.push(colours.bad("the standby is not ready: it could not take the seat now"));
    }
    if let Some(reason) = &seat.never_automatic {
        remarks.push(colours.dim(&format!("never switched automatically: {reason}")));
    }
    remarks
}

pub async fn switches(global: &Global, limit: u64) -> anyhow::Result<()> {
    let switches = input::client(global, None).await?.switches(0, limit).await?;
    output::show(global, &switches, |Switches { switches }| {
        if switches.is_empty() {
            return "no seat has changed its holder yet".to_owned();
        }
        let row = |switch: &SwitchEntry| {
            [
                switch.height.to_string(),
                switch.effective.to_string(),
                switch.seat.to_string(),
                output::short_or_dash(switch.from.as_ref()),
                output::short_or_dash(switch.to.as_ref()),
                switch.term.to_string(),
                switch.reason.clone(),
            ]
        };
        let heads = ["DECIDED", "FROM HEIGHT", "SEAT", "OLD", "NEW", "TERM", "REASON"];
        output::table(heads, switches.iter().map(row))
    })
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;
    use tandem_chain::types::{Height, Power, Term};

    use super::*;

    fn seat() -> Seat {
        let key = |seed| Some(SecretKey::from_seed(&[seed; 32]).public());
        Seat {
            seat: "bank".parse().unwrap(),
            power: Power(1),
            term: Term(3),
            effective: Height(1),
            holder: key(1),
            partner: key(2),
            holder_alive: Some(true),
            partner_ready: Some(true),
            is_down: false,
            holder_grid: "110".to_owned(),
            partner_grid: "?11".to_owned(),
            run_blocks: 1,
            run_ms: 0,
            failover_blocks: 10,
            failover_min_ms: 700,
            blocks_until_switch: Some(9),
            never_automatic: None,
        }
    }

    fn lines(seat: Seat) -> Vec<String> {
        let seats = Seats { height: Height(9), grid_from: Height(7), seats: vec![seat] };
        text(&seats, &Colours::new(false)).lines().map(str::to_owned).collect()
    }

    #[test]
    fn grids_stand_below_one_another() {
        let lines = lines(seat());
        assert!(lines[0].ends_with("ALIVE IN BLOCKS 7 TO 9"));
        assert!(lines[1].starts_with("bank     3      1  ") && lines[1].ends_with("██▁"));
        assert!(lines[2].ends_with("·██"));
        let column = |line: &str, mark| line.chars().position(|c| c == mark);
        assert_eq!(column(&lines[1], '█'), column(&lines[2], '·'));
        assert!(lines[3].contains("1 of 10 blocks") && lines[3].contains("at least 9 more"));
    }

    #[test]
    fn what_an_operator_must_know_is_said() {
        let quiet = Seat { blocks_until_switch: None, ..seat() };
        let not_ready = lines(Seat { partner_ready: Some(false), ..quiet.clone() });
        assert!(not_ready[3].contains("not ready"));
        let down = lines(Seat { is_down: true, partner_ready: Some(false), ..quiet.clone() });
        assert!(down[3].contains("DOWN") && down.len() == 4);
        let alone = lines(Seat {
            partner: None,
            never_automatic: Some("it has no partner".to_owned()),
            ..quiet
        });
        assert!(alone[2].contains("it has no partner") && alone.len() == 3);
    }
}
