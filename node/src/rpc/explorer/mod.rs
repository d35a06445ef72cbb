//! The explorer: pages about the chain and this node, below `/explorer`.
//!
//! ```text
//!   GET /explorer/… ──> pages ──asks──> methods of the RPC ──> snapshots, database
//!                         │   └─asks──> summary: blocks in short, remembered
//!                         └──> parts, picture, value ──> frame ──> HTML
//! ```
//!
//! A page is written whole here, and needs no script to be read. The script (`assets/live.js`) fetches
//! the same page again and puts its parts in the place of the old ones. Pages ask as the request may
//! read (`super::reading`): what a method would not tell it, no page does. What others have written is
//! escaped by [`maud`], and what a reader would not see is shown as an escape ([`parts::foreign`]).

mod assets;
mod fault;
mod frame;
mod pages;
mod parts;
mod picture;
mod query;
mod summary;
mod value;

#[cfg(test)]
pub use pages::PAGES;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::Markup;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::fault::Fault;
use self::pages::{Made, Page};
use self::query::Query;
use self::summary::Summaries;
use super::error::RpcError;
use super::methods;
use super::params::Params;
use super::reading::{Asking, Reader, SCHEME};
use super::state::RpcState;

/// Where the explorer begins.
pub const ROOT: &str = "/explorer";

/// What a page may load and do: from this node alone, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every page.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What all visits share.
struct Explorer {
    rpc: Arc<RpcState>,
    summaries: Summaries,
}

/// The routes of the explorer.
pub fn router(rpc: Arc<RpcState>) -> Router {
    let explorer = Arc::new(Explorer { rpc, summaries: Summaries::default() });
    Router::new()
        .route(ROOT, get(visited))
        .route("/explorer/", get(visited))
        .route("/explorer/{*path}", get(visited))
        .with_state(explorer)
}

async fn visited(State(explorer): State<Arc<Explorer>>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().strip_prefix(ROOT).unwrap_or_default();
    if let Some(name) = path.strip_prefix("/assets/") {
        return assets::serve(name);
    }
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let asking = Asking::new(&headers, Bytes::copy_from_slice(target.as_bytes()));
    let visit = Visit { explorer: explorer.clone(), asking };
    let made = async {
        let query = Query::of(&uri)?;
        // As the methods that tell what the chain is.
        visit.reader("seats").await?;
        pages::make(&visit, path, &query).await
    };
    let limit = explorer.rpc.config.rpc.request_timeout;
    let late = |_| Err(Fault::busy("no answer within rpc.request_timeout".to_owned()));
    match tokio::time::timeout(limit, made).await.unwrap_or_else(late) {
        Ok(Made::Page(page)) => explorer.respond(StatusCode::OK, &page),
        Ok(Made::Other(target)) => see_other(&target),
        Err(fault) => explorer.respond(fault.status, &fault.page()),
    }
}

/// Sends a browser to another page.
fn see_other(target: &str) -> Response {
    let place = HeaderValue::from_str(target).unwrap_or(HeaderValue::from_static(ROOT));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

impl Explorer {
    fn respond(&self, status: StatusCode, page: &Page) -> Response {
        let text = frame::whole(&self.rpc, page).into_string();
        let Some(text) = self.rpc.unsent.text(text) else {
            let busy = "answers wait for clients that take them slowly: try again later\n";
            return (StatusCode::SERVICE_UNAVAILABLE, busy).into_response();
        };
        let mut response = (status, Body::from(Bytes::from_owner(text))).into_response();
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static(SCHEME);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

/// A request for a page.
struct Visit {
    explorer: Arc<Explorer>,
    asking: Asking,
}

impl Visit {
    fn rpc(&self) -> &Arc<RpcState> {
        &self.explorer.rpc
    }

    /// As whom a method is asked; a fault where it is not answered.
    async fn reader(&self, method: &'static str) -> Result<Reader, Fault> {
        let found = methods::find(method)?;
        Ok(self.asking.reader(self.rpc(), found).await?)
    }

    /// What a method of the RPC answers.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, Fault> {
        let found = methods::find(method)?;
        let params = Params::from_json(found.params, params)?;
        let answer = methods::call(self.rpc(), &self.asking, found, params).await?;
        Ok(serde_json::from_value(answer).map_err(|e| RpcError::internal(e.to_string()))?)
    }

    /// Reads the database, off the async loop.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Explorer, &RpcState) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, Fault> {
        let explorer = self.explorer.clone();
        Ok(self.rpc().read(move |state| read(&explorer, state)).await?)
    }
}

/// A part of a page that the script puts in the place of the old one.
fn live(id: &str, content: Markup) -> Markup {
    maud::html! { div id=(id) data-live { (content) } }
}
