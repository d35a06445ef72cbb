//! `config.toml`: every key has a default and a comment, and an unknown key is refused.
//!
//! The defaults stand in the `Default` implementations here and nowhere else; the file that
//! `tandem init` writes and the table in the documentation are made from them by
//! [`Config::to_toml`].

pub mod duration;
mod index;
mod rpc;
mod watching;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use tandem_chain::keys::PublicKey;
use tandem_chain::limits::{MAX_ADDRESSES_PER_NODE, MAX_NODES};
use tandem_chain::modules::consortium::check_addresses;

use crate::home::{HomeError, files};
use crate::pruning;
use crate::snapshots::TrustedBlock;
use crate::storage::StorageConfig;
use crate::telemetry;

pub use index::Index;
pub use rpc::{Reading, Rpc};
pub use watching::{Hooks, Instrumentation};

/// Bytes that a configuration file may have.
const MAX_BYTES: u64 = 1024 * 1024;
const MIB: usize = 1024 * 1024;

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] HomeError),
    /// Not TOML, an unknown key or a value of the wrong type.
    #[error("{origin}, {place}: {reason}: mend the line, or take it out to have the default")]
    Syntax {
        /// The file.
        origin: String,
        /// The line, with the key in it. What stands behind that may be a secret that came to the wrong
        /// place, and is not told.
        place: String,
        /// The parser's message.
        reason: String,
    },
    /// A value that is not allowed.
    #[error("configuration key {key} is {got}: {rule}")]
    Value {
        /// The key with its table.
        key: &'static str,
        /// The value.
        got: String,
        /// What is allowed.
        rule: String,
    },
}

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Connections to the other nodes.
    pub p2p: P2p,
    /// JSON-RPC.
    pub rpc: Rpc,
    /// Admission of transactions.
    pub admission: Admission,
    /// The database.
    pub storage: Storage,
    /// The index of transactions and events.
    pub index: Index,
    /// Snapshots of the state.
    pub snapshots: Snapshots,
    /// Metrics.
    pub instrumentation: Instrumentation,
    /// What is run when the node's role changes.
    pub hooks: Hooks,
    /// Log lines.
    pub log: Log,
}

/// Table `p2p`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct P2p {
    /// Where to listen for other nodes.
    pub listen: String,
    /// Where the others reach this node; what `tandem init --org-part` hands out.
    pub addresses: Vec<String>,
    /// Members to begin with: where to try them besides what the chain says.
    pub bootstrap: BTreeMap<PublicKey, Vec<String>>,
    /// Addresses to use for a node in the place of those in the chain.
    pub dial: BTreeMap<PublicKey, Vec<String>>,
}

impl Default for P2p {
    fn default() -> Self {
        Self {
            listen: "/ip4/0.0.0.0/tcp/26656".to_owned(),
            addresses: Vec::new(),
            bootstrap: BTreeMap::new(),
            dial: BTreeMap::new(),
        }
    }
}

/// Table `admission`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admission {
    /// Threads that check signatures; 0 for one per processor.
    pub threads: usize,
}

/// Table `storage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// MiB of the cache for blocks, indexes and filters of tables.
    pub cache_mib: usize,
    /// MiB of what was written and is not in tables yet.
    pub write_buffer_mib: usize,
    /// Files that are kept open.
    pub open_files: usize,
    /// File with the key that everything stored is encrypted with; empty when it is not.
    pub key_file: PathBuf,
    /// Folder for backups that a running node makes; empty when it makes none.
    pub backup_dir: PathBuf,
    /// Blocks that are kept, the newest; 0 for all.
    pub keep_blocks: usize,
    /// Days for which blocks are kept; 0 for ever.
    pub keep_days: usize,
}

impl Default for Storage {
    fn default() -> Self {
        let StorageConfig { cache_bytes, write_buffer_bytes, open_files, .. } =
            StorageConfig::default();
        Self {
            cache_mib: cache_bytes / MIB,
            write_buffer_mib: write_buffer_bytes / MIB,
            open_files: usize::try_from(open_files).unwrap_or(0),
            key_file: PathBuf::new(),
            backup_dir: PathBuf::new(),
            keep_blocks: 0,
            keep_days: 0,
        }
    }
}

/// Without the key, which stands in a file of its own: see [`crate::home::Home::storage`].
impl From<&Storage> for StorageConfig {
    fn from(storage: &Storage) -> Self {
        Self {
            cache_bytes: storage.cache_mib.saturating_mul(MIB),
            write_buffer_bytes: storage.write_buffer_mib.saturating_mul(MIB),
            open_files: i32::try_from(storage.open_files).unwrap_or(i32::MAX),
            ..Self::default()
        }
    }
}

/// Table `snapshots`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshots {
    /// Blocks from one snapshot to the next; 0 for none but those that are asked for.
    pub interval: usize,
    /// Snapshots that are kept.
    pub keep: usize,
    /// Whether a node with few blocks, or none, that is far behind restores one of its peers'.
    pub restore: bool,
    /// What such a node trusts first, as `HEIGHT:HASH`; empty for the genesis.
    pub trust: String,
    /// How old what is trusted may be.
    #[serde(with = "duration")]
    pub trust_period: Duration,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            interval: 10_000,
            keep: 2,
            restore: true,
            trust: String::new(),
            trust_period: Duration::from_secs(14 * 24 * 3_600),
        }
    }
}

impl Snapshots {
    /// What is trusted first, beside the genesis.
    ///
    /// # Errors
    /// What it must look like.
    pub fn trusted(&self) -> Result<Option<TrustedBlock>, String> {
        if self.trust.is_empty() { Ok(None) } else { self.trust.parse().map(Some) }
    }
}

/// Table `log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Level, and levels of single modules behind it.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Plain }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Plain,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the key, the value and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read(path, MAX_BYTES)?.ok_or_else(|| HomeError::Missing {
            path: path.to_owned(),
            hint: "run `tandem init --home` with this folder first",
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// From the text of a file; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`], [`ConfigError::Value`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigError::Syntax {
            origin: origin.to_owned(),
            place: place(text, error.span().map_or(0, |span| span.start)),
            reason: error.message().replace(char::is_control, " "),
        })?;
        config.validate()?;
        Ok(config)
    }

    /// The defaults, as a file with a comment on every key.
    #[must_use]
    pub fn default_toml() -> String {
        Self::default().to_toml()
    }

    /// What is allowed, and should be known.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let prunes = !pruning::Policy::from(&self.storage).is_archive();
        let text = "old blocks are taken away (storage.keep_blocks, storage.keep_days), and no snapshots are \
                    taken (snapshots.interval is 0): a new node that reaches only such nodes has nothing to \
                    begin with; set snapshots.interval, or be sure that another member keeps all blocks";
        let prunes = prunes && self.snapshots.interval == 0;
        let clear = "what is written to index.psql goes over the network without TLS, and whoever is on the way \
                     can read it, and ask for the password: reach the server by its socket, on loopback or by a \
                     tunnel, unless the network is trusted";
        let warnings = [(prunes, text), (self.index.leaves_the_machine(), clear)];
        warnings.into_iter().filter(|(holds, _)| *holds).map(|(_, text)| text.to_owned()).collect()
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first that is not allowed.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let Self { p2p, rpc, admission, storage, index, snapshots, instrumentation, hooks, log } =
            self;
        if p2p.listen.parse::<Multiaddr>().is_err() {
            return Err(wrong("p2p.listen", &p2p.listen, MULTIADDR));
        }
        check_addresses(&p2p.addresses).map_err(|error| ConfigError::Value {
            key: "p2p.addresses",
            got: p2p.addresses.join(", "),
            rule: error.to_string(),
        })?;
        for (key, nodes) in [("p2p.bootstrap", &p2p.bootstrap), ("p2p.dial", &p2p.dial)] {
            counted(key, "number of nodes", nodes.len(), 0, MAX_NODES)?;
            for (node, addresses) in nodes {
                let count = addresses.len();
                counted(key, "addresses of a node", count, 1, MAX_ADDRESSES_PER_NODE)?;
                if let Some(bad) = addresses.iter().find(|a| a.parse::<Multiaddr>().is_err()) {
                    return Err(wrong(key, &format!("{bad} for {node}"), MULTIADDR));
                }
            }
        }
        rpc.check()?;
        range("admission.threads", admission.threads, 0, 256)?;
        range("storage.cache_mib", storage.cache_mib, 1, 1_000_000)?;
        range("storage.write_buffer_mib", storage.write_buffer_mib, 4, 1_000_000)?;
        range("storage.open_files", storage.open_files, 16, 1_000_000)?;
        pruning::Policy::from(storage).check().map_err(|error| ConfigError::Value {
            key: if error.key == "keep_blocks" {
                "storage.keep_blocks"
            } else {
                "storage.keep_days"
            },
            got: error.got.to_string(),
            rule: error.rule,
        })?;
        index.check()?;
        range("snapshots.interval", snapshots.interval, 0, 1_000_000_000)?;
        range("snapshots.keep", snapshots.keep, 1, 16)?;
        snapshots.trusted().map_err(|rule| wrong("snapshots.trust", &snapshots.trust, &rule))?;
        range("snapshots.trust_period (ms)", ms(snapshots.trust_period), 60_000, 315_360_000_000)?;
        instrumentation.check()?;
        hooks.check()?;
        telemetry::parse_levels(&log.level).map_err(|rule| ConfigError::Value {
            key: "log.level",
            got: quoted(&log.level),
            rule,
        })?;
        Ok(())
    }
}

const MULTIADDR: &str = "not a multiaddress such as \"/ip4/10.0.0.1/tcp/26656\"";

/// The line in which a byte of a file is, with what stands there before a `=` where that is a key.
fn place(text: &str, at: usize) -> String {
    let line = text.get(..at).unwrap_or(text).matches('\n').count();
    let content = text.lines().nth(line).unwrap_or_default();
    let key = content.split_once('=').map_or("", |(key, _)| key.trim());
    let is_key =
        !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let key = if is_key { format!(", {key}") } else { String::new() };
    format!("line {}{key}", line + 1)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", tandem_chain::types::escaped(text))
}

fn wrong(key: &'static str, got: &str, rule: &str) -> ConfigError {
    ConfigError::Value { key, got: quoted(got), rule: rule.to_owned() }
}

fn counted(
    key: &'static str,
    what: &str,
    got: usize,
    min: usize,
    max: usize,
) -> Result<(), ConfigError> {
    let text = format!("a table with {got} as the {what}");
    within(key, got, text, min, max)
}

fn ms(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}

fn range(key: &'static str, got: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    within(key, got, got.to_string(), min, max)
}

/// Refuses a number that is out of bounds, which `text` shows.
fn within(
    key: &'static str,
    got: usize,
    text: String,
    min: usize,
    max: usize,
) -> Result<(), ConfigError> {
    if (min..=max).contains(&got) {
        return Ok(());
    }
    Err(ConfigError::Value { key, got: text, rule: format!("{min} to {max} is allowed") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_init_writes_gives_the_defaults() {
        assert_eq!(Config::parse(&Config::default_toml(), "test").unwrap(), Config::default());
        assert_eq!(Config::parse("", "test").unwrap(), Config::default());
    }

    #[test]
    fn the_database_has_its_own_defaults() {
        assert_eq!(StorageConfig::from(&Config::default().storage), StorageConfig::default());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut config = Config::default();
        config.p2p.dial.insert(
            tandem_chain::keys::SecretKey::from_seed(&[1; 32]).public(),
            vec!["/ip4/127.0.0.1/tcp/4000".to_owned()],
        );
        config.p2p.bootstrap.insert(
            tandem_chain::keys::SecretKey::from_seed(&[2; 32]).public(),
            vec!["/dns4/node.example.org/tcp/4001".to_owned()],
        );
        config.rpc.request_timeout = Duration::from_millis(12_500);
        config.rpc.reading = Reading::Limited;
        config.rpc.explorer = false;
        config.log.level = "warn,tandem_node::rpc=debug".to_owned();
        config.log.format = LogFormat::Json;
        assert_eq!(Config::parse(&config.to_toml(), "test").unwrap(), config);
    }

    #[test]
    fn bad_files_name_the_key_and_what_to_do() {
        let key = "AB".repeat(32);
        let cases = [
            ("rpc.lissten = 1", &["lissten", "unknown field", "listen"][..]),
            ("[rcp]\nlisten = 1", &["rcp", "unknown field", "rpc"]),
            ("rpc.max_batch = \"ten\"", &["max_batch", "invalid type"]),
            ("rpc.max_batch = 0", &["rpc.max_batch is 0", "1 to 1000"]),
            ("rpc.max_batch = -1", &["max_batch", "-1"]),
            (
                "rpc.max_requests_per_s = 1000001",
                &["max_requests_per_s is 1000001", "0 to 1000000"],
            ),
            ("rpc.max_subscriptions = 0", &["rpc.max_subscriptions is 0", "1 to 1000"]),
            ("rpc.max_connections_per_client = 0", &["max_connections_per_client is 0"]),
            ("rpc.max_websockets_per_client = 0", &["max_websockets_per_client is 0"]),
            ("rpc.max_websockets = 100001", &["rpc.max_websockets", "0 to 100000"]),
            ("rpc.listen = \"localhost\"", &["listen", "socket address"]),
            ("rpc.request_timeout = 5", &["request_timeout", "\"3s\""]),
            ("rpc.request_timeout = \"5 parsec\"", &["request_timeout", "5 parsec", "\"3s\""]),
            ("rpc.request_timeout = \"1ms\"", &["rpc.request_timeout", "100 to 600000"]),
            ("rpc.request_timeout = \"5s\"", &["broadcast_commit_timeout", "below"]),
            ("rpc.explorer = \"yes\"", &["explorer", "invalid type", "boolean"]),
            ("rpc.reading = \"closed\"", &["reading", "closed", "open", "limited"]),
            (
                "rpc.hosts = [\"example.org:443\"]",
                &["rpc.hosts", "example.org:443", "without a port"],
            ),
            ("rpc.cors_origins = [\"example.org\"]", &["rpc.cors_origins", "example.org"]),
            ("p2p.listen = \"0.0.0.0:26656\"", &["p2p.listen", "/ip4/"]),
            ("p2p.addresses = [\"/ip4/1.2.3.4\"]", &["p2p.addresses", "/tcp/PORT"]),
            ("p2p.dial.x = []", &["dial", "hex"]),
            ("p2p.dial.KEY = [\"x\"]", &["p2p.dial", "multiaddress"]),
            ("p2p.dial.KEY = []", &["p2p.dial", "1 to 8"]),
            ("p2p.bootstrap.KEY = [\"x\"]", &["p2p.bootstrap", "multiaddress"]),
            ("p2p.bootstrap.KEY = []", &["p2p.bootstrap", "1 to 8"]),
            ("log.level = \"loud\"", &["log.level", "loud", "debug"]),
            ("log.format = \"xml\"", &["format", "xml", "plain", "json"]),
            ("admission.threads = 1000", &["admission.threads is 1000"]),
            ("storage.open_files = 1", &["storage.open_files is 1", "16 to"]),
            (
                "storage.keep_blocks = 10000",
                &["storage.keep_blocks is 10000", "0, which keeps all", "10001"],
            ),
            ("storage.keep_days = 36501", &["storage.keep_days is 36501", "0 to 36500"]),
            ("snapshots.keep = 0", &["snapshots.keep is 0", "1 to 16"]),
            ("snapshots.trust = \"7\"", &["snapshots.trust", "HEIGHT:HASH"]),
            ("snapshots.trust_period = \"1s\"", &["snapshots.trust_period", "60000"]),
            ("storage.cache_mib = 0", &["storage.cache_mib is 0"]),
            ("rpc = ", &["rpc"]),
            ("[index]\n\npsql_password = \"hunter2\"", &["line 3, psql_password: unknown field"]),
            ("index.psql = \"hunter2", &["line 1, index.psql"]),
            ("hooks.role_change = [\n  \"curl\",\n  \"hunter2=\" 7,\n]", &["line 3"]),
            ("a = \"\u{1b}[31m\"", &["line 1"]),
        ];
        for (text, words) in cases {
            let text = text.replace("KEY", &key);
            let error = Config::parse(&text, "config.toml").expect_err(&text).to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {word:?} is not in {error:?}");
            }
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_node_that_leaves_newcomers_nothing_is_warned_of() {
        let warnings = |text: &str| Config::parse(text, "test").unwrap().warnings();
        let prunes = "storage.keep_days = 7";
        let warned = warnings(&format!("{prunes}\nsnapshots.interval = 0"));
        assert!(warned.len() == 1 && warned[0].contains("snapshots.interval"), "{warned:?}");
        for (url, count) in [
            ("postgres://u@db.example.org/d", 1),
            ("host=10.0.0.7 user=u dbname=d", 1),
            ("postgres://u@127.0.0.1,db-2/d", 1),
            ("postgres://u@localhost/d", 0),
            ("postgres://u@127.0.0.1,[::1]/d", 0),
            ("host=/run/postgresql user=u dbname=d", 0),
            ("host=db hostaddr=127.0.0.1 user=u dbname=d", 0),
        ] {
            let warned = warnings(&format!("index.psql = {url:?}"));
            assert!(
                warned.len() == count && warned.iter().all(|w| w.contains("TLS")),
                "{url}: {warned:?}"
            );
        }
        for text in ["", prunes, "snapshots.interval = 0"] {
            assert_eq!(warnings(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_missing_file_says_what_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let error = Config::load(&dir.path().join("config.toml")).unwrap_err().to_string();
        assert!(error.contains("config.toml") && error.contains("tandem init"), "{error}");
    }
}
