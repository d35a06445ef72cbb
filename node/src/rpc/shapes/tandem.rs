//! Answers of Tandem's own methods. The server writes these types, the client reads them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tandem_chain::block::Block;
use tandem_chain::keys::{PublicKey, Signature};
use tandem_chain::liveness::{Bits, Observation, SignedRecord};
use tandem_chain::modules::consortium::{KeyRole, Organization, UserRole};
use tandem_chain::modules::parameters::Parameters;
use tandem_chain::modules::standby::{SeatView, Switch};
use tandem_chain::types::{Address, ContentType, DataSetName, Hash, Height, OrgName, Power, Term};

use super::text;

/// The member `tandem` of `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnStatus {
    /// Version of the program.
    pub version: String,
    /// The node's key.
    pub public_key: PublicKey,
    /// Its organisation; none when it is not registered.
    pub organization: Option<OrgName>,
    /// `validator`, `standby`, `observer` or `unregistered`.
    pub role: String,
    /// The seat's term, of a validator.
    #[serde(with = "text::option")]
    pub term: Option<Term>,
    /// The height that is being decided.
    #[serde(with = "text")]
    pub height: Height,
    /// Its round.
    pub round: u32,
    /// The step of the round.
    pub step: String,
    /// Rounds above 0 since the start of the process.
    #[serde(with = "text")]
    pub rounds_above_zero: u64,
    /// Whether the node's key is lost and signs nothing.
    pub key_lost: bool,
    /// The height at and below which the key signs nothing.
    #[serde(with = "text")]
    pub silent_through: Height,
    /// Durable writes since the start of the process.
    #[serde(with = "text")]
    pub fsyncs: u64,
    /// What an operator must look at.
    pub alarms: Vec<String>,
    /// Connected nodes.
    pub peers: usize,
    /// Hash of the genesis.
    pub genesis_hash: Hash,
    /// What was counted since the start of the process, by name: `admission_` and `network_` stand
    /// before the names of the two parts' counters.
    #[serde(default, with = "text::map")]
    pub counters: BTreeMap<String, u64>,
}

/// Answer of `storage`, for the node's operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageInfo {
    /// The newest block in the database.
    #[serde(with = "text")]
    pub height: Height,
    /// The lowest.
    #[serde(with = "text")]
    pub lowest: Height,
    /// Whether what is stored is encrypted.
    pub encrypted: bool,
    /// The column families.
    pub families: Vec<FamilyStats>,
    /// The backup or compaction that was asked for last, of a running node.
    pub job: Option<Job>,
}

/// Figures of one column family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyStats {
    /// Its name.
    pub name: String,
    /// Entries; an estimate, since what was replaced or deleted may still be there.
    #[serde(with = "text")]
    pub entries: u64,
    /// Bytes in tables.
    #[serde(with = "text")]
    pub table_bytes: u64,
    /// Bytes in memory and in the log that are in no table yet.
    #[serde(with = "text")]
    pub unflushed_bytes: u64,
    /// The levels with tables, the newest first.
    pub levels: Vec<LevelStats>,
}

/// Tables of one level of a column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelStats {
    /// Its number; what is in a greater one is older.
    pub level: u32,
    /// Tables.
    #[serde(with = "text")]
    pub files: u64,
    /// Their bytes.
    #[serde(with = "text")]
    pub bytes: u64,
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It is under way.
    Running,
    /// It has done what it was asked to.
    Done,
    /// It has not.
    Failed,
}

/// The job that was asked for last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// `backup`, `compact`, `snapshot` or `prune`.
    pub job: String,
    /// The backup's name.
    pub name: Option<String>,
    /// How far it is.
    pub state: JobState,
    /// Why it has failed.
    pub error: Option<String>,
    /// The newest block in the backup or snapshot, or the lowest that a prune leaves, once it is done.
    #[serde(with = "text::option")]
    pub height: Option<Height>,
    /// Bytes of the backup or snapshot, or of what a prune takes away, once it is done.
    #[serde(with = "text::option")]
    pub bytes: Option<u64>,
    /// Blocks that a prune takes away, once it is done.
    #[serde(with = "text::option")]
    pub blocks: Option<u64>,
    /// What the lowest block that a prune leaves is kept for, once it is done.
    pub kept_for: Option<String>,
}

/// Answer of `seats`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seats {
    /// The newest block.
    #[serde(with = "text")]
    pub height: Height,
    /// The first block of the grids, the newest is the last.
    #[serde(with = "text")]
    pub grid_from: Height,
    /// The seats by name.
    pub seats: Vec<Seat>,
}

/// A seat after the newest block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The organisation.
    pub seat: OrgName,
    /// Its voting power.
    #[serde(with = "text")]
    pub power: Power,
    /// The seat's term: rises by one at each change of holder.
    #[serde(with = "text")]
    pub term: Term,
    /// Height from which the last change of holder or pair is in effect.
    #[serde(with = "text")]
    pub effective: Height,
    /// Its validator; none while the seat is left out.
    pub holder: Option<PublicKey>,
    /// Its standby.
    pub partner: Option<PublicKey>,
    /// Whether the newest record calls the holder alive; none before the first record.
    pub holder_alive: Option<bool>,
    /// Whether the partner could take the seat: the newest record calls it alive.
    pub partner_ready: Option<bool>,
    /// The seat does not vote, and there is no partner that will take it.
    pub is_down: bool,
    /// One character per block from [`Seats::grid_from`] on: `1` alive, `0` dead, `?` not known to
    /// the node that answers.
    pub holder_grid: String,
    /// The same for the partner.
    pub partner_grid: String,
    /// Blocks in a row with a dead holder and an alive partner.
    #[serde(with = "text")]
    pub run_blocks: u64,
    /// Their time, in milliseconds.
    #[serde(with = "text")]
    pub run_ms: u64,
    /// N: blocks that an automatic switch takes.
    #[serde(with = "text")]
    pub failover_blocks: u64,
    /// Milliseconds that those blocks take at least.
    #[serde(with = "text")]
    pub failover_min_ms: u64,
    /// The least number of further blocks until the seat is switched; none while no run is under
    /// way.
    #[serde(with = "text::option")]
    pub blocks_until_switch: Option<u64>,
    /// Why the seat is never switched automatically as things are.
    pub never_automatic: Option<String>,
}

impl Seat {
    /// From the ledger's answer and the two grids.
    #[must_use]
    pub fn new(view: SeatView, holder_grid: String, partner_grid: String) -> Self {
        Self {
            is_down: view.is_down(),
            seat: view.seat,
            power: view.power,
            term: view.term,
            effective: view.effective,
            holder: view.holder,
            partner: view.partner,
            holder_alive: view.holder_alive,
            partner_ready: view.partner_alive,
            holder_grid,
            partner_grid,
            run_blocks: view.run.count,
            run_ms: view.run.sum_ns / 1_000_000,
            failover_blocks: view.failover_blocks,
            failover_min_ms: view.failover_min_ms,
            blocks_until_switch: view.blocks_until_switch,
            never_automatic: view.never_automatic,
        }
    }
}

/// Answer of `switches`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// The newest first.
    pub switches: Vec<SwitchEntry>,
}

/// A change of a seat's holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchEntry {
    /// The block that decided it.
    #[serde(with = "text")]
    pub height: Height,
    /// Height from which it is in effect.
    #[serde(with = "text")]
    pub effective: Height,
    /// The seat.
    pub seat: OrgName,
    /// The holder before; none when the seat was left out.
    pub from: Option<PublicKey>,
    /// The holder after; none when the seat is left out.
    pub to: Option<PublicKey>,
    /// The seat's term after.
    #[serde(with = "text")]
    pub term: Term,
    /// `automatic`, `planned`, `barred` or `membership`.
    pub reason: String,
}

impl From<Switch> for SwitchEntry {
    fn from(switch: Switch) -> Self {
        let Switch { height, effective, seat, from, to, term, reason } = switch;
        Self { height, effective, seat, from, to, term, reason: reason.to_string() }
    }
}

/// Answer of `snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshots {
    /// The newest first.
    pub snapshots: Vec<SnapshotEntry>,
}

/// A snapshot that a node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    /// The block after which its state is.
    #[serde(with = "text")]
    pub height: Height,
    /// Hash of its manifest.
    pub manifest: Hash,
    /// How many chunks it has.
    pub chunks: u32,
    /// Hash of the block above, which proves it.
    pub above: Hash,
}

/// Answer of `organizations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organizations {
    /// By name.
    pub organizations: Vec<OrganizationEntry>,
}

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationEntry {
    /// Its name, and its seat's.
    pub name: OrgName,
    /// The key that it keeps off its nodes.
    pub admin_key: PublicKey,
    /// Voting power of its seat.
    #[serde(with = "text")]
    pub power: Power,
    /// The nodes of its pair.
    pub pair: Vec<PublicKey>,
    /// Its other nodes.
    pub observers: Vec<PublicKey>,
    /// Number of its user keys.
    #[serde(with = "text")]
    pub users: u64,
    /// Whether it is suspended: its seat is left out, its keys may send nothing.
    pub is_suspended: bool,
}

impl From<Organization> for OrganizationEntry {
    fn from(org: Organization) -> Self {
        Self {
            name: org.name,
            admin_key: org.admin_key,
            power: org.power,
            pair: org.pair.into_keys().collect(),
            observers: org.observers.into_keys().collect(),
            users: org.users,
            is_suspended: org.is_suspended,
        }
    }
}

/// Answer of `nodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    /// The newest block.
    #[serde(with = "text")]
    pub height: Height,
    /// The registered nodes, by organisation and role.
    pub nodes: Vec<NodeEntry>,
}

/// The part of a node in the present role table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// It holds its organisation's seat.
    Validator,
    /// The other node of the pair.
    Standby,
    /// A node outside the pair.
    Observer,
}

impl std::fmt::Display for NodeRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Validator => "validator",
            Self::Standby => "standby",
            Self::Observer => "observer",
        })
    }
}

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// Its public key.
    pub key: PublicKey,
    /// The first 20 bytes of the key's SHA-256.
    pub address: Address,
    /// The organisation that it belongs to.
    pub organization: OrgName,
    /// Its part at the next height.
    pub role: NodeRole,
    /// Whether the newest record calls it alive; none before the first record.
    pub alive: Option<bool>,
    /// Whether the node that answers is connected to it, or is it.
    pub connected: bool,
    /// Where it listens for peers, by the chain.
    pub addresses: Vec<String>,
}

/// Answer of `parameters`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParametersInfo {
    /// In effect from the next height on.
    pub parameters: Parameters,
    /// How long a node may show nothing and still count as alive, in milliseconds.
    #[serde(with = "text")]
    pub liveness_grace_ms: u64,
    /// N: blocks that an automatic switch takes.
    #[serde(with = "text")]
    pub failover_blocks: u64,
    /// Milliseconds that those blocks take at least.
    #[serde(with = "text")]
    pub failover_min_ms: u64,
}

/// Answer of `key`: what a key is in the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// The organisation that it is of; none for a key that the chain does not know.
    pub organization: Option<OrgName>,
    /// `admin`, `node`, `user` or `barred`.
    pub role: Option<String>,
    /// What a user is to its organisation.
    pub user_role: Option<UserRole>,
}

impl KeyInfo {
    /// The name of a role.
    #[must_use]
    pub fn role_name(role: KeyRole) -> &'static str {
        match role {
            KeyRole::Admin => "admin",
            KeyRole::Node => "node",
            KeyRole::User => "user",
            KeyRole::Barred => "barred",
        }
    }
}

/// The value of `abci_query` at `/records`: all data sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSets {
    /// By name.
    pub data_sets: Vec<DataSetEntry>,
}

/// A data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetEntry {
    /// Its name.
    pub name: DataSetName,
    /// The organisation that writes to it.
    pub owner: OrgName,
}

/// Answer of `liveness`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// The first block.
    #[serde(with = "text")]
    pub from: Height,
    /// The last.
    #[serde(with = "text")]
    pub to: Height,
    /// The record of each.
    pub records: Vec<LivenessEntry>,
}

/// The liveness record of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivenessEntry {
    /// The block.
    #[serde(with = "text")]
    pub height: Height,
    /// Its time, RFC 3339.
    pub time: String,
    /// Who proposed it, and signed the record.
    pub proposer: Address,
    /// 1 for each node that is alive, 0 for each that is not, in the order of the keys in the register
    /// after the block two below; empty in block 1.
    pub alive: Bits,
    /// The nodes that are alive, where this node has committed the block since it started.
    pub alive_nodes: Option<Vec<PublicKey>>,
    /// What came with each signature of the block's last commit, in its order.
    pub observations: Vec<Option<Observation>>,
    /// The proposer's signature over the record.
    pub signature: Signature,
}

impl LivenessEntry {
    /// The record of a block; with the keys of the nodes that are alive, where they are known.
    #[must_use]
    pub fn new(block: &Block, alive_nodes: Option<Vec<PublicKey>>) -> Self {
        let SignedRecord { record, signature } = &block.record;
        Self {
            height: block.header.height,
            time: block.header.time.to_rfc3339(),
            proposer: block.header.proposer_address,
            alive: record.alive.clone(),
            alive_nodes,
            observations: record.observations.clone(),
            signature: *signature,
        }
    }
}

/// The value of `abci_query` at `/records/SET`: a part of its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsPage {
    /// In the order of their keys.
    pub records: Vec<RecordEntry>,
    /// The key, in hex, to give as `after` for the next part; none when this was the last.
    pub next: Option<String>,
}

/// A record in a listing, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordEntry {
    /// Its key in hex.
    pub key: String,
    /// How often it was written.
    #[serde(with = "text")]
    pub version: u64,
    /// What its value is, as who wrote it said.
    pub content_type: Option<ContentType>,
    /// Bytes of its value.
    #[serde(with = "text")]
    pub size: u64,
    /// SHA-256 of its value.
    pub digest: Hash,
}
