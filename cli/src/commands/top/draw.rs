//! Draws a view: the same view on the same area is the same picture.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Cell, Paragraph, Row, Sparkline, Table};
use tandem_chain::keys::PublicKey;
use tandem_node::client::Status;
use tandem_node::decode::terminal::visible;
use tandem_node::rpc::shapes::tandem::{NodeEntry, NodeRole, Seat};

use super::view::{Asked, Chain, View};
use crate::output::short;

/// The least area on which anything can be read.
const MIN_WIDTH: u16 = 60;
const MIN_HEIGHT: u16 = 12;
/// From this height on there is room for the curve of the rates.
const CURVE_FROM_HEIGHT: u16 = 26;
const CURVE_HEIGHT: u16 = 6;
/// Nodes that were asked, and alarms, that are shown.
const MAX_ASKED: usize = 8;
const MAX_ALARMS: usize = 5;
/// Columns of the seats before their grid.
const SEAT_WIDTHS: [u16; 5] = [12, 4, 14, 9, 9];
/// Age from which the newest block is old, whatever the parameters.
const OLD: Duration = Duration::from_secs(10);

/// Draws all of it, the seats from line `scroll` on; the line from which they are, which is less where
/// there are no more.
pub fn draw(frame: &mut Frame, view: &View, scroll: usize) -> usize {
    let area = frame.area();
    if area.width < MIN_WIDTH || area.height < MIN_HEIGHT {
        let text = format!("{MIN_WIDTH} columns and {MIN_HEIGHT} lines are needed. q ends.");
        frame.render_widget(Paragraph::new(text), area);
        return scroll;
    }
    let alarms = alarms(view);
    let boxed = |lines: usize| u16::try_from(lines).map_or(u16::MAX, |lines| lines + 2);
    let heights = [
        1,
        if area.height < CURVE_FROM_HEIGHT { 0 } else { CURVE_HEIGHT },
        boxed(view.asked.len().min(MAX_ASKED) + 1),
        if alarms.is_empty() { 0 } else { boxed(alarms.len()) },
        1,
    ];
    let [head, curve, asked, alarm, foot] = heights.map(Constraint::Length);
    let rows = [head, curve, asked, Constraint::Min(4), alarm, foot];
    let [head, curve, asked, seats, alarm, foot] = Layout::vertical(rows).areas(area);
    frame.render_widget(headline(view), head);
    draw_curve(frame, view, curve);
    frame.render_widget(asked_table(view), asked);
    let scroll = draw_seats(frame, view, seats, scroll);
    if !alarms.is_empty() {
        let lines: Vec<Line> = alarms.into_iter().map(|text| Line::from(text.red())).collect();
        frame.render_widget(Paragraph::new(lines).block(panel("alarms".to_owned()).red()), alarm);
    }
    let keys =
        " q quit   ↑↓ scroll   ● connected with the node that tells   █ alive  ▁ dead  · unknown";
    frame.render_widget(Line::from(keys.dim()), foot);
    scroll
}

/// A box with rounded corners.
fn panel(title: String) -> Block<'static> {
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(Style::new().dim());
    block.title(Line::from(format!(" {title} ")).bold())
}

/// Text of others with nothing that a terminal would act on, on one line.
fn clean(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// The first of the nodes that answers.
fn first(view: &View) -> Option<&Status> {
    view.asked.iter().find_map(answer)
}

fn answer(asked: &Asked) -> Option<&Status> {
    asked.status.as_ref()?.as_ref().ok().map(|status| &**status)
}

/// Chain, height, age, rates.
fn headline(view: &View) -> Line<'static> {
    let Some(status) = first(view) else {
        let is_asked = view.asked.iter().any(|asked| asked.status.is_some());
        let text = if is_asked { "no node answers" } else { "asking…" };
        return Line::from(vec![" tandem ".bold().reversed(), format!("  {text}").into()]);
    };
    let mut spans = vec![" tandem ".bold().reversed(), "  ".into()];
    let network = status.node_info.network.to_string();
    spans.push(Span::from(network).bold());
    spans.push(figure("height", status.sync_info.latest_block_height));
    if let Some(age) = view.chain.as_ref().and_then(|chain| chain.age) {
        let text = format!("   {:.1} s old", age.as_secs_f64());
        spans.push(if age < OLD { text.into() } else { text.red().bold() });
    }
    if let Some(rate) = view.mean_rate() {
        spans.push(format!("   {:.1} blocks/s", rate.blocks).into());
        spans.push(format!("   {:.0} tx/s", rate.txs).cyan().bold());
    }
    if let Some(chain) = &view.chain {
        let up = chain.seats.seats.iter().filter(|seat| seat.holder_alive != Some(false));
        let (up, all) = (up.filter(|seat| seat.holder.is_some()).count(), chain.seats.seats.len());
        let text = format!("   {up} of {all} seats");
        spans.push(if up == all { text.green() } else { text.yellow().bold() });
    }
    Line::from(spans)
}

fn figure(name: &str, value: impl std::fmt::Display) -> Span<'static> {
    format!("   {name} {value}").into()
}

/// The curve of transactions a second, the newest at the right.
fn draw_curve(frame: &mut Frame, view: &View, area: Rect) {
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width.saturating_sub(2));
    let shown = view.rates.len().min(width);
    let newest = view.rates.iter().skip(view.rates.len() - shown);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is small")]
    let newest: Vec<u64> = newest.map(|rate| rate.txs.round() as u64).collect();
    let most = newest.iter().max().copied().unwrap_or(0);
    let mut bars = vec![0; width - shown];
    bars.extend(newest);
    let block = panel(format!("transactions a second, at most {most}"));
    // A chain that is idle has a low line and no full bars.
    frame
        .render_widget(Sparkline::default().block(block).data(bars).max(most.max(10)).cyan(), area);
}

/// The nodes that are asked, a line each.
fn asked_table(view: &View) -> Table<'static> {
    let heads = ["NODE", "HEIGHT", "ROLE", "DECIDING", "ROUNDS>0", "PEERS", "SYNC", "VERSION"];
    let rows = view.asked.iter().take(MAX_ASKED).map(|asked| {
        let url = clean(asked.url.trim_start_matches("http://"));
        let Some(status) = answer(asked) else {
            let text = if asked.status.is_some() { "no answer".red() } else { "asked".dim() };
            return Row::new([Cell::from(url), Cell::from(text)]);
        };
        let own = &status.tandem;
        let of = own.organization.as_ref().map(|org| format!(" of {org}")).unwrap_or_default();
        let sync = match (own.key_lost, status.sync_info.catching_up) {
            (true, _) => "key lost".red(),
            (false, true) => "catching up".yellow(),
            (false, false) => "at the tip".green(),
        };
        Row::new([
            Cell::from(url),
            Cell::from(status.sync_info.latest_block_height.to_string()),
            Cell::from(clean(&format!("{}{of}", own.role))),
            Cell::from(clean(&format!("{} {}", own.round, own.step))),
            Cell::from(own.rounds_above_zero.to_string()),
            Cell::from(own.peers.to_string()),
            Cell::from(sync),
            Cell::from(clean(&own.version).dim()),
        ])
    });
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(10),
        Constraint::Fill(2),
        Constraint::Length(14),
        Constraint::Length(8),
        Constraint::Length(5),
        Constraint::Length(11),
        Constraint::Length(7),
    ];
    let more = view.asked.len().saturating_sub(MAX_ASKED);
    let title = if more == 0 { "asked".to_owned() } else { format!("asked, and {more} more") };
    Table::new(rows, widths).header(Row::new(heads).dim()).block(panel(title))
}

/// The seats with their grids, and the nodes outside pairs, from a line on; that line.
fn draw_seats(frame: &mut Frame, view: &View, area: Rect, scroll: usize) -> usize {
    let Some(chain) = &view.chain else {
        let text = view.untold.as_deref().map(clean).unwrap_or_default();
        let text = Paragraph::new(text.yellow()).block(panel("seats".to_owned()));
        frame.render_widget(text.wrap(ratatui::widgets::Wrap { trim: true }), area);
        return scroll;
    };
    let fixed: u16 = SEAT_WIDTHS.iter().map(|width| width + 1).sum();
    let room = usize::from(area.width.saturating_sub(fixed + 2));
    let rows = rows(chain, room);
    let lines = usize::from(area.height.saturating_sub(3));
    let scroll = scroll.min(rows.len().saturating_sub(lines));
    let (above, below) = (scroll, rows.len().saturating_sub(scroll + lines));
    let grid = room.min(grid_len(chain));
    let from = chain.seats.height.back((grid as u64).saturating_sub(1)).0.max(1);
    let grid_head = format!("ALIVE IN BLOCKS {from} TO {}", chain.seats.height);
    let heads = ["SEAT", "TERM", "NODE", "ROLE", "", grid_head.as_str()].map(str::to_owned);
    let title = match (above, below) {
        (0, 0) => "seats".to_owned(),
        _ => format!("seats: {above} lines above, {below} below"),
    };
    let widths = SEAT_WIDTHS.map(Constraint::Length);
    let widths = widths.into_iter().chain([Constraint::Fill(1)]);
    let table = Table::new(rows.into_iter().skip(scroll).take(lines), widths)
        .header(Row::new(heads).dim())
        .block(panel(title));
    frame.render_widget(table, area);
    scroll
}

fn grid_len(chain: &Chain) -> usize {
    chain.seats.seats.iter().map(|seat| seat.holder_grid.len()).max().unwrap_or(0)
}

fn rows(chain: &Chain, room: usize) -> Vec<Row<'static>> {
    let mut rows = Vec::new();
    for seat in &chain.seats.seats {
        let name = Span::from(clean(seat.seat.as_str())).bold();
        let holder = seat.holder.as_ref();
        rows.push(Row::new([
            Cell::from(name),
            Cell::from(seat.term.to_string()),
            Cell::from(node(chain, holder)),
            Cell::from(if holder.is_some() { "validator" } else { "left out" }),
            Cell::from(holder_state(seat)),
            Cell::from(grid(&seat.holder_grid, room)),
        ]));
        if let Some(partner) = &seat.partner {
            let is_ready = seat.partner_ready != Some(false);
            rows.push(Row::new([
                Cell::from(""),
                Cell::from(""),
                Cell::from(node(chain, Some(partner))),
                Cell::from("standby"),
                Cell::from(if is_ready { "ready".dim() } else { "not ready".yellow() }),
                Cell::from(grid(&seat.partner_grid, room)),
            ]));
        }
    }
    let observers = chain.nodes.iter().filter(|node| node.role == NodeRole::Observer);
    rows.extend(observers.map(|entry| {
        let state = match entry.alive {
            Some(true) => "alive".dim(),
            Some(false) => "dead".yellow(),
            None => "".into(),
        };
        Row::new([
            Cell::from(clean(entry.organization.as_str()).dim()),
            Cell::from(""),
            Cell::from(node(chain, Some(&entry.key))),
            Cell::from("observer"),
            Cell::from(state),
        ])
    }));
    rows
}

/// A node's key, and whether it is connected.
fn node(chain: &Chain, key: Option<&PublicKey>) -> Line<'static> {
    let Some(key) = key else { return Line::from("  -".dim()) };
    let is_connected = |node: &NodeEntry| node.key == *key && node.connected;
    let mark = if chain.nodes.iter().any(is_connected) { "● ".green() } else { "○ ".dim() };
    Line::from(vec![mark, short(key).into()])
}

fn holder_state(seat: &Seat) -> Span<'static> {
    match (seat.is_down, seat.blocks_until_switch, seat.holder_alive) {
        _ if seat.holder.is_none() => "".into(),
        (true, _, _) => "DOWN".red().bold(),
        (false, Some(left), _) => format!("switch {left}").yellow().bold(),
        (false, None, Some(false)) => "dead".red(),
        (false, None, Some(true)) => "alive".dim(),
        (false, None, None) => "".into(),
    }
}

/// The newest blocks of a grid for which there is room, each run in one colour.
fn grid(grid: &str, room: usize) -> Line<'static> {
    let marks: Vec<char> = grid.chars().collect();
    let newest = &marks[marks.len().saturating_sub(room)..];
    let runs = newest.chunk_by(|a, b| a == b).map(|run| match run[0] {
        '1' => "█".repeat(run.len()).green(),
        '0' => "▁".repeat(run.len()).red(),
        _ => "·".repeat(run.len()).dim(),
    });
    Line::from(runs.collect::<Vec<_>>())
}

/// What nodes say that an operator must look at, each once; who does not answer, and why.
fn alarms(view: &View) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for asked in &view.asked {
        match &asked.status {
            Some(Ok(status)) => all.extend(status.tandem.alarms.iter().map(|alarm| clean(alarm))),
            Some(Err(error)) => all.push(clean(error)),
            None => {}
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|text| seen.insert(text.clone()));
    if all.len() > MAX_ALARMS {
        let more = all.len() - (MAX_ALARMS - 1);
        all.truncate(MAX_ALARMS - 1);
        all.push(format!("and {more} more: see `tandem status`"));
    }
    all
}
