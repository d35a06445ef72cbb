//! Keys and values of an event, as queries see them.

use std::collections::BTreeMap;

use serde::Serialize;
use tandem_chain::ledger::Event;

/// Composite keys such as `tx.height` or `record_put.key`, each with its values in their order. As
/// JSON an object of lists of texts, as in CometBFT's events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Events(BTreeMap<String, Vec<String>>);

impl Events {
    /// Adds a value to a key.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        if let Some(values) = self.0.get_mut(key) {
            values.push(value.into());
        } else {
            self.0.insert(key.to_owned(), vec![value.into()]);
        }
    }

    /// Adds what the ledger says: the attribute `name` of an event of some kind is under `kind.name`.
    pub fn add_all(&mut self, events: &[Event]) {
        for event in events {
            for (name, value) in &event.attributes {
                self.add(&format!("{}.{name}", event.kind), value.as_str());
            }
        }
    }

    /// The values of a key, none when it is not there.
    #[must_use]
    pub fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether there is a key `kind.name` with any name.
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.0.keys().any(|key| key.rsplit_once('.').is_some_and(|(of, _)| of == kind))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys with their values, in the order of the keys.
    pub fn all(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(key, values)| (key.as_str(), values.as_slice()))
    }
}
