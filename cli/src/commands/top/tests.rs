//! Pictures of views.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::json;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::types::{Hash, Height, Power, Term};
use tandem_node::client::Status;
use tandem_node::rpc::shapes::tandem::{NodeEntry, NodeRole, Seat, Seats};

use super::draw::draw;
use super::feed::reckoned;
use super::view::{Asked, Chain, MAX_RATES, Rate, View};
use super::{Act, act};

fn key(seed: u8) -> PublicKey {
    SecretKey::from_seed(&[seed; 32]).public()
}

fn status(alarms: &[&str]) -> Box<Status> {
    let value = json!({
        "node_info": { "network": "trade-1", "id": "" },
        "sync_info": {
            "latest_block_hash": "AB", "latest_app_hash": Hash::EMPTY,
            "latest_block_height": "4711", "latest_block_time": "2026-11-27T18:00:00Z",
            "earliest_block_height": "1", "catching_up": false,
        },
        "tandem": {
            "version": "0.1.0", "public_key": key(1), "organization": "alpha",
            "role": "validator", "term": "3", "height": "4712", "round": 0, "step": "propose",
            "rounds_above_zero": "2", "key_lost": false, "silent_through": "0", "fsyncs": "0",
            "alarms": alarms, "peers": 7, "genesis_hash": Hash::EMPTY,
        },
    });
    serde_json::from_value(value).unwrap()
}

fn seat(name: &str, seeds: [u8; 2]) -> Seat {
    Seat {
        seat: name.parse().unwrap(),
        power: Power(1),
        term: Term(3),
        effective: Height(1),
        holder: Some(key(seeds[0])),
        partner: Some(key(seeds[1])),
        holder_alive: Some(true),
        partner_ready: Some(true),
        is_down: false,
        holder_grid: "1".repeat(100),
        partner_grid: "1".repeat(100),
        run_blocks: 0,
        run_ms: 0,
        failover_blocks: 10,
        failover_min_ms: 700,
        blocks_until_switch: None,
        never_automatic: None,
    }
}

fn entry(seed: u8, role: NodeRole, connected: bool) -> NodeEntry {
    let (key, organization) = (key(seed), "alpha".parse().unwrap());
    let (address, alive, addresses) = (key.address(), Some(true), Vec::new());
    NodeEntry { key, address, organization, role, alive, connected, addresses }
}

fn view() -> View {
    let bravo = Seat {
        holder_alive: Some(false),
        blocks_until_switch: Some(6),
        holder_grid: format!("{}0000", "1".repeat(96)),
        partner_ready: Some(false),
        ..seat("bravo", [3, 4])
    };
    let seats = vec![seat("alpha", [1, 2]), bravo];
    let nodes = vec![
        entry(1, NodeRole::Validator, true),
        entry(2, NodeRole::Standby, false),
        entry(9, NodeRole::Observer, true),
    ];
    let seats = Seats { height: Height(4711), grid_from: Height(4612), seats };
    let chain = Chain { age: Some(Duration::from_millis(420)), seats, nodes };
    let asked = |url: &str, status| Asked { url: url.to_owned(), status };
    let unreachable = "http://10.0.0.2:26657 is not reachable".to_owned();
    let mut view = View {
        asked: vec![
            asked("http://10.0.0.1:26657", Some(Ok(status(&["seat bravo: its standby is dead"])))),
            asked("http://10.0.0.2:26657", Some(Err(unreachable))),
        ],
        chain: Some(chain),
        ..View::default()
    };
    for txs in [100.0, 500.0] {
        view.add_rate(Rate { blocks: 10.0, txs });
    }
    view
}

fn picture(view: &View, width: u16, height: u16, scroll: usize) -> (Buffer, usize) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut from = 0;
    terminal.draw(|frame| from = draw(frame, view, scroll)).unwrap();
    (terminal.backend().buffer().clone(), from)
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let cells = buffer.content().chunks(usize::from(buffer.area.width));
    cells.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
}

fn shown(view: &View, width: u16, height: u16) -> Vec<String> {
    lines(&picture(view, width, height, 0).0)
}

/// The one line with all of these in it.
fn line<'a>(lines: &'a [String], parts: &[&str]) -> &'a str {
    let found: Vec<&String> =
        lines.iter().filter(|line| parts.iter().all(|part| line.contains(part))).collect();
    assert_eq!(found.len(), 1, "{parts:?} in {}", lines.join("\n"));
    found[0]
}

#[test]
fn all_that_an_operator_asks_for_is_in_the_picture() {
    let lines = shown(&view(), 160, 40);
    let parts =
        ["trade-1", "height 4711", "0.4 s old", "10.0 blocks/s", "300 tx/s", "1 of 2 seats"];
    line(&lines, &parts);
    line(&lines, &["transactions a second, at most 500"]);
    let parts =
        ["10.0.0.1:26657", "4711", "validator of alpha", "0 propose", "at the tip", "0.1.0"];
    line(&lines, &parts);
    line(&lines, &["10.0.0.2:26657", "no answer"]);
    line(&lines, &["http://10.0.0.2:26657 is not reachable"]);
    line(&lines, &["seat bravo: its standby is dead"]);
    line(&lines, &["ALIVE IN BLOCKS 4612 TO 4711"]);
    let short = |seed| key(seed).to_string()[..12].to_owned();
    line(
        &lines,
        &["alpha", "3", &format!("● {}", short(1)), "validator", "alive", &"█".repeat(100)],
    );
    line(&lines, &[&format!("○ {}", short(2)), "standby", "ready"]);
    line(&lines, &["bravo", "validator", "switch 6", &format!("{}▁▁▁▁", "█".repeat(96))]);
    line(&lines, &[&short(4), "standby", "not ready"]);
    line(&lines, &["alpha", &format!("● {}", short(9)), "observer", "alive"]);
}

#[test]
fn colours_tell_what_is_not_well() {
    let (buffer, _) = picture(&view(), 160, 40, 0);
    let colour_of = |text: &str| {
        let lines = lines(&buffer);
        let y = lines.iter().position(|line| line.contains(text)).unwrap();
        let x = lines[y].chars().collect::<Vec<_>>();
        let text: Vec<char> = text.chars().collect();
        let x = x.windows(text.len()).position(|window| window == text).unwrap();
        buffer[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].fg
    };
    for (text, colour) in [
        ("at the tip", Color::Green),
        ("no answer", Color::Red),
        ("switch 6", Color::Yellow),
        ("▁▁▁▁", Color::Red),
        ("1 of 2 seats", Color::Yellow),
        ("seat bravo: its", Color::Red),
    ] {
        assert_eq!(colour_of(text), colour, "{text}");
    }
}

#[test]
fn on_a_narrow_terminal_the_newest_blocks_are_shown() {
    let lines = shown(&view(), 80, 24);
    let holder = line(&lines, &["bravo", "switch 6"]);
    let grid: String = holder.chars().filter(|c| "█▁".contains(*c)).collect();
    assert!(grid.ends_with("█▁▁▁▁") && grid.chars().count() == 25, "{holder}");
    line(&lines, &["ALIVE IN BLOCKS 4687 TO"]);
    assert!(!lines.iter().any(|line| line.contains("transactions a second")));
}

#[test]
fn what_has_no_room_is_reached_by_scrolling() {
    let mut view = view();
    let chain = view.chain.as_mut().unwrap();
    chain.seats.seats = (0..100).map(|i| seat(&format!("org{i}"), [i, 100 + i])).collect();
    let (buffer, from) = picture(&view, 100, 30, 0);
    assert_eq!(from, 0);
    assert!(lines(&buffer).iter().any(|line| line.contains("0 lines above")));
    // 200 lines of pairs, and the observer's.
    let (buffer, from) = picture(&view, 100, 30, usize::MAX);
    assert!(from > 180 && from < 201, "{from}");
    let lines = lines(&buffer);
    line(&lines, &["org99", "validator"]);
    line(&lines, &[&format!("{from} lines above, 0 below")]);
}

#[test]
fn nothing_that_a_terminal_acts_on_is_drawn() {
    let hostile = "\u{1b}[2J\u{9b}31m\u{7}\u{202e}\nevil";
    let mut view = view();
    view.asked[0].status = Some(Ok(status(&[hostile])));
    view.asked[1] = Asked { url: hostile.to_owned(), status: Some(Err(hostile.to_owned())) };
    let mut bad = status(&[]);
    (bad.tandem.role, bad.tandem.version) = (hostile.to_owned(), hostile.to_owned());
    view.asked.push(Asked { url: String::new(), status: Some(Ok(bad)) });
    view.untold = Some(hostile.to_owned());
    for chain in [view.chain.clone(), None] {
        view.chain = chain;
        let text = shown(&view, 160, 40).concat();
        let is_acted_on = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!text.contains(is_acted_on), "{text:?}");
        assert!(text.contains("\\u{1b}[2J"), "{text}");
    }
}

#[test]
fn any_area_and_any_view_can_be_drawn() {
    let mut many = view();
    many.asked = vec![many.asked[0].clone(); 300];
    many.asked[1].status = Some(Err("x".repeat(100_000)));
    for view in [View::default(), view(), many] {
        for (width, height) in [(0, 0), (1, 1), (59, 11), (60, 12), (61, 13), (80, 24), (400, 100)]
        {
            picture(&view, width, height, 7);
        }
    }
    line(&shown(&View::default(), 80, 24), &["asking"]);
    line(&shown(&View::default(), 20, 5), &["60 columns"]);
}

#[test]
fn rates_are_means_and_bounded() {
    assert_eq!(View::default().mean_rate(), None);
    let mut view = View::default();
    for txs in 0..MAX_RATES + 10 {
        view.add_rate(Rate { blocks: 1.0, txs: txs as f64 });
    }
    assert_eq!(view.rates.len(), MAX_RATES);
    assert_eq!(view.mean_rate(), Some(Rate { blocks: 1.0, txs: 607.0 }));
    // Of 200 blocks in 2 s half was read, with 300 transactions.
    assert_eq!(reckoned(200, 100, 300, Duration::from_secs(2)), Rate { blocks: 100.0, txs: 300.0 });
    assert_eq!(reckoned(0, 0, 0, Duration::ZERO), Rate { blocks: 0.0, txs: 0.0 });
}

#[test]
fn keys() {
    let key = |code, modifiers| act(&Event::Key(KeyEvent::new(code, modifiers)));
    for (code, modifiers, expected) in [
        (KeyCode::Char('q'), KeyModifiers::NONE, Act::Quit),
        (KeyCode::Esc, KeyModifiers::NONE, Act::Quit),
        (KeyCode::Char('c'), KeyModifiers::CONTROL, Act::Quit),
        (KeyCode::Char('c'), KeyModifiers::NONE, Act::Redraw),
        (KeyCode::Down, KeyModifiers::NONE, Act::Scroll(1)),
        (KeyCode::PageUp, KeyModifiers::NONE, Act::Scroll(-10)),
    ] {
        assert_eq!(key(code, modifiers), expected, "{code:?}");
    }
    assert_eq!(act(&Event::Resize(80, 24)), Act::Redraw);
}
