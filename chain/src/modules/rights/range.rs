//! Ranges of records' keys.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;
use crate::limits::MAX_RECORD_KEY_BYTES;
use crate::stored::Plain;

/// The keys from one on and before another, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    /// The first key: empty for the first of all.
    #[serde(with = "codec::bytes")]
    pub from: Vec<u8>,
    /// The key that is the first behind it: empty where it has no end.
    #[serde(with = "codec::bytes")]
    pub until: Vec<u8>,
}

impl Range {
    /// All keys.
    #[must_use]
    pub fn all() -> Self {
        Self { from: Vec::new(), until: Vec::new() }
    }

    /// The keys that start with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut until = prefix.to_vec();
        while until.pop_if(|last| *last == u8::MAX).is_some() {}
        if let Some(last) = until.last_mut() {
            *last += 1;
        }
        Self { from: prefix.to_vec(), until }
    }

    /// One key alone.
    pub(super) fn only(key: &[u8]) -> Self {
        Self { from: key.to_vec(), until: [key, &[0]].concat() }
    }

    /// Refuses what is no range of keys that records can have.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Refused`].
    pub fn check(&self) -> Result<(), Error> {
        let max = MAX_RECORD_KEY_BYTES;
        for (what, key) in [("start of a range", &self.from), ("end of a range", &self.until)] {
            if key.len() > max {
                return Err(Error::TooLong { what, max, got: key.len() });
            }
        }
        if !self.until.is_empty() && self.until <= self.from {
            let reason = format!("the range {self} holds no key: its end must be behind its start");
            return Err(Error::Refused { reason });
        }
        Ok(())
    }

    /// Whether a key lies in it.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && (self.until.is_empty() || key < self.until.as_slice())
    }

    /// Whether all of another lies in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let ends_later = !other.until.is_empty() && other.until <= self.until;
        self.from <= other.from && (self.until.is_empty() || ends_later)
    }

    /// What lies in both; none when nothing does.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<Self> {
        let from = self.from.clone().max(other.from.clone());
        let ends = [&self.until, &other.until].into_iter().filter(|until| !until.is_empty());
        let until = ends.min().cloned().unwrap_or_default();
        (until.is_empty() || from < until).then_some(Self { from, until })
    }

    /// The greatest key before it that a record can have; none when it begins with the first.
    pub(crate) fn before(&self) -> Option<Vec<u8>> {
        let (last, rest) = self.from.split_last()?;
        let mut key = rest.to_vec();
        if let Some(less) = last.checked_sub(1) {
            key.push(less);
            key.resize(MAX_RECORD_KEY_BYTES, u8::MAX);
        }
        Some(key)
    }
}

/// `all keys`, or such as `a/..a0`: the start, and behind the dots the end where there is one.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("all keys");
        }
        write!(f, "{}..{}", Plain(&self.from), Plain(&self.until))
    }
}

/// The records of a data set that a key may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach(Vec<Range>);

impl Reach {
    /// All that lies in one of `ranges`.
    #[must_use]
    pub fn new(mut ranges: Vec<Range>) -> Self {
        ranges.sort();
        let mut apart: Vec<Range> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match apart.last_mut() {
                Some(last) if last.until.is_empty() || range.from <= last.until => {
                    let is_longer = range.until.is_empty() || range.until > last.until;
                    if !last.until.is_empty() && is_longer {
                        last.until = range.until;
                    }
                }
                _ => apart.push(range),
            }
        }
        Self(apart)
    }

    /// Ranges in their order, with keys between each and the next.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.0
    }

    /// What of it lies in a range.
    #[must_use]
    pub fn within(&self, range: &Range) -> Self {
        Self(self.0.iter().filter_map(|own| own.common(range)).collect())
    }

    /// Whether a record with this key may be read.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.0.iter().any(|range| range.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(from: &[u8], until: &[u8]) -> Range {
        Range { from: from.into(), until: until.into() }
    }

    /// Keys of few bytes, so that they meet.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 254, 255]), 0..4)
    }

    fn good_range() -> impl Strategy<Value = Range> {
        let all = (key(), key()).prop_map(|(from, until)| Range { from, until });
        all.prop_filter("no range", |range| range.check().is_ok())
    }

    #[test]
    fn ranges_are_checked() {
        let long = vec![b'k'; MAX_RECORD_KEY_BYTES];
        let longer = vec![b'k'; MAX_RECORD_KEY_BYTES + 1];
        for (from, until, code) in [
            (&b""[..], &b""[..], 0),
            (b"", b"a", 0),
            (b"a", b"", 0),
            (b"a", b"a\0", 0),
            (b"a", b"a", 17),
            (b"b", b"a", 17),
            (b"", &long, 0),
            (&long, b"", 0),
            (b"", &longer, 1),
            (&longer, b"", 1),
        ] {
            let got = range(from, until).check().map_or_else(|error| error.code(), |()| 0);
            assert_eq!(got, code, "{}", range(from, until));
        }
        let error = range(b"b", b"a\x1b").check().unwrap_err().to_string();
        assert!(error.contains("the range b..0x611b holds no key"), "{error}");
        assert_eq!(Range::all().to_string(), "all keys");
        assert_eq!(range(b"a/", b"").to_string(), "a/..");
    }

    #[test]
    fn a_prefix_is_a_range() {
        for (prefix, until) in [
            (&b""[..], &b""[..]),
            (b"a", b"b"),
            (b"a/", b"a0"),
            (b"a\xff", b"b"),
            (b"\xfe\xff\xff", b"\xff"),
            (b"\xff\xff", b""),
        ] {
            assert_eq!(Range::prefix(prefix), range(prefix, until));
        }
    }

    proptest! {
        #[test]
        fn ranges_hold_the_keys_that_they_should(
            one in good_range(),
            other in good_range(),
            keys in prop::collection::vec(key(), 9),
        ) {
            for key in &keys {
                prop_assert_eq!(Range::prefix(&one.from).contains(key), key.starts_with(&one.from));
                prop_assert_eq!(Range::only(&one.from).contains(key), *key == one.from);
                prop_assert_eq!(one.covers(&Range::only(key)), one.contains(key));
                let in_both = one.contains(key) && other.contains(key);
                let common = one.common(&other);
                prop_assert_eq!(common.is_some_and(|common| common.contains(key)), in_both);
                if one.covers(&other) {
                    prop_assert!(one.contains(key) || !other.contains(key));
                }
                // Nothing lies between a range and what is before it.
                let is_before = one.before().is_some_and(|before| *key <= before);
                prop_assert_eq!(is_before, *key < one.from);
            }
            prop_assert!(!other.covers(&one) || one.common(&other) == Some(one.clone()));
        }

        #[test]
        fn a_reach_holds_what_one_of_its_ranges_holds(
            ranges in prop::collection::vec(good_range(), 0..6),
            part in good_range(),
            keys in prop::collection::vec(key(), 20),
        ) {
            let reach = Reach::new(ranges.clone());
            let within = reach.within(&part);
            for key in &keys {
                let is_in_one = ranges.iter().any(|range| range.contains(key));
                prop_assert_eq!(reach.contains(key), is_in_one);
                prop_assert_eq!(within.contains(key), is_in_one && part.contains(key));
            }
            prop_assert_eq!(Reach::new(within.ranges().to_vec()), within);
            for pair in reach.ranges().windows(2) {
                prop_assert!(!pair[0].until.is_empty() && pair[0].until < pair[1].from);
            }
        }
    }
}
