//! The query behind a page's path.

use std::str::FromStr;

use axum::extract;
use axum::http::Uri;
use tandem_chain::types::escaped;

use super::fault::Fault;

/// Parameters by name, in their order; what is empty counts as left out.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// From the address of a page.
    pub(super) fn of(uri: &Uri) -> Result<Self, Fault> {
        let found = extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
        let extract::Query(pairs) =
            found.map_err(|error| Fault::bad(escaped(&error.to_string())))?;
        Ok(Self(pairs))
    }

    /// Refuses parameters that are not of these names, or there more than once.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Fault> {
        for (i, (name, _)) in self.0.iter().enumerate() {
            let shown = escaped(name);
            if !names.contains(&name.as_str()) {
                let known = match names {
                    [] => "it takes none".to_owned(),
                    names => format!("it takes {}", names.join(", ")),
                };
                return Err(Fault::bad(format!("this page has no parameter {shown}; {known}")));
            }
            if self.0[..i].iter().any(|(other, _)| other == name) {
                return Err(Fault::bad(format!("the parameter {shown} is there twice")));
            }
        }
        Ok(())
    }

    /// The text of a parameter, without space around it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(other, _)| other == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// A parameter that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Fault> {
        self.text(name).map(|text| number(name, text)).transpose()
    }
}

/// A whole number from 0 on.
pub(super) fn number(name: &str, text: &str) -> Result<u64, Fault> {
    text.parse().map_err(|_| {
        Fault::bad(format!("{name} must be a whole number from 0 on, got {}", escaped(text)))
    })
}

/// A part of a path or query that is of a type of the chain.
pub(super) fn parsed<T: FromStr<Err = tandem_chain::Error>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error: tandem_chain::Error| Fault::bad(error.to_string()))
}
