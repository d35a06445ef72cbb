//! Every metric, in one place. Names are those of CometBFT 0.38 where the meaning is the same; the
//! configured namespace stands before them, `_total` behind those of counters.

use prometheus_client::metrics::MetricType;

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Whether it only rises, goes up and down, or is a distribution.
    pub kind: MetricType,
    /// Names of its labels beside `chain_id`.
    pub labels: &'static [&'static str],
    /// What it is, with its unit.
    pub help: &'static str,
}

impl Metric {
    /// The name by which queries find it.
    #[cfg(test)]
    pub fn full_name(&self, namespace: &str) -> String {
        let suffix = if self.kind == MetricType::Counter { "_total" } else { "" };
        format!("{namespace}_{}{suffix}", self.name)
    }
}

macro_rules! metrics {
    ($($place:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            pub const $place: Metric = Metric {
                name: $name,
                kind: MetricType::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All.
        #[cfg(test)]
        pub const ALL: &[Metric] = &[$($place),*];
    };
}

metrics! {
    // CometBFT's.
    HEIGHT: Gauge "consensus_height" [] "Height of the newest block.";
    LATEST_BLOCK_HEIGHT: Gauge "consensus_latest_block_height" [] "The same, as status tells it.";
    ROUNDS: Gauge "consensus_rounds" [] "Round of the height that is being decided.";
    VALIDATORS: Gauge "consensus_validators" [] "Seats with a holder at the next height.";
    VALIDATORS_POWER: Gauge "consensus_validators_power" [] "Their voting power.";
    VALIDATOR_POWER: Gauge "consensus_validator_power" [] "Voting power of this node at the next height.";
    LAST_SIGNED_HEIGHT: Gauge "consensus_validator_last_signed_height" ["validator_address"]
        "Last height whose certificate has this node's vote, since the start.";
    MISSED_BLOCKS: Gauge "consensus_validator_missed_blocks" ["validator_address"]
        "Certificates without this node's vote at heights at which it held a seat, since the start.";
    MISSING_VALIDATORS: Gauge "consensus_missing_validators" []
        "Holders whose votes are not in the certificate that the newest block carries.";
    MISSING_VALIDATORS_POWER: Gauge "consensus_missing_validators_power" [] "Their voting power.";
    BYZANTINE_VALIDATORS: Gauge "consensus_byzantine_validators" []
        "Keys against which the newest block carries evidence of double signing.";
    BYZANTINE_VALIDATORS_POWER: Gauge "consensus_byzantine_validators_power" []
        "Their voting power.";
    BLOCK_INTERVAL: Histogram "consensus_block_interval_seconds" []
        "Time from one block to the next, by their headers.";
    NUM_TXS: Gauge "consensus_num_txs" [] "Transactions of the newest block.";
    TOTAL_TXS: Gauge "consensus_total_txs" [] "Transactions committed since the start.";
    BLOCK_SIZE: Gauge "consensus_block_size_bytes" [] "Encoded size of the newest block.";
    SYNCING: Gauge "blocksync_syncing" [] "1 while blocks are fetched that others have already.";
    PEERS: Gauge "p2p_peers" [] "Connected nodes.";
    PEER_RECEIVED: Counter "p2p_peer_receive_bytes" ["peer_id"]
        "Bytes of frames received on the present connection with a node.";
    PEER_SENT: Counter "p2p_peer_send_bytes" ["peer_id"]
        "Bytes of frames sent on the present connection with a node.";
    RECEIVED: Counter "p2p_message_receive_bytes" ["message_type"]
        "Bytes of frames received, by channel.";
    SENT: Counter "p2p_message_send_bytes" ["message_type"] "Bytes of frames sent, by channel.";
    MEMPOOL_SIZE: Gauge "mempool_size" [] "Transactions that wait for a block.";
    MEMPOOL_BYTES: Gauge "mempool_size_bytes" [] "Their bytes.";
    FAILED_TXS: Gauge "mempool_failed_txs" []
        "Transactions that were refused by their checks, since the start.";

    // Tandem's own: the node.
    BUILD: Info "build" ["version"] "The program.";
    ROLE: Gauge "node_role" ["role"] "1 for the part that the node plays at the next height.";
    HEALTHY: Gauge "node_healthy" [] "1 while nothing is wrong with the node.";
    READY: Gauge "node_ready" [] "1 while clients should be sent to the node, as /ready tells.";
    FAULTS: Gauge "node_faults" ["part"]
        "What is wrong with a part of the node: chain, clock, driver, key, peers, sync.";
    CLOCK_OFFSET: Gauge "node_clock_offset_seconds" []
        "How far this clock seemed ahead of the others' at the last height, with the time that votes took.";
    CLOCK_AHEAD_MAX: Gauge "node_clock_ahead_max_seconds" []
        "How far a proposal may be ahead of the others' clocks: max_clock_ahead.";
    ROUNDS_ABOVE_ZERO: Counter "node_rounds_above_zero"  [] "Rounds above 0 of decided heights.";
    FSYNCS: Counter "node_fsyncs" [] "Durable writes of consensus.";
    HOOKS_WAITING: Gauge "hooks_waiting" ["hook"]
        "Changes of the role that wait for a hook: program, webhook.";
    HOOK_RUNS: Counter "hook_runs" ["hook", "outcome"]
        "Changes of the role that a hook was told of, or could not be told of.";
    SINK_HEIGHT: Gauge "sink_height" []
        "Height up to which PostgreSQL has what is committed; nothing before it has told.";
    SINK_LAG: Gauge "sink_lag_blocks" [] "Blocks that it lacks of those that this node has.";
    SINK_SKIPPED: Counter "sink_skipped_blocks" []
        "Blocks that this node could not write there, since it has not got them any more.";
    SINK_FAILURES: Counter "sink_failures" [] "Attempts to connect or to write that failed.";

    // Liveness and seats, as the newest block has them.
    ALIVE: Gauge "liveness_alive" ["organization", "node_id"]
        "1 where the newest liveness record calls a registered node alive.";
    SEAT_POWER: Gauge "seat_power" ["organization"] "Voting power of a seat.";
    SEAT_TERM: Gauge "seat_term" ["organization"] "Rises by one at each change of a seat's holder.";
    SEAT_DOWN: Gauge "seat_down" ["organization"]
        "1 where a seat does not vote and no standby will take it.";
    SEAT_FILLED: Gauge "seat_filled" ["organization"] "1 where a seat has a holder.";
    STANDBY_ELIGIBLE: Gauge "seat_standby_eligible" ["organization"]
        "1 where the standby could take the seat, 0 where it could not; nothing for a pair of one node.";
    RUN_BLOCKS: Gauge "seat_run_blocks" ["organization"]
        "Blocks in a row with a dead holder and an alive standby.";
    BLOCKS_UNTIL_SWITCH: Gauge "seat_blocks_until_switch" ["organization"]
        "The least number of further blocks until the standby takes the seat; nothing while no run is under way.";
    SEAT_CHANGED: Gauge "seat_effective_height" ["organization"]
        "Height from which the last change of holder or pair is in effect.";
    SEAT_CLOCK_AHEAD: Gauge "seat_clock_ahead" ["organization"]
        "1 where the holder's clock is ahead of this node's by more than max_clock_ahead.";
    SWITCHES: Counter "seat_switches" ["reason"] "Changes of holders in committed blocks, by reason.";
    EVIDENCE: Counter "consensus_double_sign_evidence" []
        "Pieces of evidence of double signing in committed blocks.";

    // What was counted at the doors.
    TRANSACTIONS: Counter "mempool_transactions" ["outcome"]
        "Transactions brought by clients and peers, by what came of them.";
    NETWORK_EVENTS: Counter "p2p_events" ["event"] "What happened between this node and its peers.";
    RPC_REQUESTS: Counter "rpc_requests" ["method"] "Calls of a method of the RPC.";
    RPC_FAILED: Counter "rpc_failed_requests" ["method"]
        "Those that were answered with an error, or given up.";

    // The machine.
    DISK_FREE: Gauge "disk_free_bytes" [] "Free space where the database is.";
    DISK_SIZE: Gauge "disk_size_bytes" [] "Size of that file system.";
    DATABASE: Gauge "database_bytes" [] "Files of the database.";
    LOWEST_BLOCK: Gauge "database_lowest_block" [] "The lowest block that this node has.";
    MEMORY: Gauge "process_resident_memory_bytes" [] "Memory of the process.";
    CPU: Counter "process_cpu_seconds" [] "CPU time of the process.";
    OPEN_FDS: Gauge "process_open_fds" [] "Open files and sockets of the process.";
    MAX_FDS: Gauge "process_max_fds" [] "How many it may have.";
    START: Gauge "process_start_time_seconds" [] "When the process began, since 1970.";
}
