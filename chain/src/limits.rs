//! Every bound of the chain in one place, with the relations between them checked at compile time.

use std::time::Duration;

/// Characters in a chain id (CometBFT).
pub const MAX_CHAIN_ID_LEN: usize = 50;
/// Characters in the name of an organisation or data set.
pub const MAX_NAME_LEN: usize = 32;
/// Organisations in one chain, and so seats in one role table.
pub const MAX_ORGS: usize = 100;
/// Registered nodes of one organisation, its pair included.
pub const MAX_NODES_PER_ORG: usize = 16;
/// Registered nodes in one chain: bits in an observation.
pub const MAX_NODES: usize = MAX_ORGS * MAX_NODES_PER_ORG;
/// User keys of one organisation.
pub const MAX_USERS_PER_ORG: usize = 1_000;
/// Open motions of one organisation.
pub const MAX_OPEN_MOTIONS_PER_ORG: usize = 8;
/// Time after its block at which a motion may expire at the soonest: nobody makes motions that come and
/// go at once, and others out of the history with them.
pub const MIN_MOTION_LIFE: Duration = Duration::from_secs(10);
/// Time after its block at which a motion may expire at the latest: 90 days.
pub const MAX_MOTION_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Numbers of motions back from the newest at which one that is closed is remembered.
pub const MAX_MOTION_HISTORY: u64 = 1_000;
/// Addresses of one node in the address book.
pub const MAX_ADDRESSES_PER_NODE: usize = 8;
/// Characters in one address.
pub const MAX_ADDRESS_LEN: usize = 256;
/// Time after the block that carries its use until which an invitation may be valid: a week.
pub const MAX_INVITATION_LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Used invitations of one organisation that are remembered, each until it expires.
pub const MAX_USED_INVITATIONS_PER_ORG: usize = 256;
/// Registrations by invitations of one organisation that wait in a mempool.
pub const MAX_MEMPOOL_INVITED_TXS: usize = MAX_NODES_PER_ORG;
/// Bytes of one of them at most.
pub const MAX_INVITED_TX_BYTES: usize = 4 * 1024;
/// Data sets of one organisation: none can take the names that others need.
pub const MAX_DATA_SETS_PER_ORG: usize = 100;
/// Data sets in one chain.
pub const MAX_DATA_SETS: usize = MAX_ORGS * MAX_DATA_SETS_PER_ORG;
/// Ranges of one data set that are granted to one organisation, to one user, or to all members.
pub const MAX_GRANTS_PER_GRANTEE: usize = 16;
/// Organisations and users to whom something is granted in one data set.
pub const MAX_GRANTEES_PER_DATA_SET: usize = 1_000;
/// Bytes of an encoded permit to read.
pub const MAX_PERMIT_BYTES: usize = 1024;
/// Time ahead at which a permit may end that is for one request alone.
pub const MAX_REQUEST_PERMIT_TIME: Duration = Duration::from_secs(5 * 60);
/// Time ahead at which a permit may end that is for any request.
pub const MAX_TOKEN_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Power of all seats together. CometBFT allows 2^60; products with 3 stay far below 2^64.
pub const MAX_TOTAL_POWER: u64 = 1 << 40;
/// Rounds in one height: a protobuf int32 that a capped timeout does not reach in a lifetime.
pub const MAX_ROUND: u32 = 1_000_000;
/// Bytes of one transaction.
pub const MAX_TX_BYTES: usize = 256 * 1024;
/// Bytes of a record's key.
pub const MAX_RECORD_KEY_BYTES: usize = 256;
/// Bytes of a record's value.
pub const MAX_RECORD_VALUE_BYTES: usize = 192 * 1024;
/// Bytes of what is said of a value's type.
pub const MAX_CONTENT_TYPE_BYTES: usize = 127;
/// Transactions in one block, the liveness record left out.
pub const MAX_BLOCK_TXS: usize = 5_000;
/// Bytes of all transactions of one block together, the liveness record left out.
pub const MAX_BLOCK_TX_BYTES: usize = 4 * 1024 * 1024;
/// Pieces of evidence in one block.
pub const MAX_BLOCK_EVIDENCE: usize = 8;
/// Keys whose double signing waits at one node to be put into a block.
pub const MAX_ACCUSED: usize = 64;
/// Bytes of one encoded block with everything in it.
pub const MAX_BLOCK_BYTES: usize = 8 * 1024 * 1024;
/// Heights ahead of the block that carries it to which a transaction may be valid. Hashes of
/// transactions are remembered that long.
pub const MAX_TX_VALIDITY: u64 = 10_000;
/// Heights for which evidence of double signing counts.
pub const EVIDENCE_WINDOW: u64 = 10_000;
/// Transactions that wait in a mempool.
pub const MAX_MEMPOOL_TXS: usize = 50_000;
/// Bytes of all transactions that wait in a mempool.
pub const MAX_MEMPOOL_BYTES: usize = 128 * 1024 * 1024;
/// Transactions of one sender that wait in a mempool.
pub const MAX_MEMPOOL_TXS_PER_SENDER: usize = MAX_MEMPOOL_TXS / 4;
/// Their bytes.
pub const MAX_MEMPOOL_BYTES_PER_SENDER: usize = MAX_MEMPOOL_BYTES / 4;
/// The last transactions that a mempool has room for: those of module `records` are refused there.
pub const MEMPOOL_RESERVE_TXS: usize = 1_000;
/// The last bytes that a mempool has room for, likewise.
pub const MEMPOOL_RESERVE_BYTES: usize = 4 * 1024 * 1024;
/// Transactions of a sender, all that wait, above which it is refused in the reserve.
pub const MEMPOOL_RESERVE_TXS_PER_SENDER: usize = MEMPOOL_RESERVE_TXS / 4;
/// Their bytes.
pub const MEMPOOL_RESERVE_BYTES_PER_SENDER: usize = MEMPOOL_RESERVE_BYTES / 4;
/// Hashes of committed transactions that a mempool remembers, so that late copies are refused.
pub const MAX_MEMPOOL_REMEMBERED: usize = 100_000;
/// Switches that the chain's state remembers.
pub const MAX_SWITCH_HISTORY: u64 = 1_000;
/// Bytes of any encoded value, stored or sent.
pub const MAX_ENCODED_BYTES: usize = 16 * 1024 * 1024;
/// Items in one answer to a listing.
pub const MAX_LIST: usize = 1_000;
/// Bytes of keys and values after which an answer to a listing ends.
pub const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one encoded chunk of a snapshot.
pub const MAX_CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// Entries in one chunk.
pub const MAX_CHUNK_ENTRIES: usize = MAX_CHUNK_BYTES / 64;
/// Chunks of one snapshot.
pub const MAX_CHUNKS: usize = 65_536;
/// Bytes of one encoded manifest of a snapshot.
pub const MAX_MANIFEST_BYTES: usize = 15 * 1024 * 1024;

/// Bytes that one signer adds to a block: its commit signature, observation and their signatures.
const SIGNER_BYTES: usize = 400 + MAX_NODES.div_ceil(8);

const _: () = {
    let record = MAX_RECORD_KEY_BYTES + MAX_CONTENT_TYPE_BYTES + MAX_RECORD_VALUE_BYTES;
    assert!(record + 1024 < MAX_TX_BYTES);
    assert!(MAX_TX_BYTES <= MAX_BLOCK_TX_BYTES);
    assert!(
        MAX_BLOCK_TX_BYTES + MAX_BLOCK_TXS * 8 + MAX_ORGS * SIGNER_BYTES + 64 * 1024
            < MAX_BLOCK_BYTES
    );
    assert!(2 * MAX_BLOCK_BYTES <= MAX_ENCODED_BYTES);
    assert!(MAX_NODES <= u16::MAX as usize);
    // The docket is one value, each line a number, a name and a time.
    assert!(MAX_ORGS * MAX_OPEN_MOTIONS_PER_ORG * (MAX_NAME_LEN + 24) <= 64 * 1024);
    // All users of an organisation are one answer, and so is the history of motions.
    assert!(MAX_USERS_PER_ORG <= MAX_LIST && MAX_MOTION_HISTORY <= MAX_LIST as u64);
    assert!(MAX_ORGS * MAX_DATA_SETS_PER_ORG <= MAX_DATA_SETS);
    // What is granted to one grantee is one value: each range two keys, a right and a height.
    assert!(MAX_GRANTS_PER_GRANTEE * (2 * (8 + MAX_RECORD_KEY_BYTES) + 12) <= 16 * 1024);
    assert!(MAX_GRANTS_PER_GRANTEE <= MAX_LIST);
    // Each organisation can be granted something, and every user of one.
    assert!(
        MAX_ORGS <= MAX_GRANTEES_PER_DATA_SET && MAX_USERS_PER_ORG <= MAX_GRANTEES_PER_DATA_SET
    );
    // A permit: the chain's id, three keys or hashes, a time, a data set and two keys of records, a
    // signature.
    let part = 1 + 8 + MAX_NAME_LEN + 2 * (8 + MAX_RECORD_KEY_BYTES);
    assert!(8 + MAX_CHAIN_ID_LEN + 3 * 33 + 8 + part + 64 <= MAX_PERMIT_BYTES);
    // A list of all data sets, with two names each, is one answer.
    assert!(MAX_DATA_SETS * 4 * MAX_NAME_LEN <= MAX_LIST_BYTES);
    // One sender alone can fill a block, and send any transaction to the reserve.
    assert!(MAX_BLOCK_TXS <= MAX_MEMPOOL_TXS_PER_SENDER);
    assert!(MAX_BLOCK_TX_BYTES <= MAX_MEMPOOL_BYTES_PER_SENDER);
    assert!(MAX_TX_BYTES <= MEMPOOL_RESERVE_BYTES_PER_SENDER);
    assert!(MAX_MEMPOOL_INVITED_TXS <= MEMPOOL_RESERVE_TXS_PER_SENDER);
    // Addresses, with room for a chain id, two names, keys and signatures.
    assert!(MAX_ADDRESSES_PER_NODE * (8 + MAX_ADDRESS_LEN) + 1024 <= MAX_INVITED_TX_BYTES);
    // What is common is most of it.
    assert!(MEMPOOL_RESERVE_TXS <= MAX_MEMPOOL_TXS / 10);
    assert!(MEMPOOL_RESERVE_BYTES <= MAX_MEMPOOL_BYTES / 10);
    // The longest values of the state, a register and a record, fit in a chunk.
    let node = 32 + 8 + MAX_NAME_LEN + 1 + 8 + MAX_ADDRESSES_PER_NODE * (8 + MAX_ADDRESS_LEN);
    assert!(MAX_NODES * node + 1024 < MAX_CHUNK_BYTES);
    assert!(record + 1024 < MAX_CHUNK_BYTES);
    assert!(MAX_MANIFEST_BYTES < MAX_ENCODED_BYTES);
};
