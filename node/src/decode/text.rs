//! An item as people have it: digits, base64, a token, a file.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Value, json};
use tandem_chain::limits::MAX_ENCODED_BYTES;

use super::kinds::{self, KINDS, Kind, Tried};
use super::readable;
use crate::join::{Token, TokenError};

/// Bytes of the longest input: an item of the greatest length in hex, and some space.
pub const MAX_INPUT_BYTES: usize = 2 * MAX_ENCODED_BYTES + 1024;
/// Kinds that an error tells of.
const TRIES_TOLD: usize = 5;
/// What else a file may be: nothing in its bytes tells that it is encrypted.
const ENCRYPTED: &str = "\n  a file beside which encryption.json lies is encrypted: put a snapshot \
                         into an empty home with tandem snapshot restore, then read that home \
                         with --home and --family";

/// Why an input is no item that is known.
#[derive(Debug, thiserror::Error)]
pub enum NoItem {
    /// It is longer than any item.
    #[error("an item is at most {MAX_INPUT_BYTES} bytes of text, this is longer")]
    TooLong,
    /// It is empty.
    #[error("there is nothing to decode: the input is empty")]
    Empty,
    /// It is text, and neither hex nor base64.
    #[error(
        "the text is no item: it is neither pairs of hex digits nor base64, nor does it start with \
         tandem1_; give bytes as they are in a file, as @FILE"
    )]
    Text,
    /// It begins like a join token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It fits no kind.
    #[error("{}", told(.0))]
    NoFit(Vec<(Reading, Vec<Tried>)>),
}

/// How an input was taken for bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `hex`, `base64` or `bytes`.
    pub how: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}

fn told(all: &[(Reading, Vec<Tried>)]) -> String {
    let mut text = "it is no item of a kind that was tried".to_owned();
    for (Reading { how, bytes }, tried) in all {
        let len = bytes.len();
        let _ = write!(text, "\n  as {how}, {len} bytes:");
        for Tried { error, end } in tried.iter().take(TRIES_TOLD) {
            let _ = write!(text, "\n    {error}; decoding ended at byte {end} of {len}");
        }
        if let Some(more) = tried.len().checked_sub(TRIES_TOLD).filter(|more| *more > 0) {
            let _ = write!(text, "\n    and {more} more, which ended no later");
        }
    }
    if all.iter().any(|(reading, _)| reading.how == "bytes") {
        text.push_str(ENCRYPTED);
    }
    text
}

/// Decodes an input: `kind`, or every kind that fits. `is_file` says that it may be the bytes
/// themselves. The answer has `read_as` (`hex`, `base64`, `bytes` or `token`), `bytes` (their number)
/// and `items`: each with `kind` and `value`. There is more than one where several kinds fit.
///
/// # Errors
/// [`NoItem`].
pub fn decode(input: &[u8], is_file: bool, kind: Option<&Kind>) -> Result<Value, NoItem> {
    if input.len() > MAX_INPUT_BYTES {
        return Err(NoItem::TooLong);
    }
    let text = std::str::from_utf8(input).map(str::trim).unwrap_or_default();
    if text.starts_with("tandem1_") {
        return Ok(token(text)?);
    }
    let mut readings = readings(text);
    if is_file && !input.is_empty() {
        readings.push(Reading { how: "bytes", bytes: input.to_vec() });
    }
    if readings.is_empty() {
        return Err(if text.is_empty() { NoItem::Empty } else { NoItem::Text });
    }
    let mut failed = Vec::new();
    for reading in readings {
        let (found, tried) = match kind {
            Some(kind) => kinds::fits([kind], &reading.bytes),
            None => kinds::fits(KINDS, &reading.bytes),
        };
        if found.is_empty() {
            failed.push((reading, tried));
            continue;
        }
        let item = |(kind, value)| json!({ "kind": kind, "value": value });
        return Ok(json!({
            "read_as": reading.how,
            "bytes": reading.bytes.len().to_string(),
            "items": found.into_iter().map(item).collect::<Vec<_>>(),
        }));
    }
    Err(NoItem::NoFit(failed))
}

/// What a text may stand for. Hex digits are base64 as well: that is the second reading. Programs that write
/// either break the lines.
fn readings(text: &str) -> Vec<Reading> {
    let text = &text.split_ascii_whitespace().collect::<String>();
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let hex = hex::decode(digits).ok().map(|bytes| Reading { how: "hex", bytes });
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let base64 = [alphabet::STANDARD, alphabet::URL_SAFE]
        .into_iter()
        .find_map(|alphabet| GeneralPurpose::new(&alphabet, lenient).decode(text).ok())
        .map(|bytes| Reading { how: "base64", bytes });
    hex.into_iter().chain(base64).filter(|reading| !reading.bytes.is_empty()).collect()
}

/// A join token. Its secret is not shown: whoever reads over a shoulder could use it.
fn token(text: &str) -> Result<Value, TokenError> {
    let token = Token::parse(text)?;
    let value = json!({
        "invitation": readable(&token.invitation),
        "genesis": token.genesis,
        "trust": readable(&token.trust),
        "members": readable(&token.members),
        "secret": "not shown",
    });
    Ok(json!({
        "read_as": "token",
        "bytes": text.len().to_string(),
        "items": [{ "kind": "join-token", "value": value }],
    }))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;
    use tandem_chain::codec;
    use tandem_chain::modules::consortium::{Invitation, InvitationBody, InvitedAs};
    use tandem_chain::types::{Hash, Height, Timestamp};

    use super::*;
    use crate::join::TokenMember;
    use crate::snapshots::TrustedBlock;
    use crate::testing::{self, Chain};

    /// In lines, as `xxd -p` and `base64` write it.
    fn broken(text: &str) -> String {
        let lines: Vec<_> = text.as_bytes().chunks(60).map(String::from_utf8_lossy).collect();
        lines.join("\n") + "\n"
    }

    #[test]
    fn an_item_is_found_in_each_form_that_people_have_it_in() {
        let mut chain = Chain::new();
        let tx = chain.put(1, "oil", b"81.20");
        let bytes = tx.bytes();
        let digits = hex::encode(bytes);
        for (input, is_file, how) in [
            (digits.clone(), false, "hex"),
            (format!("  0x{}\n", hex::encode_upper(bytes)), true, "hex"),
            (STANDARD.encode(bytes), false, "base64"),
            (URL_SAFE_NO_PAD.encode(bytes), false, "base64"),
            (broken(&digits), true, "hex"),
            (broken(&STANDARD.encode(bytes)), true, "base64"),
        ] {
            let found = decode(input.as_bytes(), is_file, None).unwrap();
            assert_eq!(found["read_as"], how);
            assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
            assert_eq!(found["items"][0]["kind"], "transaction");
            let value = &found["items"][0]["value"];
            assert_eq!(value["hash"], json!(tx.hash()));
            assert_eq!(value["body"]["call"]["Records"]["Put"]["value"]["text"], "81.20");
        }
        let found = decode(bytes, true, None).unwrap();
        assert_eq!(
            (&found["read_as"], &found["items"][0]["kind"]),
            (&json!("bytes"), &json!("transaction"))
        );

        let block = chain.commit(vec![tx.clone()]).block;
        let found = decode(hex::encode(codec::encode(&*block)).as_bytes(), false, None).unwrap();
        let (kind, value) = (&found["items"][0]["kind"], &found["items"][0]["value"]);
        assert_eq!(
            (kind, &value["block"]["header"]["height"]),
            (&json!("certified-block"), &json!("1"))
        );
        assert_eq!(value["block"]["txs"][0]["hash"], json!(tx.hash()));
        assert!(value["block"]["header"]["time"].as_str().is_some_and(|time| time.ends_with('Z')));
    }

    #[test]
    fn what_fits_no_kind_is_told_with_the_place_where_decoding_ended() {
        let chain = Chain::new();
        let bytes = chain.create(1).bytes().to_vec();
        let cut = &bytes[..bytes.len() - 1];
        let error = decode(hex::encode(cut).as_bytes(), false, None).unwrap_err().to_string();
        let ended = format!("decoding ended at byte {} of {}", bytes.len() - 4, cut.len());
        assert!(
            error.contains("as hex")
                && error.contains("transaction cannot be decoded: it ends where"),
            "{error}"
        );
        assert!(error.contains(&ended) && error.contains("more, which ended no later"), "{error}");

        let block = kinds::find("block").unwrap();
        let error = decode(hex::encode(&bytes).as_bytes(), false, Some(block)).unwrap_err();
        assert!(
            error.to_string().contains("block cannot be decoded")
                && !error.to_string().contains("vote"),
            "{error}"
        );
        let error = kinds::find("\u{1b}blok").err().unwrap().to_string();
        assert!(error.contains("blok") && error.contains("certified-block"), "{error}");
        assert!(!error.contains('\u{1b}'));

        for (input, word) in [
            ("", "empty"),
            ("  ", "empty"),
            ("hello there", "neither"),
            ("tandem1_xyz", "checksum"),
        ] {
            let error = decode(input.as_bytes(), false, None).unwrap_err().to_string();
            assert!(error.contains(word), "{input}: {error}");
        }
        let error = decode(&vec![b'0'; MAX_INPUT_BYTES + 1], false, None).unwrap_err();
        assert!(matches!(error, NoItem::TooLong));
    }

    #[test]
    fn where_several_kinds_fit_all_are_told() {
        // Sixteen bytes are a question for blocks whatever they are.
        let found = decode("00".repeat(16).as_bytes(), false, None).unwrap();
        let kinds: Vec<&str> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["kind"].as_str())
            .collect();
        assert!(kinds.len() > 1 && kinds.contains(&"fetch"), "{kinds:?}");
        let fetch = kinds::find("fetch").unwrap();
        let found = decode("00".repeat(16).as_bytes(), false, Some(fetch)).unwrap();
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_join_token_is_shown_with_the_block_to_trust_and_without_its_secret() {
        let body = InvitationBody {
            chain_id: "testing".parse().unwrap(),
            org: "alpha".parse().unwrap(),
            claim: testing::key(7).public(),
            part: InvitedAs::Observer,
            valid_until: Timestamp::from_millis(1_800_000_600_000),
        };
        let member = TokenMember {
            key: testing::validator(0).public(),
            addresses: vec!["/ip4/192.0.2.1/tcp/26656".to_owned()],
        };
        let mut token = Token {
            invitation: Invitation::sign(body, &testing::admin(0)),
            seed: [7; 32],
            genesis: Hash([3; 32]),
            trust: None,
            members: vec![member],
        };
        let block = TrustedBlock { height: Height(9), hash: Hash([10; 32]) };
        let shown = json!({ "height": "9", "hash": "0A".repeat(32) });
        for (trust, shown) in [(None, Value::Null), (Some(block), shown)] {
            token.trust = trust;
            let found = decode(token.to_text().as_bytes(), false, None).unwrap();
            let (kind, value) = (&found["items"][0]["kind"], &found["items"][0]["value"]);
            assert_eq!((kind, value.get("trust")), (&json!("join-token"), Some(&shown)));
            assert_eq!((&value["secret"], value.get("seed")), (&json!("not shown"), None));
        }
    }

    proptest! {
        #[test]
        fn any_input_is_decoded_or_refused(input: Vec<u8>, is_file: bool) {
            let _ = decode(&input, is_file, None);
            let _ = decode(hex::encode(&input).as_bytes(), is_file, None);
        }
    }
}
