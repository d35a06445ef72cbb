//! Searches: which transactions or blocks a query asks for, by the index of events.
//!
//! Conditions on heights bound the part of the chain that is looked at. The others are grouped by the kind
//! of event that their tags name: all conditions of a group must hold for one and the same event, as in
//! CometBFT's search, and each group for some event of the transaction or block.
//!
//! | condition | how its places are found |
//! |---|---|
//! | `= 'text'` | they lie in their order in the index; those that several such conditions have in common are found by leaps from one to the other, so that the rarest decides what is read |
//! | any other | all values of the attribute are looked at, and of each the places within the heights |
//!
//! Each leap and each place is a step, and a search has [`MAX_STEPS`] and a time by which it ends.

mod found;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Instant;

use tandem_chain::Error as ChainError;
use tandem_chain::types::{Hash, Height, TxHash};

use crate::query::{Condition, Query, Test};
use crate::storage::{EventKind, Events, Place, Places};

pub use found::Found;

/// Steps of one search.
pub const MAX_STEPS: u64 = 100_000;

/// Why a search has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The database.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Over [`MAX_STEPS`].
    #[error(
        "the search looks at more than {MAX_STEPS} entries of the index: give it a condition with = and a \
         text, or several, or narrower heights"
    )]
    TooManySteps,
    /// The time is over.
    #[error(
        "the search takes too long: give it a condition with = and a text, or several, or narrower heights"
    )]
    TooLong,
    /// A condition that the index cannot answer.
    #[error("{tag} takes {rule} in a search")]
    Condition {
        /// The tag.
        tag: &'static str,
        /// What can be asked of it.
        rule: &'static str,
    },
}

/// A transaction's or block's place: for a block 0 beside its height.
type At = (Height, u32);

/// The transactions or blocks that a query asks for. `find` says where a transaction is; at `until` the search
/// is given up.
///
/// # Errors
/// [`SearchError`].
pub fn search(
    events: &Events<'_>,
    kind: EventKind,
    query: &Query,
    until: Instant,
    find: impl Fn(&TxHash) -> Result<Option<At>, ChainError>,
) -> Result<Found, SearchError> {
    let Some((lowest, highest)) = events.heights()? else { return Ok(Found::Some(Vec::new())) };
    let (height_tag, event_word) = match kind {
        EventKind::Transaction => ("tx.height", "Tx"),
        EventKind::Block => ("block.height", "NewBlock"),
    };
    let range = query.range(height_tag);
    let (mut low, mut high) = (lowest.0.max(*range.start()), highest.0.min(*range.end()));
    let mut groups: BTreeMap<&str, Vec<&Condition>> = BTreeMap::new();
    let mut candidates: Option<BTreeSet<At>> = None;
    for condition in &query.conditions {
        match (condition.tag.as_str(), &condition.test) {
            (tag, Test::Exists | Test::Number(..)) if tag == height_tag => {}
            (tag, Test::Is(text)) if tag == height_tag => {
                // As the height is written.
                let height = text.parse::<u64>().ok().filter(|height| height.to_string() == *text);
                let height = height.unwrap_or(0);
                (low, high) = (low.max(height), high.min(height));
            }
            (tag, _) if tag == height_tag => {
                let rule = "= < <= > >= with a number";
                return Err(SearchError::Condition { tag: height_tag, rule });
            }
            // What a subscription says of the same things holds for all of them here.
            ("tm.event", test) if test.holds(event_word) => {}
            ("tm.event", _) => return Ok(Found::Some(Vec::new())),
            ("tx.hash", Test::Is(text)) if kind == EventKind::Transaction => {
                let at = text.parse::<Hash>().ok().map(|hash| find(&hash)).transpose()?.flatten();
                meet(&mut candidates, at.into_iter().collect());
            }
            ("tx.hash", _) if kind == EventKind::Transaction => {
                let rule = "= with 64 hex digits in quotes";
                return Err(SearchError::Condition { tag: "tx.hash", rule });
            }
            (tag, _) => {
                let of = tag.rsplit_once('.').map_or(tag, |(of, _)| of);
                groups.entry(of).or_default().push(condition);
            }
        }
    }
    if low > high {
        return Ok(Found::Some(Vec::new()));
    }
    let heights = Height(low)..=Height(high);
    let mut search = Search { events, kind, heights, steps: 0, until };
    for conditions in groups.values() {
        if let Some(candidates) = &candidates {
            // What is left to be found is among them.
            let Some((first, last)) = candidates.first().zip(candidates.last()) else { break };
            search.heights = narrowed(&search.heights, first.0, last.0);
        }
        let places = search.group(conditions)?;
        meet(&mut candidates, places.into_iter().map(|place| (place.height, place.tx)).collect());
    }
    let heights = search.heights;
    Ok(match candidates {
        None => Found::All { kind, low: *heights.start(), high: *heights.end() },
        Some(found) => {
            let within = found.into_iter().filter(|(height, _)| heights.contains(height));
            Found::Some(within.collect())
        }
    })
}

/// The heights that are not below `first` nor above `last`, either.
fn narrowed(
    heights: &RangeInclusive<Height>,
    first: Height,
    last: Height,
) -> RangeInclusive<Height> {
    first.max(*heights.start())..=last.min(*heights.end())
}

/// Leaves of the candidates those that are among `found`, too.
fn meet(candidates: &mut Option<BTreeSet<At>>, found: BTreeSet<At>) {
    match candidates {
        None => *candidates = Some(found),
        Some(candidates) => candidates.retain(|at| found.contains(at)),
    }
}

struct Search<'e> {
    events: &'e Events<'e>,
    kind: EventKind,
    heights: RangeInclusive<Height>,
    steps: u64,
    until: Instant,
}

impl Search<'_> {
    fn step(&mut self) -> Result<(), SearchError> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(SearchError::TooManySteps);
        }
        // A step may read the disk.
        if Instant::now() >= self.until { Err(SearchError::TooLong) } else { Ok(()) }
    }

    /// The events for which all of these conditions hold, which name one kind of event.
    fn group(&mut self, conditions: &[&Condition]) -> Result<Vec<Place>, SearchError> {
        let (mut texts, mut sets) = (Vec::new(), Vec::new());
        for condition in conditions {
            match &condition.test {
                Test::Is(text) if condition.tag.contains('.') => {
                    texts.push(self.events.places(self.kind, &condition.tag, text));
                }
                _ => sets.push(condition),
            }
        }
        // Those that are looked up come first: where they have nothing in common, nothing more is read.
        let mut found = if texts.is_empty() { None } else { Some(self.common(texts)?) };
        for condition in sets {
            let mut heights = self.heights.clone();
            if let Some(found) = &found {
                let Some((first, last)) = found.first().zip(found.last()) else { break };
                heights = narrowed(&heights, first.height, last.height);
            }
            let set = self.scan(condition, &heights)?;
            found = Some(match found {
                None => set.into_iter().collect::<Vec<Place>>(),
                Some(found) => found.into_iter().filter(|place| set.contains(place)).collect(),
            });
        }
        Ok(found.unwrap_or_default())
    }

    /// The places that all lists have in common.
    fn common(&mut self, mut lists: Vec<Places<'_>>) -> Result<Vec<Place>, SearchError> {
        let mut common = Vec::new();
        let (mut at, mut agreed, mut next) =
            (Place { height: *self.heights.start(), ..Place::default() }, 0, 0);
        loop {
            self.step()?;
            let Some(place) =
                lists[next].seek(at)?.filter(|place| place.height <= *self.heights.end())
            else {
                return Ok(common);
            };
            agreed = if place == at { agreed + 1 } else { 1 };
            at = place;
            if agreed >= lists.len() {
                common.push(place);
                let Some(above) = place.next() else { return Ok(common) };
                (at, agreed) = (above, 0);
            } else {
                next = (next + 1) % lists.len();
            }
        }
    }

    /// The places in these blocks of events with a value for which a condition holds.
    fn scan(
        &mut self,
        condition: &Condition,
        heights: &RangeInclusive<Height>,
    ) -> Result<BTreeSet<Place>, SearchError> {
        let (events, kind, test) = (self.events, self.kind, &condition.test);
        let is_kind = !condition.tag.contains('.');
        let mut set = BTreeSet::new();
        let visit = |value: &str, place: Place| {
            self.step()?;
            if heights.contains(&place.height) && (is_kind || test.holds(value)) {
                set.insert(place);
            }
            Ok::<_, SearchError>(())
        };
        if !is_kind {
            events.visit(kind, &condition.tag, heights, visit)?;
        } else if test.holds("") {
            // A kind of events alone has the empty value, whatever those of its attributes are.
            events.visit_kind(kind, &condition.tag, heights, visit)?;
        }
        Ok(set)
    }
}
