//! HTTP: connections, limits, routes. What becomes a WebSocket goes to `websocket`.
//!
//! A client can hold a connection, and no more: reading the head, reading the body with answering it,
//! and sending the answer each have an end, and what is not sent yet has a bound for all together.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{
    DefaultBodyLimit, Extension, FromRequest, Path, Query, Request as HttpRequest, State,
};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt as _;
use futures::future::OptionFuture;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tracing::{debug, info, warn};

use super::calls::{batch, deadline, one, request_timeout, within_time};
use super::error::{NOT_TO_READ, PERMIT_NEEDED, RpcError};
use super::explorer;
use super::hosts::by_own_name;
use super::methods::{self, METHODS};
use super::openapi;
use super::params::Params;
use super::places::{Places, on_behalf};
use super::rates::{Rates, TooMany};
use super::reading::{Asking, SCHEME};
use super::ready;
use super::request::{Body as RequestBody, GET_ID};
use super::socket::{PATIENCE, Socket};
use super::state::{RpcState, Setup};
use super::tls::Tls;
use super::websocket::{self, Client};
use crate::config::Rpc;
use crate::home::Home;

/// Time for a request's head, for an idle connection, and for the handshake of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head with what is read ahead.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Time that open requests have to end when the node stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections that wait in the system's queue to be taken, so that a client that makes many does not
/// push out those of others.
const BACKLOG: u32 = 1_024;
/// Wait after the system gave no connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often at most it is told that a client has too many connections.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Opens the socket; `key` is the configuration's key that names the address.
///
/// # Errors
/// Names the address and what to do.
pub fn bind(address: SocketAddr, key: &str) -> std::io::Result<TcpListener> {
    listen(address).map_err(|error| {
        let hint = format!("choose another {key}, or stop what listens there");
        std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {hint}"))
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Where requests come in.
pub struct Listeners {
    /// Without TLS.
    pub plain: TcpListener,
    /// With TLS, where it is configured.
    pub tls: Option<(TcpListener, Tls)>,
}

impl Listeners {
    /// Opens the sockets that the configuration of the node with this home asks for.
    ///
    /// # Errors
    /// Names what it is about and what to do.
    pub fn open(home: &Home, rpc: &Rpc) -> std::io::Result<Self> {
        let plain = bind(rpc.listen, "rpc.listen")?;
        let tls = match rpc.tls().expect("the configuration is checked") {
            None => None,
            Some(address) => {
                let tls = Tls::of(home, rpc).map_err(std::io::Error::other)?;
                Some((bind(address, "rpc.tls_listen")?, tls))
            }
        };
        Ok(Self { plain, tls })
    }
}

/// Answers requests until `stop` is ready, then gives those that are open a moment to end.
pub async fn serve(listeners: Listeners, setup: Setup, stop: impl Future<Output = ()>) {
    let Rpc { listen, max_connections, max_connections_per_client, .. } = setup.config.rpc;
    let places = || Places::new(max_connections, max_connections_per_client);
    let state = RpcState::start(setup);
    let router = router(state.clone());
    let end = async {
        state.close();
        state.websockets.all_gone().await;
    };
    let (stop, end) = (stop.shared(), end.shared());
    let tls = listeners.tls.map(|(listener, tls)| {
        let tls = Some((tls, Arc::clone(&state.rates)));
        Served { name: "rpc over TLS", router: router.clone(), places: places(), tls }.until(
            listener,
            stop.clone(),
            end.clone(),
        )
    });
    // Elsewhere certificates, or who may reach the address, say who asks.
    let router = if listen.ip().is_loopback() {
        router.layer(middleware::from_fn_with_state(Arc::clone(&state), by_own_name))
    } else {
        router
    };
    let served = Served { name: "rpc", router, places: places(), tls: None };
    tokio::join!(served.until(listeners.plain, stop, end), OptionFuture::from(tls));
}

/// What is answered on a port of its own.
pub struct Served {
    /// Its name in the log.
    pub name: &'static str,
    /// Its routes.
    pub router: Router,
    /// Of connections.
    pub places: Places,
    /// Certificate and key, and the rates in which a handshake counts as a request; none where it is
    /// answered without TLS.
    pub tls: Option<(Tls, Arc<Rates>)>,
}

impl Served {
    /// Answers requests until `stop` is ready, then does what is to be done at the `end`, and gives
    /// requests that are open a moment to end.
    pub async fn until(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        end: impl Future<Output = ()>,
    ) {
        let Self { name, router, places, tls } = self;
        let mut told: Option<Instant> = None;
        let mut connections = JoinSet::new();
        let (stopping, _) = tokio::sync::watch::channel(false);
        let mut stop = pin!(stop);
        if let Ok(address) = listener.local_addr() {
            info!(%address, "{name} listens");
        }
        loop {
            let accept = async {
                // Connections over the bound wait in the system's queue.
                let free = places.free().await;
                listener.accept().await.map(|(stream, client)| (stream, client.ip(), free))
            };
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = accept => match accepted {
                    Ok((stream, client, free)) => {
                        let Some(place) = places.give(free, client) else {
                            if told.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
                                told = Some(Instant::now());
                                warn!(
                                    %client,
                                    "{name}: a client has as many connections as one may, and more are \
                                     closed"
                                );
                            }
                            continue;
                        };
                        // Small answers go out at once.
                        let _ = stream.set_nodelay(true);
                        let stream = Socket::new(stream, PATIENCE);
                        let routes = router.clone();
                        let mut stopping = stopping.subscribe();
                        let now = Instant::now();
                        let acceptor = tls.as_ref().map(|(tls, rates)| {
                            rates.count(client, 1, now).map(|()| tls.acceptor(now))
                        });
                        connections.spawn(async move {
                            match acceptor {
                                None => connection(stream, client, routes, stopping).await,
                                Some(Err(_)) => debug!(%client, "more handshakes than it may make"),
                                Some(Ok(acceptor)) => {
                                    let stream = tokio::select! {
                                        stream = handshake(acceptor, stream) => stream,
                                        _ = stopping.changed() => None,
                                    };
                                    if let Some(stream) = stream {
                                        connection(stream, client, routes, stopping).await;
                                    }
                                }
                            }
                            drop(place);
                        });
                    }
                    Err(error) => {
                        warn!(%error, "{name} cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        stopping.send_replace(true);
        let closed = async { while connections.join_next().await.is_some() {} };
        // The end first: requests that are open may wait for it.
        let drained = futures::future::join(end, closed);
        let _ = timeout(DRAIN_TIMEOUT, drained).await;
    }
}

/// What a client sends and gets over TLS; none when it does not get so far.
async fn handshake(
    acceptor: TlsAcceptor,
    stream: Socket<TcpStream>,
) -> Option<TlsStream<Socket<TcpStream>>> {
    match timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
        Err(_) => debug!("TLS handshake took too long"),
    }
    None
}

pub(super) async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    client: IpAddr,
    router: Router,
    mut stopping: tokio::sync::watch::Receiver<bool>,
) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Client(client));
        routes.call(request)
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // Without `pipeline_flush`, with which hyper would copy all answers to requests that were sent
        // ahead into one buffer without a bound: each is sent before the next is made.
        .max_buf_size(MAX_HEAD_BYTES);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    // A WebSocket goes on without this connection, in a place of its own.
    let mut served = pin!(served.with_upgrades());
    let mut draining = false;
    loop {
        tokio::select! {
            result = &mut served => {
                if let Err(error) = result {
                    debug!(%error, "connection ended");
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

pub(super) fn router(state: Arc<RpcState>) -> Router {
    let limit = DefaultBodyLimit::max(state.config.rpc.max_body_bytes);
    let cors = cors(&state.config.rpc.cors_origins);
    let rated = middleware::from_fn_with_state(state.clone(), in_rate);
    let methods = Router::new()
        .route("/", get(routes).post(post))
        .route(websocket::PATH, get(websocket::open))
        .route(ready::PATH, get(ready::ready))
        .route(openapi::PATH, get(openapi::serve))
        .route("/{method}", get(get_method))
        .layer(limit)
        .layer(rated.clone())
        .layer(cors)
        .with_state(state.clone());
    if !state.config.rpc.explorer {
        return methods;
    }
    // Pages of other origins have no part in the explorer.
    methods.merge(explorer::router(state).layer(rated))
}

/// Answers a request, unless its client makes too many. The first of a batch is counted here.
async fn in_rate(
    State(state): State<Arc<RpcState>>,
    Extension(Client(address)): Extension<Client>,
    request: HttpRequest,
    next: Next,
) -> Response {
    match state.rates.count(address, 1, Instant::now()) {
        Ok(()) => on_behalf(address, next.run(request)).await,
        Err(refused) => too_many(&state, refused),
    }
}

fn too_many(state: &RpcState, refused: TooMany) -> Response {
    let seconds = refused.wait.as_millis().div_ceil(1_000).max(1);
    let mut response = whole_error(state, StatusCode::TOO_MANY_REQUESTS, refused.into());
    let after = HeaderValue::from_str(&seconds.to_string()).expect("digits");
    response.headers_mut().insert(header::RETRY_AFTER, after);
    response
}

/// Headers that pages of other origins may send: what is read here, and what CometBFT takes, for its
/// clients. (`*` would leave out `Authorization`.)
const CORS_HEADERS: [HeaderName; 5] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-server-time"),
];

fn cors(origins: &[String]) -> CorsLayer {
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(CORS_HEADERS);
    if origins.iter().any(|origin| origin == "*") {
        return layer.allow_origin(Any);
    }
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    layer.allow_origin(AllowOrigin::list(origins))
}

/// `GET /`: what there is; a browser is shown the explorer.
async fn routes(State(state): State<Arc<RpcState>>, headers: HeaderMap) -> Response {
    let mut accepts =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let vary = (header::VARY, HeaderValue::from_static("accept"));
    if state.config.rpc.explorer && accepts.any(|value| value.contains("text/html")) {
        let place = (header::LOCATION, HeaderValue::from_static(explorer::ROOT));
        return (StatusCode::SEE_OTHER, [vary, place]).into_response();
    }
    let mut text = String::from("JSON-RPC 2.0: POST to /, or GET /method?name=value\n\n");
    for method in METHODS {
        let params: Vec<String> = method.params.iter().map(|name| format!("{name}=_")).collect();
        let query =
            if params.is_empty() { String::new() } else { format!("?{}", params.join("&")) };
        text.extend(["/", method.name, &query, "\n    ", method.about, "\n"]);
    }
    text.extend([ready::PATH, "\n    whether clients should be sent here, and why not\n"]);
    text.extend([openapi::PATH, "\n    all of this for programs, as an OpenAPI document\n"]);
    text.push_str("\nA WebSocket at /websocket takes the same, and\n\n");
    for method in websocket::METHODS {
        text.extend([method.name, "(", &method.params.join(", "), ")\n    ", method.about, "\n"]);
    }
    ([vary], text).into_response()
}

/// `GET /method?name=value`.
async fn get_method(
    State(state): State<Arc<RpcState>>,
    Path(method): Path<String>,
    Query(pairs): Query<Vec<(String, String)>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let asking = Asking::new(&headers, Bytes::copy_from_slice(target.as_bytes()));
    let answer = async {
        // The pairs have something else where it is none.
        if percent_decode_str(uri.query().unwrap_or_default()).decode_utf8().is_err() {
            return Err(RpcError::params(
                "the query is not UTF-8: bytes are given as 0x and hex digits",
            ));
        }
        let found = methods::find(&method)?;
        let params = Params::from_query(found.params, pairs)?;
        methods::call(&state, &asking, found, params).await
    };
    let result = within_time(&state, deadline(&state), answer).await;
    let status = match &result {
        Err(error) if error.code == -32601 => StatusCode::NOT_FOUND,
        // For load balancers and service managers, which read nothing else.
        Err(error) if method == "health" && error.code == -32602 => StatusCode::BAD_REQUEST,
        Err(_) if method == "health" => StatusCode::SERVICE_UNAVAILABLE,
        result => reading_status(result),
    };
    respond(&state, status, Value::from(GET_ID), result)
}

/// The status by which HTTP tells that a permit is needed, or does not reach so far.
fn reading_status(result: &Result<Value, RpcError>) -> StatusCode {
    match result {
        Err(error) if error.code != NOT_TO_READ => StatusCode::OK,
        Err(error) if error.message == PERMIT_NEEDED => StatusCode::UNAUTHORIZED,
        Err(_) => StatusCode::FORBIDDEN,
        Ok(_) => StatusCode::OK,
    }
}

/// The answer to a single request.
fn respond(
    state: &RpcState,
    status: StatusCode,
    id: Value,
    result: Result<Value, RpcError>,
) -> Response {
    let mut response = state.unsent.answer(id, result).into_response(status);
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static(SCHEME);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

/// `POST /`. One deadline is for reading the body and answering all that is in it.
async fn post(
    State(state): State<Arc<RpcState>>,
    Extension(Client(address)): Extension<Client>,
    request: HttpRequest,
) -> Response {
    let deadline = deadline(&state);
    let headers = request.headers().clone();
    let body = async {
        let body = Bytes::from_request(request, &state).await?;
        let room = state.body(body.len()).await;
        Ok::<_, BytesRejection>((body, room))
    };
    // The room is kept until the answer is made.
    let (body, _room) = match timeout_at(deadline, body).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return refused_body(&state, &rejection),
        Err(_) => return late_body(&state),
    };
    match RequestBody::parse(&body, state.config.rpc.max_batch) {
        Err(error) => whole_error(&state, StatusCode::OK, error),
        Ok(RequestBody::Single(request)) => {
            let asking = Asking::new(&headers, body);
            match one(&state, &asking, deadline, request).await {
                Some((id, result)) => respond(&state, reading_status(&result), id, result),
                None => StatusCode::NO_CONTENT.into_response(),
            }
        }
        Ok(RequestBody::Batch(requests)) => {
            let rest = requests.len() - 1;
            if let Err(refused) = state.rates.count_rest(address, rest, Instant::now()) {
                return too_many(&state, refused);
            }
            match batch(&state, &Asking::new(&headers, body), deadline, requests).await {
                Some(answers) => answers.into_response(StatusCode::OK),
                None => StatusCode::NO_CONTENT.into_response(),
            }
        }
    }
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
    whole_error(state, status, error)
}

fn late_body(state: &RpcState) -> Response {
    let text = format!("the body did not come within {}", request_timeout(state));
    let mut response = whole_error(state, StatusCode::REQUEST_TIMEOUT, RpcError::busy(text));
    // The rest of the body is not waited for.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a body, or to a request that is no call, as a whole.
pub(super) fn whole_error(state: &RpcState, status: StatusCode, error: RpcError) -> Response {
    state.unsent.answer(Value::Null, Err(error)).into_response(status)
}
