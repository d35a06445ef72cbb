//! CometBFT's query language: which events a subscription asks for.
//!
//! ```text
//! tm.event = 'Tx' AND tx.height >= 5 AND record_put.data_set CONTAINS 'price'
//! ```
//!
//! A query is a list of conditions joined by `AND`, each `TAG OPERATOR OPERAND`. Tags are composite keys of
//! events ([`Events`]). The grammar is that of CometBFT 0.38, libs/pubsub/query/syntax:
//!
//! | operator | operand |
//! |---|---|
//! | `=` | a text, a number, a time or a date |
//! | `<` `<=` `>` `>=` | a number, a time or a date |
//! | `CONTAINS` | a text |
//! | `EXISTS` | none |
//!
//! A text stands in single quotes and has none inside. A number is digits with or without a fraction and has
//! no sign. A time is `TIME 2026-11-22T23:09:21Z`, a date `DATE 2026-11-22`. Words are upper case, and white
//! space is free.
//!
//! An event matches when each condition holds for one of the values of its tag at least. A value that is
//! no number, as a whole, does not match a number (CometBFT takes the digits that it begins with); times and
//! dates likewise. A tag that is the kind of an event, without an attribute, has the empty value.
//!
//! Pure: no clock and no I/O. Queries are bounded by [`MAX_BYTES`] and [`MAX_CONDITIONS`].

mod events;
mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

pub use events::Events;
pub use value::{Date, Number};

use tandem_chain::types::Timestamp;

/// Bytes of a query. CometBFT's bound is the same.
pub const MAX_BYTES: usize = 512;
/// Conditions of a query.
pub const MAX_CONDITIONS: usize = 16;

/// Conditions all of which must hold; one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// As they were written.
    pub conditions: Vec<Condition>,
}

/// What must hold of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A composite key of events, such as `tx.height`, or a kind of events alone.
    pub tag: String,
    /// What must hold of one of its values.
    pub test: Test,
}

/// What must hold of a value: operator and operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is there.
    Exists,
    /// It has this text in it.
    Contains(String),
    /// It is this text.
    Is(String),
    /// It is a number that stands so to this one.
    Number(Order, Number),
    /// It is a time that stands so to this one.
    Time(Order, Timestamp),
    /// It is a date that stands so to this one.
    Date(Order, Date),
}

/// How a value stands to an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Why a text is no query. Places are bytes from the beginning, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// Over [`MAX_BYTES`].
    #[error("the query has {got} bytes, at most {MAX_BYTES} are taken")]
    TooLong {
        /// Its bytes.
        got: usize,
    },
    /// Over [`MAX_CONDITIONS`].
    #[error(
        "at byte {at} of the query: there are {MAX_CONDITIONS} conditions before, no more are taken"
    )]
    TooMany {
        /// Where the first that is too many begins.
        at: usize,
    },
    /// Something else stands where a part of a condition must.
    #[error("at byte {at} of the query: expected {expected}, found {got}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What must stand there.
        expected: &'static str,
        /// What does, cut and escaped.
        got: String,
    },
    /// A text without its second quote.
    #[error("at byte {at} of the query: a text begins that does not end: a ' is missing")]
    OpenText {
        /// Where its first quote is.
        at: usize,
    },
}

impl Query {
    /// Whether an event with these keys and values is asked for. One without any is not.
    #[must_use]
    pub fn matches(&self, events: &Events) -> bool {
        !events.is_empty() && self.conditions.iter().all(|condition| condition.matches(events))
    }

    /// The text that a condition says a tag is, the first where there are several.
    #[must_use]
    pub fn text(&self, tag: &str) -> Option<&str> {
        self.conditions.iter().filter(|condition| condition.tag == tag).find_map(|condition| {
            match &condition.test {
                Test::Is(text) => Some(text.as_str()),
                _ => None,
            }
        })
    }

    /// The integers that all conditions on numbers of a tag allow; an empty range when there are none.
    /// Of a tag with several values each condition may hold for another one: ask for those that have
    /// one value alone, such as `tx.height`.
    #[must_use]
    pub fn range(&self, tag: &str) -> RangeInclusive<u64> {
        let of_tag = self.conditions.iter().filter(|condition| condition.tag == tag);
        let ranges = of_tag.filter_map(|condition| match &condition.test {
            Test::Number(order, number) => Some(number.integers(*order)),
            _ => None,
        });
        ranges.fold(0..=u64::MAX, |all, one| {
            *all.start().max(one.start())..=*all.end().min(one.end())
        })
    }
}

impl Condition {
    /// Whether it holds for one of the values of its tag.
    #[must_use]
    pub fn matches(&self, events: &Events) -> bool {
        events.values(&self.tag).iter().any(|value| self.test.holds(value))
            || (self.test.holds("") && events.has_kind(&self.tag))
    }
}

impl Test {
    /// Whether it holds for this value.
    #[must_use]
    pub fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Contains(text) => value.contains(text.as_str()),
            Self::Is(text) => value == text,
            Self::Number(order, number) => {
                number.compare(value).is_some_and(|ordering| order.holds(ordering))
            }
            Self::Time(order, time) => {
                let value = Timestamp::from_rfc3339(value);
                value.is_ok_and(|value| order.holds(value.cmp(time)))
            }
            Self::Date(order, date) => {
                Date::parse(value).is_some_and(|value| order.holds(value.cmp(date)))
            }
        }
    }
}

impl Order {
    /// Whether a value that stands so to the operand is meant.
    #[must_use]
    pub fn holds(self, value: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => value.is_eq(),
            Self::Less => value.is_lt(),
            Self::LessOrEqual => value.is_le(),
            Self::Greater => value.is_gt(),
            Self::GreaterOrEqual => value.is_ge(),
        }
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        parse::query(text)
    }
}

/// One spelling for all queries with the same conditions in the same order, which reads back as that
/// query.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, condition) in self.conditions.iter().enumerate() {
            if i > 0 {
                f.write_str(" AND ")?;
            }
            write!(f, "{condition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tag, self.test)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("EXISTS"),
            Self::Contains(text) => write!(f, "CONTAINS '{text}'"),
            Self::Is(text) => write!(f, "= '{text}'"),
            Self::Number(order, number) => write!(f, "{order} {number}"),
            Self::Time(order, time) => write!(f, "{order} TIME {}", time.to_rfc3339()),
            Self::Date(order, date) => write!(f, "{order} DATE {date}"),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}
