//! What keeps a height from being written. None of it ends the node.

use std::error::Error;

use tandem_chain::types::{ChainId, escaped};

use super::writer::{PATIENCE, VERSION};

/// Why the sink could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    /// The server, or the way to it.
    #[error("{}", whole(.0))]
    Server(#[from] tokio_postgres::Error),
    /// It has closed the connection.
    #[error("the server has closed the connection")]
    Closed,
    /// It does not answer.
    #[error("the server does not answer within {} s", PATIENCE.as_secs())]
    Slow,
    /// What it answers is not what was asked for.
    #[error(
        "the server answers what does not belong there: its tables, or a trigger, are others than the node's"
    )]
    Unexpected,
    /// Its database cannot hold every text.
    #[error("the database has the encoding {0}: make one with ENCODING 'UTF8'")]
    Encoding(String),
    /// Its tables are of another program.
    #[error(
        "the tables are of version {0}, this node knows version {VERSION}: run a newer node, or give it a \
         database of its own"
    )]
    Version(i32),
    /// It has blocks of another chain by the name of the node's.
    #[error(
        "the database has a chain {chain_id} with genesis {}, which is not this node's: give the node a database \
         of its own",
        escaped(.named)
    )]
    OtherChain {
        /// The name.
        chain_id: ChainId,
        /// The genesis that stands there.
        named: String,
    },
    /// The node's own database.
    #[error(transparent)]
    Chain(#[from] tandem_chain::Error),
}

/// An error with its causes: what PostgreSQL says is behind the first.
fn whole(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.extend([": ", &next.to_string()]);
        cause = next.source();
    }
    text
}
