//! Numbers and dates, in queries and in values.

use std::cmp::Ordering;
use std::fmt;
use std::ops::RangeInclusive;

use tandem_chain::types::Timestamp;

use super::Order;

/// A decimal number without a sign, of any length: none is ever rounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Without zeros that say nothing: neither before the whole part, which has one digit at least, nor
    /// at the end of the fraction, which is left out when it is 0.
    text: String,
}

/// The digits of a number, without those that say nothing. The order of the fields makes that of the
/// numbers: the longer whole part is greater, and at one length digits compare as texts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Digits<'t> {
    whole_len: usize,
    whole: &'t str,
    fraction: &'t str,
}

impl<'t> Digits<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        Some(Self { whole_len: whole.len(), whole, fraction })
    }
}

impl Number {
    /// From digits with or without a fraction, such as `15`, `0.50` or `7.`; none for all else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let Digits { whole, fraction, .. } = Digits::of(text)?;
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(Self { text: [whole, point, fraction].concat() })
    }

    /// How a value stands to this number; none when it is no number itself.
    #[must_use]
    pub fn compare(&self, value: &str) -> Option<Ordering> {
        Some(Digits::of(value)?.cmp(&Digits::of(&self.text)?))
    }

    /// The integers of 64 bits that stand so to this number; an empty range when there are none.
    #[must_use]
    pub fn integers(&self, order: Order) -> RangeInclusive<u64> {
        /// A range of nothing.
        const NONE: RangeInclusive<u64> = RangeInclusive::new(1, 0);
        let (whole, fraction) = self.text.split_once('.').unwrap_or((&self.text, ""));
        let is_whole = fraction.is_empty();
        let Ok(floor) = whole.parse::<u64>() else {
            // It is above them all.
            return match order {
                Order::Less | Order::LessOrEqual => 0..=u64::MAX,
                Order::Equal | Order::Greater | Order::GreaterOrEqual => NONE,
            };
        };
        let below = || floor.checked_sub(1).map_or(NONE, |end| 0..=end);
        let above = || floor.checked_add(1).map_or(NONE, |start| start..=u64::MAX);
        match (order, is_whole) {
            (Order::Equal, true) => floor..=floor,
            (Order::Equal, false) => NONE,
            (Order::Less, true) => below(),
            (Order::Less, false) | (Order::LessOrEqual, _) => 0..=floor,
            (Order::GreaterOrEqual, true) => floor..=u64::MAX,
            (Order::GreaterOrEqual, false) | (Order::Greater, _) => above(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A day of the years 1970 to 2554.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Its beginning in UTC.
    midnight: Timestamp,
}

impl Date {
    /// From `yyyy-mm-dd`; none for all else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != "yyyy-mm-dd".len() {
            return None;
        }
        let midnight = Timestamp::from_rfc3339(&format!("{text}T00:00:00Z")).ok()?;
        Some(Self { midnight })
    }

    /// Its beginning in UTC.
    #[must_use]
    pub fn midnight(self) -> Timestamp {
        self.midnight
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.midnight.to_rfc3339();
        f.write_str(text.split_once('T').map_or(text.as_str(), |(date, _)| date))
    }
}
