//! Paths of `abci_query`: `/records`, `/records/SET` and `/records/SET/KEY`.
//!
//! SET's part takes `?after=HEX&limit=N` behind the path. KEY is percent-encoded where it is not
//! plain text.

use tandem_chain::Error as ChainError;
use tandem_chain::limits::MAX_LIST;
use tandem_chain::types::{DataSetName, escaped};

use super::error::RpcError;

/// Records of a listing when no limit is given.
const DEFAULT_LIMIT: usize = 100;
/// Characters of a path.
const MAX_PATH: usize = 4_096;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// The data sets.
    DataSets,
    /// A part of a data set's records.
    List {
        /// Its name.
        data_set: DataSetName,
        /// The key behind which the part begins.
        after: Option<Vec<u8>>,
        /// Records at most.
        limit: usize,
    },
    /// The record of a key.
    Get {
        /// The data set's name.
        data_set: DataSetName,
        /// The key.
        key: Vec<u8>,
    },
}

impl Question {
    /// The data set whose records it asks for.
    pub fn data_set(&self) -> Option<&DataSetName> {
        match self {
            Self::DataSets => None,
            Self::List { data_set, .. } | Self::Get { data_set, .. } => Some(data_set),
        }
    }
}

/// Reads a path.
///
/// # Errors
/// When it is none of those that there are.
pub fn parse(path: &str) -> Result<Question, RpcError> {
    const RULE: &str = "/records, /records/SET or /records/SET/KEY";
    let bad = |reason: String| RpcError::params(format!("path {}: {reason}", escaped(path)));
    if path.len() > MAX_PATH {
        return Err(RpcError::params(format!("path is over {MAX_PATH} characters")));
    }
    let (path_part, query) = path.split_once('?').unwrap_or((path, ""));
    let Some(rest) = path_part.strip_prefix("/records") else {
        return Err(bad(format!("there are {RULE}")));
    };
    let (name, key) = match rest.strip_prefix('/') {
        None if rest.is_empty() => return Ok(Question::DataSets),
        None => return Err(bad(format!("there are {RULE}"))),
        Some(rest) => match rest.split_once('/') {
            Some((name, key)) => (name, Some(key)),
            None => (rest, None),
        },
    };
    let data_set: DataSetName = name.parse().map_err(|e: ChainError| bad(e.to_string()))?;
    if let Some(key) = key {
        if path_part.len() < path.len() {
            return Err(bad("write ? in a key as %3F".to_owned()));
        }
        let key = percent_decoded(key).ok_or_else(|| bad("% needs two hex digits".to_owned()))?;
        return Ok(Question::Get { data_set, key });
    }
    let (mut after, mut limit) = (None, DEFAULT_LIMIT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", digits)) => {
                let bytes = hex::decode(digits);
                after = Some(bytes.map_err(|_| bad("after must be hex digits".to_owned()))?);
            }
            Some(("limit", number)) => {
                limit = match number.parse() {
                    Ok(number) if (1..=MAX_LIST).contains(&number) => number,
                    _ => return Err(bad(format!("limit must be 1 to {MAX_LIST}"))),
                };
            }
            _ => return Err(bad("behind ? there are after=HEX and limit=N".to_owned())),
        }
    }
    Ok(Question::List { data_set, after, limit })
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            let mut one = [0];
            hex::decode_to_slice(digits, &mut one).ok()?;
            decoded.push(one[0]);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths() {
        let data_set: DataSetName = "prices".parse().unwrap();
        let get = |key: &[u8]| Question::Get { data_set: data_set.clone(), key: key.to_vec() };
        let list = |after: Option<&[u8]>, limit| Question::List {
            data_set: data_set.clone(),
            after: after.map(<[u8]>::to_vec),
            limit,
        };
        for (path, expected) in [
            ("/records", Question::DataSets),
            ("/records/prices", list(None, DEFAULT_LIMIT)),
            ("/records/prices?limit=5", list(None, 5)),
            ("/records/prices?after=6162&limit=1000", list(Some(b"ab"), 1_000)),
            ("/records/prices/oil", get(b"oil")),
            ("/records/prices/a/b", get(b"a/b")),
            ("/records/prices/%00%fF%3f", get(&[0, 255, b'?'])),
            ("/records/prices/", get(b"")),
        ] {
            assert_eq!(parse(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn bad_paths_say_what_there_is() {
        let long = format!("/records/prices/{}", "x".repeat(MAX_PATH));
        for path in [
            "",
            "records",
            "/recordsx",
            "/state",
            "/records/",
            "/records/Big",
            "/records/prices/%",
            "/records/prices/%4",
            "/records/prices/%zz",
            "/records/prices?after=x",
            "/records/prices?limit=0",
            "/records/prices?limit=1001",
            "/records/prices?lim=1",
            "/records/prices/a?b",
            &long,
        ] {
            assert_eq!(parse(path).unwrap_err().code, -32602, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_key_comes_back_percent_encoded(key in prop::collection::vec(any::<u8>(), 0..40)) {
            let encoded = percent_encode(&key, NON_ALPHANUMERIC);
            let data_set = "prices".parse().unwrap();
            let parsed = parse(&format!("/records/prices/{encoded}"));
            prop_assert_eq!(parsed, Ok(Question::Get { data_set, key }));
        }

        #[test]
        fn any_path_is_read_or_refused_in_bounded_words(
            text in "(/records(/[a-z]{0,4})?)?\\PC{0,60}|/records/set\\?(after|limit)=[0-9a-z&=]{0,20}",
        ) {
            if let Err(error) = parse(&text) {
                prop_assert_eq!(error.code, -32602);
                prop_assert!(error.data.chars().all(|c| !c.is_control()), "{}", error.data);
                prop_assert!(error.data.len() < 1_000, "{}", error.data);
            }
        }
    }
}
