//! A guest's own side of a visit: it calls on a member by address and key, shows what it has, and
//! asks. It has no network of its own yet.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, Stream, Swarm};
use tandem_chain::keys::{PublicKey, SecretKey};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::dial::resolve;
use super::error::Error;
use super::frames::{FrameError, FrameWriter, read_frame};
use super::gate::Behaviour;
use super::handle::swarm;
use super::identity::peer_id;
use super::limits::{HANDSHAKE_TIMEOUT, MAX_GUEST_ANSWER_BYTES, REQUEST_STALL_MAX, SET_UP_TIMEOUT};
use super::streams::{Purpose, Streams};

/// Time for a name to be looked up and an address to be reached.
const CALL_TIME: Duration = HANDSHAKE_TIMEOUT.saturating_mul(2);
/// Time for an answer: a member may make a guest wait for a place.
const ANSWER_TIME: Duration = Duration::from_secs(20);

/// A visit at a member. It ends when it is dropped.
pub struct Visit {
    member: PublicKey,
    stream: Stream,
    /// Moves the connection.
    running: JoinHandle<()>,
    _streams: Streams,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Visit {
    /// Calls on the member with this key at one of its addresses, as whoever has `secret`, and shows
    /// `hello`. With the visit comes the member's first word.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::Unreachable`]; [`Error::NotReceived`] when the member says nothing;
    /// [`Error::TimedOut`], [`Error::AnswerTooLong`].
    pub async fn open(
        secret: &SecretKey,
        member: PublicKey,
        addresses: &[String],
        hello: &[u8],
    ) -> Result<(Self, Vec<u8>), Error> {
        let unreachable = |reason: String| Error::Unreachable { peer: member, reason };
        let parsed = addresses.iter().filter_map(|text| text.parse().ok()).collect();
        let (swarm, streams) = timeout(CALL_TIME, call(secret, &member, parsed))
            .await
            .unwrap_or_else(|_| Err(unreachable("no answer in time".to_owned())))?;
        let running = tokio::spawn(drive(swarm));
        let opened = timeout(SET_UP_TIMEOUT, streams.opener.open(Purpose::Visit)).await;
        let Ok(Ok(stream)) = opened else {
            running.abort();
            return Err(Error::NotReceived { peer: member });
        };
        let mut visit = Self { member, stream, running, _streams: streams };
        let word = visit.ask(hello).await.map_err(|error| match error {
            Error::NotConnected { peer } => Error::NotReceived { peer },
            error => error,
        })?;
        Ok((visit, word))
    }

    /// The member.
    #[must_use]
    pub fn member(&self) -> PublicKey {
        self.member
    }

    /// Asks something, and waits for the answer.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the member has ended the visit, [`Error::TimedOut`],
    /// [`Error::AnswerTooLong`].
    pub async fn ask(&mut self, question: &[u8]) -> Result<Vec<u8>, Error> {
        let peer = self.member;
        let fault = |error| match error {
            FrameError::Stalled => Error::TimedOut { peer },
            FrameError::TooLong { max, got } => Error::AnswerTooLong { peer, max, got },
            FrameError::Ended | FrameError::Io(_) => Error::NotConnected { peer },
        };
        let mut writer = FrameWriter::new(&mut self.stream, REQUEST_STALL_MAX);
        writer.write(question).await.map_err(fault)?;
        writer.flush().await.map_err(fault)?;
        read_frame(&mut self.stream, MAX_GUEST_ANSWER_BYTES, ANSWER_TIME).await.map_err(fault)
    }
}

async fn call(
    secret: &SecretKey,
    member: &PublicKey,
    addresses: Vec<Multiaddr>,
) -> Result<(Swarm<Behaviour>, Streams), Error> {
    let unreachable = |reason: String| Error::Unreachable { peer: *member, reason };
    let peer = peer_id(member).ok_or_else(|| unreachable("its key is none".to_owned()))?;
    let addresses = resolve(addresses).await;
    if addresses.is_empty() {
        return Err(unreachable("none of its addresses leads anywhere".to_owned()));
    }
    let mut swarm = swarm(secret)?;
    swarm.behaviour_mut().gate.set([(peer, *member)].into(), [].into());
    let dial = DialOpts::peer_id(peer).addresses(addresses).allocate_new_port().build();
    swarm.dial(dial).map_err(|error| unreachable(error.to_string()))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                let streams = swarm.behaviour_mut().gate.take(connection_id);
                let gone = || unreachable("the connection was closed".to_owned());
                return streams.map(|streams| (swarm, streams)).ok_or_else(gone);
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                let reason = tandem_chain::types::escaped(&error.to_string());
                return Err(unreachable(reason));
            }
            _ => {}
        }
    }
}

/// The connection moves only while the swarm is asked.
async fn drive(mut swarm: Swarm<Behaviour>) {
    while swarm.next().await.is_some() {}
}
