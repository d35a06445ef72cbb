//! A connection that does not wait for ever for a peer that takes its answers slowly or not at all.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a peer may keep the node waiting that takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes for which a second of that time is given back: who takes them faster is waited for as long as
/// the answer takes.
const BYTES_A_SECOND: u64 = 64 * 1024;

/// How long a peer has kept the node waiting.
#[derive(Debug)]
struct Waits {
    patience: Duration,
    waited: Duration,
    since: Option<Instant>,
}

impl Waits {
    /// The peer takes nothing now. Returns whether that is new, and until when it is waited for.
    fn begin(&mut self, now: Instant) -> (bool, Instant) {
        let is_new = self.since.is_none();
        let since = *self.since.get_or_insert(now);
        (is_new, since + self.patience.saturating_sub(self.waited))
    }

    /// The peer has taken something.
    fn end(&mut self, now: Instant, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += now.duration_since(since);
        }
        let micros = (bytes as u64).saturating_mul(1_000_000) / BYTES_A_SECOND;
        self.waited = self.waited.saturating_sub(Duration::from_micros(micros));
    }
}

/// A stream on which writing fails with [`io::ErrorKind::TimedOut`] when the peer is too slow.
pub struct Socket<S> {
    stream: S,
    waits: Waits,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> Socket<S> {
    pub fn new(stream: S, patience: Duration) -> Self {
        let waits = Waits { patience, waited: Duration::ZERO, since: None };
        Self { stream, waits, alarm: None }
    }

    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.waits.end(Instant::now(), bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let (is_new, until) = self.waits.begin(Instant::now());
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
                if is_new {
                    alarm.as_mut().reset(until);
                }
                ready!(alarm.as_mut().poll(cx));
                let text = "the other side takes its answer too slowly";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // A TCP socket has nothing to flush, and its end does not wait for the peer.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let (near, _far) = duplex(16);
        let mut socket = Socket::new(near, Duration::from_millis(5));
        let error = socket.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_takes_all_gets_all() {
        let (near, mut far) = duplex(16);
        let mut socket = Socket::new(near, Duration::from_secs(3_600));
        let sent: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let write = async {
            socket.write_all(&sent).await.unwrap();
            socket.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let ((), read) = tokio::join!(write, far.read_to_end(&mut got));
        read.unwrap();
        assert_eq!(got, sent);
        // What is read comes through as it is.
        far.write_all(b"end").await.unwrap();
        drop(far);
        got.clear();
        socket.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"end");
    }

    #[test]
    fn what_is_taken_earns_time() {
        let (start, patience) = (Instant::now(), Duration::from_secs(20));
        let at = |s: u64| start + Duration::from_secs(s);
        let new = || Waits { patience, waited: Duration::ZERO, since: None };

        // A byte now and then: the time runs on.
        let mut waits = new();
        for s in 0..10 {
            assert!(waits.begin(at(s)).0);
            waits.end(at(s + 1), 1);
        }
        let (is_new, until) = waits.begin(at(10));
        assert!(is_new && (at(20)..at(21)).contains(&until), "{:?}", until - start);
        assert_eq!(waits.begin(at(15)), (false, until));

        // As much as belongs there: for ever, and without a credit.
        let mut waits = new();
        for s in 0..1_000 {
            assert_eq!(waits.begin(at(s)), (true, at(s + 20)));
            waits.end(at(s + 1), 64 * 1024);
        }
        waits.end(at(1_000), usize::MAX);
        assert_eq!(waits.begin(at(1_000)), (true, at(1_020)));

        // Time that is over does not come back by itself.
        let mut waits = new();
        waits.begin(at(0));
        waits.end(at(60), 1);
        assert_eq!(waits.begin(at(61)), (true, at(61)));
    }
}
