use super::*;

#[test]
fn names_hold_their_rules_and_nothing_else() {
    let chain: [(&str, bool); 7] = [
        ("tandem-1", true),
        ("A.b_C-9", true),
        ("", false),
        ("a b", false),
        ("a/b", false),
        ("ä", false),
        ("a\0", false),
    ];
    for (text, allowed) in chain {
        assert_eq!(text.parse::<ChainId>().is_ok(), allowed, "{text:?}");
    }
    assert!("x".repeat(50).parse::<ChainId>().is_ok());
    assert!("x".repeat(51).parse::<ChainId>().is_err());
    for (text, org, data_set) in
        [("acme-2", true, true), ("a.b_c", false, true), ("Acme", false, false), ("", false, false)]
    {
        assert_eq!(text.parse::<OrgName>().is_ok(), org, "{text:?}");
        assert_eq!(text.parse::<DataSetName>().is_ok(), data_set, "{text:?}");
    }
    assert!("x".repeat(32).parse::<OrgName>().is_ok());
    assert!("x".repeat(33).parse::<OrgName>().is_err());
}

#[test]
fn hex_is_read_in_either_case_and_written_in_capitals() {
    let text = "00ff".repeat(16);
    let hash: Hash = text.parse().unwrap();
    assert_eq!(hash.to_string(), text.to_uppercase());
    assert_eq!(text.to_uppercase().parse::<Hash>(), Ok(hash));
    let short = "00".parse::<Hash>();
    assert_eq!(short, Err(Error::Length { what: "Hash", expected: 32, got: 1 }));
    for text in ["xy", "0", "0x00"] {
        assert_eq!(text.parse::<Hash>(), Err(Error::NotHex { what: "Hash" }), "{text}");
    }
}

#[test]
fn byte_arrays_are_text_in_json_and_bare_bytes_in_the_codec() {
    let address = Address([0xab; 20]);
    let json = serde_json::to_string(&address).unwrap();
    assert_eq!(json, format!("\"{}\"", "AB".repeat(20)));
    assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
    assert!(serde_json::from_str::<Address>("\"ab\"").is_err());
    assert_eq!(crate::codec::encode(&address), [0xab; 20]);
}

#[test]
fn the_hash_of_nothing_is_sha_256_of_nothing() {
    assert_eq!(Hash::of(b""), Hash::EMPTY);
}

#[test]
fn times_are_seconds_and_nanoseconds() {
    let time = Timestamp::from_millis(1_700_000_000_123).plus(Duration::from_nanos(456));
    assert_eq!((time.seconds(), time.subsec_nanos()), (1_700_000_000, 123_000_456));
    assert_eq!(time.since(Timestamp::from_millis(1_700_000_000_000)).as_nanos(), 123_000_456);
    assert_eq!(Timestamp(1).since(Timestamp(2)), Duration::ZERO);
    assert_eq!(Timestamp(u64::MAX).plus(Duration::MAX), Timestamp(u64::MAX));
    assert!(Timestamp(u64::MAX).seconds() > 0);
}

#[test]
fn times_come_back_from_rfc_3339() {
    for (nanos, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000_500_000_000, "2023-11-14T22:13:20.5Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
    ] {
        assert_eq!(Timestamp(nanos).to_rfc3339(), text);
        assert_eq!(Timestamp::from_rfc3339(text), Ok(Timestamp(nanos)));
    }
    let offset = Timestamp::from_rfc3339("2023-11-15T00:13:20.5+02:00");
    assert_eq!(offset, Ok(Timestamp(1_700_000_000_500_000_000)));
    for text in ["", "now", "1969-12-31T23:59:59Z", "2555-01-01T00:00:00Z", "2023-11-14"] {
        assert!(Timestamp::from_rfc3339(text).is_err(), "{text:?}");
    }
}

#[test]
fn numbers_step_within_their_range() {
    assert_eq!(Height(3).next(), Height(4));
    assert_eq!(Height(3).plus(2), Height(5));
    assert_eq!((Height(3).back(1), Height(3).back(4)), (Height(2), Height(0)));
}

#[test]
fn text_from_outside_is_cut_and_escaped() {
    assert_eq!(escaped("a\u{1b}[2J\n"), "a\\u{1b}[2J\\n");
    assert_eq!(escaped(&"x".repeat(1_000)).len(), 80);
}
