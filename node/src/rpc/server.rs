//! HTTP: connections, limits, routes.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tracing::{debug, info, warn};

use super::error::RpcError;
use super::methods::{self, METHODS};
use super::params::Params;
use super::request::{Body as RequestBody, GET_ID, Request, response};
use super::state::{RpcState, Setup};

/// Time for a request's head, and for an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head with what is read ahead.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Time that open requests have to end when the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Wait after the system gave no connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the answers to one batch; requests behind are answered with an error.
const MAX_BATCH_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Opens the socket.
///
/// # Errors
/// Names the address and what to do.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = "choose another rpc.listen, or stop what listens there";
        std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {hint}"))
    })
}

/// Answers requests until `stop` is ready, then gives those that are open a moment to end.
pub async fn serve(listener: TcpListener, setup: Setup, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(setup.config.rpc.max_connections));
    let state = RpcState::start(setup);
    let router = router(state);
    let mut connections = JoinSet::new();
    let (stopping, _) = tokio::sync::watch::channel(false);
    let mut stop = pin!(stop);
    if let Ok(address) = listener.local_addr() {
        info!(%address, "rpc listens");
    }
    loop {
        let accept = async {
            // Connections over the bound wait in the system's queue.
            let place = places.clone().acquire_owned().await.expect("it is never closed");
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = accept => match accepted {
                Ok((stream, place)) => {
                    let served = connection(stream, router.clone(), stopping.subscribe());
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "rpc cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, drained).await;
}

async fn connection(
    stream: TcpStream,
    router: Router,
    mut stopping: tokio::sync::watch::Receiver<bool>,
) {
    // Small answers go out at once.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .pipeline_flush(true);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut draining = false;
    loop {
        tokio::select! {
            result = &mut served => {
                if let Err(error) = result {
                    debug!(%error, "rpc connection ended");
                }
                return;
            }
            _ = stopping.changed(), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

fn router(state: Arc<RpcState>) -> Router {
    let limit = DefaultBodyLimit::max(state.config.rpc.max_body_bytes);
    let cors = cors(&state.config.rpc.cors_origins);
    Router::new()
        .route("/", get(routes).post(post))
        .route("/{method}", get(get_method))
        .layer(limit)
        .layer(cors)
        .with_state(state)
}

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(origins))
}

/// `GET /`: what there is.
async fn routes() -> String {
    let mut text = String::from("JSON-RPC 2.0: POST to /, or GET /method?name=value\n\n");
    for method in METHODS {
        let params: Vec<String> = method.params.iter().map(|name| format!("{name}=_")).collect();
        let query =
            if params.is_empty() { String::new() } else { format!("?{}", params.join("&")) };
        text.extend(["/", method.name, &query, "\n    ", method.about, "\n"]);
    }
    text
}

/// `GET /method?name=value`.
async fn get_method(
    State(state): State<Arc<RpcState>>,
    Path(method): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let answer = async {
        let found = methods::find(&method)?;
        let params = Params::from_query(found.params, pairs)?;
        methods::call(&state, found.name, params).await
    };
    let result = within_time(&state, answer).await;
    let status = match &result {
        Err(error) if error.code == -32601 => StatusCode::NOT_FOUND,
        // For load balancers and service managers, which read nothing else.
        Err(_) if method == "health" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    json(status, &response(Value::from(GET_ID), result))
}

/// `POST /`.
async fn post(
    State(state): State<Arc<RpcState>>,
    body: Result<axum::body::Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refused_body(&state, &rejection),
    };
    match RequestBody::parse(&body, state.config.rpc.max_batch) {
        Err(error) => json(StatusCode::OK, &response(Value::Null, Err(error))),
        Ok(RequestBody::Single(request)) => match one(&state, request).await {
            Some(answer) => json(StatusCode::OK, &answer),
            None => StatusCode::NO_CONTENT.into_response(),
        },
        Ok(RequestBody::Batch(requests)) => batch(&state, requests).await,
    }
}

async fn batch(
    state: &Arc<RpcState>,
    requests: Vec<Result<Request, (Value, RpcError)>>,
) -> Response {
    let mut answers: Vec<String> = Vec::new();
    let mut bytes = 0;
    for request in requests {
        let request = if bytes < MAX_BATCH_ANSWER_BYTES {
            request
        } else {
            let id = match request {
                Ok(request) => request.id.unwrap_or_default(),
                Err((id, _)) => id,
            };
            let text = format!("the answers before fill {MAX_BATCH_ANSWER_BYTES} bytes: ask again");
            Err((id, RpcError::busy(text)))
        };
        if let Some(answer) = one(state, request).await {
            let answer = answer.to_string();
            bytes += answer.len();
            answers.push(answer);
        }
    }
    if answers.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    json_text(StatusCode::OK, format!("[{}]", answers.join(",")))
}

/// The answer to one request; none for a notification, which is not carried out either.
async fn one(state: &Arc<RpcState>, request: Result<Request, (Value, RpcError)>) -> Option<Value> {
    let request = match request {
        Ok(request) => request,
        Err((id, error)) => return Some(response(id, Err(error))),
    };
    let id = request.id?;
    let answer = async {
        let found = methods::find(&request.method)?;
        let params = Params::from_json(found.params, request.params)?;
        methods::call(state, found.name, params).await
    };
    Some(response(id, within_time(state, answer).await))
}

async fn within_time(
    state: &RpcState,
    answer: impl Future<Output = Result<Value, RpcError>>,
) -> Result<Value, RpcError> {
    let limit = state.config.rpc.request_timeout;
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let limit = crate::config::duration::text(limit);
        Err(RpcError::busy(format!("no answer within rpc.request_timeout ({limit})")))
    })
}

fn refused_body(state: &RpcState, rejection: &BytesRejection) -> Response {
    let (status, error) = match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            let max = state.config.rpc.max_body_bytes;
            let text = format!("the body is over rpc.max_body_bytes ({max} bytes)");
            (StatusCode::PAYLOAD_TOO_LARGE, RpcError::invalid_request(text))
        }
        other => (StatusCode::BAD_REQUEST, RpcError::parse(other.to_string())),
    };
    json(status, &response(Value::Null, Err(error)))
}

fn json(status: StatusCode, value: &Value) -> Response {
    json_text(status, value.to_string())
}

fn json_text(status: StatusCode, text: String) -> Response {
    let content_type = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, content_type)], Body::from(text)).into_response()
}
