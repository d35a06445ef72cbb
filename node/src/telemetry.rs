//! Log lines: plain for people or JSON for machines, with a level per module, which can be changed while
//! the node runs.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// The levels in a text such as `info,tandem_node::network=debug`.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse_levels(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim) {
        let (module, level) = match part.split_once('=') {
            Some((module, level)) => (Some(module.trim()), level.trim()),
            None => (None, part),
        };
        let filter = match level {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => return Err(format!("\"{}\": {RULE}", tandem_chain::types::escaped(part))),
        };
        targets = match module {
            Some("") => return Err(format!("a module's name is empty: {RULE}")),
            Some(module) => targets.with_target(module, filter),
            None => targets.with_default(filter),
        };
    }
    Ok(targets)
}

const RULE: &str = "a level is off, error, warn, info, debug or trace, and levels of modules follow \
                    it as in \"info,tandem_node::network=debug\"";

/// Changes the levels of the process' log lines.
#[derive(Clone, Debug)]
pub struct Levels(reload::Handle<Targets, Registry>);

impl Levels {
    /// From now on these levels count.
    ///
    /// # Errors
    /// What is wrong with the text, for people; the levels stay as they were.
    pub fn set(&self, text: &str) -> Result<(), String> {
        let levels = parse_levels(text)?;
        self.0.reload(levels).map_err(|error| error.to_string())
    }
}

/// Sends the process' log lines to standard error from now on. Control characters in what peers
/// and users wrote are escaped by the subscriber.
///
/// # Errors
/// What is wrong, for people: a level that is none, or a second call.
pub fn init(log: &Log) -> Result<Levels, String> {
    let (levels, handle) = reload::Layer::new(parse_levels(&log.level)?);
    let layer = match log.format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .with_filter(levels)
            .boxed(),
        LogFormat::Plain => fmt::layer()
            .with_ansi(colours(&std::io::stderr()))
            .with_writer(std::io::stderr)
            .with_filter(levels)
            .boxed(),
    };
    tracing_subscriber::registry().with(layer).try_init().map_err(|error| error.to_string())?;
    Ok(Levels(handle))
}

/// Whether colours belong on `stream`: it is a terminal, and `NO_COLOR` is not set.
#[must_use]
pub fn colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_per_module() {
        let targets = parse_levels("warn, tandem_node::rpc=debug").unwrap();
        assert!(targets.would_enable("tandem_node::rpc::server", &Level::DEBUG));
        assert!(!targets.would_enable("tandem_node::network", &Level::INFO));
        assert!(targets.would_enable("libp2p", &Level::WARN));
    }

    #[test]
    fn levels_are_changed_and_stay_when_the_new_ones_are_none() {
        let (layer, handle) =
            reload::Layer::<Targets, Registry>::new(parse_levels("warn").unwrap());
        let levels = Levels(handle);
        let shown = || levels.0.clone_current().unwrap();
        assert!(!shown().would_enable("tandem_node", &Level::INFO));
        levels.set("warn,tandem_node=debug").unwrap();
        assert!(shown().would_enable("tandem_node", &Level::DEBUG));
        assert!(levels.set("loud").unwrap_err().contains("loud"));
        assert!(shown().would_enable("tandem_node", &Level::DEBUG));
        drop(layer);
        assert!(levels.set("info").is_err(), "there is no log any more");
    }

    #[test]
    fn a_mistyped_level_is_named() {
        for text in ["", "inof", "info,", "info,x=loud", "=info", "INFO ,a=b=c", "\u{1b}[31m"] {
            let error = parse_levels(text).expect_err(text);
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }
}
