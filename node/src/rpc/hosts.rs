//! Names that a node answers to. A page of a browser can let its own name lead to the reader's machine
//! (DNS rebinding), and is then of the same origin as a node there: nothing but the name tells it from the
//! node's own pages.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use tandem_chain::types::escaped;

use super::error::RpcError;
use super::server::whole_error;
use super::state::RpcState;

/// Passes on the requests to a node on the loopback that are made to it by a name of its own.
pub async fn by_own_name(
    State(state): State<Arc<RpcState>>,
    request: Request,
    next: Next,
) -> Response {
    let of_uri = request.uri().authority().map(Authority::as_str);
    let of_head = request.headers().get_all(header::HOST).iter();
    // A name that is no text is none of ours.
    let of_head = of_head.map(|value| value.to_str().unwrap_or("?"));
    let other =
        of_uri.into_iter().chain(of_head).find(|name| !is_own(name, &state.config.rpc.hosts));
    let Some(other) = other else { return next.run(request).await };
    let text = format!(
        "this node listens on the loopback and is not called {}: ask it as localhost, or let rpc.hosts \
         name the host",
        escaped(other)
    );
    whole_error(&state, StatusCode::MISDIRECTED_REQUEST, RpcError::invalid_request(text))
}

/// Whether a host, with a port or without, is an IP address, `localhost`, or one of these.
fn is_own(name: &str, hosts: &[String]) -> bool {
    let host = match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => name,
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok())
        || host.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_addresses_localhost_and_those_that_are_configured() {
        let hosts = ["node.example.org".to_owned()];
        for own in [
            "localhost",
            "LOCALHOST:26657",
            "127.0.0.1",
            "127.0.0.1:26657",
            "10.0.0.7:80",
            "[::1]",
            "[::1]:26657",
            "node.example.org",
            "Node.Example.Org:443",
        ] {
            assert!(is_own(own, &hosts), "{own}");
        }
        for other in [
            "",
            ":26657",
            "evil.example",
            "evil.example:26657",
            "localhost.evil.example",
            "node.example.org.evil.example:443",
            "127.0.0.1.evil.example",
            "127.0.0.1:26657:evil.example",
            "[::1",
            "[evil.example]:80",
            "localhost:evil",
        ] {
            assert!(!is_own(other, &hosts), "{other}");
        }
        assert!(!is_own("node.example.org", &[]));
    }
}
