//! The reception of guests: whoever is not registered, and shows that a member has invited it.
//!
//! A guest has one stream, on which it shows what it has, and then asks one thing after another. What
//! its words mean is its [`Host`]'s affair; here are the bounds: on the number of guests, on the
//! length of every frame, on questions, bytes and time of a visit, and on the pace. Whoever shows
//! nothing that counts is sent away without a byte.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, Stream};
use tandem_chain::keys::PublicKey;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::context::{Context, FromLink};
use super::counters::Counters;
use super::frames::{FrameError, FrameWriter, read_frame};
use super::identity::key_of;
use super::limits::{
    GUEST_HELLO_TIMEOUT, GUEST_IDLE, GUEST_PACE, GUEST_WAIT, MAX_GUEST_ANSWER_BYTES,
    MAX_GUEST_HELLO_BYTES, MAX_GUEST_REQUEST_BYTES, MAX_VISIT_BYTES, MAX_VISIT_REQUESTS,
    REQUEST_STALL_MAX, SERVE_TIMEOUT, VISIT_TIME,
};
use super::streams::{Purpose, Streams};

/// Who receives guests.
pub trait Host: Send + Sync + 'static {
    /// Looks at what `visitor`, which has proved to have this key, shows in its first frame.
    fn welcome(&self, visitor: PublicKey, hello: Vec<u8>) -> BoxFuture<'static, Welcome>;
}

/// Answers the questions of one guest.
pub trait Guest: Send + Sync + 'static {
    /// The node key that it has shown to have, for the log.
    fn node(&self) -> PublicKey;

    /// The answer to a question; none when it is no question that a guest may ask.
    fn answer(&self, question: Vec<u8>) -> BoxFuture<'static, Option<Vec<u8>>>;
}

/// What a host makes of a visitor.
pub enum Welcome {
    /// It has shown nothing that counts, and is told nothing.
    Stranger,
    /// It was invited, and cannot be received any more: it is told why, and no more.
    Refused(Vec<u8>),
    /// It is received: what it is told first, and who answers it.
    Guest(Vec<u8>, Arc<dyn Guest>),
}

/// How a connection with a key that is not registered has ended.
#[derive(Debug)]
pub(super) enum VisitEnd {
    /// It showed no invitation.
    NoInvitation,
    /// A guest has left.
    Over {
        /// Its node's key.
        node: PublicKey,
    },
    /// A guest was over a limit, or did what none may.
    Broken {
        /// Its node's key.
        node: PublicKey,
        /// What it did.
        reason: &'static str,
    },
}

impl VisitEnd {
    pub(super) fn count(&self, counters: &Counters) {
        match self {
            Self::NoInvitation => counters.refused_unregistered.count(),
            Self::Over { .. } => {}
            Self::Broken { .. } => counters.guests_ended.count(),
        }
    }
}

/// A connection with a key that is not registered.
pub(super) struct Reception {
    pub(super) context: Arc<Context>,
    pub(super) peer: PeerId,
    pub(super) id: ConnectionId,
    pub(super) address: Multiaddr,
    pub(super) streams: Streams,
}

impl Reception {
    /// Receives the visitor until it leaves or is shown out. The manager hears
    /// [`FromLink::VisitEnded`] at the end, whatever happens.
    pub(super) async fn run(mut self) {
        let end = self.receive().await.unwrap_or(VisitEnd::NoInvitation);
        let Self { context, peer, id, address, .. } = self;
        let _ = context.manager.send(FromLink::VisitEnded { peer, id, address, end });
    }

    /// None when it is a stranger.
    async fn receive(&mut self) -> Option<VisitEnd> {
        let (visitor, host) = (key_of(&self.peer)?, Arc::clone(self.context.host.get()?));
        let hello = timeout(GUEST_HELLO_TIMEOUT, self.hello()).await.ok()?;
        let (mut stream, hello) = hello?;
        let places = Arc::clone(&self.context.guests);
        let _place = timeout(GUEST_WAIT, places.acquire_owned()).await.ok()?.ok()?;
        match timeout(SERVE_TIMEOUT, host.welcome(visitor, hello)).await.ok()? {
            Welcome::Stranger => None,
            Welcome::Refused(word) => {
                // It was invited by a member, though not to this; how it takes it is its affair.
                let _ = write(&mut stream, &word).await;
                None
            }
            Welcome::Guest(word, guest) => {
                self.context.counters.guests_received.count();
                let node = guest.node();
                tracing::info!(address = %self.address, %node, "a guest is received");
                let visit = timeout(VISIT_TIME, entertain(&mut stream, &word, &*guest)).await;
                Some(match visit.unwrap_or(Err("its time is over")) {
                    Ok(()) => VisitEnd::Over { node },
                    Err(reason) => VisitEnd::Broken { node, reason },
                })
            }
        }
    }

    /// Its one stream, and the first frame on it.
    async fn hello(&mut self) -> Option<(Stream, Vec<u8>)> {
        let (Purpose::Visit, mut stream) = self.streams.opened.recv().await? else { return None };
        let hello = read_frame(&mut stream, MAX_GUEST_HELLO_BYTES, GUEST_HELLO_TIMEOUT).await;
        Some((stream, hello.ok()?))
    }
}

/// Answers one question after another until the guest ends the stream. An error says what the guest
/// did.
async fn entertain(
    stream: &mut Stream,
    word: &[u8],
    guest: &dyn Guest,
) -> Result<(), &'static str> {
    let left = |error| match error {
        FrameError::TooLong { .. } => Err("a question is too long"),
        FrameError::Stalled => Err("it asks nothing, or takes no answer, for too long"),
        // However it leaves.
        FrameError::Ended | FrameError::Io(_) => Ok(()),
    };
    if let Err(error) = write(stream, word).await {
        return left(error);
    }
    let mut bytes = word.len();
    let mut pace = interval(GUEST_PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..MAX_VISIT_REQUESTS {
        let question = match read_frame(stream, MAX_GUEST_REQUEST_BYTES, GUEST_IDLE).await {
            Ok(question) => question,
            Err(error) => return left(error),
        };
        pace.tick().await;
        let answer = timeout(SERVE_TIMEOUT, guest.answer(question)).await;
        let Ok(answer) = answer else { return Err("this node found no answer in time") };
        let answer = answer.ok_or("it asks what no guest may")?;
        assert!(answer.len() <= MAX_GUEST_ANSWER_BYTES, "answers are made within the limit");
        bytes += answer.len();
        if bytes > MAX_VISIT_BYTES {
            return Err("it asks for too many bytes");
        }
        if let Err(error) = write(stream, &answer).await {
            return left(error);
        }
    }
    Err("it asks too many questions")
}

async fn write(stream: &mut Stream, frame: &[u8]) -> Result<(), FrameError> {
    let mut writer = FrameWriter::new(stream, REQUEST_STALL_MAX);
    writer.write(frame).await?;
    writer.flush().await
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger => "Stranger",
            Self::Refused(_) => "Refused",
            Self::Guest(..) => "Guest",
        })
    }
}
