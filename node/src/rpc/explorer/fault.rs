//! Pages about what is not shown, and why.

use axum::http::StatusCode;
use maud::html;
use tandem_chain::Error as ChainError;

use super::pages::{Nav, Page};
use super::parts::{self, foreign};
use crate::rpc::error::{NOT_TO_READ, PERMIT_NEEDED, RpcError};
use crate::rpc::reading::SCHEME;

/// Why a page is not shown.
#[derive(Debug)]
pub(super) struct Fault {
    /// How HTTP says it.
    pub(super) status: StatusCode,
    /// What was wrong, for people.
    pub(super) text: String,
}

impl Fault {
    /// The address is wrong.
    pub(super) fn bad(text: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text }
    }

    /// There is no such thing.
    pub(super) fn not_found(text: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, text }
    }

    /// The node cannot answer now.
    pub(super) fn busy(text: String) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, text }
    }

    /// Of a height: one that is to come or pruned is not there.
    pub(super) fn missing(self) -> Self {
        match self.status {
            StatusCode::INTERNAL_SERVER_ERROR => Self::not_found(self.text),
            _ => self,
        }
    }

    /// Whether a permit is missing, or does not reach so far.
    pub(super) fn is_of_reading(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    /// The page that says it.
    pub(super) fn page(&self) -> Page {
        let title = match self.status {
            StatusCode::BAD_REQUEST => "This address is wrong",
            StatusCode::UNAUTHORIZED => "Reading is limited here",
            StatusCode::FORBIDDEN => "Not permitted",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            _ => "The node cannot answer",
        };
        let body = html! {
            (parts::heading(title, None))
            div.panel.notice {
                p { (foreign(&self.text)) }
                @if self.status == StatusCode::UNAUTHORIZED {
                    p {
                        "The organisation that runs this node has set " code { "rpc.reading = \"limited\"" }
                        ": its pages are shown to requests with a permit in their header "
                        code { "Authorization: " (SCHEME) " HEX" }
                        ". A browser sends it through a proxy of yours that adds the header; programs send it themselves."
                    }
                }
                p.muted { "Status " (self.status.as_u16()) }
            }
        };
        Page { title: title.to_owned(), nav: Nav::None, poll: None, body }
    }
}

impl From<RpcError> for Fault {
    fn from(error: RpcError) -> Self {
        let status = match error.code {
            -32602 => StatusCode::BAD_REQUEST,
            -32000 => StatusCode::SERVICE_UNAVAILABLE,
            NOT_TO_READ if error.message == PERMIT_NEEDED => StatusCode::UNAUTHORIZED,
            NOT_TO_READ => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, text: error.data }
    }
}

impl From<ChainError> for Fault {
    fn from(error: ChainError) -> Self {
        RpcError::from(error).into()
    }
}
