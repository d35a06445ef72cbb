//! What a guest and a member say to each other, one frame each.

use serde::{Deserialize, Serialize};
use tandem_chain::codec;
use tandem_chain::keys::{Domain, PublicKey, Signature, Signer};
use tandem_chain::modules::consortium::Invitation;
use tandem_chain::types::{ChainId, Hash, Height, TxHash};

use super::token::Token;
use crate::network::PROTOCOL_VERSION;

/// Bytes of genesis in one answer.
pub const MAX_CHUNK_BYTES: usize = 256 * 1024;
/// Characters of a reason.
pub const MAX_REASON_LEN: usize = 1_000;

/// A guest's first frame: what it has, and for whom it speaks. The version stands in front, as in the
/// hello of members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestHello {
    /// [`PROTOCOL_VERSION`] of the guest.
    pub protocol: u32,
    /// Hash of the genesis that it was told.
    pub genesis: Hash,
    /// Its invitation.
    pub invitation: Invitation,
    /// The claim of the invitation for the node, by the one-time key of the token.
    pub claim: Signature,
    /// Key of the node that is to be registered, or was.
    pub node: PublicKey,
    /// That key's signature, in [`Domain::Visit`] over (guest's key, member's key, invitation's
    /// one-time key): it binds the connection, whose key is one for this visit alone.
    pub proof: Signature,
}

impl GuestHello {
    /// A guest with the key `guest`, that shows a token's invitation to `member` and speaks for
    /// `node`. Nothing in it is of use to who sees it.
    pub fn new(token: &Token, node: &impl Signer, guest: &PublicKey, member: &PublicKey) -> Self {
        let invitation = token.invitation.clone();
        let claim = invitation.claim(&token.one_time(), &node.public());
        let proof = node.sign(&proof_bytes(&invitation, guest, member));
        let (protocol, genesis) = (PROTOCOL_VERSION, token.genesis);
        Self { protocol, genesis, invitation, claim, node: node.public(), proof }
    }

    /// Whether the claim is the one-time key's, and the proof the node's, for a visit of `guest` at
    /// `member`.
    #[must_use]
    pub fn is_proved(&self, guest: &PublicKey, member: &PublicKey) -> bool {
        self.node.verifies(&proof_bytes(&self.invitation, guest, member), &self.proof)
            && self.invitation.verify_claim(&self.node, &self.claim).is_ok()
    }
}

fn proof_bytes(invitation: &Invitation, guest: &PublicKey, member: &PublicKey) -> Vec<u8> {
    let chain_id: &ChainId = &invitation.body.chain_id;
    Domain::Visit.sign_bytes(chain_id, &(guest, member, invitation.body.claim))
}

/// A member's first frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Greeting {
    /// The guest is received.
    Received {
        /// The member's newest block.
        height: Height,
        /// Whether the guest's node is registered already.
        registered: bool,
    },
    /// It is not, though a member invited it.
    Refused {
        /// The code of the error, as in receipts.
        code: u32,
        /// Why, for people.
        reason: String,
    },
}

/// What a guest may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// A part of the genesis.
    Genesis {
        /// From this byte of its encoding on.
        offset: u64,
    },
    /// Takes in the registration of the guest's node, by its invitation.
    Register {
        /// Bytes of the transaction.
        #[serde(with = "codec::bytes")]
        tx: Vec<u8>,
    },
    /// How the registration stands.
    Standing {
        /// Hash of the transaction.
        tx: TxHash,
    },
}

/// What it is answered; each to the question of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A part of the genesis: at most [`MAX_CHUNK_BYTES`] of its encoding, none behind its end.
    Genesis {
        /// Bytes of the whole.
        total: u64,
        /// The part.
        #[serde(with = "codec::bytes")]
        bytes: Vec<u8>,
    },
    /// Whether the transaction was taken in.
    Register {
        /// 0, or the code of the error.
        code: u32,
        /// Why it was not, for people.
        reason: String,
    },
    /// How the registration stands.
    Standing {
        /// The member's newest block.
        height: Height,
        /// Whether the node is registered.
        registered: bool,
        /// Where the transaction is, with its receipt, if it is in a block.
        receipt: Option<Executed>,
    },
}

/// A transaction's receipt, as far as a guest needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executed {
    /// Its block.
    pub height: Height,
    /// 0 for success.
    pub code: u32,
    /// Why it failed, for people.
    pub log: String,
}

/// A text as far as a frame has room for it, without what could harm a terminal.
#[must_use]
pub fn reason(text: &str) -> String {
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().map(plain).take(MAX_REASON_LEN).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;
    use proptest::sample::Index;
    use serde::de::DeserializeOwned;
    use tandem_chain::codec;
    use tandem_chain::keys::SecretKey;

    use super::*;
    use crate::join::token::tests::token;
    use crate::network::limits::{
        MAX_GUEST_ANSWER_BYTES, MAX_GUEST_HELLO_BYTES, MAX_GUEST_REQUEST_BYTES,
    };

    fn secret(seed: u8) -> SecretKey {
        SecretKey::from_seed(&[seed; 32])
    }

    fn hello() -> GuestHello {
        let [node, guest, member] = [5, 6, 1].map(secret);
        GuestHello::new(&token(&secret(100)), &node, &guest.public(), &member.public())
    }

    #[test]
    fn a_proof_is_of_one_node_guest_member_and_invitation() {
        let [guest, member, other] = [6, 1, 9].map(|seed| secret(seed).public());
        let hello = hello();
        assert!(hello.is_proved(&guest, &member));
        assert!(!hello.is_proved(&other, &member) && !hello.is_proved(&guest, &other));
        let another = GuestHello { node: other, ..hello.clone() };
        assert!(!another.is_proved(&guest, &member));
        // Whoever sees it cannot take its invitation for a node of its own.
        let (thief, one_time) = (secret(9), secret(7));
        let proof = thief.sign(&proof_bytes(&hello.invitation, &guest, &member));
        let mut stolen = GuestHello { node: thief.public(), proof, ..hello.clone() };
        assert!(!stolen.is_proved(&guest, &member));
        stolen.claim = hello.invitation.claim(&one_time, &thief.public());
        assert!(stolen.is_proved(&guest, &member), "but for the claim it would be good");
        let mut another = hello;
        another.invitation.body.claim = other;
        assert!(!another.is_proved(&guest, &member));
    }

    #[test]
    fn golden_bytes() {
        let hello = hello();
        let invitation = codec::encode(&hello.invitation);
        let expected = [
            &[1, 0, 0, 0][..],
            &[3; 32],
            &invitation,
            hello.claim.as_bytes(),
            hello.node.as_bytes(),
            hello.proof.as_bytes(),
        ];
        assert_eq!(codec::encode(&hello), expected.concat());
        let signed = proof_bytes(&hello.invitation, &PublicKey([6; 32]), &PublicKey([1; 32]));
        let mut bytes = b"tandem/visit/1\0\x07\0\0\0\0\0\0\0testing".to_vec();
        bytes.extend([6; 32].iter().chain(&[1; 32]).chain(secret(7).public().as_bytes()));
        assert_eq!(signed, bytes);

        let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let nine = 9_u64.to_le_bytes();
        let cases: [(Vec<u8>, Vec<u8>); 9] = [
            (
                codec::encode(&Greeting::Received { height: Height(9), registered: true }),
                [&[0; 4][..], &nine, &[1]].concat(),
            ),
            (
                codec::encode(&Greeting::Refused { code: 4, reason: "late".to_owned() }),
                [&[1, 0, 0, 0, 4, 0, 0, 0][..], &text("late")].concat(),
            ),
            (codec::encode(&Question::Genesis { offset: 9 }), [&[0; 4][..], &nine].concat()),
            (
                codec::encode(&Question::Register { tx: b"tx".to_vec() }),
                [&[1, 0, 0, 0][..], &text("tx")].concat(),
            ),
            (
                codec::encode(&Question::Standing { tx: Hash([8; 32]) }),
                [&[2, 0, 0, 0][..], &[8; 32]].concat(),
            ),
            (
                codec::encode(&Answer::Genesis { total: 9, bytes: b"part".to_vec() }),
                [&[0; 4][..], &nine, &text("part")].concat(),
            ),
            (
                codec::encode(&Answer::Register { code: 4, reason: "late".to_owned() }),
                [&[1, 0, 0, 0, 4, 0, 0, 0][..], &text("late")].concat(),
            ),
            (
                codec::encode(&Answer::Standing {
                    height: Height(9),
                    registered: false,
                    receipt: None,
                }),
                [&[2, 0, 0, 0][..], &nine, &[0, 0]].concat(),
            ),
            (
                codec::encode(&Answer::Standing {
                    height: Height(9),
                    registered: true,
                    receipt: Some(Executed { height: Height(9), code: 4, log: "late".to_owned() }),
                }),
                [&[2, 0, 0, 0][..], &nine, &[1, 1], &nine, &[4, 0, 0, 0], &text("late")].concat(),
            ),
        ];
        for (index, (bytes, expected)) in cases.into_iter().enumerate() {
            assert_eq!(bytes, expected, "case {index}");
        }
    }

    #[test]
    fn the_longest_of_each_fit_in_their_frames() {
        assert!(codec::encode(&hello()).len() + 200 <= MAX_GUEST_HELLO_BYTES);
        let tx = vec![0; tandem_chain::limits::MAX_INVITED_TX_BYTES];
        assert!(codec::encode(&Question::Register { tx }).len() <= MAX_GUEST_REQUEST_BYTES);
        let chunk = Answer::Genesis { total: 0, bytes: vec![0; MAX_CHUNK_BYTES] };
        assert!(codec::encode(&chunk).len() <= MAX_GUEST_ANSWER_BYTES);
        let refused = Greeting::Refused { code: 1, reason: reason(&"\u{1b}".repeat(9_999)) };
        assert!(codec::encode(&refused).len() <= MAX_REASON_LEN + 16);
    }

    /// With one byte changed a value is refused, or is another.
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, at: Index, by: u8) {
        let mut bytes = codec::encode(value);
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        if let Ok(other) = codec::decode_canonical::<T>("value", &bytes, 1 << 20) {
            assert_ne!(other, *value);
        }
    }

    proptest! {
        #[test]
        fn no_byte_of_a_hello_can_be_changed(at in any::<Index>(), by in 1..=u8::MAX) {
            let hello = hello();
            let mut bytes = codec::encode(&hello);
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            let Ok(other) = codec::decode_canonical::<GuestHello>("hello", &bytes, 1 << 20) else {
                return Ok(());
            };
            let is_of_here = (other.protocol, other.genesis) == (hello.protocol, hello.genesis);
            let [guest, member] = [6, 1].map(|seed| secret(seed).public());
            let is_invited = other.invitation.verify(&secret(100).public()).is_ok();
            prop_assert!(!(is_of_here && is_invited && other.is_proved(&guest, &member)));
        }

        #[test]
        fn one_byte_changed_makes_another_word_or_none(at in any::<Index>(), by in 1..=u8::MAX) {
            let text = || "late".to_owned();
            let receipt = Some(Executed { height: Height(9), code: 4, log: text() });
            let (height, registered) = (Height(9), true);
            check(&Greeting::Received { height, registered }, at, by);
            check(&Greeting::Refused { code: 4, reason: text() }, at, by);
            check(&Question::Genesis { offset: 9 }, at, by);
            check(&Question::Register { tx: b"tx".to_vec() }, at, by);
            check(&Question::Standing { tx: Hash([8; 32]) }, at, by);
            check(&Answer::Genesis { total: 9, bytes: b"part".to_vec() }, at, by);
            check(&Answer::Register { code: 4, reason: text() }, at, by);
            check(&Answer::Standing { height, registered, receipt }, at, by);
        }
    }
}
