//! Yamux as libp2p's stream multiplexer, with two bounds that `libp2p-yamux` does not offer.
//!
//! - The receive windows of one connection together are [`MAX_CONNECTION_WINDOW`]; there it is
//!   1 GiB, which a member that lies about its round-trip time could make a node hold.
//! - Closing a connection takes [`CLOSE_TIMEOUT`] at most; there it waits until the other side has
//!   taken every byte, which a process that is stopped never does.

use std::collections::VecDeque;
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use tokio::time::Sleep;
use yamux::{Connection, ConnectionError, Mode, Stream};

use super::limits::{CLOSE_TIMEOUT, MAX_CONNECTION_WINDOW, MAX_STREAMS, MAX_STREAMS_WAITING};

/// Makes a [`Muxer`] of a secured connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Upgrade;

impl Upgrade {
    fn config() -> yamux::Config {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(MAX_CONNECTION_WINDOW));
        config
    }
}

impl UpgradeInfo for Upgrade {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_inbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(Muxer::new(Connection::new(socket, Self::config(), Mode::Server))))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Upgrade {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_outbound(self, socket: C, _: &'static str) -> Self::Future {
        ready(Ok(Muxer::new(Connection::new(socket, Self::config(), Mode::Client))))
    }
}

/// A connection with streams in it.
pub(super) struct Muxer<C> {
    connection: Connection<C>,
    /// New streams of the other side. Yamux moves only while it is asked for the next of them,
    /// and libp2p wants it to move whether or not it takes one.
    waiting: VecDeque<Stream>,
    waker: Option<Waker>,
    closing: Option<Pin<Box<Sleep>>>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn new(connection: Connection<C>) -> Self {
        Self { connection, waiting: VecDeque::new(), waker: None, closing: None }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream, ConnectionError>> {
        let next = ready!(self.connection.poll_next_inbound(cx));
        Poll::Ready(next.unwrap_or(Err(ConnectionError::Closed)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Stream;
    type Error = ConnectionError;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionError>> {
        let this = self.get_mut();
        if let Some(stream) = this.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let polled = this.poll_next(cx);
        if polled.is_pending() {
            this.waker = Some(cx.waker().clone());
        }
        polled
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, ConnectionError>> {
        self.get_mut().connection.poll_new_outbound(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        let this = self.get_mut();
        if let Poll::Ready(closed) = this.connection.poll_close(cx) {
            return Poll::Ready(closed);
        }
        let limit = || Box::pin(tokio::time::sleep(CLOSE_TIMEOUT));
        let closing = this.closing.get_or_insert_with(limit);
        closing.as_mut().poll(cx).map(Ok)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let this = self.get_mut();
        loop {
            let stream = ready!(this.poll_next(cx))?;
            // A stream that finds no place is dropped, which resets it.
            if this.waiting.len() < MAX_STREAMS_WAITING {
                this.waiting.push_back(stream);
                if let Some(waker) = this.waker.take() {
                    waker.wake();
                }
            }
        }
    }
}
