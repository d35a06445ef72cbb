//! The targets.

mod chain;
mod client;
mod consensus;
mod content;
mod execution;
mod network;
mod replica;
mod rpc;

/// Something that reads foreign bytes.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of memory that it may take: so many, and so many for each byte that it reads.
    pub memory: (u64, u64),
}

/// Of a decoder: a list takes at most so much at once before its items have come, and an item is at
/// most so much larger in memory than in the encoding.
const DECODER: (u64, u64) = (4 << 20, 64);
/// Of JSON that is taken apart: tokens and values of one byte each.
const PARSER: (u64, u64) = (4 << 20, 512);
/// Of what has a ledger in memory.
const LEDGER: (u64, u64) = (64 << 20, 4_096);

/// All of them.
pub const ALL: &[Target] = &[
    Target { name: "tx", run: chain::tx, seeds: crate::seeds::txs, memory: DECODER },
    Target { name: "block", run: chain::block, seeds: crate::seeds::blocks, memory: DECODER },
    Target { name: "value", run: chain::value, seeds: chain::value_seeds, memory: DECODER },
    Target { name: "text", run: chain::text, seeds: chain::text_seeds, memory: DECODER },
    Target { name: "execution", run: execution::run, seeds: execution::seeds, memory: LEDGER },
    Target {
        name: "message",
        run: consensus::message,
        seeds: consensus::message_seeds,
        memory: DECODER,
    },
    Target {
        name: "journal",
        run: consensus::journal,
        seeds: consensus::journal_seeds,
        memory: DECODER,
    },
    Target { name: "replica", run: replica::run, seeds: replica::seeds, memory: LEDGER },
    Target { name: "frames", run: network::frames, seeds: network::frames_seeds, memory: DECODER },
    Target { name: "hello", run: network::hello, seeds: network::hello_seeds, memory: DECODER },
    Target { name: "visit", run: network::visit, seeds: network::visit_seeds, memory: DECODER },
    Target { name: "fetch", run: network::fetch, seeds: network::fetch_seeds, memory: DECODER },
    Target {
        name: "snapshot",
        run: network::snapshot,
        seeds: network::snapshot_seeds,
        memory: DECODER,
    },
    Target { name: "rpc-body", run: rpc::body, seeds: rpc::body_seeds, memory: DECODER },
    Target { name: "rpc-query", run: rpc::query, seeds: rpc::query_seeds, memory: DECODER },
    Target { name: "events", run: rpc::events, seeds: rpc::events_seeds, memory: DECODER },
    Target { name: "client", run: client::answer, seeds: client::seeds, memory: DECODER },
    Target { name: "content", run: content::run, seeds: content::seeds, memory: PARSER },
];
