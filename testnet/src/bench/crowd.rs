//! Clients that hold a node up as far as it lets them, while the chain is under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::reading::{address, subscribe};
use crate::rpc::Rpc;

/// Files that the load and the network take besides.
const OTHER_FILES: u64 = 512;
/// What clients that do not read subscribe to: all there is.
const QUERY: &str = "tm.event EXISTS";
/// What the others send, in turn: nothing, half a head, half a body, one request after which nothing comes.
const SENT: [&[u8]; 4] = [
    b"",
    b"GET /status HTTP/1.1\r\nhost: ",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{",
    b"GET /block HTTP/1.1\r\nhost: x\r\n\r\n",
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
    /// So many connections to a node, and subscribers that do not read.
    ///
    /// # Errors
    /// When a subscriber is refused.
    pub async fn start(node: &Rpc, connections: usize, deaf: usize) -> Result<Self> {
        let needed = (connections + deaf) as u64 + OTHER_FILES;
        let limit = getrlimit(Resource::Nofile).current;
        ensure!(
            limit.is_none_or(|limit| limit >= needed),
            "a process may have {} files open, this needs {needed}: raise it by `ulimit -n {needed}`",
            limit.unwrap_or_default()
        );
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

/// Holds a connection, and another when that is ended or not made.
async fn hold(node: Rpc, sent: &'static [u8], ended: Arc<AtomicUsize>) {
    let address = address(&node);
    loop {
        // One that is not made is one that the node, or the kernel for it, has ended.
        let Ok(mut stream) = TcpStream::connect(address).await else {
            ended.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.write_all(sent).await;
        let mut answer = [0; 1024];
        while stream.read(&mut answer).await.is_ok_and(|bytes| bytes > 0) {}
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
