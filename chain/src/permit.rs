//! Permits: how who asks a node shows which key it reads as.
//!
//! Whoever holds the key signs a [`Permit`]. One that names a request is good for that request alone
//! and goes with it: a signed request. One that names none is a token: whoever carries it reads as that
//! key until it ends, so it is kept like a password, and made for no longer than it is needed.
//!
//! A permit can be for a part of the records alone: a token that is handed to a program need not give
//! more than that program reads.
//!
//! A permit says who asks, not what that may read: [`crate::modules::rights`] says that, each time
//! anew, so that a token is worth nothing from the block on that takes its user back. Reading twice is
//! reading once: that a permit is shown again within its time is no harm, and nobody counts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::codec;
use crate::error::Error;
use crate::keys::{Domain, PublicKey, Signature, Signer, Verifier};
use crate::limits::{MAX_PERMIT_BYTES, MAX_REQUEST_PERMIT_TIME, MAX_TOKEN_TIME};
use crate::modules::rights::Range;
use crate::types::{ChainId, DataSetName, Hash, Timestamp};

/// What the reading key signs, in [`Domain::Permit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermitBody {
    /// The chain.
    pub chain_id: ChainId,
    /// The key as which its bearer reads.
    pub reader: PublicKey,
    /// The node that it is shown to; none for any. A node can show what it was shown to others.
    pub node: Option<PublicKey>,
    /// SHA-256 of the one request that it is for; none for any: then it is a token.
    pub request: Option<Hash>,
    /// The time from which on it is good for nothing: up to [`MAX_REQUEST_PERMIT_TIME`] ahead, or
    /// [`MAX_TOKEN_TIME`] for a token.
    pub ends: Timestamp,
    /// The records that it is for alone; none for all that its reader may read.
    pub only: Option<Part>,
}

/// A part of a data set's records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The data set.
    pub data_set: DataSetName,
    /// The records' keys.
    pub range: Range,
}

/// A permit. As text, hex digits of its encoding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permit {
    /// What it says.
    pub body: PermitBody,
    /// The reading key's signature.
    pub signature: Signature,
}

/// Where and when a permit is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The chain.
    pub chain_id: &'a ChainId,
    /// The node that is asked.
    pub node: &'a PublicKey,
    /// SHA-256 of the request that it came with.
    pub request: &'a Hash,
    /// That node's clock.
    pub now: Timestamp,
}

impl Permit {
    /// Signs a permit with the key that reads.
    ///
    /// # Panics
    /// When `key` is not that of `body.reader`.
    #[must_use]
    pub fn sign(body: PermitBody, key: &dyn Signer) -> Self {
        assert_eq!(body.reader, key.public(), "a permit is signed by who reads");
        let signature = key.sign(&Domain::Permit.sign_bytes(&body.chain_id, &body));
        Self { body, signature }
    }

    /// From its encoding, which must be the canonical one. Nothing is checked yet: see
    /// [`Permit::check`].
    ///
    /// # Errors
    /// Those of [`codec::decode_canonical`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        codec::decode_canonical("permit", bytes, MAX_PERMIT_BYTES)
    }

    /// Checks chain, node, request, time, range and signature, the signature last since it costs the
    /// most. The key as which its bearer reads, which need not be one that the chain knows.
    ///
    /// # Errors
    /// [`Error::OtherChain`], [`Error::PermitElsewhere`], [`Error::PermitEnded`],
    /// [`Error::PermitTooLong`], those of [`Range::check`], [`Error::BadSignature`].
    pub fn check(&self, verifier: &dyn Verifier, shown: &Shown) -> Result<PublicKey, Error> {
        let PermitBody { chain_id, reader, node, request, ends, only } = &self.body;
        if chain_id != shown.chain_id {
            let (expected, got) = (shown.chain_id.clone(), chain_id.clone());
            return Err(Error::OtherChain { what: "permit", expected, got });
        }
        must_be_for("node", node.as_ref(), shown.node)?;
        must_be_for("request", request.as_ref(), shown.request)?;
        let (ends, now) = (*ends, shown.now);
        if ends <= now {
            return Err(Error::PermitEnded { ends, now });
        }
        let longest = if request.is_some() { MAX_REQUEST_PERMIT_TIME } else { MAX_TOKEN_TIME };
        let latest = now.plus(longest);
        if ends > latest {
            return Err(Error::PermitTooLong { ends, latest });
        }
        if let Some(Part { range, .. }) = only {
            range.check()?;
        }
        let message = Domain::Permit.sign_bytes(chain_id, &self.body);
        if verifier.verifies(reader, &message, &self.signature) {
            Ok(*reader)
        } else {
            Err(Error::BadSignature { what: "permit", key: *reader })
        }
    }
}

fn must_be_for<T: PartialEq + fmt::Display>(
    what: &'static str,
    named: Option<&T>,
    shown: &T,
) -> Result<(), Error> {
    match named {
        Some(named) if named != shown => {
            let (expected, got) = (named.to_string(), shown.to_string());
            Err(Error::PermitElsewhere { what, expected, got })
        }
        _ => Ok(()),
    }
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(codec::encode(self)))
    }
}

impl FromStr for Permit {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > 2 * MAX_PERMIT_BYTES {
            let max = 2 * MAX_PERMIT_BYTES;
            return Err(Error::TooLong { what: "text of a permit", max, got: text.len() });
        }
        let bytes = hex::decode(text).map_err(|_| Error::NotHex { what: "permit" })?;
        Self::decode(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Strict;
    use crate::ledger::tests::kit::{key, secret};
    use crate::limits::MAX_RECORD_KEY_BYTES;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);
    const REQUEST: Hash = Hash([7; 32]);

    fn body() -> PermitBody {
        PermitBody {
            chain_id: "test-1".parse().unwrap(),
            reader: key("a-user"),
            node: Some(key("b1")),
            request: Some(REQUEST),
            ends: NOW.plus(MAX_REQUEST_PERMIT_TIME),
            only: None,
        }
    }

    fn part(from: &[u8], until: &[u8]) -> Option<Part> {
        let range = Range { from: from.into(), until: until.into() };
        Some(Part { data_set: "set".parse().unwrap(), range })
    }

    /// Shows a permit to node b1 with [`REQUEST`] at [`NOW`]: 0, or the error's code.
    fn show(permit: &Permit) -> u32 {
        let (chain_id, node) = (&"test-1".parse().unwrap(), &key("b1"));
        let shown = Shown { chain_id, node, request: &REQUEST, now: NOW };
        match permit.check(&Strict, &shown) {
            Ok(reader) => {
                assert_eq!(reader, permit.body.reader);
                0
            }
            Err(error) => error.code(),
        }
    }

    #[test]
    fn a_permit_is_good_where_and_for_what_it_says_until_it_ends() {
        type Change = Box<dyn Fn(&mut PermitBody)>;
        let tick = |ends: Timestamp, ns: i64| Timestamp(ends.0.wrapping_add_signed(ns));
        let (request, token) = (NOW.plus(MAX_REQUEST_PERMIT_TIME), NOW.plus(MAX_TOKEN_TIME));
        let long = vec![b'k'; MAX_RECORD_KEY_BYTES + 1];
        let cases: [(&str, Change, u32); 18] = [
            ("as it is", Box::new(|_| {}), 0),
            ("for any node", Box::new(|body| body.node = None), 0),
            ("for another node", Box::new(|body| body.node = Some(key("b2"))), 12),
            ("for another request", Box::new(|body| body.request = Some(Hash([8; 32]))), 12),
            ("for another chain", Box::new(|b| b.chain_id = "test-2".parse().unwrap()), 3),
            ("that ends now", Box::new(|body| body.ends = NOW), 4),
            ("that has ended", Box::new(|body| body.ends = Timestamp(0)), 4),
            ("at its last", Box::new(move |body| body.ends = tick(NOW, 1)), 0),
            ("for too long", Box::new(move |body| body.ends = tick(request, 1)), 5),
            ("for ever", Box::new(|body| body.ends = Timestamp(u64::MAX)), 5),
            ("a token", Box::new(|body| body.request = None), 0),
            ("the longest token", Box::new(move |b| (b.request, b.ends) = (None, token)), 0),
            ("a longer token", Box::new(move |b| (b.request, b.ends) = (None, tick(token, 1))), 5),
            ("a token that has ended", Box::new(|body| (body.request, body.ends) = (None, NOW)), 4),
            ("for a part", Box::new(|body| body.only = part(b"a", b"b")), 0),
            ("for a whole data set", Box::new(|body| body.only = part(b"", b"")), 0),
            ("for no key", Box::new(|body| body.only = part(b"b", b"a")), 17),
            ("for keys too long", Box::new(move |body| body.only = part(&long, b"")), 1),
        ];
        for (name, change, code) in cases {
            let mut changed = body();
            change(&mut changed);
            let permit = Permit::sign(changed.clone(), &secret("a-user"));
            assert_eq!(show(&permit), code, "{name}");
            // Who changes it afterwards has no signature for that.
            let forged = Permit { body: changed, ..Permit::sign(body(), &secret("a-user")) };
            let is_same = forged.body == body();
            assert_eq!(show(&forged), if is_same || code != 0 { code } else { 2 }, "{name}");
        }
        let by_another = Permit { body: body(), signature: secret("b-user").sign(b"") };
        assert_eq!(show(&by_another), 2);
        let renamed = PermitBody { reader: key("b-user"), ..body() };
        let permit = Permit { body: renamed, ..Permit::sign(body(), &secret("a-user")) };
        assert_eq!(show(&permit), 2);
    }

    #[test]
    fn errors_say_what_to_do() {
        let chain_id = "test-1".parse().unwrap();
        let (node, now) = (key("b1"), NOW.plus(MAX_TOKEN_TIME));
        let shown = Shown { chain_id: &chain_id, node: &node, request: &REQUEST, now };
        let permit = Permit::sign(body(), &secret("a-user"));
        let error = permit.check(&Strict, &shown).unwrap_err().to_string();
        assert_eq!(
            error,
            "permit ended at 2023-11-14T22:18:20Z, it is 2023-11-21T22:13:20Z: make a new one"
        );
        let other = key("b2");
        let shown = Shown { node: &other, now: NOW, ..shown };
        let error = permit.check(&Strict, &shown).unwrap_err().to_string();
        let expected = format!("permit is for another node, {node}; this is {other}");
        assert!(error.starts_with(&expected), "{error}");
    }

    #[test]
    fn text_is_a_permit_or_refused() {
        let permit = Permit::sign(body(), &secret("a-user"));
        let text = permit.to_string();
        assert_eq!(text.parse(), Ok(permit.clone()));
        assert_eq!(text.to_uppercase().parse(), Ok(permit));
        let refused = |text: &str| text.parse::<Permit>().unwrap_err().code();
        for cut in 0..text.len() {
            assert_eq!(refused(&text[..cut]), 1, "cut to {cut}");
        }
        assert_eq!(refused(&format!("{text}00")), 1);
        assert_eq!(refused(&"0".repeat(2 * MAX_PERMIT_BYTES + 2)), 1);
        // Other digits are no permit, or one that is good for nothing.
        for at in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'0' { b'1' } else { b'0' };
            let other = String::from_utf8(other).unwrap().parse::<Permit>();
            assert!(other.is_err() || other.is_ok_and(|permit| show(&permit) != 0), "digit {at}");
        }
    }

    #[test]
    #[should_panic(expected = "a permit is signed by who reads")]
    fn a_permit_of_another_key_is_not_signed() {
        let _ = Permit::sign(body(), &secret("b-user"));
    }
}
