//! What an operator watches a node by: metrics, and hooks on changes of its role.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, counted, duration, range, wrong};

/// Parts of a command, and bytes of one.
const MAX_PARTS: usize = 64;
const MAX_PART_BYTES: usize = 4_096;

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

/// Table `hooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hooks {
    /// A program and its arguments; empty for none.
    pub role_change: Vec<String>,
    /// Where a change is posted; empty for nowhere.
    pub role_change_webhook: String,
    /// How long the program, and one attempt to post, may take.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            role_change: Vec::new(),
            role_change_webhook: String::new(),
            timeout: Duration::from_secs(30),
        }
    }
}

impl Hooks {
    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let key = "hooks.role_change";
        counted(key, "number of parts", self.role_change.len(), 0, MAX_PARTS)?;
        if self.role_change.first().is_some_and(String::is_empty) {
            return Err(wrong(key, "", "the first part is a program"));
        }
        let is_fit = |part: &String| part.len() <= MAX_PART_BYTES && !part.contains('\0');
        if let Some(bad) = self.role_change.iter().find(|part| !is_fit(part)) {
            let start: String = bad.chars().take(64).collect();
            let rule = "a part has at most 4096 bytes, none of them 0";
            return Err(wrong(key, &start, rule));
        }
        let key = "hooks.role_change_webhook";
        let url = &self.role_change_webhook;
        if !url.is_empty() && !is_webhook(url) {
            let rule = "a URL such as \"http://127.0.0.1:8080/role\", of at most 4096 bytes; there is no \
                        TLS: for https let a program such as curl post it (hooks.role_change)";
            // Its path may be a secret.
            let url = reqwest::Url::parse(url).ok();
            let host = url.as_ref().and_then(|url| Some((url.scheme(), url.host_str()?)));
            let shown =
                host.map_or("no URL".to_owned(), |(scheme, host)| format!("{scheme}://{host}/"));
            return Err(wrong(key, &shown, rule));
        }
        let ms = usize::try_from(self.timeout.as_millis()).unwrap_or(usize::MAX);
        range("hooks.timeout (ms)", ms, 100, 600_000)
    }
}

fn is_webhook(text: &str) -> bool {
    let url = reqwest::Url::parse(text).ok();
    text.len() <= MAX_PART_BYTES && url.is_some_and(|url| url.scheme() == "http" && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::MAX_PARTS;
    use crate::config::Config;

    #[test]
    fn what_is_not_allowed_is_named_with_the_rule() {
        let cases = [
            ("namespace = \"a b\"", &["instrumentation.namespace", "a b", "letters"][..]),
            ("namespace = \"7\"", &["instrumentation.namespace", "the first no digit"]),
            ("namespace = \"\"", &["instrumentation.namespace", "1 to 64"]),
            ("namespace = \"\\u001b\"", &["instrumentation.namespace", "letters"]),
            ("max_open_connections = 0", &["max_open_connections is 0", "1 to 1000"]),
            ("prometheus_listen_addr = \":26660\"", &["prometheus_listen_addr", "socket address"]),
            ("role_change = \"/bin/true\"", &["role_change", "sequence"]),
            ("role_change = [\"\"]", &["hooks.role_change", "the first part is a program"]),
            ("role_change = [\"a\", \"\\u0000\"]", &["hooks.role_change", "4096 bytes"]),
            ("role_change_webhook = \"x\"", &["hooks.role_change_webhook", "http://"]),
            ("role_change_webhook = \"https://h/\"", &["https://h/", "curl"]),
            ("role_change_webhook = \"https://h/secret?a=secret\"", &["https://h/", "curl"]),
            ("timeout = \"1ms\"", &["hooks.timeout", "100 to 600000"]),
        ];
        for (line, words) in cases {
            let table = if line.starts_with("role") || line.starts_with("timeout") {
                "hooks"
            } else {
                "instrumentation"
            };
            let text = format!("[{table}]\n{line}");
            let error = Config::parse(&text, "config.toml").expect_err(line).to_string();
            for word in words {
                assert!(error.contains(word), "{line}: {word:?} is not in {error:?}");
            }
            assert!(!error.contains('\u{1b}') && !error.contains("secret"), "{error:?}");
        }
        let good = "[instrumentation]\nprometheus = true\nnamespace = \"_a7\"";
        assert!(Config::parse(good, "test").unwrap().instrumentation.prometheus);
        let good = "[hooks]\nrole_change = [\"/bin/true\", \"\"]\n\
                    role_change_webhook = \"http://127.0.0.1:1/x?y=z\"\ntimeout = \"3s\"";
        assert_eq!(Config::parse(good, "test").unwrap().hooks.role_change.len(), 2);
        let many = format!("[hooks]\nrole_change = {:?}", vec!["a"; MAX_PARTS + 1]);
        assert!(Config::parse(&many, "test").unwrap_err().to_string().contains("0 to 64"));
    }
}
