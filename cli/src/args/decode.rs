//! `tandem decode`.

use clap::Args;
use tandem_node::storage::FamilyName;

#[derive(Debug, Args)]
pub struct Decode {
    /// Hex digits, base64 or a join token; @FILE with these or with the bytes themselves; or - for
    /// standard input
    #[arg(required_unless_present_any = ["family", "list_kinds"], conflicts_with_all = ["family", "list_kinds"])]
    pub item: Option<String>,
    /// Try this kind alone
    #[arg(long, value_name = "KIND", requires = "item")]
    pub kind: Option<String>,
    /// Print the kinds that there are
    #[arg(long, conflicts_with = "family")]
    pub list_kinds: bool,
    /// Read this column family of the home's database, which a running node may own: state, tree,
    /// blocks, results, index, consensus or meta
    #[arg(long, value_name = "FAMILY")]
    pub family: Option<FamilyName>,
    /// The entry with this key: as the listing prints it, or hex digits after 0x
    #[arg(id = "entry_key", long = "key", value_name = "KEY", requires = "family")]
    pub key: Option<String>,
    /// Only the entries whose keys start so: as the listing prints them, or hex digits after 0x
    #[arg(long, value_name = "PREFIX", requires = "family", conflicts_with = "entry_key")]
    pub prefix: Option<String>,
    /// How many entries at most
    #[arg(long, default_value_t = 100, value_name = "NUMBER", requires = "family")]
    pub limit: usize,
}
