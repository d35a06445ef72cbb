//! Where and how JSON-RPC is answered.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, duration, ms, range, wrong};

/// Table `rpc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rpc {
    /// Where to answer JSON-RPC.
    pub listen: SocketAddr,
    /// Where to answer it over TLS as well; empty for nowhere.
    pub tls_listen: String,
    /// File with the certificate for that, and those between it and its root (PEM).
    pub tls_cert_file: PathBuf,
    /// File with the certificate's private key (PEM).
    pub tls_key_file: PathBuf,
    /// Who may read here.
    pub reading: Reading,
    /// Whether pages for a browser are served below `/explorer`.
    pub explorer: bool,
    /// Names of hosts by which a node on the loopback may be asked, beside `localhost`.
    pub hosts: Vec<String>,
    /// Origins whose pages in a browser may ask.
    pub cors_origins: Vec<String>,
    /// Connections at once.
    pub max_connections: usize,
    /// Of those, from one address, or from one network of IPv6 (/64).
    pub max_connections_per_client: usize,
    /// Bytes of one request's body.
    pub max_body_bytes: usize,
    /// Requests in one batch.
    pub max_batch: usize,
    /// Requests a second from one address, or from one network of IPv6 (/64); 0 for no bound.
    pub max_requests_per_s: u32,
    /// WebSockets at once; 0 for none.
    pub max_websockets: usize,
    /// Of those, from one address, or from one network of IPv6 (/64).
    pub max_websockets_per_client: usize,
    /// Subscriptions of one WebSocket.
    pub max_subscriptions: usize,
    /// Time to read a request and answer it.
    #[serde(with = "duration")]
    pub request_timeout: Duration,
    /// Time that `broadcast_tx_commit` waits for the block.
    #[serde(with = "duration")]
    pub broadcast_commit_timeout: Duration,
}

impl Default for Rpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 26657)),
            tls_listen: String::new(),
            tls_cert_file: PathBuf::new(),
            tls_key_file: PathBuf::new(),
            reading: Reading::Open,
            explorer: true,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            max_connections: 512,
            max_connections_per_client: 256,
            max_body_bytes: 1_000_000,
            max_batch: 10,
            max_requests_per_s: 0,
            max_websockets: 100,
            max_websockets_per_client: 50,
            max_subscriptions: 5,
            request_timeout: Duration::from_secs(20),
            broadcast_commit_timeout: Duration::from_secs(10),
        }
    }
}

/// Who may read over the RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// Whoever reaches it.
    Open,
    /// Who shows a permit, and what its key may read.
    Limited,
}

impl Rpc {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first that is not allowed.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(bad) = self.hosts.iter().find(|host| !is_host(host)) {
            let rule = "the name of a host without a port, such as \"node.example.org\"";
            return Err(wrong("rpc.hosts", bad, rule));
        }
        if let Some(bad) = self.cors_origins.iter().find(|o| !is_origin(o)) {
            let rule = "an origin such as \"https://explorer.example.org\", or \"*\" for all";
            return Err(wrong("rpc.cors_origins", bad, rule));
        }
        self.tls().map_err(|rule| wrong("rpc.tls_listen", &self.tls_listen, rule))?;
        range("rpc.max_connections", self.max_connections, 1, 100_000)?;
        let per_client = self.max_connections_per_client;
        range("rpc.max_connections_per_client", per_client, 1, 100_000)?;
        range("rpc.max_body_bytes", self.max_body_bytes, 1_000, 16_000_000)?;
        range("rpc.max_batch", self.max_batch, 1, 1_000)?;
        let max_requests = self.max_requests_per_s as usize;
        range("rpc.max_requests_per_s", max_requests, 0, 1_000_000)?;
        range("rpc.max_websockets", self.max_websockets, 0, 100_000)?;
        range("rpc.max_websockets_per_client", self.max_websockets_per_client, 1, 100_000)?;
        range("rpc.max_subscriptions", self.max_subscriptions, 1, 1_000)?;
        range("rpc.request_timeout (ms)", ms(self.request_timeout), 100, 600_000)?;
        let commit = ms(self.broadcast_commit_timeout);
        range("rpc.broadcast_commit_timeout (ms)", commit, 100, 600_000)?;
        if self.broadcast_commit_timeout >= self.request_timeout {
            return Err(wrong(
                "rpc.broadcast_commit_timeout",
                &duration::text(self.broadcast_commit_timeout),
                "it must be below rpc.request_timeout",
            ));
        }
        Ok(())
    }

    /// Where to answer over TLS; none where that is not configured.
    ///
    /// # Errors
    /// What belongs there.
    pub fn tls(&self) -> Result<Option<SocketAddr>, &'static str> {
        let files = [&self.tls_cert_file, &self.tls_key_file];
        let is_named = |file: &&PathBuf| !file.as_os_str().is_empty();
        if self.tls_listen.is_empty() {
            return if files.iter().any(is_named) {
                Err("it must say where, for rpc.tls_cert_file and rpc.tls_key_file")
            } else {
                Ok(None)
            };
        }
        let Ok(address) = self.tls_listen.parse::<SocketAddr>() else {
            return Err("an address with a port, such as \"0.0.0.0:26659\"");
        };
        if !files.iter().all(is_named) {
            return Err(
                "rpc.tls_cert_file and rpc.tls_key_file must name certificate and key for it",
            );
        }
        // Port 0 takes a free one.
        if address == self.listen && address.port() != 0 {
            return Err("rpc.listen is there already, which has no TLS");
        }
        Ok(Some(address))
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text == "*" || host.is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn tls_is_whole_or_not_there() {
        let files = "tls_cert_file = \"c.pem\"\ntls_key_file = \"k.pem\"\n";
        for (rest, word) in [
            (format!("tls_listen = \"\"\n{files}"), "must say where"),
            ("tls_key_file = \"k.pem\"".to_owned(), "must say where"),
            (format!("tls_listen = \"26659\"\n{files}"), "address with a port"),
            ("tls_listen = \"0.0.0.0:26659\"".to_owned(), "must name certificate and key"),
            (format!("tls_listen = \"127.0.0.1:26657\"\n{files}"), "already"),
        ] {
            let error = Config::parse(&format!("[rpc]\n{rest}"), "test").unwrap_err().to_string();
            assert!(error.contains("rpc.tls_listen") && error.contains(word), "{error}");
        }
        let config = Config::parse(&format!("[rpc]\ntls_listen = \"[::]:26659\"\n{files}"), "test");
        assert_eq!(config.unwrap().rpc.tls(), Ok(Some("[::]:26659".parse().unwrap())));
        assert_eq!(Config::default().rpc.tls(), Ok(None));
    }
}
