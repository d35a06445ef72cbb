//! A relay of TCP connections over loopback: one per directed link between two nodes.
//!
//! Nodes dial each other through relays, so that a link can be cut, delayed and made lossy without
//! the kernel's help. What a relay cannot do is lose a segment: it sits above TCP. Loss is shown to
//! the nodes as TCP would show it: the bytes arrive after one or more retransmission timeouts, and
//! everything behind them waits. A cut link goes silent, as a pulled cable does: nothing
//! is forwarded, no end is told, and connections that both ends still hold go on when it is healed.
//! It may be cut in one direction alone; connections are neither made nor ended over it then.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections that one relay carries at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks under way in one direction; with [`CHUNK_BYTES`] it bounds memory, and so bandwidth over
/// a delayed link, to 1 MiB per delay.
const MAX_CHUNKS: usize = 64;
/// Bytes in one TCP segment on Ethernet: the unit in which loss is counted.
const SEGMENT_BYTES: usize = 1448;
/// Linux's least retransmission timeout; twice the delay is added to it.
const MIN_RETRANSMISSION: Duration = Duration::from_millis(200);
/// Times that one segment is lost at most.
const MAX_LOSSES: u32 = 6;
/// Pause after a connection could not be accepted (out of descriptors).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// State of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Nothing passes from the end that dials.
    pub cut_out: bool,
    /// Nothing passes to the end that dials.
    pub cut_back: bool,
    /// Added to every byte, in each direction.
    pub delay: Duration,
    /// Share of segments that are lost, 0 to below 1.
    pub loss: f64,
}

/// A direction of a link.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From the end that dials.
    Out,
    /// To the end that dials.
    Back,
}

impl Conditions {
    fn passes(&self, way: Way) -> bool {
        match way {
            Way::Out => !self.cut_out,
            Way::Back => !self.cut_back,
        }
    }

    /// How long `bytes` that are sent now are under way.
    fn transit(&self, bytes: usize) -> Duration {
        let mut extra = Duration::ZERO;
        for _ in 0..bytes.div_ceil(SEGMENT_BYTES) {
            let mut timeout = MIN_RETRANSMISSION + 2 * self.delay;
            let mut waited = Duration::ZERO;
            for _ in 0..MAX_LOSSES {
                if rand::random::<f64>() >= self.loss {
                    break;
                }
                waited += timeout;
                timeout *= 2;
            }
            extra = extra.max(waited);
        }
        self.delay + extra
    }
}

/// A relay; dropping it closes its port and every connection through it.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    conditions: watch::Sender<Conditions>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Relay {
    /// Listens on a free loopback port and forwards to loopback port `target`.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(target: u16, conditions: Conditions) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (conditions, watched) = watch::channel(conditions);
        let accepting = tokio::spawn(accept(listener, target, watched));
        Ok(Self { port, conditions, accepting })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The state of the link.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        *self.conditions.borrow()
    }

    /// Changes the state of the link, for connections that stand too.
    pub fn set(&self, change: impl FnOnce(&mut Conditions)) {
        self.conditions.send_modify(change);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: u16, conditions: watch::Receiver<Conditions>) {
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((near, _)) => {
                let conditions = conditions.clone();
                connections.spawn(async move {
                    // How a connection ends is the affair of its two ends.
                    let _ = forward(near, target, conditions).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "relay cannot accept");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Carries one connection until either direction fails or both have ended.
async fn forward(
    near: TcpStream,
    target: u16,
    mut conditions: watch::Receiver<Conditions>,
) -> io::Result<()> {
    passes_both_ways(&mut conditions).await;
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::try_join!(
        pump(near_read, far_write, Way::Out, conditions.clone()),
        pump(far_read, near_write, Way::Back, conditions),
    )?;
    Ok(())
}

/// Waits until the link is not cut in one direction.
async fn passes(conditions: &mut watch::Receiver<Conditions>, way: Way) {
    // An error means that the relay is gone, and this task with it.
    let _ = conditions.wait_for(|link| link.passes(way)).await;
}

/// Waits until the link is whole.
async fn passes_both_ways(conditions: &mut watch::Receiver<Conditions>) {
    let _ = conditions.wait_for(|link| link.passes(Way::Out) && link.passes(Way::Back)).await;
}

/// Carries one direction to its end. Neither end learns of a failure while the link is cut.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    mut conditions: watch::Receiver<Conditions>,
) -> io::Result<()> {
    let result = carry(&mut from, &mut to, way, &conditions).await;
    if result.is_err() {
        // It ends both directions.
        passes_both_ways(&mut conditions).await;
    }
    result
}

async fn carry(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    way: Way,
    conditions: &watch::Receiver<Conditions>,
) -> io::Result<()> {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(MAX_CHUNKS);
    let read = async move {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            if from.read_buf(&mut chunk).await? == 0 {
                return Ok(());
            }
            let arrival = Instant::now() + conditions.borrow().transit(chunk.len());
            if queue.send((arrival, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        let mut link = conditions.clone();
        while let Some((arrival, chunk)) = queued.recv().await {
            if arrival > Instant::now() {
                tokio::time::sleep_until(arrival).await;
            }
            passes(&mut link, way).await;
            to.write_all(&chunk).await?;
        }
        passes(&mut link, way).await;
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay, with both ends of one connection through it.
    async fn linked() -> (Relay, TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap().port();
        let relay = Relay::start(target, Conditions::default()).await.unwrap();
        let near = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (relay, near, far)
    }

    fn cut(relay: &Relay, cut: bool) {
        relay.set(|link| (link.cut_out, link.cut_back) = (cut, cut));
    }

    async fn read_exactly(stream: &mut TcpStream, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        stream.read_exact(&mut got).await.unwrap();
        assert_eq!(got, expected);
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_in_order() {
        let (_relay, mut near, mut far) = linked().await;
        let big: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[1]).collect();
        let (sent, ()) = tokio::join!(near.write_all(&big), read_exactly(&mut far, &big));
        sent.unwrap();
        far.write_all(b"back").await.unwrap();
        read_exactly(&mut near, b"back").await;
    }

    #[tokio::test]
    async fn an_end_that_closes_is_told_to_the_other() {
        let (_relay, near, mut far) = linked().await;
        drop(near);
        assert_eq!(far.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_cut_link_is_silent_and_goes_on_when_healed() {
        let (relay, mut near, mut far) = linked().await;
        cut(&relay, true);
        near.write_all(b"held").await.unwrap();
        let mut buffer = [0; 8];
        let silent = tokio::time::timeout(Duration::from_millis(50), far.read(&mut buffer)).await;
        assert!(silent.is_err(), "a byte passed a link that was cut");
        cut(&relay, false);
        read_exactly(&mut far, b"held").await;
    }

    #[tokio::test]
    async fn a_link_that_is_cut_in_one_direction_carries_the_other() {
        let (relay, mut near, mut far) = linked().await;
        for cut_out in [true, false] {
            relay.set(|link| (link.cut_out, link.cut_back) = (cut_out, !cut_out));
            let (heard, mute) = if cut_out { (&mut far, &mut near) } else { (&mut near, &mut far) };
            mute.write_all(b"held").await.unwrap();
            heard.write_all(b"passes").await.unwrap();
            read_exactly(mute, b"passes").await;
            let mut buffer = [0; 8];
            let silent = tokio::time::timeout(Duration::from_millis(50), heard.read(&mut buffer));
            assert!(silent.await.is_err(), "a byte passed a link that was cut");
            cut(&relay, false);
            read_exactly(heard, b"held").await;
        }
    }

    #[tokio::test]
    async fn an_end_that_dies_behind_a_cut_is_not_told_until_healed() {
        let (relay, near, mut far) = linked().await;
        cut(&relay, true);
        near.set_zero_linger().unwrap();
        drop(near);
        let mut buffer = [0; 8];
        let silent = tokio::time::timeout(Duration::from_millis(50), far.read(&mut buffer)).await;
        assert!(silent.is_err(), "a reset passed a link that was cut");
        cut(&relay, false);
        assert!(matches!(far.read(&mut buffer).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn delay_is_added() {
        let (relay, mut near, mut far) = linked().await;
        relay.set(|link| link.delay = Duration::from_millis(30));
        let start = Instant::now();
        near.write_all(b"late").await.unwrap();
        read_exactly(&mut far, b"late").await;
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn loss_shows_as_retransmission_timeouts() {
        let delay = Duration::from_millis(10);
        let link = Conditions { delay, loss: 0.999_999, ..Conditions::default() };
        let lost_six_times = Duration::from_millis(10 + 220 * (1 + 2 + 4 + 8 + 16 + 32));
        assert_eq!(link.transit(1), lost_six_times);
        assert_eq!(Conditions { loss: 0.0, ..link }.transit(1_000_000), link.delay);
    }

    #[tokio::test]
    async fn a_target_that_is_down_closes_the_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = listener.local_addr().unwrap().port();
        drop(listener);
        let relay = Relay::start(target, Conditions::default()).await.unwrap();
        let mut near = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port())).await.unwrap();
        assert!(matches!(near.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    }
}
