//! Where transactions and events are found: an index in the database, and a sink.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::config::{Host, SslMode};

use super::{ConfigError, wrong};
use crate::sink::Server;

/// Time to connect with a host of the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Table `index`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Index {
    /// Whether transactions and events are searched here.
    pub enabled: bool,
    /// A PostgreSQL to which they are written as well; empty for none.
    pub psql: String,
    /// File with the password for it; empty for none.
    pub psql_password_file: PathBuf,
}

impl Default for Index {
    fn default() -> Self {
        Self { enabled: true, psql: String::new(), psql_password_file: PathBuf::new() }
    }
}

impl Index {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let error = |rule: String| ConfigError::Value {
            key: "index.psql",
            // What was written may have a password in it.
            got: "not what it must be".to_owned(),
            rule,
        };
        let server = self.server().map_err(error)?;
        let file = &self.psql_password_file;
        if server.is_none() && !file.as_os_str().is_empty() {
            let rule = "index.psql must say for which server";
            return Err(wrong("index.psql_password_file", &file.to_string_lossy(), rule));
        }
        Ok(())
    }

    /// Whether what is written to a server goes over a network, as far as its address tells.
    pub(super) fn leaves_the_machine(&self) -> bool {
        let Ok(Some(server)) = self.server() else { return false };
        if let addresses @ [_, ..] = server.get_hostaddrs() {
            return addresses.iter().any(|ip| !ip.is_loopback());
        }
        server.get_hosts().iter().any(|host| match host {
            Host::Unix(_) => false,
            Host::Tcp(name) => {
                let name = name.trim_matches(['[', ']']);
                name != "localhost" && !name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        })
    }

    /// How the server is reached, without its password; none where there is none.
    ///
    /// # Errors
    /// What it must look like.
    pub fn server(&self) -> Result<Option<Server>, String> {
        if self.psql.is_empty() {
            return Ok(None);
        }
        let mut server: Server = self.psql.parse().map_err(|error: tokio_postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let cause = cause.unwrap_or_else(|| error.to_string());
            format!(
                "a URL such as \"postgres://tandem@127.0.0.1/explorer\", or \"host=/run/postgresql user=tandem \
                 dbname=explorer\" ({})",
                tandem_chain::types::escaped(&cause)
            )
        })?;
        let rule = if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
            "it must name a host, or the folder of a socket"
        } else if server.get_user().is_none() || server.get_dbname().is_none() {
            "it must name a user and a database"
        } else if server.get_password().is_some() {
            "the password stands in a file of its own: index.psql_password_file"
        } else if server.get_ssl_mode() == SslMode::Require {
            "there is no TLS: reach the server by a socket, on loopback, or by a tunnel"
        } else {
            server.ssl_mode(SslMode::Disable).application_name("tandem");
            // Of several hosts the next is to be tried within the time for all.
            if server.get_connect_timeout().is_none() {
                server.connect_timeout(CONNECT_TIMEOUT);
            }
            return Ok(Some(server));
        };
        Err(rule.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::Config;

    #[test]
    fn what_is_no_server_is_named_with_the_rule() {
        let cases = [
            ("hello", "postgres://tandem@"),
            ("http://a/b", "postgres://tandem@"),
            ("postgres://u@h:x/d", "port"),
            ("postgres://u@h/d?colour=red", "colour"),
            ("user=u dbname=d", "name a host"),
            ("postgres://h/d", "name a user and a database"),
            ("postgres://u@h", "name a user and a database"),
            ("postgres://u:secret@h/d", "index.psql_password_file"),
            ("host=h user=u dbname=d password=secret", "index.psql_password_file"),
            ("postgres://u:secret@h:x/d", "port"),
            ("postgres://u@h/d?sslmode=require", "no TLS"),
        ];
        for (url, word) in cases {
            let text = format!("index.psql = {url:?}");
            let error = Config::parse(&text, "config.toml").expect_err(url).to_string();
            assert!(error.contains("index.psql is") && error.contains(word), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let error = Config::parse("index.psql_password_file = \"p\"", "config.toml").unwrap_err();
        assert!(error.to_string().contains("index.psql must say"), "{error}");
    }

    #[test]
    fn servers_are_named_by_url_or_by_words() {
        for url in [
            "postgres://u@db.example.org:5433/d",
            "postgresql://u@%2Frun%2Fpostgresql/d?connect_timeout=3",
            "host=/run/postgresql user=u dbname=d sslmode=prefer",
        ] {
            let text = format!("[index]\npsql = {url:?}\npsql_password_file = \"p\"");
            let index = Config::parse(&text, "test").unwrap().index;
            let server = index.server().unwrap().unwrap();
            assert_eq!((server.get_user(), server.get_dbname()), (Some("u"), Some("d")));
            let asked = if url.contains("connect_timeout") { 3 } else { 5 };
            assert_eq!(server.get_connect_timeout(), Some(&Duration::from_secs(asked)));
        }
        assert_eq!(Config::default().index.server(), Ok(None));
    }
}
