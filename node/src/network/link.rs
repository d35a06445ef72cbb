//! A link: one connection with one peer, agreed on by both, that carries both channels.
//!
//! Of the connections that two nodes may have with each other (both dial), the one with the lesser
//! key chooses one and opens the streams on it; the other follows. So there is one link at most,
//! and no dispute about it. The first stream is that of consensus. It starts with a hello both
//! ways: the chooser's goes first, the other's is also its consent.
//!
//! A link ends as a whole, with its connection: whatever goes wrong in one channel, both sides see
//! a `Disconnected` and a `Connected`, after which consensus sends again what the other may lack.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, BufReader, ReadHalf, WriteHalf};
use libp2p::Stream;
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Timestamp;
use tokio::sync::{Notify, OnceCell, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Channel;
use super::allowance::Allowance;
use super::context::{Context, FromLink};
use super::error::{End, HelloError};
use super::events::NetworkEvent;
use super::frames::{FrameError, FrameWriter, read_body, read_frame, read_head};
use super::limits::{
    CLOSE_TIMEOUT, HEARTBEAT, MAX_HELLO_BYTES, MAX_REQUESTS_OF_PEER, MAX_REQUESTS_TO_PEER,
    READ_BYTES, ROUND_TRIP_EVERY, SET_UP_TIMEOUT, SILENCE_MAX, WAIT_FOR_OPENER,
};
use super::queue::{Queue, Waiting};
use super::requests::{echo, round_trip, serve};
use super::streams::{Opener, Purpose, Streams};

/// Tells a link's task to end.
#[derive(Debug, Default)]
pub(super) struct Stop {
    end: OnceCell<End>,
    notify: Notify,
}

impl Stop {
    /// The first reason counts.
    pub(super) fn set(&self, end: End) {
        if self.end.set(end).is_ok() {
            self.notify.notify_one();
        }
    }

    /// The reason, if there is one.
    pub(super) fn reason(&self) -> Option<&End> {
        self.end.get()
    }

    /// Waits for the reason; for the link's task alone.
    async fn wait(&self) -> End {
        loop {
            if let Some(end) = self.reason() {
                return end.clone();
            }
            self.notify.notified().await;
        }
    }
}

/// When something was last heard of a peer.
#[derive(Debug)]
pub(super) struct Heard {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
    /// This side is not listening: what it does not hear is its own fault.
    deaf: AtomicBool,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), deaf: AtomicBool::new(false) }
    }

    fn now(&self) {
        let since = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Whether something was heard, or this was made, within `time` before `now`.
    pub(super) fn within(&self, time: Duration, now: Instant) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.deaf.load(Ordering::Relaxed)
            || now.saturating_duration_since(self.start).saturating_sub(last) <= time
    }
}

/// A link as the rest of the node uses it.
pub(super) struct Link {
    pub(super) consensus: Queue,
    pub(super) transactions: Queue,
    pub(super) opener: Opener,
    /// One permit per own request that may run.
    pub(super) requests: Semaphore,
    pub(super) stop: Arc<Stop>,
    pub(super) address: String,
    pub(super) dialled: bool,
    pub(super) since: Timestamp,
    pub(super) traffic: Arc<Traffic>,
    pub(super) round_trip: Arc<RoundTrip>,
}

/// How long it took last to the peer and back: microseconds, 0 before the first measurement.
#[derive(Debug, Default)]
pub(super) struct RoundTrip(AtomicU64);

impl RoundTrip {
    /// What was measured last.
    pub(super) fn get(&self) -> Option<Duration> {
        let micros = self.0.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Measures it again and again, as long as the link is there.
    async fn measure(self: Arc<Self>, opener: Opener) -> End {
        let mut tick = interval(ROUND_TRIP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Some(time) = round_trip(&opener).await {
                let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
                self.0.store(micros, Ordering::Relaxed);
            }
        }
    }
}

/// Bytes of frames on one link.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

/// A new connection, on which a link may come to be.
pub(super) struct Candidate {
    pub(super) context: Arc<Context>,
    pub(super) peer: PublicKey,
    pub(super) allowance: Arc<Allowance>,
    /// Number of the connection, for the manager.
    pub(super) id: libp2p::swarm::ConnectionId,
    pub(super) address: String,
    pub(super) dialled: bool,
    pub(super) streams: Streams,
    pub(super) stop: Arc<Stop>,
    /// Comes when the manager has chosen this connection.
    pub(super) go: oneshot::Receiver<()>,
    pub(super) heard: Arc<Heard>,
}

/// The two streams of a link.
struct Pair {
    consensus: Stream,
    transactions: Stream,
    /// Streams with requests, and to measure the time with, that came before the link was complete.
    requests: Vec<(Purpose, Stream)>,
}

impl Candidate {
    /// Makes the link when this connection is chosen, and runs it until it ends. The manager hears
    /// [`FromLink::Ended`] at the end, whatever happens.
    pub(super) async fn run(mut self) {
        let stop = Arc::clone(&self.stop);
        let set_up = tokio::select! {
            end = stop.wait() => Err(end),
            set_up = self.set_up() => set_up,
        };
        let end = match set_up {
            Ok(pair) => self.serve(pair).await,
            Err(end) => end,
        };
        end.count(&self.context.counters);
        let _ = self.context.manager.send(FromLink::Ended { peer: self.peer, id: self.id, end });
    }

    async fn set_up(&mut self) -> Result<Pair, End> {
        if self.context.key < self.peer {
            (&mut self.go).await.map_err(|_| End::Surplus)?;
            self.pace().await;
            timeout(SET_UP_TIMEOUT, self.open()).await.unwrap_or(Err(End::SetUp))
        } else {
            let first = timeout(WAIT_FOR_OPENER, self.streams.opened.recv()).await;
            let first = first.map_err(|_| End::SetUp)?.ok_or(End::Closed)?;
            timeout(SET_UP_TIMEOUT, self.accept(first)).await.unwrap_or(Err(End::SetUp))
        }
    }

    async fn open(&mut self) -> Result<Pair, End> {
        let lost = |reason: &'static str| End::Lost(reason.to_owned());
        let mut consensus = self.streams.opener.open(Purpose::Consensus).await.map_err(lost)?;
        self.send_hello(&mut consensus).await?;
        let theirs = self.receive_hello(&mut consensus).await?;
        self.context.hello.check(&theirs)?;
        let transactions = self.streams.opener.open(Purpose::Transactions).await.map_err(lost)?;
        Ok(Pair { consensus, transactions, requests: Vec::new() })
    }

    async fn accept(&mut self, first: (Purpose, Stream)) -> Result<Pair, End> {
        let (Purpose::Consensus, mut consensus) = first else {
            return Err(End::Violation("the first stream is not that of consensus"));
        };
        let theirs = self.receive_hello(&mut consensus).await?;
        if let Err(error) = self.context.hello.check(&theirs) {
            // The other side is told what this one is, so that it can name the difference too, and
            // closes the connection.
            self.send_hello(&mut consensus).await?;
            let _ = timeout(CLOSE_TIMEOUT, consensus.read(&mut [0])).await;
            return Err(error.into());
        }
        let _ = self.context.manager.send(FromLink::Ready { peer: self.peer, id: self.id });
        (&mut self.go).await.map_err(|_| End::Surplus)?;
        self.pace().await;
        self.send_hello(&mut consensus).await?;
        let mut requests = Vec::new();
        loop {
            match self.streams.opened.recv().await.ok_or(End::Closed)? {
                (Purpose::Transactions, transactions) => {
                    return Ok(Pair { consensus, transactions, requests });
                }
                asked @ (Purpose::Request | Purpose::Echo, _)
                    if requests.len() < MAX_REQUESTS_OF_PEER =>
                {
                    requests.push(asked);
                }
                _ => return Err(End::Violation("streams in the wrong order")),
            }
        }
    }

    /// Waits until a link with the peer may begin.
    async fn pace(&self) {
        if let Some(wait) = self.allowance.wait_for_link(Instant::now()) {
            self.context.counters.links_delayed.count();
            sleep(wait).await;
        }
    }

    async fn send_hello(&self, stream: &mut Stream) -> Result<(), End> {
        let mut writer = FrameWriter::new(stream, SET_UP_TIMEOUT);
        writer.write(&self.context.hello_bytes).await.map_err(lost)?;
        writer.flush().await.map_err(lost)
    }

    async fn receive_hello(&self, stream: &mut Stream) -> Result<Vec<u8>, End> {
        let hello = read_frame(stream, MAX_HELLO_BYTES, SET_UP_TIMEOUT).await;
        self.heard.now();
        hello.map_err(|error| match error {
            FrameError::TooLong { .. } => {
                HelloError::Unreadable { reason: error.to_string() }.into()
            }
            error => lost(error),
        })
    }

    /// Runs the link until one of its tasks ends or it is told to stop.
    async fn serve(&mut self, pair: Pair) -> End {
        let context = Arc::clone(&self.context);
        let (consensus, consensus_waiting) = Queue::new(Channel::Consensus);
        let (transactions, transactions_waiting) = Queue::new(Channel::Transactions);
        let traffic = Arc::new(Traffic::default());
        let round_trip = Arc::new(RoundTrip::default());
        let link = Arc::new(Link {
            consensus,
            transactions,
            opener: self.streams.opener.clone(),
            requests: Semaphore::new(MAX_REQUESTS_TO_PEER),
            stop: Arc::clone(&self.stop),
            address: std::mem::take(&mut self.address),
            dialled: self.dialled,
            since: super::now(),
            traffic: Arc::clone(&traffic),
            round_trip: Arc::clone(&round_trip),
        });
        self.allowance.begin_link(Instant::now());
        context.links().insert(self.peer, link);
        context.counters.links_made.count();
        let _ = context.manager.send(FromLink::Up { peer: self.peer, id: self.id });

        let connected = context.events.send(NetworkEvent::Connected(self.peer)).await;
        let end = match connected {
            Ok(()) => {
                let mut channels = JoinSet::new();
                let halves = [
                    (Channel::Consensus, pair.consensus, consensus_waiting),
                    (Channel::Transactions, pair.transactions, transactions_waiting),
                ];
                for (channel, stream, waiting) in halves {
                    let (read, write) = stream.split();
                    let end = Half {
                        context: Arc::clone(&context),
                        allowance: Arc::clone(&self.allowance),
                        peer: self.peer,
                        channel,
                        heard: Arc::clone(&self.heard),
                        traffic: Arc::clone(&traffic),
                    };
                    channels.spawn(end.clone().write(write, waiting));
                    channels.spawn(end.read(read));
                }
                channels.spawn(round_trip.measure(self.streams.opener.clone()));
                let end = self.watch(&mut channels, pair.requests).await;
                channels.shutdown().await;
                end
            }
            Err(_) => End::Shutdown,
        };
        context.links().remove(&self.peer);
        context.counters.links_ended.count();
        let _ = context.events.send(NetworkEvent::Disconnected(self.peer)).await;
        end
    }

    async fn watch(
        &mut self,
        channels: &mut JoinSet<End>,
        requests: Vec<(Purpose, Stream)>,
    ) -> End {
        let mut serving = JoinSet::new();
        let (context, allowance) = (&self.context, &self.allowance);
        let peer = self.peer;
        let begin = |serving: &mut JoinSet<()>, (purpose, stream)| {
            if purpose == Purpose::Echo {
                serving.spawn(echo(stream));
            } else {
                serving.spawn(serve(Arc::clone(context), Arc::clone(allowance), peer, stream));
            }
        };
        for asked in requests {
            begin(&mut serving, asked);
        }
        let mut tick = interval(HEARTBEAT);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                end = self.stop.wait() => return end,
                ended = channels.join_next() => {
                    let ended = ended.expect("none of them ends before this");
                    return ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                }
                opened = self.streams.opened.recv() => match opened {
                    None => return End::Closed,
                    Some(asked @ (Purpose::Request | Purpose::Echo, _)) => {
                        if serving.len() < MAX_REQUESTS_OF_PEER {
                            begin(&mut serving, asked);
                        } else {
                            self.context.counters.requests_refused.count();
                        }
                    }
                    Some(_) => return End::Violation("a second stream of a channel"),
                },
                Some(served) = serving.join_next() => {
                    if let Err(error) = served {
                        std::panic::resume_unwind(error.into_panic());
                    }
                }
                _ = tick.tick() => {
                    if !self.heard.within(SILENCE_MAX, Instant::now()) {
                        return End::Silent;
                    }
                }
            }
        }
    }
}

/// One channel of a link, in one direction.
#[derive(Clone)]
struct Half {
    context: Arc<Context>,
    allowance: Arc<Allowance>,
    peer: PublicKey,
    channel: Channel,
    heard: Arc<Heard>,
    traffic: Arc<Traffic>,
}

impl Half {
    /// Writes what waits in the queue, and in the consensus channel a heartbeat.
    async fn write(self, sink: WriteHalf<Stream>, mut waiting: Waiting) -> End {
        let mut writer = FrameWriter::new(sink, self.channel.stall_max());
        let mut batch = Vec::new();
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let written = tokio::select! {
                biased;
                more = waiting.take(&mut batch) => {
                    if !more {
                        return End::Closed;
                    }
                    self.write_batch(&mut writer, &waiting, &mut batch).await
                }
                _ = heartbeat.tick(), if self.channel == Channel::Consensus => {
                    writer.write(&[]).await
                }
            };
            let flushed = match written {
                Ok(()) => writer.flush().await,
                Err(error) => Err(error),
            };
            if let Err(error) = flushed {
                return self.end(error);
            }
        }
    }

    async fn write_batch(
        &self,
        writer: &mut FrameWriter<WriteHalf<Stream>>,
        waiting: &Waiting,
        batch: &mut Vec<Arc<[u8]>>,
    ) -> Result<(), FrameError> {
        let counters = &self.context.counters;
        for frame in batch.drain(..) {
            writer.write(&frame).await?;
            waiting.written(&frame);
            let length = frame.len() as u64;
            counters.frames_sent.count();
            counters.sent(self.channel).add(length);
            self.traffic.sent.fetch_add(length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads frames and hands them to the driver.
    async fn read(self, source: ReadHalf<Stream>) -> End {
        let mut source = BufReader::with_capacity(READ_BYTES, source);
        let max = self.channel.max_frame();
        let counters = &self.context.counters;
        loop {
            if let Some(wait) = self.allowance.wait(self.channel, Instant::now()) {
                counters.throttled.count();
                self.deaf(true);
                sleep(wait).await;
                self.deaf(false);
            }
            let length = match read_head(&mut source, max).await {
                Ok(length) => length,
                Err(error) => return self.end(error),
            };
            self.heard.now();
            if length == 0 {
                continue;
            }
            self.deaf(true);
            let share = self.allowance.share(self.channel, length).await;
            self.deaf(false);
            let bytes = match read_body(&mut source, length, || self.heard.now()).await {
                Ok(bytes) => bytes,
                Err(error) => return self.end(error),
            };
            counters.frames_received.count();
            counters.received(self.channel).add(length as u64);
            self.traffic.received.fetch_add(length as u64, Ordering::Relaxed);
            let bytes = share.hold(bytes);
            let message = NetworkEvent::Message { from: self.peer, channel: self.channel, bytes };
            self.deaf(true);
            if self.context.events.send(message).await.is_err() {
                return End::Shutdown;
            }
            self.deaf(false);
            self.allowance.count(self.channel, length, Instant::now());
        }
    }

    /// Notes that this side does not listen, or listens again. The heartbeat is in the consensus
    /// channel, so that only it counts.
    fn deaf(&self, deaf: bool) {
        if self.channel == Channel::Consensus {
            if !deaf {
                self.heard.now();
            }
            self.heard.deaf.store(deaf, Ordering::Relaxed);
        }
    }

    fn end(&self, error: FrameError) -> End {
        match error {
            FrameError::Ended => End::Closed,
            FrameError::TooLong { max, got } => End::TooLong { channel: self.channel, max, got },
            FrameError::Stalled => End::Stalled(self.channel),
            error @ FrameError::Io(_) => lost(error),
        }
    }
}

fn lost(error: FrameError) -> End {
    match error {
        FrameError::Ended => End::Closed,
        error => End::Lost(tandem_chain::types::escaped(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_what_was_heard_last_unless_this_side_does_not_listen() {
        let heard = Heard::new();
        let start = heard.start;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(heard.within(SILENCE_MAX, at(5)));
        assert!(!heard.within(SILENCE_MAX, at(6)));
        heard.last.store(60_000, Ordering::Relaxed);
        assert!(heard.within(SILENCE_MAX, at(65)));
        assert!(!heard.within(SILENCE_MAX, at(66)));
        heard.deaf.store(true, Ordering::Relaxed);
        assert!(heard.within(SILENCE_MAX, at(1_000)));
    }

    #[tokio::test]
    async fn the_first_reason_to_stop_counts() {
        let stop = Stop::default();
        stop.set(End::Removed);
        stop.set(End::Surplus);
        assert_eq!(stop.wait().await, End::Removed);
        assert_eq!(stop.wait().await, End::Removed);
    }
}
