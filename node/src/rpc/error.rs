//! Errors of the RPC: JSON-RPC 2.0's codes, the detail in `data`, as CometBFT gives them.

use serde_json::{Value, json};

/// The code where reading is limited.
pub const NOT_TO_READ: i32 = -32001;
/// The message of that code where there is no good permit; another one does not help where the message
/// is another.
pub const PERMIT_NEEDED: &str = "Permit needed";

/// An error as it goes into a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC 2.0's code.
    pub code: i32,
    /// What kind of error, the same for each code.
    pub message: &'static str,
    /// What was wrong, where, and what to do.
    pub data: String,
}

impl RpcError {
    /// The body is no JSON.
    #[must_use]
    pub fn parse(data: impl Into<String>) -> Self {
        Self { code: -32700, message: "Parse error", data: data.into() }
    }

    /// JSON, but no JSON-RPC 2.0 request.
    #[must_use]
    pub fn invalid_request(data: impl Into<String>) -> Self {
        Self { code: -32600, message: "Invalid request", data: data.into() }
    }

    /// There is no such method.
    #[must_use]
    pub fn unknown_method(name: &str) -> Self {
        let name = tandem_chain::types::escaped(name);
        let data = format!("there is no method {name}; GET / lists those that there are");
        Self { code: -32601, message: "Method not found", data }
    }

    /// A method of WebSockets came in another way.
    #[must_use]
    pub fn for_websocket(name: &str) -> Self {
        let data = format!(
            "{name} goes on its own, not in a batch, over a WebSocket: connect to /websocket"
        );
        Self { code: -32601, message: "Method not found", data }
    }

    /// A parameter is missing, unknown or of the wrong type.
    #[must_use]
    pub fn params(data: impl Into<String>) -> Self {
        Self { code: -32602, message: "Invalid params", data: data.into() }
    }

    /// The question is understood and cannot be answered: CometBFT answers so for a height that
    /// is not there, a page out of range, an unknown transaction.
    #[must_use]
    pub fn internal(data: impl Into<String>) -> Self {
        Self { code: -32603, message: "Internal error", data: data.into() }
    }

    /// The node cannot take the request now.
    #[must_use]
    pub fn busy(data: impl Into<String>) -> Self {
        Self { code: -32000, message: "Server error", data: data.into() }
    }

    /// Reading is limited, and the request shows no permit that is good here and now.
    #[must_use]
    pub fn permit_needed(data: impl Into<String>) -> Self {
        Self { code: NOT_TO_READ, message: PERMIT_NEEDED, data: data.into() }
    }

    /// Reading is limited, and the permit's key may not read this.
    #[must_use]
    pub fn not_permitted(data: impl Into<String>) -> Self {
        Self { code: NOT_TO_READ, message: "Not permitted", data: data.into() }
    }

    /// As the `error` of a response.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message, "data": self.data })
    }
}

impl From<tandem_chain::Error> for RpcError {
    fn from(error: tandem_chain::Error) -> Self {
        Self::internal(error.to_string())
    }
}
