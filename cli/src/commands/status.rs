//! `tandem status`.

use std::time::Duration;

use tandem_chain::types::Timestamp;
use tandem_node::client::{ClientError, Status};
use tandem_node::rpc::shapes::tandem::Seats;
use tandem_node::telemetry::colours;

use super::genesis::now;
use super::grid::Colours;
use super::seats;
use crate::args::Global;
use crate::{input, output};

/// Blocks of the grid: with the columns before it they fit 80 columns.
const GRID_BLOCKS: u64 = 30;

pub async fn status(global: &Global) -> anyhow::Result<()> {
    let client = input::client(global, None).await?;
    let status = client.status().await?;
    if global.json {
        return output::print_json(&status);
    }
    // Where reading is limited, anyone is told the status, and not the seats.
    let seats = client.seats(GRID_BLOCKS).await;
    let colours = Colours::new(colours(&std::io::stdout()));
    output::print(&text(&status, seats.as_ref(), now()?, &colours))
}

fn text(
    status: &Status,
    seats: Result<&Seats, &ClientError>,
    now: Timestamp,
    colours: &Colours,
) -> String {
    let (sync, own) = (&status.sync_info, &status.tandem);
    let org = own.organization.as_ref().map(|org| format!(" of {org}")).unwrap_or_default();
    let term = own.term.map(|term| format!(", term {term}")).unwrap_or_default();
    let age = sync.time().map(|time| format!(" ({})", age(time, now))).unwrap_or_default();
    let mut facts = vec![
        ("chain", status.node_info.network.to_string()),
        ("height", sync.latest_block_height.to_string()),
        ("block", sync.latest_block_hash.clone()),
        ("state", sync.latest_app_hash.to_string()),
        ("time", format!("{}{age}", sync.latest_block_time)),
        ("lowest block", sync.earliest_block_height.to_string()),
        ("node", own.public_key.to_string()),
        ("role", format!("{}{org}{term}", own.role)),
        ("deciding", format!("height {}, round {}, {}", own.height, own.round, own.step)),
        ("rounds above 0", own.rounds_above_zero.to_string()),
        ("peers", own.peers.to_string()),
        ("catching up", output::yes_no(Some(sync.catching_up))),
        ("version", own.version.clone()),
    ];
    if own.key_lost {
        let text = "lost: it signs nothing before the others told how far it signed";
        facts.push(("key", colours.bad(text)));
    }
    facts.extend(own.alarms.iter().map(|alarm| ("alarm", colours.bad(alarm))));
    match seats {
        Ok(seats) => format!("{}\n\n{}", output::facts(&facts), seats::text(seats, colours)),
        Err(error) => {
            facts.push(("seats", error.to_string()));
            output::facts(&facts)
        }
    }
}

/// How old a block is by this machine's clock.
fn age(made: Timestamp, now: Timestamp) -> String {
    if made > now {
        return format!("{} ahead of this machine's clock", rounded(made.since(now)));
    }
    format!("{} ago", rounded(now.since(made)))
}

/// A time with the precision that people need.
fn rounded(time: Duration) -> String {
    match time.as_secs() {
        0..=9 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tandem_chain::keys::SecretKey;
    use tandem_chain::types::{Hash, Height};

    use super::*;

    const MADE: &str = "2026-11-27T18:00:00Z";

    fn status() -> Status {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let value: Value = json!({
            "node_info": { "network": "trade-1", "id": "" },
            "sync_info": {
                "latest_block_hash": "AB", "latest_app_hash": Hash::EMPTY,
                "latest_block_height": "9", "latest_block_time": MADE,
                "earliest_block_height": "1", "catching_up": false,
            },
            "tandem": {
                "version": "0.1.0", "public_key": key, "organization": "bank",
                "role": "validator", "term": "3", "height": "10", "round": 0, "step": "propose",
                "rounds_above_zero": "0", "key_lost": false, "silent_through": "0", "fsyncs": "0",
                "alarms": ["seat bank: its standby is dead"], "peers": 7,
                "genesis_hash": Hash::EMPTY,
            },
        });
        serde_json::from_value(value).unwrap()
    }

    fn shown(seats: Result<&Seats, &ClientError>, seconds: u64) -> String {
        let now = Timestamp::from_rfc3339(MADE).unwrap().plus(Duration::from_secs(seconds));
        text(&status(), seats, now, &Colours::new(false))
    }

    #[test]
    fn facts_alarms_and_seats_stand_there() {
        let seats = Seats { height: Height(9), grid_from: Height(7), seats: Vec::new() };
        let text = shown(Ok(&seats), 90);
        for part in [
            "validator of bank, term 3",
            "2026-11-27T18:00:00Z (90 s ago)",
            "alarm           seat bank: its standby is dead",
            "ALIVE IN BLOCKS 7 TO 9",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn who_may_not_read_the_seats_is_told_the_rest() {
        let error = ClientError::BadUrl { url: "reading is limited".to_owned() };
        let text = shown(Err(&error), 0);
        assert!(text.contains("trade-1") && text.contains("reading is limited"), "{text}");
    }

    #[test]
    fn ages_are_rounded() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        for (made, now, expected) in [
            (100, 100, "0.0 s ago"),
            (100, 109, "9.0 s ago"),
            (100, 219, "119 s ago"),
            (100, 220, "2 min ago"),
            (100, 100 + 7_200, "2 h ago"),
            (100, 100 + 172_800, "2 days ago"),
            (103, 100, "3.0 s ahead of this machine's clock"),
        ] {
            assert_eq!(age(at(made), at(now)), expected);
        }
    }
}
