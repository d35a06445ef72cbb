//! JSON-RPC 2.0 over HTTP, in CometBFT 0.38's shapes.
//!
//! POST takes one request or a batch, GET takes parameters in the query, a WebSocket takes what POST
//! takes and subscriptions. Answers read published
//! snapshots and the database, never what consensus locks. The methods are listed in
//! [`methods::METHODS`]; `docs/rpc.md` describes them, and `openapi` for programs. Who may read what is in `reading`.

mod alive;
mod answer;
mod calls;
pub mod error;
mod explorer;
mod hosts;
pub mod methods;
mod openapi;
pub mod params;
mod path;
mod places;
mod rates;
pub mod reading;
mod ready;
pub mod request;
mod requests;
mod server;
pub mod shapes;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod tls;
mod waiters;
mod websocket;

pub(crate) use places::Places;
pub use requests::Requests;
pub(crate) use server::Served;
pub use server::{Listeners, bind, serve};
pub use state::{Peer, Peers, RpcState, Setup};
pub use tls::{Tls, TlsError};
