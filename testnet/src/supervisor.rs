//! The background process that owns a network: its nodes die with it, whatever it dies of.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use crate::cluster::Cluster;
use crate::control::{self, Answer, Command, MAX_LINE_BYTES};
use crate::layout::{self, Layout};

/// Name of the hidden subcommand that [`run`] is.
pub const SUPERVISE: &str = "supervise";

/// What ends a supervisor, or keeps it from ending.
enum Event {
    /// The process that started it has gone.
    Orphaned,
    /// It may go on without that process.
    Detached,
    /// It was told to end.
    Down,
}

/// Owns the network in `dir` until it is told to end, or until its standard input ends: that is
/// when the process that started it goes, in whatever way, and has not said that it is to stay.
///
/// # Errors
/// When another supervisor has this network, or its parts cannot be started.
pub async fn run(dir: &Path, tandem: PathBuf) -> Result<()> {
    // A session of its own: neither Ctrl-C nor the closing of the terminal is for it. An error
    // means that it has one.
    let _ = rustix::process::setsid();
    let layout = Layout::load(dir)?;
    let _lock = lock(dir)?;
    let socket = layout::socket_path(dir)?;
    let _ = std::fs::remove_file(&socket);
    let cluster = Arc::new(Mutex::new(Cluster::new(layout, tandem).await?));
    let listener = UnixListener::bind(&socket).with_context(|| socket.display().to_string())?;

    let (events, mut happened) = mpsc::channel(8);
    watch_parent(events.clone());
    let mut tied = true;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                tokio::spawn(serve(stream, Arc::clone(&cluster), events.clone()));
            }
            event = happened.recv() => match event {
                Some(Event::Detached) => tied = false,
                Some(Event::Orphaned) if !tied => {}
                Some(Event::Orphaned | Event::Down) | None => break,
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    cluster.lock().await.stop_all().await;
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

/// Held while the supervisor lives, so that a network has only one.
fn lock(dir: &Path) -> Result<File> {
    let file = File::create(dir.join("supervisor.lock"))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("the network in {} is up already", dir.display()))?;
    Ok(file)
}

/// Reports when standard input ends.
fn watch_parent(events: mpsc::Sender<Event>) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = events.blocking_send(Event::Orphaned);
    });
}

/// Answers one client until it hangs up.
async fn serve(stream: UnixStream, cluster: Arc<Mutex<Cluster>>, events: mpsc::Sender<Event>) {
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        match (&mut lines).take(MAX_LINE_BYTES).read_line(&mut line).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        let command: Result<Command, _> = serde_json::from_str(&line);
        // Before the answer: whoever reads it may go at once.
        if matches!(command, Ok(Command::Detach)) {
            let _ = events.send(Event::Detached).await;
        }
        let down = matches!(command, Ok(Command::Down));
        let answer: Answer = match command {
            Ok(command) => {
                tracing::info!(?command);
                cluster.lock().await.handle(command).await.map_err(|error| format!("{error:#}"))
            }
            Err(error) => Err(format!("no command: {error}")),
        };
        let answered = control::write_line(lines.get_mut(), &answer).await;
        if down {
            let _ = events.send(Event::Down).await;
        }
        if answered.is_err() {
            return;
        }
    }
}
