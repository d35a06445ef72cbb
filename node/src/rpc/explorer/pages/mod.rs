//! The pages. Each is a function of the visit, of what its path names, and of the query.

mod api;
mod block;
mod blocks;
mod data;
mod diff;
mod history;
mod key;
mod members;
mod motions;
mod network;
mod overview;
mod pairs;
mod parameters;
mod search;
mod switch;
mod try_change;
mod tx;

use maud::Markup;
use tandem_chain::types::escaped;

use super::Visit;
use super::fault::Fault;
use super::query::Query;

/// A page without what is around it.
pub(super) struct Page {
    /// Its title.
    pub(super) title: String,
    /// Where it belongs.
    pub(super) nav: Nav,
    /// Milliseconds after which the script asks for it again; none where nothing changes.
    pub(super) poll: Option<u64>,
    /// It.
    pub(super) body: Markup,
}

/// What the ways at the top lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nav {
    Overview,
    Pairs,
    Blocks,
    Organizations,
    Motions,
    Network,
    Data,
    Parameters,
    Api,
    None,
}

/// What a visit gives.
pub(super) enum Made {
    /// A page.
    Page(Page),
    /// The address of another.
    Other(String),
}

impl From<Page> for Made {
    fn from(page: Page) -> Self {
        Self::Page(page)
    }
}

/// What is asked of a page.
pub(super) struct Asked<'a> {
    pub(super) visit: &'a Visit,
    /// The parts of the path that the pattern leaves open.
    pub(super) names: Vec<&'a str>,
    pub(super) query: &'a Query,
}

macro_rules! pages {
    ($($pattern:literal => $page:path;)*) => {
        /// The paths of all pages below [`super::ROOT`]; what stands in braces is open.
        pub const PAGES: &[&str] = &[$($pattern),*];

        async fn call(pattern: &str, asked: Asked<'_>) -> Result<Made, Fault> {
            match pattern {
                $($pattern => Ok($page(asked).await?.into()),)*
                other => Err(Fault::not_found(format!("there is no page {other}"))),
            }
        }
    };
}

pages! {
    "" => overview::page;
    "/pairs" => pairs::page;
    "/switches" => switch::list;
    "/switch/{height}/{seat}" => switch::page;
    "/blocks" => blocks::page;
    "/block/{height}" => block::page;
    "/tx/{hash}" => tx::page;
    "/organizations" => members::list;
    "/organization/{name}" => members::page;
    "/key/{key}" => key::page;
    "/motions" => motions::list;
    "/motion/{number}" => motions::page;
    "/try" => try_change::page;
    "/network" => network::page;
    "/data-sets" => data::sets;
    "/data-set/{name}" => data::set;
    "/record/{set}/{key}" => data::record;
    "/parameters" => parameters::page;
    "/search" => search::page;
    "/api" => api::page;
}

/// The open parts of a path, where it is of a pattern.
fn fits<'a>(pattern: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    let mut names = Vec::new();
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(names),
            (Some(part), Some(name)) if part.starts_with('{') => names.push(name),
            (Some(part), Some(name)) if part == name => {}
            _ => return None,
        }
    }
}

/// The page at a path.
pub(super) async fn make(visit: &Visit, path: &str, query: &Query) -> Result<Made, Fault> {
    let path = path.strip_suffix('/').unwrap_or(path);
    for pattern in PAGES {
        if let Some(names) = fits(pattern, path) {
            return call(pattern, Asked { visit, names, query }).await;
        }
    }
    Err(Fault::not_found(format!("there is no page {}{}", super::ROOT, escaped(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_of_one_pattern() {
        for (path, pattern, names) in [
            ("", "", vec![]),
            ("/pairs", "/pairs", vec![]),
            ("/block/7", "/block/{height}", vec!["7"]),
            ("/record/set/00FF", "/record/{set}/{key}", vec!["set", "00FF"]),
            ("/record/set/", "/record/{set}/{key}", vec!["set", ""]),
        ] {
            let found: Vec<_> = PAGES.iter().filter_map(|p| Some((*p, fits(p, path)?))).collect();
            assert_eq!(found, [(pattern, names)], "{path}");
        }
        for path in ["/", "/none", "/block", "/block/7/8", "//pairs", "/Pairs"] {
            assert!(PAGES.iter().all(|pattern| fits(pattern, path).is_none()), "{path}");
        }
    }
}
