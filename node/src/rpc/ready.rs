//! `GET /ready`: whether clients should be sent to this node, for load balancers.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::state::RpcState;
use crate::health;

/// Where it is asked.
pub const PATH: &str = "/ready";

/// The answer.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    /// The newest block.
    height: String,
    /// Why not, for people; each begins with the part of the node that it is about and a colon.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

/// HTTP 200, or 503 with the reasons.
pub async fn ready(State(state): State<Arc<RpcState>>) -> Response {
    let tip = state.tip();
    let peers = state.network.peers().len();
    let reasons = health::not_ready(&state.view, &tip, &state.me, peers);
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = Readiness { ready, height: tip.height.to_string(), reasons };
    let text = serde_json::to_string(&answer).expect("texts and a flag");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, text).into_response()
}
