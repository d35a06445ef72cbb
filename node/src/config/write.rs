//! Writes a configuration with a comment on every key.

use toml_edit::{DocumentMut, Item};

use super::Config;

/// What every table and key is for. A test holds it against the fields.
const COMMENTS: &[(&str, &str, &str)] = &[
    ("p2p", "", "Connections to the other nodes."),
    ("p2p", "listen", "Multiaddress to listen on for other nodes."),
    (
        "p2p",
        "addresses",
        "Where the others reach this node. What the chain says is changed by `tandem node address set`.",
    ),
    (
        "p2p",
        "bootstrap",
        "Members to begin with, one that is reachable is enough: where to try them besides what the\n\
         chain says. { \"<node key in hex>\" = [\"/ip4/10.0.0.1/tcp/26656\"] }",
    ),
    (
        "p2p",
        "dial",
        "Addresses to dial for a node in the place of those in the chain, as over a tunnel:\n\
         { \"<node key in hex>\" = [\"/ip4/10.0.0.1/tcp/26656\"] }",
    ),
    ("rpc", "", "JSON-RPC over HTTP, in CometBFT's shapes."),
    ("rpc", "listen", "Address and port to answer on, without TLS: for programs on this machine."),
    (
        "rpc",
        "tls_listen",
        "Address and port to answer on over TLS as well, such as \"0.0.0.0:26659\"; empty for none.",
    ),
    (
        "rpc",
        "tls_cert_file",
        "File with the certificate for tls_listen and those that lead to its root, in PEM. A path that is not\n\
         absolute begins at the home folder. Files that are renewed are read again within a minute.",
    ),
    (
        "rpc",
        "tls_key_file",
        "File with the certificate's private key, in PEM, which its owner alone may read.",
    ),
    (
        "rpc",
        "reading",
        "Who may read here: open (whoever reaches the port) or limited (who shows a permit, and what its\n\
         key was granted). Transactions are taken from everyone, health and status told to everyone.",
    ),
    (
        "rpc",
        "explorer",
        "Whether pages for a browser are served below /explorer, to those who may read here.",
    ),
    (
        "rpc",
        "hosts",
        "Names by which this node may be asked where listen is on the loopback, beside localhost and IP\n\
         addresses: those that a proxy on this machine passes on, such as \"node.example.org\". Pages of other\n\
         names are not let in, whatever their name leads to.",
    ),
    (
        "rpc",
        "cors_origins",
        "Origins whose pages in a browser may ask and open WebSockets, such as\n\
         \"https://explorer.example.org\". Pages of the node itself may always.",
    ),
    (
        "rpc",
        "max_connections",
        "Connections at once at each address; more wait until one is closed.",
    ),
    (
        "rpc",
        "max_connections_per_client",
        "Of those, from one address, or from one network of IPv6 (/64); more are closed. A proxy is one client.",
    ),
    ("rpc", "max_body_bytes", "Bytes of one request's body."),
    ("rpc", "max_batch", "Requests in one JSON-RPC batch."),
    (
        "rpc",
        "max_requests_per_s",
        "Requests a second from one address, or from one network of IPv6 (/64), with those in batches, over\n\
         WebSockets and of pages; 0 for no bound. A proxy is one client.",
    ),
    (
        "rpc",
        "max_websockets",
        "WebSockets at once, beside the connections; 0 for none. More are refused.",
    ),
    (
        "rpc",
        "max_websockets_per_client",
        "Of those, from one address, or from one network of IPv6 (/64). A proxy is one client.",
    ),
    ("rpc", "max_subscriptions", "Subscriptions of one WebSocket."),
    ("rpc", "request_timeout", "Time to read a request and answer it."),
    (
        "rpc",
        "broadcast_commit_timeout",
        "Time that broadcast_tx_commit waits for the block; below request_timeout.",
    ),
    ("admission", "", "Admission of transactions."),
    ("admission", "threads", "Threads that check signatures; 0 for one per processor."),
    ("storage", "", "The database."),
    ("storage", "cache_mib", "MiB of the cache for blocks, indexes and filters of tables."),
    ("storage", "write_buffer_mib", "MiB of what was written and is not in tables yet."),
    ("storage", "open_files", "Files that are kept open."),
    (
        "storage",
        "key_file",
        "File with the key that everything stored is encrypted with, made by `tandem db key`, outside\n\
         the data folder; empty when nothing is. A path that is not absolute begins at the home folder.",
    ),
    (
        "storage",
        "backup_dir",
        "Folder in which `tandem db backup` lets a running node make backups; empty when it may not. A path\n\
         that is not absolute begins at the home folder.",
    ),
    (
        "storage",
        "keep_blocks",
        "Blocks that are kept, the newest, with their results and the places of their transactions; 0 for\n\
         all, as an archive node keeps them. When both this and keep_days are set, the one that keeps more\n\
         counts. What a snapshot of this node needs is kept in any case, and the last 10,001.",
    ),
    ("storage", "keep_days", "Days before the newest block for which blocks are kept; 0 for ever."),
    ("index", "", "The index of transactions and events, in the database, and elsewhere."),
    (
        "index",
        "enabled",
        "Whether tx_search, block_search and record_history are answered here. When it is switched on, the\n\
         blocks that are there come into it behind the running node.",
    ),
    (
        "index",
        "psql",
        "A PostgreSQL to which transactions and events are written as well, for explorers:\n\
         \"postgres://tandem@127.0.0.1/explorer\"; empty for none. See docs/operations/sink.md.",
    ),
    (
        "index",
        "psql_password_file",
        "File with the password for it, which its owner alone may read; empty when the server asks for none.\n\
         A path that is not absolute begins at the home folder.",
    ),
    ("snapshots", "", "Snapshots of the state, in the folder snapshots of the home folder."),
    (
        "snapshots",
        "interval",
        "Blocks from one snapshot to the next, the same at all members, so that all make the same ones;\n\
         0 for none but those that `tandem snapshot create` asks for.",
    ),
    ("snapshots", "keep", "Snapshots that are kept: the newest."),
    (
        "snapshots",
        "restore",
        "Whether a node with few blocks, or none, that is far behind restores a snapshot of its peers.",
    ),
    (
        "snapshots",
        "trust",
        "What such a node trusts first, as \"HEIGHT:HASH\" of a block; empty for the genesis.",
    ),
    (
        "snapshots",
        "trust_period",
        "How old what is trusted may be: validators' keys may have been given away after a longer time.",
    ),
    (
        "instrumentation",
        "",
        "Metrics for Prometheus, at /metrics on a port of their own. The keys are CometBFT's.",
    ),
    ("instrumentation", "prometheus", "Whether they are served."),
    (
        "instrumentation",
        "prometheus_listen_addr",
        "Address and port. Whoever reaches it is answered: keep it where your own monitoring alone does.",
    ),
    (
        "instrumentation",
        "max_open_connections",
        "Connections at once; more wait until one is closed.",
    ),
    (
        "instrumentation",
        "namespace",
        "What all names begin with; \"cometbft\" for dashboards that were made for it.",
    ),
    ("hooks", "", "What is run when this node's role changes: docs/operations/hooks.md."),
    (
        "hooks",
        "role_change",
        "A program and its arguments, run once for each change, one after the other, in the home folder;\n\
         [\"/usr/local/bin/move-address\", \"eth0\"]. It finds the change in its environment.",
    ),
    (
        "hooks",
        "role_change_webhook",
        "URL to which each change is posted as JSON, and again until it is taken.",
    ),
    ("hooks", "timeout", "How long the program, and one attempt to post, may take."),
    ("log", "", "Log lines, on standard error."),
    (
        "log",
        "level",
        "error, warn, info, debug or trace; levels of single modules behind it:\n\
         \"info,tandem_node::network=debug\"",
    ),
    ("log", "format", "plain or json (one object a line)."),
];

impl Config {
    /// As a file with a comment on every key.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let text = toml::to_string(self).expect("strings, numbers, lists and tables");
        let mut document: DocumentMut = text.parse().expect("what toml wrote");
        // As one line each, so that its comment stands above a key like all others.
        for key in ["bootstrap", "dial"] {
            document["p2p"][key].make_value();
        }
        for (table, key, comment) in COMMENTS {
            let lines = format!("# {}\n", comment.replace('\n', "\n# "));
            let Some(Item::Table(items)) = document.get_mut(table) else {
                unreachable!("every field of the configuration is a table")
            };
            if key.is_empty() {
                let gap = if *table == COMMENTS[0].0 { "" } else { "\n" };
                items.decor_mut().set_prefix(format!("{gap}{lines}"));
            } else if let Some(mut key) = items.key_mut(key) {
                // A table that was made a line has no space before its equals sign.
                *key.leaf_decor_mut() = toml_edit::Decor::new(lines, " ");
            }
        }
        document.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_comment_and_every_comment_its_key() {
        let value = toml::Value::try_from(Config::default()).unwrap();
        let mut keys = Vec::new();
        for (table, items) in value.as_table().unwrap() {
            keys.push((table.as_str(), ""));
            keys.extend(items.as_table().unwrap().keys().map(|key| (table.as_str(), key.as_str())));
        }
        let mut commented: Vec<_> = COMMENTS.iter().map(|(t, k, _)| (*t, *k)).collect();
        keys.sort_unstable();
        commented.sort_unstable();
        assert_eq!(commented, keys);
    }

    #[test]
    fn comments_stand_above_their_keys() {
        let text = Config::default_toml();
        assert!(text.starts_with("# Connections to the other nodes.\n[p2p]\n"), "{text}");
        assert!(text.contains("\n# Requests in one JSON-RPC batch.\nmax_batch = 10\n"), "{text}");
        assert!(text.contains("\nbootstrap = {}\n") && text.contains("\ndial = {}\n"), "{text}");
    }
}
