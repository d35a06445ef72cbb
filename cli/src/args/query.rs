//! `tandem query`.

use clap::Subcommand;
use tandem_chain::types::{DataSetName, Hash, OrgName};

#[derive(Debug, Subcommand)]
pub enum Query {
    /// A record's value, as it is, on standard output
    Record {
        /// The data set
        set: DataSetName,
        /// The record's key: text, or hex digits after 0x
        #[arg(id = "record_key", value_name = "KEY")]
        key: String,
    },
    /// What was written under a record's key, the newest first
    History {
        /// The data set
        set: DataSetName,
        /// The record's key: text, or hex digits after 0x
        #[arg(id = "record_key", value_name = "KEY")]
        key: String,
        /// How many at most
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=100))]
        limit: u64,
        /// Only those before: what an answer gives as next
        #[arg(long)]
        before: Option<String>,
    },
    /// The records of a data set
    Records {
        /// The data set
        set: DataSetName,
        /// Only those whose keys start so: text, or hex digits after 0x
        #[arg(long, default_value = "")]
        prefix: String,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// All data sets
    DataSets,
    /// A transaction and its receipt
    Tx {
        /// Its hash
        hash: Hash,
    },
    /// A block
    Block {
        /// Its height; the newest, when it is left out
        height: Option<u64>,
    },
    /// The chain's parameters
    Parameters,
    /// What a public key is in the chain
    Key {
        /// The key: hex, or a key file
        key: String,
    },
    /// Users and their roles
    Users {
        /// The member; all, when it is left out
        org: Option<OrgName>,
    },
    /// What is granted in a data set
    Rights {
        /// The data set
        set: DataSetName,
    },
    /// What of a data set a key may read, and whether a record
    MayRead {
        /// The key that reads: hex, or a key file
        #[arg(value_name = "READER")]
        key: String,
        /// The data set
        set: DataSetName,
        /// The record's key: text, or hex digits after 0x
        #[arg(value_name = "KEY")]
        record: Option<String>,
    },
    /// Any method of the RPC; the answer is printed as JSON
    Rpc {
        /// The method's name
        method: String,
        /// Its parameters as NAME=VALUE
        #[arg(value_name = "NAME=VALUE")]
        params: Vec<String>,
    },
}
