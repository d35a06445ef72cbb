//! `tandem top`: a live view of the chain and of the nodes that are asked.
//!
//! `feed` asks nodes and gives a `View`, plain data; `draw` draws a view and knows nothing else. Here they
//! are put together with terminal, keys and signals.

mod draw;
mod feed;
mod view;

#[cfg(test)]
mod tests;

use std::io::IsTerminal;

use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::args::{Global, Top};
use crate::exit::Usage;
use crate::input;
use feed::Feed;
use view::View;

/// Keys that wait to be handled; who types more waits.
const MAX_KEYS: usize = 16;

pub async fn top(global: &Global, args: &Top) -> anyhow::Result<()> {
    if global.json || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let text = "top draws on a terminal, and here is none: `tandem status --json` and `tandem seats \
                    --json` are for scripts";
        return Err(Usage(text.to_owned()).into());
    }
    let feed = Feed::new(input::clients(global, None)?);
    // An error leaves the terminal half made.
    let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore());
    let ended = play(terminal.context("the terminal cannot be drawn on")?, feed, args).await;
    ratatui::restore();
    ended
}

/// Draws what the feed gives until a key or signal ends it. The feed is polled here, and is no task of
/// its own: if anything panics, that ends the program, and the terminal is as it was.
async fn play(mut terminal: DefaultTerminal, feed: Feed, args: &Top) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut events = events()?;
    let (views, mut news) = watch::channel(View::default());
    let feeding = feed.run(&views, args.interval);
    tokio::pin!(feeding);
    let mut scroll = 0_usize;
    loop {
        let view = news.borrow_and_update().clone();
        // What was scrolled too far is taken back.
        terminal.draw(|frame| scroll = draw::draw(frame, &view, scroll))?;
        tokio::select! {
            () = &mut feeding => return Ok(()),
            _ = news.changed() => {}
            event = events.recv() => match event.as_ref().map(act) {
                None | Some(Act::Quit) => return Ok(()),
                Some(Act::Scroll(lines)) => scroll = scroll.saturating_add_signed(lines),
                Some(Act::Redraw) => {}
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
        }
    }
}

/// What the terminal says. The thread that reads it blocks until the next key, and ends with the process.
fn events() -> std::io::Result<mpsc::Receiver<Event>> {
    let (events, received) = mpsc::channel(MAX_KEYS);
    std::thread::Builder::new().name("keys".into()).spawn(move || {
        while let Ok(event) = event::read() {
            if events.blocking_send(event).is_err() {
                return;
            }
        }
    })?;
    Ok(received)
}

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Quit,
    Scroll(isize),
    Redraw,
}

/// What an event of the terminal means. With its raw mode Ctrl-C is a key like others.
fn act(event: &Event) -> Act {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else { return Act::Redraw };
    match code {
        _ if *kind == KeyEventKind::Release => Act::Redraw,
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Act::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Act::Quit,
        KeyCode::Down | KeyCode::Char('j') => Act::Scroll(1),
        KeyCode::Up | KeyCode::Char('k') => Act::Scroll(-1),
        KeyCode::PageDown => Act::Scroll(10),
        KeyCode::PageUp => Act::Scroll(-10),
        KeyCode::Home => Act::Scroll(isize::MIN),
        KeyCode::End => Act::Scroll(isize::MAX),
        _ => Act::Redraw,
    }
}
