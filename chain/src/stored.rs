//! What lies under which key of the state, for those who show it to people: the table of section 6 of
//! `docs/formats.md`. The ledger itself does not ask here; a test holds the table against the state of
//! a chain with every kind of call.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::codec;
use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::{Last, Origin, Recent};
use crate::limits::MAX_ENCODED_BYTES;
use crate::modules::consortium::{
    Closed, Docket, KeyEntry, Motion, Org, Policy, UsedInvitation, User,
};
use crate::modules::parameters::Parameters;
use crate::modules::records::Stored;
use crate::modules::rights::Grant;
use crate::modules::standby::{SeatState, Switch};
use crate::roles::{Register, RoleTable};
use crate::types::{OrgName, Term};

/// Takes a value of whatever type it is.
pub trait Visitor {
    /// What it makes of it.
    type Out;

    /// Is given the value, with a word for what it is.
    fn visit<T: Serialize>(self, what: &'static str, value: &T) -> Self::Out;
}

/// What follows the prefix of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    /// Nothing.
    Nothing,
    /// Text.
    Name,
    /// A number, eight bytes, high byte first.
    Number,
    /// A number's complement, likewise, so that the greatest comes first.
    Falling,
    /// Text with slashes in it.
    Text,
    /// The bytes of a public key.
    Key,
    /// Text, a slash, and the bytes of a public key.
    NameAndKey,
    /// Text, a slash, and any bytes.
    NameAndBytes,
}

macro_rules! table {
    ($($prefix:literal $tail:ident: $what:literal, $value:ty;)*) => {
        const TABLE: &[(&str, Tail)] = &[$(($prefix, Tail::$tail)),*];

        /// Decodes the value that stands under `key` in the state, and hands it to `visitor`.
        ///
        /// # Errors
        /// [`Error::NotFound`] for a key that no module writes; those of
        /// [`codec::decode_canonical`].
        pub fn visit<V: Visitor>(key: &[u8], value: &[u8], visitor: V) -> Result<V::Out, Error> {
            $(if is_under(key, $prefix, Tail::$tail) {
                let value = codec::decode_canonical::<$value>($what, value, MAX_ENCODED_BYTES)?;
                return Ok(visitor.visit($what, &value));
            })*
            Err(unknown(key))
        }

        /// How many bytes of `value` are read before decoding it ends: [`codec::place_of_end`].
        ///
        /// # Errors
        /// [`Error::NotFound`] for a key that no module writes.
        pub fn place_of_end(key: &[u8], value: &[u8]) -> Result<usize, Error> {
            $(if is_under(key, $prefix, Tail::$tail) {
                return Ok(codec::place_of_end::<$value>(value));
            })*
            Err(unknown(key))
        }
    };
}

table! {
    "ledger/genesis" Nothing: "genesis of the chain", Origin;
    "ledger/last" Nothing: "last block", Last;
    "ledger/previous_register" Nothing: "register after the block before", Register;
    "recent/" Number: "recent block", Recent;
    "consortium/orgs" Nothing: "names of the organisations", Vec<OrgName>;
    "consortium/org/" Name: "organisation", Org;
    "consortium/key/" Key: "role of a key", KeyEntry;
    "consortium/user/" NameAndKey: "user", User;
    "consortium/policy" Nothing: "policy", Policy;
    "consortium/closed" Nothing: "closed organisations", BTreeMap<OrgName, Closed>;
    "consortium/docket" Nothing: "docket", Docket;
    "consortium/motion/" Number: "motion", Motion;
    "consortium/address/" Text: "node at an address", PublicKey;
    "consortium/invited/" Name: "used invitations", Vec<UsedInvitation>;
    "standby/seats" Nothing: "seats", BTreeMap<OrgName, SeatState>;
    "standby/table/" Falling: "role table", RoleTable;
    "standby/switch/" Number: "switch", Switch;
    "standby/switches" Nothing: "number of switches", u64;
    "standby/past_term/" Name: "term of a seat that is gone", Term;
    "parameters/current" Nothing: "parameters", Parameters;
    "records/sets/" Name: "number of data sets", u64;
    "records/set/" Name: "owner of a data set", OrgName;
    "records/data/" NameAndBytes: "record", Stored;
    "rights/grants/" NameAndBytes: "grants", Vec<Grant>;
    "rights/grantees/" Name: "number of grantees of a data set", u64;
}

/// A key of the state as text: numbers in digits, public keys in hex, a record's key as text or in hex
/// after `0x`. Keys that no module writes are in hex after `0x`.
#[must_use]
pub fn key_text(key: &[u8]) -> String {
    let known = TABLE.iter().find(|(prefix, tail)| is_under(key, prefix, *tail));
    let Some((prefix, tail)) = known else { return format!("0x{}", hex::encode(key)) };
    let rest = &key[prefix.len()..];
    let number = || <[u8; 8]>::try_from(rest).map_or(0, u64::from_be_bytes);
    let (name, behind) = split_name(rest);
    let name = String::from_utf8_lossy(name);
    match tail {
        Tail::Nothing => (*prefix).to_owned(),
        Tail::Name | Tail::Text => format!("{prefix}{}", String::from_utf8_lossy(rest)),
        Tail::Number => format!("{prefix}{}", number()),
        Tail::Falling => format!("{prefix}{}", !number()),
        Tail::Key => format!("{prefix}{}", hex::encode_upper(rest)),
        Tail::NameAndKey => format!("{prefix}{name}/{}", hex::encode_upper(behind)),
        Tail::NameAndBytes => format!("{prefix}{name}/{}", Plain(behind)),
    }
}

/// The key that [`key_text`] writes as `text`; text that is no key of a module is the key itself.
///
/// # Errors
/// [`Error::NotHex`] for other than pairs of hex digits after `0x`.
pub fn key_of_text(text: &str) -> Result<Vec<u8>, Error> {
    let bytes = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).map_err(|_| Error::NotHex { what: "key" }),
        None => Ok(text.as_bytes().to_vec()),
    };
    for (prefix, tail) in TABLE {
        let Some(rest) = text.strip_prefix(prefix) else { continue };
        let number = |n: u64| n.to_be_bytes().to_vec();
        let (name, behind) = rest.split_once('/').unwrap_or((rest, ""));
        let found = match tail {
            Tail::Nothing => rest.is_empty().then(Vec::new),
            Tail::Name | Tail::Text => Some(rest.as_bytes().to_vec()),
            Tail::Number => rest.parse().ok().map(number),
            Tail::Falling => rest.parse().ok().map(|n: u64| number(!n)),
            Tail::Key => rest.parse().ok().map(|key: PublicKey| key.0.to_vec()),
            Tail::NameAndKey => behind.parse().ok().map(|key: PublicKey| joined(name, &key.0)),
            Tail::NameAndBytes => Some(joined(name, &bytes(behind)?)),
        };
        if let Some(found) = found {
            return Ok([prefix.as_bytes(), &found].concat());
        }
    }
    bytes(text)
}

/// Bytes as text where they are printable ASCII that does not look like hex itself, else in hex after
/// `0x`.
pub(crate) struct Plain<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.0) {
            Ok(text) if self.0.iter().all(u8::is_ascii_graphic) && !text.starts_with("0x") => {
                f.write_str(text)
            }
            _ => write!(f, "0x{}", hex::encode(self.0)),
        }
    }
}

fn joined(name: &str, behind: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"/", behind].concat()
}

/// What stands before the first slash and behind it; all and nothing where there is none.
fn split_name(rest: &[u8]) -> (&[u8], &[u8]) {
    let slash = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    (&rest[..slash], rest.get(slash + 1..).unwrap_or_default())
}

/// Whether a key is one with this prefix and tail.
fn is_under(key: &[u8], prefix: &str, tail: Tail) -> bool {
    let is_name = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let Some(rest) = key.strip_prefix(prefix.as_bytes()) else { return false };
    let (name, behind) = split_name(rest);
    match tail {
        Tail::Nothing => rest.is_empty(),
        Tail::Name => is_name(rest) && !rest.contains(&b'/'),
        Tail::Text => is_name(rest),
        Tail::Number | Tail::Falling => rest.len() == 8,
        Tail::Key => rest.len() == PublicKey::LEN,
        Tail::NameAndKey => is_name(name) && behind.len() == PublicKey::LEN,
        Tail::NameAndBytes => is_name(name) && rest.len() > name.len(),
    }
}

fn unknown(key: &[u8]) -> Error {
    Error::NotFound { what: "kind of state key", name: Plain(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::consortium::UserRole;
    use crate::types::Height;

    struct What;

    impl Visitor for What {
        type Out = &'static str;

        fn visit<T: Serialize>(self, what: &'static str, _: &T) -> &'static str {
            what
        }
    }

    #[test]
    fn keys_come_back_from_their_texts() {
        let key = hex::encode_upper([7; 32]);
        let with_key = |prefix: &str| [prefix.as_bytes(), &[7; 32]].concat();
        for (text, bytes) in [
            ("standby/seats".to_owned(), b"standby/seats".to_vec()),
            ("recent/258".to_owned(), b"recent/\0\0\0\0\0\0\x01\x02".to_vec()),
            (
                "standby/table/1".to_owned(),
                b"standby/table/\xff\xff\xff\xff\xff\xff\xff\xfe".to_vec(),
            ),
            ("consortium/org/alpha".to_owned(), b"consortium/org/alpha".to_vec()),
            (
                "consortium/address//ip4/192.0.2.1/tcp/1".to_owned(),
                b"consortium/address//ip4/192.0.2.1/tcp/1".to_vec(),
            ),
            (format!("consortium/key/{key}"), with_key("consortium/key/")),
            (format!("consortium/user/alpha/{key}"), with_key("consortium/user/alpha/")),
            ("records/data/prices/oil/2".to_owned(), b"records/data/prices/oil/2".to_vec()),
            ("records/data/prices/0x00ff".to_owned(), b"records/data/prices/\0\xff".to_vec()),
            // One that looks like hex is written as hex.
            ("records/data/prices/0x3078".to_owned(), b"records/data/prices/0x".to_vec()),
            ("0x666f6f".to_owned(), b"foo".to_vec()),
        ] {
            assert_eq!(key_text(&bytes), text);
            assert_eq!(key_of_text(&text), Ok(bytes));
        }
        assert_eq!(key_of_text("foo"), Ok(b"foo".to_vec()));
        assert!(key_of_text("0xf").is_err() && key_of_text("records/data/a/0xf").is_err());
    }

    #[test]
    fn values_are_found_by_their_keys_and_read_whole() {
        let owner: OrgName = "alpha".parse().unwrap();
        let bytes = codec::encode(&owner);
        assert_eq!(visit(b"records/set/prices", &bytes, What), Ok("owner of a data set"));
        let user = codec::encode(&User { role: UserRole::Reader, since: Height(7) });
        let key = b"consortium/user/alpha/01234567890123456789012345678901";
        assert_eq!(visit(key, &user, What), Ok("user"));
        let longer = [bytes.as_slice(), b"\0"].concat();
        assert!(visit(b"records/set/prices", &longer, What).is_err());
        assert_eq!(place_of_end(b"records/set/prices", &longer), Ok(bytes.len()));
        assert!(visit(b"records/set/prices", &bytes[..9], What).is_err());
        for unknown in [&b"records/sett"[..], b"", b"\x1b[2J", b"recent/1", b"records/data/prices"]
        {
            let error = visit(unknown, b"", What).unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
            assert!(!error.to_string().contains('\x1b'), "{error}");
        }
    }
}
