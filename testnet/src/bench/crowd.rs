//! Clients that hold a node up as far as it lets them, while the chain is under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::reading::{address, subscribe};
use crate::rpc::Rpc;

/// Files that the load and the network take besides.
const OTHER_FILES: u64 = 512;
/// What clients that do not read subscribe to: all there is.
const QUERY: &str = "tm.event EXISTS";
/// How often at most each makes a connection: a node closes at once those that are over its bound for one
/// address, and they would come back as fast as the processor lets them.
const PACE: Duration = Duration::from_secs(1);
/// What the others send, in turn: nothing, half a head, half a body, one request after which nothing comes.
const SENT: [&[u8]; 4] = [
    b"",
    b"GET /status HTTP/1.1\r\nhost: ",
    b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n{",
    b"GET /block HTTP/1.1\r\nhost: localhost\r\n\r\n",
];

/// What became of them.
#[derive(Clone, Debug, Serialize)]
pub struct Crowded {
    /// Connections that were held: some wait for a place, some are ended and made again.
    pub connections: usize,
    /// Connections that the node ended.
    pub ended: usize,
    /// Subscribers that do not read.
    pub deaf: usize,
}

/// The clients; they go when the value is dropped.
pub struct Crowd {
    connections: usize,
    deaf: usize,
    ended: Arc<AtomicUsize>,
    /// They end with it.
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// Lets this process, and those that it starts from now on, have as many files open as so many clients
    /// take.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn prepare(connections: usize, deaf: usize) -> Result<()> {
        let needed = (connections + deaf) as u64 + OTHER_FILES;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current.is_none_or(|limit| limit >= needed) {
            return Ok(());
        }
        ensure!(
            maximum.is_none_or(|limit| limit >= needed),
            "a process may have {} files open, this needs {needed}: raise it by `ulimit -Hn {needed}`",
            maximum.unwrap_or_default()
        );
        setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum })
            .with_context(|| format!("{needed} files cannot be open"))
    }

    /// So many connections to a node, and subscribers that do not read. What the node ends comes back, once a
    /// second at most.
    ///
    /// # Errors
    /// When a subscriber is refused, or this process may not have so many files open.
    pub async fn start(node: &Rpc, connections: usize, deaf: usize) -> Result<Self> {
        Self::prepare(connections, deaf)?;
        let (ended, mut tasks) = (Arc::<AtomicUsize>::default(), JoinSet::new());
        for _ in 0..deaf {
            let socket = subscribe(node, QUERY).await?;
            tasks.spawn(async move {
                std::future::pending::<()>().await;
                drop(socket);
            });
        }
        for i in 0..connections {
            tasks.spawn(hold(node.clone(), SENT[i % SENT.len()], Arc::clone(&ended)));
        }
        Ok(Self { connections, deaf, ended, _tasks: tasks })
    }

    /// Ends them.
    #[must_use]
    pub fn finish(self) -> Crowded {
        let ended = self.ended.load(Ordering::Relaxed);
        Crowded { connections: self.connections, ended, deaf: self.deaf }
    }
}

/// Holds a connection, and when that is ended or not made another, at its pace.
async fn hold(node: Rpc, sent: &'static [u8], ended: Arc<AtomicUsize>) {
    let address = address(&node);
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        // One that is not made is one that the node, or the kernel for it, has ended.
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.write_all(sent).await;
            let mut answer = [0; 1024];
            while stream.read(&mut answer).await.is_ok_and(|bytes| bytes > 0) {}
        }
        ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Crowded {
    /// A line for people.
    #[must_use]
    pub fn row(&self) -> String {
        format!(
            "{} connections held, {} ended by the node and made again, {} subscribers that do not read",
            self.connections, self.ended, self.deaf
        )
    }
}
