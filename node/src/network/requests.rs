//! Requests and their answers: each on a stream of its own, so that a slow one holds up no other.

use std::sync::Arc;
use std::time::Duration;

use libp2p::Stream;
use tandem_chain::keys::PublicKey;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::context::Context;
use super::error::Error;
use super::events::NetworkEvent;
use super::frames::{FrameError, FrameWriter, read_frame};
use super::limits::{MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, REQUEST_STALL_MAX, SERVE_TIMEOUT};
use super::streams::Purpose;

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

/// Serves one request of a peer. A stream that is dropped without an answer tells the peer that
/// it was refused.
pub(super) async fn serve(context: Arc<Context>, from: PublicKey, mut stream: Stream) {
    let bytes = match read_frame(&mut stream, MAX_REQUEST_BYTES, REQUEST_STALL_MAX).await {
        Ok(bytes) => bytes,
        Err(error) => {
            if matches!(error, FrameError::TooLong { .. }) {
                context.counters.frames_too_long.count();
            }
            return;
        }
    };
    let permit = timeout(SERVE_TIMEOUT, context.serving.acquire()).await;
    let Ok(permit) = permit else {
        context.counters.requests_refused.count();
        return;
    };
    let _permit = permit.expect("the semaphore is never closed");
    let (reply, answer) = oneshot::channel();
    if context.events.send(NetworkEvent::Request { from, bytes, reply }).await.is_err() {
        return;
    }
    let Ok(Ok(answer)) = timeout(SERVE_TIMEOUT, answer).await else {
        context.counters.requests_refused.count();
        return;
    };
    assert!(answer.len() <= MAX_ANSWER_BYTES, "answers are made within the limit");
    let mut writer = FrameWriter::new(stream, REQUEST_STALL_MAX);
    if writer.write(&answer).await.is_ok() && writer.flush().await.is_ok() {
        let _ = writer.close().await;
    }
}
