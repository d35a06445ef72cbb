//! A join token: text that an operator carries from a member to the new machine.
//!
//! `tandem1_` and, in base64url without padding, the encoding of [`Token`] with the first four bytes
//! of its SHA-256 behind it, by which a token that was cut or mistyped is told from one that is
//! refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::limits::MAX_ADDRESSES_PER_NODE;
use tandem_chain::modules::consortium::{Invitation, check_addresses};
use tandem_chain::types::Hash;

use crate::snapshots::TrustedBlock;

/// What every token starts with; a later version has another number.
const PREFIX: &str = "tandem1_";
/// Bytes of the checksum.
const CHECKSUM: usize = 4;
/// Members in a token.
pub const MAX_MEMBERS: usize = 4;
/// Characters of a token.
pub const MAX_TOKEN_LEN: usize = 16 * 1024;

/// What a token carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The invitation, which names the chain and the organisation.
    pub invitation: Invitation,
    /// Seed of the invitation's one-time key. It is what makes the token a secret, and goes no further
    /// than this machine.
    pub seed: [u8; 32],
    /// Hash of the chain's genesis: trust on first contact.
    pub genesis: Hash,
    /// A block that the inviting member has, to trust before the genesis: whose validators' keys may have
    /// been given away since. Best the one that proves its newest snapshot.
    pub trust: Option<TrustedBlock>,
    /// Members to begin with.
    #[serde(deserialize_with = "codec::list::<MAX_MEMBERS, _, _>")]
    pub members: Vec<TokenMember>,
}

/// A member to begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMember {
    /// The node's key, and so its peer id.
    pub key: PublicKey,
    /// Where it is reached.
    #[serde(deserialize_with = "codec::list::<MAX_ADDRESSES_PER_NODE, _, _>")]
    pub addresses: Vec<String>,
}

/// Why a text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It starts otherwise.
    #[error("a join token starts with {PREFIX}: `tandem node invite` prints one")]
    Prefix,
    /// It is too long.
    #[error("a join token has at most {MAX_TOKEN_LEN} characters, this has {got}")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// A character that belongs to none.
    #[error("the token has a character {got:?} at place {place}, which belongs to no token")]
    Character {
        /// The character.
        got: char,
        /// Its place, from 1.
        place: usize,
    },
    /// It was cut or changed.
    #[error("the token's checksum is wrong: it was cut or changed on its way, copy it whole")]
    Checksum,
    /// Its content cannot be read.
    #[error("the token is whole, but not one that this program knows: {reason}")]
    Content {
        /// What is wrong with it.
        reason: String,
    },
}

impl Token {
    /// The invitation's one-time key.
    #[must_use]
    pub fn one_time(&self) -> SecretKey {
        SecretKey::from_seed(&self.seed)
    }

    /// The token as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = codec::encode(self);
        let checksum = Hash::of(&bytes);
        bytes.extend_from_slice(&checksum.as_bytes()[..CHECKSUM]);
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token; space around it does not count.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim_ascii();
        if text.len() > MAX_TOKEN_LEN {
            return Err(TokenError::TooLong { got: text.len() });
        }
        let body = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
        if let Some((at, got)) = body.chars().enumerate().find(|(_, c)| !allowed(c)) {
            return Err(TokenError::Character { got, place: PREFIX.len() + at + 1 });
        }
        // What is left that can be wrong with the text is a part that is missing.
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Checksum)?;
        let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Checksum)?;
        if Hash::of(bytes).as_bytes()[..CHECKSUM] != checksum[..] {
            return Err(TokenError::Checksum);
        }
        let content = |reason: String| TokenError::Content { reason };
        let token: Self = codec::decode_canonical("join token", bytes, MAX_TOKEN_LEN)
            .map_err(|error| content(error.to_string()))?;
        if token.one_time().public() != token.invitation.body.claim {
            return Err(content("its key is not the one that its invitation names".to_owned()));
        }
        if token.members.is_empty() {
            return Err(content("it names no member".to_owned()));
        }
        for member in &token.members {
            check_addresses(&member.addresses).map_err(|error| content(error.to_string()))?;
            if member.addresses.is_empty() {
                return Err(content(format!("it has no address of member {}", member.key)));
            }
        }
        Ok(token)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use tandem_chain::modules::consortium::{InvitationBody, InvitedAs};
    use tandem_chain::types::{Height, Timestamp};

    use super::*;

    /// A token with an invitation by this admin key, for an observer of `alpha`.
    pub fn token(admin: &SecretKey) -> Token {
        let body = InvitationBody {
            chain_id: "testing".parse().unwrap(),
            org: "alpha".parse().unwrap(),
            claim: SecretKey::from_seed(&[7; 32]).public(),
            part: InvitedAs::Observer,
            valid_until: Timestamp::from_millis(1_800_000_600_000),
        };
        let member = TokenMember {
            key: SecretKey::from_seed(&[1; 32]).public(),
            addresses: vec!["/ip4/192.0.2.1/tcp/26656".to_owned()],
        };
        let invitation = Invitation::sign(body, admin);
        let genesis = Hash([3; 32]);
        Token { invitation, seed: [7; 32], genesis, trust: None, members: vec![member] }
    }

    fn sample() -> Token {
        token(&SecretKey::from_seed(&[100; 32]))
    }

    /// The text of bytes that need not be a token's.
    fn text_of(bytes: &[u8]) -> String {
        let hash = Hash::of(bytes);
        let checksum = &hash.as_bytes()[..CHECKSUM];
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([bytes, checksum].concat()))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let token = sample();
        let text = token.to_text();
        assert_eq!(Token::parse(&text), Ok(token.clone()));
        assert_eq!(Token::parse(&format!("  {text}\n")), Ok(token));
        assert!(text.len() < 500, "short enough to be copied: {}", text.len());
        let trust = Some(TrustedBlock { height: Height(7), hash: Hash([9; 32]) });
        let token = Token { trust, ..sample() };
        assert_eq!(Token::parse(&token.to_text()), Ok(token));
    }

    #[test]
    fn the_longest_token_fits() {
        let mut token = sample();
        let address = format!("/dns4/{}/tcp/65535", "a".repeat(256 - 16));
        let full = TokenMember { addresses: vec![address; 8], ..token.members[0].clone() };
        token.members = vec![full; MAX_MEMBERS];
        token.invitation.body.chain_id = "c".repeat(50).parse().unwrap();
        token.invitation.body.org = "o".repeat(32).parse().unwrap();
        token.trust = Some(TrustedBlock { height: Height(7), hash: Hash([9; 32]) });
        assert_eq!(Token::parse(&token.to_text()), Ok(token.clone()));
        token.members.push(token.members[0].clone());
        let error = Token::parse(&token.to_text()).unwrap_err();
        assert!(error.to_string().contains("at most 4 items"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = sample().to_text();
        let with = |at: usize, c: &str| [&text[..at], c, &text[at + 1..]].concat();
        assert_eq!(Token::parse(""), Err(TokenError::Prefix));
        assert_eq!(Token::parse(&text.replace("tandem1", "tandem2")), Err(TokenError::Prefix));
        assert_eq!(
            Token::parse(&with(20, "+")),
            Err(TokenError::Character { got: '+', place: 21 })
        );
        assert_eq!(
            Token::parse(&with(20, "\n")),
            Err(TokenError::Character { got: '\n', place: 21 })
        );
        let other = if &text[20..21] == "A" { "B" } else { "A" };
        assert_eq!(Token::parse(&with(20, other)), Err(TokenError::Checksum));
        for end in PREFIX.len()..text.len() {
            assert_eq!(Token::parse(&text[..end]), Err(TokenError::Checksum), "{end}");
        }
        let got = MAX_TOKEN_LEN + 1;
        let long = format!("{PREFIX}{}", "A".repeat(got - PREFIX.len()));
        assert_eq!(Token::parse(&long), Err(TokenError::TooLong { got }));

        let content = |token: &Token, word: &str| {
            let error = Token::parse(&token.to_text()).unwrap_err().to_string();
            assert!(error.contains("is whole") && error.contains(word), "{error}");
        };
        content(&Token { seed: [8; 32], ..sample() }, "its key is not the one");
        content(&Token { members: Vec::new(), ..sample() }, "no member");
        let mut bad = sample();
        bad.members[0].addresses.clear();
        content(&bad, "no address of member");
        bad.members[0].addresses.push("192.0.2.1:26656".to_owned());
        content(&bad, "/tcp/PORT");
        let bytes = codec::encode(&sample());
        for bytes in [&bytes[..bytes.len() - 1], &[bytes.as_slice(), &[0]].concat(), &[]] {
            let error = Token::parse(&text_of(bytes)).unwrap_err();
            assert!(matches!(error, TokenError::Content { .. }), "{error}");
        }
    }

    #[test]
    fn golden_text() {
        let token = sample();
        let bytes = codec::encode(&token);
        let invitation = codec::encode(&token.invitation);
        let member = [
            &1_u64.to_le_bytes()[..],
            token.members[0].key.as_bytes(),
            &1_u64.to_le_bytes(),
            &24_u64.to_le_bytes(),
            b"/ip4/192.0.2.1/tcp/26656",
        ];
        assert_eq!(bytes, [&invitation[..], &[7; 32], &[3; 32], &[0], &member.concat()].concat());
        let trust = Some(TrustedBlock { height: Height(9), hash: Hash([5; 32]) });
        let trusting = codec::encode(&Token { trust, ..sample() });
        let nine = 9_u64.to_le_bytes();
        let expected =
            [&invitation[..], &[7; 32], &[3; 32], &[1], &nine, &[5; 32], &member.concat()];
        assert_eq!(trusting, expected.concat());
        assert_eq!(token.to_text(), text_of(&bytes));
        assert!(token.to_text().starts_with("tandem1_BwAAAAAAAAB0ZXN0aW5n"));
    }

    proptest! {
        #[test]
        fn any_text_is_refused(text in "\\PC{0,60}") {
            prop_assert!(Token::parse(&text).is_err());
            let text = format!("{PREFIX}{text}");
            prop_assert!(Token::parse(&text).is_err());
        }

        #[test]
        fn a_character_that_is_changed_is_found(at in any::<Index>(), got in "[A-Za-z0-9_-]") {
            let mut text = sample().to_text();
            let at = PREFIX.len() + at.index(text.len() - PREFIX.len());
            let is_same = text[at..].starts_with(&got);
            text.replace_range(at..=at, &got);
            prop_assert_eq!(Token::parse(&text).is_ok(), is_same);
        }

        #[test]
        fn a_byte_changed_under_a_right_checksum_is_refused_or_comes_back(
            at in any::<Index>(),
            by in 1..=u8::MAX,
        ) {
            let mut bytes = codec::encode(&sample());
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            let text = text_of(&bytes);
            if let Ok(token) = Token::parse(&text) {
                prop_assert_ne!(&token, &sample());
                prop_assert_eq!(token.to_text(), text);
            }
        }
    }
}
