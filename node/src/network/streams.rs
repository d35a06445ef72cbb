//! Streams of a connection as libp2p's handler of it sees them: it opens those that a link asks
//! for, and hands over those that the other side opens. It knows nothing of what they carry.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use libp2p::core::upgrade::UpgradeInfo;
use libp2p::core::{InboundUpgrade, OutboundUpgrade};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, Stream, StreamUpgradeError, SubstreamProtocol,
};
use tokio::sync::{mpsc, oneshot};

use super::limits::{MAX_STREAMS_WAITING, SET_UP_TIMEOUT};

/// What a stream is for. The names have no version: that is in the hello, so that a difference has
/// a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Consensus,
    Transactions,
    /// One request and its answer.
    Request,
    /// An empty frame and another back: the time that it takes.
    Echo,
    /// All that a guest asks for.
    Visit,
}

impl AsRef<str> for Purpose {
    fn as_ref(&self) -> &str {
        match self {
            Self::Consensus => "/tandem/consensus",
            Self::Transactions => "/tandem/transactions",
            Self::Request => "/tandem/request",
            Self::Echo => "/tandem/echo",
            Self::Visit => "/tandem/visit",
        }
    }
}

/// Streams that a member may open.
pub(super) const OF_MEMBERS: &[Purpose] =
    &[Purpose::Consensus, Purpose::Transactions, Purpose::Request, Purpose::Echo];
/// Streams that whoever is not registered may open.
pub(super) const OF_GUESTS: &[Purpose] = &[Purpose::Visit];

/// Why a stream could not be opened, for the log.
pub(super) type OpenError = &'static str;
type Reply = oneshot::Sender<Result<Stream, OpenError>>;

/// A stream that a link wants opened.
#[derive(Debug)]
pub(super) struct Open {
    purpose: Purpose,
    reply: Reply,
}

/// A link's side of its connection.
#[derive(Debug)]
pub(super) struct Streams {
    /// Opens streams.
    pub(super) opener: Opener,
    /// Streams that the other side opened; ends when the connection does.
    pub(super) opened: mpsc::Receiver<(Purpose, Stream)>,
}

/// Opens streams of one connection.
#[derive(Clone, Debug)]
pub(super) struct Opener(mpsc::Sender<Open>);

impl Opener {
    pub(super) async fn open(&self, purpose: Purpose) -> Result<Stream, OpenError> {
        let (reply, opened) = oneshot::channel();
        let closed = "the connection was closed";
        self.0.send(Open { purpose, reply }).await.map_err(|_| closed)?;
        opened.await.unwrap_or(Err(closed))
    }
}

/// libp2p's handler of one connection.
pub(super) struct Handler {
    accepted: Accepted,
    wanted: mpsc::Receiver<Open>,
    opened: mpsc::Sender<(Purpose, Stream)>,
}

impl Handler {
    /// For a connection whose other side may open these streams, of which so many may wait.
    pub(super) fn new(accepted: &'static [Purpose], waiting: usize) -> (Self, Streams) {
        let (open, wanted) = mpsc::channel(MAX_STREAMS_WAITING);
        let (sender, opened) = mpsc::channel(waiting);
        let accepted = Accepted(accepted);
        (Self { accepted, wanted, opened: sender }, Streams { opener: Opener(open), opened })
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Accepted;
    type OutboundProtocol = Wanted;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Reply;

    fn listen_protocol(&self) -> SubstreamProtocol<Accepted> {
        SubstreamProtocol::new(self.accepted, ()).with_timeout(SET_UP_TIMEOUT)
    }

    fn connection_keep_alive(&self) -> bool {
        // Links decide which connections are needed.
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Wanted, Reply, Infallible>> {
        match self.wanted.poll_recv(cx) {
            Poll::Ready(Some(Open { purpose, reply })) => {
                let protocol =
                    SubstreamProtocol::new(Wanted(purpose), reply).with_timeout(SET_UP_TIMEOUT);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Accepted, Wanted, (), Reply>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => {
                // A link takes streams at once; one for which there is no place is one too many,
                // and is reset by being dropped.
                let _ = self.opened.try_send(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info: reply,
            }) => {
                let _ = reply.send(Ok(protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: reply, error }) => {
                let _ = reply.send(Err(match error {
                    StreamUpgradeError::Timeout => "no stream in time",
                    StreamUpgradeError::NegotiationFailed => "it does not know the protocol",
                    StreamUpgradeError::Io(_) => "the stream was closed",
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}

/// Accepts streams of some purposes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepted(&'static [Purpose]);

impl UpgradeInfo for Accepted {
    type Info = Purpose;
    type InfoIter = std::iter::Copied<std::slice::Iter<'static, Purpose>>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.iter().copied()
    }
}

impl InboundUpgrade<Stream> for Accepted {
    type Output = (Purpose, Stream);
    type Error = Infallible;
    type Future = Ready<Result<(Purpose, Stream), Infallible>>;

    fn upgrade_inbound(self, stream: Stream, purpose: Purpose) -> Self::Future {
        ready(Ok((purpose, stream)))
    }
}

/// Opens a stream of one purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted(Purpose);

impl UpgradeInfo for Wanted {
    type Info = Purpose;
    type InfoIter = [Purpose; 1];

    fn protocol_info(&self) -> [Purpose; 1] {
        [self.0]
    }
}

impl OutboundUpgrade<Stream> for Wanted {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: Purpose) -> Self::Future {
        ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_names() {
        let names = |accepted| -> Vec<String> {
            let accepted = Accepted(accepted).protocol_info();
            accepted.map(|purpose| purpose.as_ref().to_owned()).collect()
        };
        let of_members =
            ["/tandem/consensus", "/tandem/transactions", "/tandem/request", "/tandem/echo"];
        assert_eq!(names(OF_MEMBERS), of_members);
        assert_eq!(names(OF_GUESTS), ["/tandem/visit"], "and nothing else");
        for purpose in OF_MEMBERS.iter().chain(OF_GUESTS) {
            assert_eq!(Wanted(*purpose).protocol_info(), [*purpose]);
        }
    }
}
