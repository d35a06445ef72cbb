//! What an operator watches a node by: metrics.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, range, wrong};

/// Table `instrumentation`, with CometBFT's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Instrumentation {
    /// Whether metrics are served.
    pub prometheus: bool,
    /// Where.
    pub prometheus_listen_addr: SocketAddr,
    /// Connections at once.
    pub max_open_connections: usize,
    /// What all names of metrics begin with.
    pub namespace: String,
}

impl Default for Instrumentation {
    fn default() -> Self {
        Self {
            prometheus: false,
            prometheus_listen_addr: SocketAddr::from(([127, 0, 0, 1], 26660)),
            max_open_connections: 8,
            namespace: "tandem".to_owned(),
        }
    }
}

impl Instrumentation {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        range("instrumentation.max_open_connections", self.max_open_connections, 1, 1_000)?;
        if is_namespace(&self.namespace) {
            return Ok(());
        }
        let rule = "1 to 64 letters, digits and underscores, the first no digit";
        Err(wrong("instrumentation.namespace", &self.namespace, rule))
    }
}

/// Whether names of metrics may begin with it.
fn is_namespace(text: &str) -> bool {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=64).contains(&text.len())
        && text.bytes().all(is_fit)
        && !text.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_not_allowed_is_named_with_the_rule() {
        let cases = [
            ("namespace = \"a b\"", &["instrumentation.namespace", "a b", "letters"][..]),
            ("namespace = \"7\"", &["instrumentation.namespace", "the first no digit"]),
            ("namespace = \"\"", &["instrumentation.namespace", "1 to 64"]),
            ("namespace = \"\\u001b\"", &["instrumentation.namespace", "letters"]),
            ("max_open_connections = 0", &["max_open_connections is 0", "1 to 1000"]),
            ("prometheus_listen_addr = \":26660\"", &["prometheus_listen_addr", ":26660"]),
        ];
        for (line, words) in cases {
            let text = format!("[instrumentation]\n{line}");
            let error = Config::parse(&text, "config.toml").expect_err(line).to_string();
            for word in words {
                assert!(error.contains(word), "{line}: {word:?} is not in {error:?}");
            }
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
        let good = "[instrumentation]\nprometheus = true\nnamespace = \"_a7\"";
        assert!(Config::parse(good, "test").unwrap().instrumentation.prometheus);
    }
}
