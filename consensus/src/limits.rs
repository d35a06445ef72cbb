//! Every bound of the replica in one place. Those of the chain are in `tandem_chain::limits`.
//!
//! Bounded by what they are keyed with, not by a number of their own: one proposal per round up to
//! the replica's own round; of each holder of a seat the newest proposal of a later round, and the
//! newest of the next height; of each registered node the newest follow message that is ahead.

use std::time::Duration;

/// Heights of which the replica remembers block, state and time, to judge what nodes have shown.
pub const RECENT_BLOCKS: usize = 4_096;
/// Votes of one validator that are kept for one height.
pub const MAX_VOTES_PER_VALIDATOR: usize = 4_096;
/// Rounds above one's own of which votes of one validator are kept: its highest ones.
pub const MAX_ROUNDS_AHEAD: usize = 2;
/// Rounds below one's own of which nil votes and proposals are kept.
pub const KEPT_ROUNDS: u32 = 4;
/// Votes of one validator for the next height that are kept until that height begins.
pub const MAX_NEXT_VOTES_PER_VALIDATOR: usize = 8;
/// Prevotes that a proposal may carry: one per validator.
pub const MAX_PREVOTES: usize = tandem_chain::limits::MAX_ORGS;
/// Own votes of one height that are kept, and sent again to a peer at once: the newest.
pub const MAX_OWN_VOTES: usize = 256;
/// Bytes of one encoded message.
pub const MAX_MESSAGE_BYTES: usize =
    tandem_chain::limits::MAX_BLOCK_BYTES + MAX_PREVOTES * 512 + 4_096;
/// Blocks asked for in one fetch.
pub const MAX_FETCH_BLOCKS: u64 = 64;
/// Bytes of one answer to a fetch; its server stops before.
pub const MAX_FETCH_BYTES: usize = tandem_chain::limits::MAX_ENCODED_BYTES - 65_536;
/// Time that a peer has to answer a fetch.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which a peer that answered a fetch with nothing useful is not asked again; it doubles
/// with each such answer in a row.
pub const FETCH_PENALTY: Duration = Duration::from_secs(2);
/// Longest such time.
pub const FETCH_PENALTY_MAX: Duration = Duration::from_secs(60);
/// Time for an answer to a fetch from which on its peer is asked only when no quicker one can be.
pub const FETCH_SLOW: Duration = Duration::from_secs(1);
/// Time after a question for which a node that is far behind leaves its peer alone, if that was slow
/// or wrong and a quick one can be asked.
pub const FETCH_REST: Duration = Duration::from_secs(60);
/// Fetches under way at a time, each of another peer; one more for blocks that all others wait for.
pub const MAX_ASKED: usize = 3;
/// Peers that catch-up remembers before it forgets those that have gone: more than are registered.
pub const MAX_FETCH_PEERS: usize = 2 * tandem_chain::limits::MAX_NODES;
/// Blocks that a peer must be ahead for a fetch at once.
pub const FETCH_AHEAD: u64 = 8;
/// Time without a new block after which less than that is enough for a fetch.
pub const FETCH_DELAY: Duration = Duration::from_millis(100);
/// Blocks that are fetched ahead of the one that is executed, with those asked for.
pub const MAX_FETCHED_BLOCKS: u64 = 4 * MAX_FETCH_BLOCKS;
/// Bytes of the transactions of fetched blocks from which on no more are asked for, but the next one:
/// what is fetched has no more than these and those of [`MAX_ASKED`] answers and one.
pub const MAX_FETCHED_TX_BYTES: usize = 16 * 1024 * 1024;
/// Time without a new block after which a replica sends its votes again.
pub const STALL: Duration = Duration::from_millis(500);
/// Longest time between two such sendings while a height takes long.
pub const RESEND_MAX: Duration = Duration::from_secs(4);
/// Time between two questions of a node whose key is lost.
pub const LOST_QUERY_INTERVAL: Duration = Duration::from_secs(1);
/// Follow messages of a node per liveness grace.
pub const FOLLOWS_PER_GRACE: u32 = 4;
/// A node whose newest block is older than the grace divided by this, and that lacks blocks or has not
/// heard yet whether it does, holds its follow message back, for a grace at most. What it could say
/// would make it look alive, and be too old before the next one: with what is left of the grace after
/// this and the pause between two, a node that keeps up is seen without a break.
pub const FOLLOW_BEHIND: u32 = 2;

const _: () = {
    assert!(MAX_FETCH_BYTES >= tandem_chain::limits::MAX_BLOCK_BYTES * 3 / 2);
    assert!(MAX_FETCH_BYTES < tandem_chain::limits::MAX_ENCODED_BYTES);
    assert!(MAX_FETCHED_TX_BYTES >= tandem_chain::limits::MAX_BLOCK_TX_BYTES);
    assert!(MAX_MESSAGE_BYTES <= tandem_chain::limits::MAX_ENCODED_BYTES);
    assert!(MAX_NEXT_VOTES_PER_VALIDATOR >= 4);
    assert!(MAX_ASKED as u64 * MAX_FETCH_BLOCKS < MAX_FETCHED_BLOCKS);
    assert!(FETCH_SLOW.as_nanos() < FETCH_TIMEOUT.as_nanos());
};
