use ed25519_dalek::Verifier as _;

use super::*;

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// Encodings of the points of small order, the second spelling of the neutral one included.
const SMALL_ORDER: [&str; 9] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

#[test]
fn signatures_are_those_of_rfc_8032() {
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let seed: Hash = seed.parse().unwrap();
    let key = SecretKey::from_seed(seed.as_bytes());
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let signature = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac\
                     c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    assert_eq!(key.public(), public.parse().unwrap());
    assert_eq!(key.sign(b""), signature.parse().unwrap());
    assert!(key.public().verifies(b"", &key.sign(b"")));
}

#[test]
fn an_address_is_the_start_of_the_key_s_hash() {
    let key = key(1).public();
    assert_eq!(key.address().0, Hash::of(&key.0).0[..20]);
}

#[test]
fn weak_keys_are_refused() {
    for point in SMALL_ORDER {
        let key: PublicKey = point.parse().unwrap();
        assert_eq!(key.check(), Err(Error::WeakKey { key }), "{point}");
    }
    assert_eq!(key(1).public().check(), Ok(()));
}

#[test]
fn what_is_no_point_is_refused_as_a_key_and_verifies_nothing() {
    let no_point = (0..=255).map(|n| PublicKey([n; 32]));
    let no_point: Vec<PublicKey> =
        no_point.filter(|key| VerifyingKey::from_bytes(&key.0).is_err()).collect();
    assert!(no_point.len() > 50);
    for key in no_point {
        assert_eq!(key.check(), Err(Error::WeakKey { key }));
        assert!(!key.verifies(b"message", &Signature([0; 64])));
    }
}

#[test]
fn a_small_order_key_has_no_signature_though_lenient_checks_find_one() {
    let neutral: PublicKey = SMALL_ORDER[0].parse().unwrap();
    let mut trivial = Signature([0; 64]);
    trivial.0[..32].copy_from_slice(&neutral.0);
    let lenient = VerifyingKey::from_bytes(&neutral.0).unwrap();
    let lenient = lenient.verify(b"any", &ed25519_dalek::Signature::from_bytes(&trivial.0));
    assert!(lenient.is_ok(), "else this test shows nothing");
    assert!(!neutral.verifies(b"any", &trivial));
    for point in SMALL_ORDER {
        let key: PublicKey = point.parse().unwrap();
        for message in 0..=255_u8 {
            assert!(!key.verifies(&[message], &trivial), "{point}");
        }
    }
}

#[test]
fn a_signature_has_one_spelling() {
    /// The order of the group, little-endian.
    const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let (key, message) = (key(3), b"message");
    let signature = key.sign(message);
    let order: Hash = L.parse().unwrap();
    let mut other = signature;
    let mut carry = 0;
    for (byte, add) in other.0[32..].iter_mut().zip(order.0) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(key.public().verifies(message, &signature));
    assert!(!key.public().verifies(message, &other), "s + L in the place of s");
}

#[test]
fn any_changed_bit_of_message_key_or_signature_is_noticed() {
    notices_any_changed_bit(&Strict);
    notices_any_changed_bit(&Prepared::default());
}

fn notices_any_changed_bit(verifier: &dyn Verifier) {
    let key = key(4);
    let (public, message) = (key.public(), *b"message");
    let signature = key.sign(&message);
    assert!(verifier.verifies(&public, &message, &signature));
    for bit in 0..512 {
        let mut changed = signature;
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!verifier.verifies(&public, &message, &changed), "bit {bit} of the signature");
    }
    for bit in 0..256 {
        let mut changed = public;
        changed.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!verifier.verifies(&changed, &message, &signature), "bit {bit} of the key");
    }
    for bit in 0..56 {
        let mut changed = message;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!verifier.verifies(&public, &changed, &signature), "bit {bit} of the message");
    }
}

#[test]
fn prepared_keys_are_bounded_and_bytes_that_are_no_key_take_no_room() {
    let prepared = Prepared::default();
    for seed in 0..=u16::try_from(Prepared::MAX_KEYS).unwrap() {
        let [low, high] = seed.to_le_bytes();
        let mut bytes = [3; 32];
        (bytes[0], bytes[1]) = (low, high);
        let key = SecretKey::from_seed(&bytes);
        assert!(prepared.verifies(&key.public(), b"m", &key.sign(b"m")));
    }
    assert_eq!(prepared.0.borrow().len(), 1, "it begins anew");
    let no_key = (0..=u8::MAX).map(|b| PublicKey([b; 32])).find(|k| k.point().is_none()).unwrap();
    assert!(!prepared.verifies(&no_key, b"m", &Signature([0; 64])));
    assert_eq!(prepared.0.borrow().len(), 1);
}

#[test]
fn what_is_signed_in_one_domain_or_chain_is_nothing_in_another() {
    let domains = [
        Domain::Transaction,
        Domain::LivenessRecord,
        Domain::Follow,
        Domain::Registration,
        Domain::Invitation,
        Domain::Claim,
        Domain::Visit,
        Domain::Operator,
        Domain::Permit,
        Domain::KeyMove,
    ];
    for (i, one) in domains.iter().enumerate() {
        assert!(one.prefix().ends_with(&[0]), "{one:?} ends where no prefix goes on");
        assert!(one.prefix().starts_with(b"tandem/"));
        for other in &domains[..i] {
            assert_ne!(one.prefix(), other.prefix());
            assert!(!one.prefix().starts_with(other.prefix()));
        }
    }
    let of = |chain: &str| Domain::Follow.sign_bytes(&chain.parse().unwrap(), &1_u8);
    assert_ne!(of("a"), of("b"));
    let vote = crate::comet::vote_sign_bytes(
        &"a".parse().unwrap(),
        crate::vote::VoteKind::Prevote,
        crate::types::Height(1),
        crate::types::Round(0),
        None,
        crate::types::Timestamp(0),
    );
    // CometBFT's begin with a length and a field's tag: 0x08, 0x0a or 0x11, never 'a'.
    assert_ne!(vote[1], b"tandem/"[1]);
}

#[test]
fn a_secret_key_does_not_show_its_seed() {
    let key = key(0xab);
    let shown = format!("{key:?}");
    assert!(!shown.to_lowercase().contains("abababab"), "{shown}");
    assert!(shown.contains(&key.public().to_string()));
    assert_eq!(SecretKey::from_seed(&key.seed()).public(), key.public());
}
