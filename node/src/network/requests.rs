//! Requests and their answers: each on a stream of its own, so that a slow one holds up no other.

use std::sync::Arc;
use std::time::Duration;

use futures::io::AsyncWrite;
use libp2p::Stream;
use tandem_chain::keys::PublicKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use super::allowance::Allowance;
use super::context::Context;
use super::error::Error;
use super::events::NetworkEvent;
use super::frames::{FrameError, FrameWriter, read_frame};
use super::limits::{
    ANSWER_BYTES_PER_SECOND, ANSWER_TIME, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, REQUEST_STALL_MAX,
    ROUND_TRIP_MAX, SERVE_TIMEOUT,
};
use super::streams::{Opener, Purpose};

/// Asks a peer; see [`super::Network::request`].
pub(super) async fn ask(
    context: &Context,
    peer: PublicKey,
    request: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, Error> {
    let asked = timeout(limit, exchange(context, peer, request)).await;
    asked.unwrap_or(Err(Error::TimedOut { peer })).inspect_err(|error| match error {
        Error::TimedOut { .. } => context.counters.requests_timed_out.count(),
        Error::AnswerTooLong { .. } => context.counters.frames_too_long.count(),
        _ => {}
    })
}

async fn exchange(context: &Context, peer: PublicKey, request: &[u8]) -> Result<Vec<u8>, Error> {
    let link = context.link(&peer).ok_or(Error::NotConnected { peer })?;
    let _permit = link.requests.acquire().await.expect("the semaphore is never closed");
    let opened = link.opener.open(Purpose::Request).await;
    let mut stream = opened.map_err(|_| Error::NotConnected { peer })?;
    let fault = |error| match error {
        FrameError::Stalled => Error::TimedOut { peer },
        FrameError::TooLong { max, got } => Error::AnswerTooLong { peer, max, got },
        FrameError::Ended | FrameError::Io(_) => Error::Refused { peer },
    };
    let mut writer = FrameWriter::new(&mut stream, REQUEST_STALL_MAX);
    writer.write(request).await.map_err(fault)?;
    writer.flush().await.map_err(fault)?;
    // The time for the answer is the caller's alone.
    read_frame(&mut stream, MAX_ANSWER_BYTES, Duration::MAX).await.map_err(fault)
}

/// Measures the time to a peer and back: that from an empty frame to the one that comes back. None when it does
/// not come in time.
pub(super) async fn round_trip(opener: &Opener) -> Option<Duration> {
    let exchange = async {
        let mut stream = opener.open(Purpose::Echo).await.ok()?;
        let start = Instant::now();
        let mut writer = FrameWriter::new(&mut stream, REQUEST_STALL_MAX);
        writer.write(&[]).await.ok()?;
        writer.flush().await.ok()?;
        read_frame(&mut stream, 0, ROUND_TRIP_MAX).await.ok()?;
        Some(start.elapsed())
    };
    timeout(ROUND_TRIP_MAX, exchange).await.ok().flatten()
}

/// Sends a peer back what it measures the time with, whoever it is: it learns nothing by it.
pub(super) async fn echo(mut stream: Stream) {
    if read_frame(&mut stream, 0, REQUEST_STALL_MAX).await.is_ok() {
        // Who does not take it has measured nothing.
        let _ = write_answer(stream, &[], REQUEST_STALL_MAX).await;
    }
}

/// Serves one request of a peer. A stream that is dropped without an answer tells the peer that
/// it was refused, as all are that this node does not know from the chain.
pub(super) async fn serve(
    context: Arc<Context>,
    allowance: Arc<Allowance>,
    from: PublicKey,
    mut stream: Stream,
) {
    if !context.is_registered(&from) {
        context.counters.requests_unregistered.count();
        return;
    }
    let bytes = match read_frame(&mut stream, MAX_REQUEST_BYTES, REQUEST_STALL_MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            if matches!(error, FrameError::TooLong { .. }) {
                context.counters.frames_too_long.count();
            }
            return;
        }
    };
    let Ok(places) = timeout(SERVE_TIMEOUT, Places::take(&context, &allowance)).await else {
        context.counters.requests_refused.count();
        return;
    };
    let (reply, answer) = oneshot::channel();
    if context.events.send(NetworkEvent::Request { from, bytes, reply }).await.is_err() {
        return;
    }
    // The places stay taken until the driver is done, also when the link ends before: a peer that
    // comes back would have more served at a time.
    let (done, served) = oneshot::channel();
    tokio::spawn(async move {
        if let Ok(answer) = answer.await {
            let _ = done.send((answer, places));
        }
    });
    let Ok(Ok((answer, _places))) = timeout(SERVE_TIMEOUT, served).await else {
        context.counters.requests_refused.count();
        return;
    };
    assert!(answer.len() <= MAX_ANSWER_BYTES, "answers are made within the limit");
    let written = write_answer(stream, &answer, answer_time(answer.len())).await;
    if matches!(written, Err(FrameError::Stalled)) {
        context.counters.answers_too_slow.count();
    }
}

/// What a request takes while it is served.
struct Places {
    _of_peer: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// Waits for them. First comes the peer's own, so that those that wait for one of all are few of
    /// each peer.
    async fn take(context: &Context, allowance: &Allowance) -> Self {
        let take = |places: &Arc<Semaphore>| {
            let taken = Arc::clone(places).acquire_owned();
            async { taken.await.expect("the semaphore is never closed") }
        };
        Self { _of_peer: take(&allowance.serving).await, _of_all: take(&context.serving).await }
    }
}

/// Time for an answer to be written whole.
fn answer_time(bytes: usize) -> Duration {
    let seconds = bytes.div_ceil(ANSWER_BYTES_PER_SECOND);
    ANSWER_TIME + Duration::from_secs(seconds as u64)
}

/// Writes an answer and ends the stream, all in the time `limit`: it takes a place while it is
/// written, which a peer that takes a byte now and then would keep.
async fn write_answer<W: AsyncWrite + Unpin>(
    sink: W,
    answer: &[u8],
    limit: Duration,
) -> Result<(), FrameError> {
    let mut writer = FrameWriter::new(sink, REQUEST_STALL_MAX);
    let write = async {
        writer.write(answer).await?;
        writer.flush().await?;
        writer.close().await
    };
    timeout(limit, write).await.unwrap_or(Err(FrameError::Stalled))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use futures::io::Cursor;
    use tokio::time::{Sleep, sleep};

    use super::*;

    /// The longest that anything here may take.
    const LIMIT: Duration = Duration::from_secs(30);

    /// A peer that takes a byte now and then.
    struct Drip(Pin<Box<Sleep>>);

    impl AsyncWrite for Drip {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            ready!(self.0.as_mut().poll(cx));
            self.0.as_mut().reset(Instant::now() + Duration::from_millis(5));
            Poll::Ready(Ok(bytes.len().min(1)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn an_answer_is_given_up_when_it_is_not_written_whole_in_time() {
        let drip = Drip(Box::pin(sleep(Duration::ZERO)));
        let answer = vec![0; MAX_ANSWER_BYTES];
        let write = write_answer(drip, &answer, Duration::from_millis(50));
        let written = timeout(LIMIT, write).await.expect("in time");
        assert!(matches!(written, Err(FrameError::Stalled)));

        let mut whole = Cursor::new(Vec::new());
        write_answer(&mut whole, &answer, LIMIT).await.unwrap();
        assert_eq!(whole.get_ref().len(), 4 + answer.len());
    }

    #[test]
    fn a_large_answer_has_more_time() {
        assert_eq!(answer_time(0), ANSWER_TIME);
        assert_eq!(answer_time(MAX_ANSWER_BYTES), Duration::from_secs(5 + 4));
    }
}
