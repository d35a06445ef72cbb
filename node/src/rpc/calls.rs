//! Requests of a body or message, from their parts to their answers.

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, MAX_BATCH_ANSWER_BYTES};
use super::error::RpcError;
use super::methods;
use super::params::Params;
use super::reading::Asking;
use super::request::Request;
use super::state::RpcState;

/// A request, or why it is none with the id to answer with.
pub type Parsed = Result<Request, (Value, RpcError)>;

/// The answer to one request; none for a notification, which is not carried out either.
pub async fn one(
    state: &Arc<RpcState>,
    asking: &Asking,
    deadline: Instant,
    request: Parsed,
) -> Option<(Value, Result<Value, RpcError>)> {
    let request = match request {
        Ok(request) => request,
        Err((id, error)) => return Some((id, Err(error))),
    };
    let id = request.id?;
    let answer = async {
        let found = methods::find(&request.method)?;
        let params = Params::from_json(found.params, request.params)?;
        methods::call(state, asking, found, params).await
    };
    Some((id, within_time(state, deadline, answer).await))
}

/// The answers to a batch; none when it has only notifications.
pub async fn batch(
    state: &Arc<RpcState>,
    asking: &Asking,
    deadline: Instant,
    requests: Vec<Parsed>,
) -> Option<Answer> {
    let mut answers = Answer::list();
    for request in requests {
        let request = if answers.len() < MAX_BATCH_ANSWER_BYTES {
            request
        } else {
            let Some(id) = request.map_or_else(|(id, _)| Some(id), |request| request.id) else {
                continue;
            };
            let text = format!("the answers are over {MAX_BATCH_ANSWER_BYTES} bytes: ask again");
            Err((id, RpcError::busy(text)))
        };
        if let Some((id, result)) = one(state, asking, deadline, request).await {
            answers.push(state.unsent.answer(id, result));
        }
    }
    answers.end()
}

/// When a request that begins now must be answered.
pub fn deadline(state: &RpcState) -> Instant {
    Instant::now() + state.config.rpc.request_timeout
}

/// The answer, if it is there in time; after the deadline nothing is begun any more.
pub async fn within_time(
    state: &RpcState,
    deadline: Instant,
    answer: impl Future<Output = Result<Value, RpcError>>,
) -> Result<Value, RpcError> {
    let late = || Err(RpcError::busy(format!("no answer within {}", request_timeout(state))));
    if Instant::now() >= deadline {
        return late();
    }
    timeout_at(deadline, answer).await.unwrap_or_else(|_| late())
}

/// The key of the limit with its value, for people.
pub fn request_timeout(state: &RpcState) -> String {
    let limit = crate::config::duration::text(state.config.rpc.request_timeout);
    format!("rpc.request_timeout ({limit})")
}
