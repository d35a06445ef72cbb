//! WebSockets: every method of the RPC over one connection, and subscriptions to events, as
//! CometBFT 0.38 has them at `/websocket`.
//!
//! ```text
//! commits -> Hub (blocks as events, one for all) -> Session (one a WebSocket) -> client
//! ```
//!
//! No client can hold up a block, nor anything but its own session: the hub keeps a bounded number of
//! blocks for all sessions together, and who falls behind them is told so and dropped. A message about an
//! event is made once for all, and what a session holds of it besides is a frame.

mod events;
pub mod hub;
pub mod session;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tracing::debug;

use super::error::RpcError;
use super::methods::Method;
use super::places::{Full, on_behalf};
use super::reading::{Asking, Needs};
use super::server::whole_error;
use super::state::RpcState;

#[cfg(test)]
pub use events::BlockEvents;
pub use hub::Hub;

/// Where a WebSocket is opened.
pub const PATH: &str = "/websocket";
/// Bytes that are read from a WebSocket at once.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// `subscribe`.
pub const SUBSCRIBE: Method = Method {
    name: "subscribe",
    params: &["query"],
    needs: Needs::Blocks,
    about: "the events that a query matches, from the next block on",
};
/// `unsubscribe`.
pub const UNSUBSCRIBE: Method = Method {
    name: "unsubscribe",
    params: &["query"],
    needs: Needs::Nothing,
    about: "end the subscription to a query",
};
/// `unsubscribe_all`.
pub const UNSUBSCRIBE_ALL: Method = Method {
    name: "unsubscribe_all",
    params: &[],
    needs: Needs::Nothing,
    about: "end all subscriptions of this WebSocket",
};
/// The methods that a WebSocket has beside the others.
pub const METHODS: &[Method] = &[SUBSCRIBE, UNSUBSCRIBE, UNSUBSCRIBE_ALL];

/// The address that a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Client(pub IpAddr);

/// `GET /websocket`. What may be read is asked when a method asks it: the permit is that of this request.
pub async fn open(
    State(state): State<Arc<RpcState>>,
    Extension(Client(address)): Extension<Client>,
    mut request: Request,
) -> Response {
    let refuse = |status, error| whole_error(&state, status, error);
    if !may_open(request.headers(), &state.config.rpc.cors_origins) {
        let text = "pages of this origin may not open a WebSocket here: rpc.cors_origins lists those that may";
        return refuse(StatusCode::FORBIDDEN, RpcError::invalid_request(text));
    }
    let response = match create_response_with_body(&request, Body::empty) {
        Ok(response) => response,
        Err(error) => {
            let text = format!("{PATH} opens WebSockets, and this request asks for none: {error}");
            return refuse(StatusCode::BAD_REQUEST, RpcError::invalid_request(text));
        }
    };
    let place = match state.websockets.take(1) {
        Ok(place) => place,
        Err(Full::All) => {
            let max = state.config.rpc.max_websockets;
            let text = format!("rpc.max_websockets ({max}) WebSockets are open: try again later");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, RpcError::busy(text));
        }
        Err(Full::Client) => {
            let max = state.config.rpc.max_websockets_per_client;
            let text = format!(
                "your address has rpc.max_websockets_per_client ({max}) WebSockets: close one"
            );
            return refuse(StatusCode::TOO_MANY_REQUESTS, RpcError::busy(text));
        }
    };
    let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let target = Bytes::copy_from_slice(target.as_bytes());
    let asking = Asking::new(request.headers(), target);
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let max = Some(state.config.rpc.max_body_bytes);
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ_BUFFER_BYTES)
                    .max_message_size(max)
                    .max_frame_size(max);
                let io = TokioIo::new(upgraded);
                let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                let session = session::run(stream, state, asking, address, session::ticks());
                on_behalf(address, session).await;
            }
            Err(error) => debug!(%error, "rpc connection ended before it was a WebSocket"),
        }
        drop(place);
    });
    response
}

/// Whether who sent these headers may open a WebSocket. Browsers ask nobody before they open one, as they
/// do before other requests across origins, but say of which origin the page is: it must be this node's
/// own, or an allowed one.
fn may_open(headers: &HeaderMap, allowed: &[String]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        // No page.
        (None, _) => return true,
        (Some(origin), None) => origin.as_bytes(),
        (Some(_), Some(_)) => return false,
    };
    if allowed.iter().any(|allowed| allowed == "*" || allowed.as_bytes() == origin) {
        return true;
    }
    let schemes = [&b"http://"[..], b"https://"];
    let host = schemes.into_iter().find_map(|scheme| origin.strip_prefix(scheme));
    let own = headers.get(header::HOST).map(HeaderValue::as_bytes);
    matches!((host, own), (Some(host), Some(own)) if host.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn pages_of_other_origins_open_nothing_unless_allowed() {
        let explorer = "https://explorer.example.org";
        let cases = [
            (&[("host", "node:26657")][..], &[][..], true),
            (&[("host", "node:26657"), ("origin", "http://node:26657")], &[], true),
            (&[("host", "NODE:26657"), ("origin", "https://node:26657")], &[], true),
            (&[("host", "node:26657"), ("origin", "http://node")], &[], false),
            (&[("host", "node:26657"), ("origin", "node:26657")], &[], false),
            (&[("host", "node:26657"), ("origin", "null")], &[], false),
            (&[("host", "node:26657"), ("origin", "")], &[], false),
            (&[("origin", "http://")], &[], false),
            (&[("host", "node:26657"), ("origin", explorer)], &[], false),
            (&[("host", "node:26657"), ("origin", explorer)], &[explorer], true),
            (&[("host", "node:26657"), ("origin", explorer)], &["https://example.org"], false),
            (&[("host", "node:26657"), ("origin", "https://evil.example")], &["*"], true),
            (&[("host", "a"), ("origin", "http://a"), ("origin", "http://b")], &[], false),
            (&[("host", "a"), ("origin", "http://b"), ("origin", "http://a")], &["*"], false),
        ];
        for (headers, allowed, expected) in cases {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
            assert_eq!(may_open(&map, &allowed), expected, "{headers:?}, {allowed:?}");
        }
    }
}
