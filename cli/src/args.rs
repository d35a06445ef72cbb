//! The command line.

pub mod decode;
pub mod export;
pub mod keys;
pub mod node;
pub mod org;
pub mod query;
pub mod rights;
pub mod storage;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tandem_chain::genesis::GenesisRole;
use tandem_chain::types::{ChainId, ContentType, DataSetName, Hash, OrgName, Power, Term};
use tandem_node::client::VALID_FOR;
use tandem_node::config::duration;
use tandem_node::genesis_files::parse_role;
use tandem_node::snapshots::TrustedBlock;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong use of the command line
  3  refused by the ledger: the transaction was refused, or its receipt has an error
  4  no node is reachable
  5  no answer or receipt in time, or the transaction expired";

/// A consortium blockchain node with hot-standby switching.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Home folder of the node
    #[arg(
        long,
        global = true,
        env = "TANDEM_HOME",
        value_name = "DIR",
        default_value = "tandem-home"
    )]
    pub home: PathBuf,
    /// Where a node answers RPC; several, with commas between, are tried one after another
    #[arg(
        long = "node",
        global = true,
        env = "TANDEM_NODE",
        value_name = "URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:26657"
    )]
    pub nodes: Vec<String>,
    /// Permit to show to nodes whose reading is limited: hex digits, @FILE with them, or - for standard
    /// input
    #[arg(
        long,
        global = true,
        env = "TANDEM_PERMIT",
        hide_env_values = true,
        value_name = "PERMIT",
        conflicts_with = "read_key"
    )]
    pub permit: Option<String>,
    /// Key file that signs requests to such nodes; the sender's, where a transaction is sent
    #[arg(long, global = true, env = "TANDEM_READ_KEY", value_name = "FILE")]
    pub read_key: Option<PathBuf>,
    /// File with the passphrase of encrypted key files; it may also stand in TANDEM_PASSPHRASE, or is asked
    /// for at a terminal
    #[arg(long, global = true, env = "TANDEM_PASSPHRASE_FILE", value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Answer in JSON, for scripts; an error too, on standard error
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a home folder: node key, guard record, configuration
    Init(Init),
    /// Make or check a genesis
    #[command(subcommand)]
    Genesis(Genesis),
    /// Run the node
    Start(Start),
    /// Snapshots of the state: take, list, verify, restore
    #[command(subcommand)]
    Snapshot(storage::Snapshot),
    /// The node, its newest block, its part; the seats as it sees them
    Status,
    /// Look whether home, machine and network are fit for a node: what is amiss, and what to do
    Doctor,
    /// A live view of heights, roles, who is alive, peers and rates, on a terminal
    Top(Top),
    /// Make and show keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Invite, register, remove and list nodes
    #[command(subcommand)]
    Node(node::Node),
    /// Make this machine a node, by a token of an organisation, and start it
    Join(node::Join),
    /// Sign and send a transaction, and wait for its receipt
    #[command(subcommand)]
    Tx(Tx),
    /// Make and show permits to read, where nodes ask for them
    #[command(subcommand)]
    Permit(rights::Permit),
    /// Members of the consortium: who they are, who joins and leaves, and who agrees to it
    #[command(subcommand)]
    Org(org::Org),
    /// Ask a node
    #[command(subcommand)]
    Query(query::Query),
    /// The database: figures, compaction, old blocks, backups, its key
    #[command(subcommand)]
    Db(storage::Db),
    /// Show any stored or sent item as JSON: from text, from a file, or from the data folder
    Decode(decode::Decode),
    /// Write the home's ledger as JSON lines; its node may be running
    Export(export::Export),
    /// Read blocks that `export` wrote into a home, whose node does not run
    Import(export::Import),
    /// Who holds what, who is alive, blocks until a switch
    Seats(Seats),
    /// Changes of holders, the newest first
    Switches {
        /// How many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
    },
    /// Give a seat to its partner now (a planned switch)
    Switch(Switch),
    /// Print the version
    Version {
        /// Versions of blocks, network and database too
        #[arg(long, short)]
        verbose: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write a man page for each command
    Man {
        /// Folder to write them to; it is made if it is not there
        dir: PathBuf,
    },
}

/// Where a new node listens and is reached.
#[derive(Clone, Debug, Default, Args)]
pub struct Places {
    /// Multiaddress to listen on for other nodes
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Option<String>,
    /// Address and port to answer RPC on
    #[arg(long, value_name = "HOST:PORT")]
    pub rpc_listen: Option<std::net::SocketAddr>,
    /// Where the others reach this node, such as /ip4/10.0.0.1/tcp/26656; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub address: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Init {
    #[command(flatten)]
    pub places: Places,
    /// Levels of log lines, such as info,tandem_node::network=debug
    #[arg(long, value_name = "LEVELS")]
    pub log: Option<String>,
    /// Genesis to copy into the home folder
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// Add this node to the public part of its organisation; the file is made if it is not there
    #[arg(long, value_name = "FILE", requires = "org")]
    pub org_part: Option<PathBuf>,
    /// Name of the organisation
    #[arg(long, value_name = "NAME", requires = "org_part")]
    pub org: Option<OrgName>,
    /// What the node is at first
    #[arg(long, value_parser = parse_role, default_value = "validator", value_name = "ROLE")]
    pub role: GenesisRole,
    /// The organisation's admin key: hex, or a key file; needed for a new part
    #[arg(long, value_name = "KEY", requires = "org_part")]
    pub admin_key: Option<String>,
    /// Voting power of the organisation's seat
    #[arg(long, value_name = "POWER", requires = "org_part", value_parser = power)]
    pub power: Option<Power>,
    /// Another key that may send transactions: hex, or a key file; may be repeated
    #[arg(long, value_name = "KEY", requires = "org_part")]
    pub user: Vec<String>,
    /// Encrypt the node key with a passphrase, which each start needs then
    #[arg(long)]
    pub encrypt: bool,
}

#[derive(Debug, Subcommand)]
pub enum Genesis {
    /// Put the organisations' parts together, validate, print the hash
    Make {
        /// The parts that the organisations made with `tandem init --org-part`
        #[arg(required = true, value_name = "PART")]
        parts: Vec<PathBuf>,
        /// Id of the chain; never used for another
        #[arg(long)]
        chain_id: ChainId,
        /// Parameters to start from
        #[arg(long, value_enum, default_value_t = Preset::Wan)]
        preset: Preset,
        /// A parameter that is different, as NAME=VALUE; may be repeated
        #[arg(long = "set", value_name = "NAME=VALUE")]
        set: Vec<String>,
        /// A threshold of the policy that is not more-than-half, as NAME=THRESHOLD; may be repeated
        #[arg(long, value_name = "NAME=THRESHOLD")]
        policy: Vec<String>,
        /// Time of height 0, RFC 3339; now, when it is left out
        #[arg(long)]
        time: Option<String>,
        /// File to write
        #[arg(long, short, default_value = "genesis.json", value_name = "FILE")]
        out: PathBuf,
    },
    /// Print what organisations hand out, and a hash of each to compare
    Part {
        /// The parts that the organisations made with `tandem init --org-part`
        #[arg(required = true, value_name = "PART")]
        parts: Vec<PathBuf>,
    },
    /// Validate a genesis and print its hash
    Check {
        /// The file; that of the home folder, when it is left out
        file: Option<PathBuf>,
        /// The hash that it must have
        #[arg(long, value_name = "HASH")]
        hash: Option<Hash>,
        /// A part that must be in it as it is; may be repeated
        #[arg(long, value_name = "PART")]
        part: Vec<PathBuf>,
    },
    /// Put a genesis into the home folder, whose node must be in it
    Install {
        /// The file
        file: PathBuf,
        /// The hash that it must have, as the organisations have compared it
        #[arg(long, value_name = "HASH")]
        hash: Hash,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Members in different places
    Wan,
    /// Local networks, one site
    Lan,
}

#[derive(Debug, Args)]
pub struct Start {
    /// Refuse to start with a genesis of another hash
    #[arg(long, value_name = "HASH")]
    pub genesis_hash: Option<Hash>,
    /// Block that a restore from the others' snapshots trusts first, in the place of the genesis
    #[arg(long, value_name = "HEIGHT:HASH")]
    pub trust: Option<TrustedBlock>,
}

/// Options of all transactions.
#[derive(Clone, Debug, Args)]
pub struct Sending {
    /// Key file of the sender
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Heights for which the transaction is valid, at most 10000
    #[arg(long, default_value_t = VALID_FOR, value_name = "HEIGHTS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub valid_for: u64,
    /// Time to wait for the receipt
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
    pub timeout: Duration,
    /// Send once and do not wait for the receipt
    #[arg(long)]
    pub no_wait: bool,
    /// Print the signed transaction in hex in the place of sending it, for `tx raw`
    #[arg(long, conflicts_with = "no_wait")]
    pub sign_only: bool,
}

#[derive(Debug, Subcommand)]
pub enum Tx {
    /// Data sets and records
    #[command(subcommand)]
    Record(RecordTx),
    /// Users of the sender's organisation, and their roles
    #[command(subcommand)]
    User(rights::UserTx),
    /// Rights on records: who may read, write and grant where
    #[command(subcommand)]
    Right(rights::RightTx),
    /// Send what `--sign-only` printed
    Raw {
        /// Hex digits, @FILE with them, or - for standard input
        hex: String,
        /// Time to wait for the receipt
        #[arg(long, default_value = "60s", value_name = "TIME", value_parser = time)]
        timeout: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub enum RecordTx {
    /// Create a data set, owned by the sender's organisation
    Create {
        /// Its name
        set: DataSetName,
        #[command(flatten)]
        sending: Sending,
    },
    /// Write a record
    Put {
        /// The data set
        set: DataSetName,
        /// The record's key: text, or hex digits after 0x
        #[arg(id = "record_key", value_name = "KEY")]
        key: String,
        /// The value: text, @FILE, or - for standard input
        value: String,
        /// What the value is, such as application/json; nobody checks it
        #[arg(long, value_name = "TYPE")]
        content_type: Option<ContentType>,
        /// The version that the record must have; 0 when it must not exist
        #[arg(long, value_name = "VERSION")]
        expect: Option<u64>,
        #[command(flatten)]
        sending: Sending,
    },
    /// Delete a record
    Delete {
        /// The data set
        set: DataSetName,
        /// The record's key: text, or hex digits after 0x
        #[arg(id = "record_key", value_name = "KEY")]
        key: String,
        /// The version that the record must have
        #[arg(long, value_name = "VERSION")]
        expect: Option<u64>,
        #[command(flatten)]
        sending: Sending,
    },
}

#[derive(Debug, Args)]
pub struct Seats {
    /// Blocks of the grid
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=200))]
    pub blocks: u64,
}

#[derive(Debug, Args)]
pub struct Top {
    /// Time between two questions, 200ms to 60s; all nodes of --node are asked
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = interval)]
    pub interval: Duration,
}

#[derive(Debug, Args)]
pub struct Switch {
    /// The seat: name of the organisation
    pub seat: OrgName,
    /// The node that is to hold it, in hex; the partner, when it is left out
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// The seat's present term; asked from the node, when it is left out
    #[arg(long, value_parser = term)]
    pub term: Option<Term>,
    #[command(flatten)]
    pub sending: Sending,
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "a time is such as 500ms, 30s, 2m or 7d".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(200)..=Duration::from_secs(60);
    Some(time(text)?).filter(|time| range.contains(time)).ok_or_else(|| "it is 200ms to 60s".into())
}

fn power(text: &str) -> Result<Power, String> {
    text.parse().map(Power).map_err(|_| "a power is a whole number".to_owned())
}

fn term(text: &str) -> Result<Term, String> {
    text.parse().map(Term).map_err(|_| "a term is a whole number".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_has_its_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                let (id, name) = (argument.get_id(), command.get_name());
                assert!(argument.get_help().is_some(), "{name} {id} has no help");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn global_options_go_anywhere() {
        let cli = Cli::try_parse_from(["tandem", "status", "--json", "--node", "a:1,b:2"]).unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.nodes, ["a:1", "b:2"]);
    }

    #[test]
    fn a_record_and_the_sender_have_each_their_key() {
        let line = "tandem tx record put set oil 81.20 --key user.json";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Command::Tx(Tx::Record(RecordTx::Put { key, sending, .. })) = cli.command else {
            panic!("another command")
        };
        assert_eq!((key.as_str(), sending.key), ("oil", PathBuf::from("user.json")));
    }

    #[test]
    fn wrong_use_has_exit_code_2() {
        for line in [
            "tandem",
            "tandem frobnicate",
            "tandem tx record put set key value",
            "tandem tx record create UPPER --key k",
            "tandem switches --limit 1000",
            "tandem top --interval 100ms",
            "tandem man",
            "tandem init --org-part f",
            "tandem start --genesis-hash xyz",
            "tandem tx record create set --key k --timeout 5",
            "tandem tx record put set key value --key k --key l",
            "tandem tx record put set key value --key k --content-type json",
            "tandem node invite",
            "tandem node invite --admin-key k --observer --replace n",
            "tandem node invite --admin-key k --valid 0",
            "tandem node address set --key k",
            "tandem join",
            "tandem tx user add user.json --role king --key k",
            "tandem tx right grant set read --all --key k",
            "tandem tx right grant set read --members --org a --all --key k",
            "tandem tx right grant set read --org a --of b --all --key k",
            "tandem tx right grant set own --members --all --key k",
            "tandem tx right revoke set --members --all --prefix a --key k",
            "tandem permit make --key k --valid 8d",
            "tandem permit make --key k --valid 0s",
            "tandem status --permit p --read-key k",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        assert_eq!(Cli::try_parse_from(["tandem", "--help"]).unwrap_err().exit_code(), 0);
    }
    /// The interface as docs/cli.md says it.
    const DOCS: &str = include_str!("../../docs/cli.md");

    #[test]
    fn the_docs_have_every_command() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let is_there = |text: String| DOCS.contains(&text);
            assert!(is_there(format!("`{name}")) || is_there(format!("`tandem {name}")), "{name}");
        }
    }

    #[test]
    fn every_example_in_the_docs_is_a_command() {
        let text = DOCS.replace("\\\n", " ").replace("HASH", &Hash::EMPTY.to_string());
        let examples = text.lines().filter_map(|line| line.strip_prefix("    tandem "));
        let examples: Vec<&str> = examples.collect();
        assert!(examples.len() > 8, "{examples:?}");
        for example in examples {
            let words = ["tandem"].into_iter().chain(example.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    /// What starts a node where nobody types.
    const UNIT: &str = include_str!("../packaging/debian/tandem.service");
    const DOCKERFILE: &str = include_str!("../packaging/docker/Dockerfile");

    #[test]
    fn service_and_image_start_a_node() {
        let start = UNIT.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/"));
        let options = "--genesis-hash 00".to_owned() + &"00".repeat(31);
        let service = start.expect("a line").replace("$TANDEM_START_OPTIONS", &options);
        let of_image = |name: &str| {
            let line = DOCKERFILE.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            serde_json::from_str::<Vec<String>>(line).unwrap().join(" ")
        };
        let image = format!("{} {}", of_image("ENTRYPOINT "), of_image("CMD "));
        for line in [service, image] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(matches!(cli.command, Command::Start(_)), "{line}");
        }
    }

    #[test]
    fn the_docs_have_the_exit_codes_of_the_help() {
        for line in EXIT_CODES.lines().skip(1) {
            let (code, meaning) = line.trim().split_once("  ").expect("code and meaning");
            assert!(DOCS.contains(&format!("| {code} | {meaning} |")), "{line}");
        }
    }
}
