//! Every bound of the network in one place, with the relations between them checked at compile
//! time.

use std::time::Duration;

use tandem_chain::limits::{
    MAX_ENCODED_BYTES, MAX_INVITED_TX_BYTES, MAX_NODES_PER_ORG, MAX_TX_BYTES,
};
use tandem_consensus::limits::FETCH_TIMEOUT;

/// Bytes of one frame of consensus.
pub const MAX_CONSENSUS_FRAME: usize = tandem_consensus::limits::MAX_MESSAGE_BYTES;
/// Bytes of one frame of transactions, which may hold many.
pub const MAX_TRANSACTIONS_FRAME: usize = 1024 * 1024;
/// Bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Bytes of the answer to a request.
pub const MAX_ANSWER_BYTES: usize = MAX_ENCODED_BYTES;
/// Bytes of the first frame of a connection.
pub(super) const MAX_HELLO_BYTES: usize = 256;

/// Frames that wait to be written to one peer in one channel.
pub const MAX_QUEUED_FRAMES: usize = 1024;
/// Bytes of the consensus frames that wait to be written to one peer. A frame to many peers is
/// kept once.
pub const MAX_QUEUED_CONSENSUS_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of the frames of transactions that wait to be written to one peer.
pub const MAX_QUEUED_TRANSACTIONS_BYTES: usize = 8 * 1024 * 1024;

/// Frames of one peer and channel that were received and not yet consumed, on all its links.
pub const MAX_UNREAD_FRAMES: usize = 256;
/// Bytes of one peer's consensus frames that were received and not yet consumed.
pub const MAX_UNREAD_CONSENSUS_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one peer's frames of transactions that were received and not yet consumed.
pub const MAX_UNREAD_TRANSACTIONS_BYTES: usize = 4 * 1024 * 1024;
/// Events of all peers that wait for the driver, in each of the two queues.
pub(super) const MAX_EVENTS: usize = 8 * 1024;

/// Requests to one peer at a time; further ones wait.
pub const MAX_REQUESTS_TO_PEER: usize = 4;
/// Requests of one link that are served or wait to be; further ones are refused. More than
/// [`MAX_REQUESTS_TO_PEER`], since the asking side knows sooner that one is done.
pub const MAX_REQUESTS_OF_PEER: usize = 2 * MAX_REQUESTS_TO_PEER;
/// Requests of one peer that are served at a time, on all its links; further ones wait. Two, since a
/// stream by itself has a window of [`STREAM_WINDOW`] alone under way.
pub const MAX_SERVED_OF_PEER: usize = 2;
/// How often the time to a peer and back is measured.
pub(super) const ROUND_TRIP_EVERY: Duration = Duration::from_secs(10);
/// The longest that is waited for; then there is no measurement.
pub(super) const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);
/// Requests of all peers that are served at a time; further ones wait. Each may hold an answer in
/// memory until it is written.
pub const MAX_REQUESTS_SERVED: usize = 36;

/// Inbound connections that are in the handshake and have no place of [`MAX_HANDSHAKES_PER_NODE`].
pub const MAX_HANDSHAKES: usize = 128;
/// Those of them that come from one IPv4 address or one IPv6 network.
pub const MAX_HANDSHAKES_PER_SOURCE: usize = 64;
/// Places for inbound connections in the handshake that an address has for itself, for each
/// registered node that listens there.
pub const MAX_HANDSHAKES_PER_NODE: usize = 4;
/// Connections with keys that are not registered, guests among them.
pub const MAX_STRANGERS: usize = 16;
/// Those of them that come from one IPv4 address or one IPv6 network.
pub const MAX_STRANGERS_PER_SOURCE: usize = 2;
/// Guests at a time; further ones wait for a moment.
pub const MAX_GUESTS: usize = 4;
/// Those of them that are invited by one organisation; further ones are sent away.
pub const MAX_GUESTS_PER_ORG: usize = 2;
/// Bytes of the frame by which a guest shows what it has.
pub const MAX_GUEST_HELLO_BYTES: usize = 4 * 1024;
/// Bytes of what a guest asks.
pub const MAX_GUEST_REQUEST_BYTES: usize = 8 * 1024;
/// Bytes of what it is answered.
pub const MAX_GUEST_ANSWER_BYTES: usize = 260 * 1024;
/// Questions of one visit.
pub const MAX_VISIT_REQUESTS: usize = 2_000;
/// Bytes of all answers of one visit.
pub const MAX_VISIT_BYTES: usize = MAX_ENCODED_BYTES + 8 * MAX_GUEST_ANSWER_BYTES;
/// Connections with one peer: old ones may linger for a moment while a new one is made.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Streams of one connection.
pub(super) const MAX_STREAMS: usize = 32;
/// Streams of one connection that are being negotiated.
pub(super) const MAX_STREAMS_NEGOTIATED: usize = 16;
/// New streams of one connection that wait to be taken.
pub(super) const MAX_STREAMS_WAITING: usize = 16;
/// Streams of a connection with a key that is not registered.
pub(super) const MAX_STREAMS_OF_STRANGER: usize = 1;
/// Bytes of one connection that were received and that no stream has read: its receive windows.
pub const MAX_CONNECTION_WINDOW: usize = 16 * 1024 * 1024;
/// Window that every stream has from its start (yamux).
const STREAM_WINDOW: usize = 256 * 1024;
/// Addresses of one node that are tried, after names have been resolved.
pub(super) const MAX_DIALLED_ADDRESSES: usize = 16;

/// Bytes that a reader takes from a stream at a time.
pub(super) const READ_BYTES: usize = 32 * 1024;
/// Bytes of small frames that are written as one, and from which on a frame is not copied.
pub(super) const WRITE_BYTES: usize = 16 * 1024;
/// Frames that a writer takes from its queue at a time.
pub(super) const WRITE_FRAMES: usize = 64;

/// Time for TCP, Noise and Yamux to agree.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the streams and hellos of a connection.
pub(super) const SET_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the other side to begin with the streams of a connection.
pub(super) const WAIT_FOR_OPENER: Duration = Duration::from_secs(10);
/// Time for whoever is not registered to show an invitation.
pub(super) const GUEST_HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// Time that a guest waits for a place.
pub(super) const GUEST_WAIT: Duration = Duration::from_secs(5);
/// Time between two questions of a guest, at most.
pub(super) const GUEST_IDLE: Duration = Duration::from_secs(10);
/// Time between two answers to a guest, at least.
pub(super) const GUEST_PACE: Duration = Duration::from_millis(10);
/// Time of a whole visit.
pub const VISIT_TIME: Duration = Duration::from_secs(120);
/// Time for the last frames of a connection to be taken before it is cut.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time between empty frames that show that this side is there.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time without a byte after which a peer is given up.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Time for which a peer that is heard of may take nothing of the consensus channel.
pub const CONSENSUS_STALL_MAX: Duration = Duration::from_secs(5);
/// Time for which a peer that is heard of may take nothing of the channel of transactions: longer,
/// since a busy peer holds them back on purpose.
pub const TRANSACTIONS_STALL_MAX: Duration = Duration::from_secs(30);
/// Time for the answer to a request to be made.
pub(super) const SERVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for which a peer may take nothing of an answer, or send nothing of a request.
pub(super) const REQUEST_STALL_MAX: Duration = Duration::from_secs(5);
/// Time for an answer to be written whole, besides the time for its bytes.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Bytes of an answer that a peer takes per second at least.
pub(super) const ANSWER_BYTES_PER_SECOND: usize = 4 * 1024 * 1024;
/// A link that was heard of within this time is not given up for another connection.
pub(super) const FRESH: Duration = Duration::from_secs(2);

/// Time from the beginning of a link to that of the next one with the same peer, at least. A link
/// that would begin sooner waits: it costs the driver more than the peer.
pub(super) const LINKS_APART: Duration = Duration::from_millis(500);
/// Time before a lost peer is dialled again, and the most that it grows to. Both with a quarter
/// of jitter.
pub(super) const BACK_OFF_MIN: Duration = Duration::from_millis(100);
/// See [`BACK_OFF_MIN`].
pub(super) const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// Log lines about strangers, and about guests, are written at most this often, for each kind.
pub(super) const STRANGERS_LOGGED: Duration = Duration::from_secs(10);
/// Time between two moves of a node to another address, at least, that make it dialled at once.
pub(super) const MOVES_APART: Duration = Duration::from_secs(1);
/// Log lines about connections over a limit are written at most this often, for each limit.
pub(super) const REFUSALS_LOGGED: Duration = Duration::from_secs(1);

const _: () = {
    assert!(MAX_TX_BYTES * 2 <= MAX_TRANSACTIONS_FRAME);
    assert!(MAX_CONSENSUS_FRAME <= MAX_UNREAD_CONSENSUS_BYTES);
    assert!(MAX_TRANSACTIONS_FRAME <= MAX_UNREAD_TRANSACTIONS_BYTES);
    assert!(MAX_UNREAD_CONSENSUS_BYTES <= u32::MAX as usize);
    assert!(2 * MAX_CONSENSUS_FRAME <= MAX_QUEUED_CONSENSUS_BYTES);
    assert!(2 * MAX_TRANSACTIONS_FRAME <= MAX_QUEUED_TRANSACTIONS_BYTES);
    assert!(MAX_STREAMS * STREAM_WINDOW <= MAX_CONNECTION_WINDOW);
    // All nodes of one organisation together do not take all places.
    assert!(MAX_NODES_PER_ORG * MAX_SERVED_OF_PEER < MAX_REQUESTS_SERVED);
    assert!(MAX_SERVED_OF_PEER <= MAX_REQUESTS_OF_PEER);
    // No answer is given up while a fetch still waits for it.
    assert!(ANSWER_TIME.as_millis() >= FETCH_TIMEOUT.as_millis());
    assert!(MAX_HANDSHAKES_PER_SOURCE < MAX_HANDSHAKES);
    assert!(MAX_STRANGERS_PER_SOURCE < MAX_STRANGERS && MAX_GUESTS < MAX_STRANGERS);
    assert!(MAX_GUESTS_PER_ORG < MAX_GUESTS);
    assert!(MAX_INVITED_TX_BYTES + 64 <= MAX_GUEST_REQUEST_BYTES);
    // The pace leaves time for all questions of a visit.
    assert!(MAX_VISIT_REQUESTS as u128 * GUEST_PACE.as_millis() <= VISIT_TIME.as_millis());
    assert!(2 * LINKS_APART.as_millis() <= SET_UP_TIMEOUT.as_millis());
    assert!(2 * LINKS_APART.as_millis() <= FRESH.as_millis());
    assert!(2 + MAX_REQUESTS_TO_PEER + MAX_REQUESTS_OF_PEER <= MAX_STREAMS);
    assert!(2 + MAX_REQUESTS_OF_PEER <= MAX_STREAMS_WAITING);
    assert!(HEARTBEAT.as_millis() * 4 <= SILENCE_MAX.as_millis());
    assert!(FRESH.as_millis() < SILENCE_MAX.as_millis());
    assert!(FRESH.as_millis() >= 2 * HEARTBEAT.as_millis());
};
