use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tandem_chain::ledger::Event;

use super::*;

fn query(text: &str) -> Query {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn error(text: &str) -> QueryError {
    text.parse::<Query>().expect_err(text)
}

/// A transaction's event.
fn events() -> Events {
    let mut events = Events::default();
    events.add("tm.event", "Tx");
    events.add("tx.height", "12");
    events.add("tx.hash", "8FAC");
    let put = |key: &str| {
        let attributes = [("data_set", "prices".to_owned()), ("key", key.to_owned())];
        Event::new("record_put", attributes)
    };
    let when = [("time", "2026-11-22T23:09:21.5Z".to_owned()), ("day", "2026-11-22".to_owned())];
    events.add_all(&[put("oil"), put("2.50"), Event::new("deal", when), Event::new("empty", [])]);
    events
}

#[test]
fn spellings_of_one_query() {
    let spellings = [
        "tm.event='Tx' AND tx.height>=5",
        "tm.event = 'Tx' AND tx.height >= 5",
        " \ttm.event  =\n'Tx'  AND  tx.height>=5  ",
        "tm.event='Tx'AND tx.height>=05.0",
    ];
    for text in spellings {
        assert_eq!(query(text).to_string(), "tm.event = 'Tx' AND tx.height >= 5", "{text:?}");
    }
    let five = Number::parse("5").unwrap();
    let conditions = vec![
        Condition { tag: "tm.event".into(), test: Test::Is("Tx".into()) },
        Condition { tag: "tx.height".into(), test: Test::Number(Order::GreaterOrEqual, five) },
    ];
    assert_eq!(query(spellings[0]), Query { conditions });
}

#[test]
fn what_matches_a_transaction() {
    let cases = [
        ("tm.event='Tx'", true),
        ("tm.event='tx'", false),
        ("tm.event='Tx' AND tx.height=12", true),
        ("tm.event='NewBlock' AND tx.height=12", false),
        // Numbers are compared as numbers.
        ("tx.height>9", true),
        ("tx.height>12", false),
        ("tx.height>=12", true),
        ("tx.height<12.5", true),
        ("tx.height<=11.9999999999999999999999999", false),
        ("tx.height=012.000", true),
        ("tx.height='12'", true),
        ("tx.height='012'", false),
        ("tx.height<340282366920938463463374607431768211456", true),
        // What is no number as a whole matches none.
        ("tx.hash=8", false),
        ("tx.hash<=100", false),
        ("record_put.data_set>0", false),
        // Each condition may hold for another value.
        ("record_put.key='oil' AND record_put.key=2.5", true),
        ("record_put.key='gas'", false),
        ("record_put.key CONTAINS 'i'", true),
        ("record_put.key CONTAINS ''", true),
        ("record_put.key CONTAINS 'I'", false),
        ("record_put.none CONTAINS ''", false),
        ("record_put.key EXISTS", true),
        ("record_put.none EXISTS", false),
        // A kind alone has the empty value, when it has any attribute.
        ("record_put EXISTS", true),
        ("record_put = ''", true),
        ("record_put = 'oil'", false),
        ("record EXISTS", false),
        ("empty EXISTS", false),
        ("tx EXISTS", true),
        // Times and dates.
        ("deal.time=TIME 2026-11-22T23:09:21.5Z", true),
        ("deal.time=TIME 2026-11-23T00:09:21.5+01:00", true),
        ("deal.time>TIME 2026-11-22T23:09:21Z", true),
        ("deal.time<TIME 2026-11-22T23:09:21Z", false),
        ("deal.day=DATE 2026-11-22", true),
        ("deal.day<=DATE 2026-11-21", false),
        ("deal.day<DATE 2026-11-23", true),
        ("deal.day=TIME 2026-11-22T00:00:00Z", false),
        ("deal.time>=DATE 2026-01-01", false),
        ("tx.height>DATE 1970-01-01", false),
    ];
    for (text, expected) in cases {
        assert_eq!(query(text).matches(&events()), expected, "{text}");
    }
    assert!(!query("tx EXISTS").matches(&Events::default()));
}

#[test]
fn events_as_json() {
    let mut events = Events::default();
    events.add("tm.event", "Tx");
    events.add_all(&[Event::new("a", [("b", "1".into())]), Event::new("a", [("b", "2".into())])]);
    let expected = json!({ "tm.event": ["Tx"], "a.b": ["1", "2"] });
    assert_eq!(serde_json::to_value(&events).unwrap(), expected);
    assert_eq!(events.all().map(|(key, _)| key).collect::<Vec<_>>(), ["a.b", "tm.event"]);
    assert_eq!((events.values("a.b").len(), events.values("a").len()), (2, 0));
}

#[test]
fn errors_name_the_place() {
    let cases = [
        ("", 0, "a tag", "the end"),
        ("   ", 3, "a tag", "the end"),
        ("5 = 5", 0, "a tag", "5"),
        (".a = 5", 0, "a tag", ".a"),
        ("AND = 5", 0, "a tag", "AND"),
        ("TIME = 5", 0, "a tag", "TIME"),
        ("'a' = 5", 0, "a tag", "\\'a\\'"),
        ("a", 1, "one of", "the end"),
        ("a 5", 2, "one of", "5"),
        ("a == 5", 3, "a text", "="),
        ("a != 5", 2, "one of", "!="),
        ("a CONTAIN 'b'", 2, "one of", "CONTAIN"),
        ("a contains 'b'", 2, "one of", "contains"),
        ("a =", 3, "a text", "the end"),
        ("a = b", 4, "a text", "b"),
        ("a = -5", 4, "a text", "-5"),
        ("a = \"b\"", 4, "a text", "\\\"b\\\""),
        ("a < 'b'", 4, "a number", "\\'b\\'"),
        ("a CONTAINS 5", 11, "a text", "5"),
        ("a = 5atom", 5, "AND", "atom"),
        ("a = 5.5.5", 7, "AND", ".5"),
        ("a = .5", 4, "a text", ".5"),
        ("a = TIME", 8, "a time", "the end"),
        ("a = TIME 2026-11-22", 9, "a time", "2026-11-22"),
        ("a = TIME 1969-12-31T23:59:59Z", 9, "a time", "1969-12-31T23:59:59Z"),
        ("a = DATE 2026-02-30", 9, "a date", "2026-02-30"),
        ("a = DATE 2026-2-3", 9, "a date", "2026-2-3"),
        ("a EXISTS b EXISTS", 9, "AND", "b"),
        ("a EXISTS OR b EXISTS", 9, "AND", "OR"),
        ("a EXISTS AND", 12, "a tag", "the end"),
        ("a EXISTS AND AND b EXISTS", 13, "a tag", "AND"),
        ("a EXISTS\0", 8, "AND", "\\0"),
        ("\u{e9} = \u{1b}[31m", 5, "a text", "\\u{1b}[31m"),
    ];
    for (text, place, start, found) in cases {
        let QueryError::Unexpected { at, expected, got } = error(text) else { panic!("{text}") };
        assert_eq!((at, got.as_str()), (place, found), "{text}");
        assert!(expected.starts_with(start), "{text}: {expected}");
    }
    assert_eq!(error("a = 'b"), QueryError::OpenText { at: 4 });
    assert_eq!(
        error("a = 'it's'").to_string(),
        "at byte 8 of the query: expected AND or the end, found s\\'"
    );
    let long = error(&format!("a = {}", "b".repeat(100)));
    assert!(long.to_string().ends_with(&format!("found {}", "b".repeat(24))), "{long}");
}

#[test]
fn queries_are_bounded() {
    let of_bytes = |bytes: usize| format!("a = '{}'", "x".repeat(bytes - "a = ''".len()));
    assert_eq!(query(&of_bytes(MAX_BYTES)).conditions.len(), 1);
    assert_eq!(error(&of_bytes(MAX_BYTES + 1)), QueryError::TooLong { got: MAX_BYTES + 1 });

    let of_conditions = |count: usize| vec!["a EXISTS"; count].join(" AND ");
    assert_eq!(query(&of_conditions(MAX_CONDITIONS)).conditions.len(), MAX_CONDITIONS);
    let at = of_conditions(MAX_CONDITIONS).len() + " AND ".len();
    let many = error(&of_conditions(MAX_CONDITIONS + 1));
    assert_eq!(many, QueryError::TooMany { at });
    assert_eq!(
        many.to_string(),
        format!("at byte {at} of the query: there are 16 conditions before, no more are taken")
    );
}

#[test]
fn ranges_of_integers() {
    let max = u64::MAX;
    let cases = [
        ("x = 5", 0..=max),
        ("h = 5", 5..=5),
        ("h >= 5 AND h < 9", 5..=8),
        ("h > 5 AND x > 7 AND h <= 9 AND h <= 8", 6..=8),
        ("h > 5.5", 6..=max),
        ("h >= 5.5", 6..=max),
        ("h < 5.5", 0..=5),
        ("h <= 5.5", 0..=5),
        ("h < 18446744073709551616", 0..=max),
        ("h <= 18446744073709551615.5", 0..=max),
        ("h = '5' AND h EXISTS", 0..=max),
    ];
    for (text, expected) in cases {
        assert_eq!(query(text).range("h"), expected, "{text}");
    }
    for text in [
        "h = 5.5",
        "h < 0",
        "h > 18446744073709551615",
        "h = 18446744073709551616",
        "h > 5 AND h < 5",
        "h = 5 AND h = 6",
        "h = 7 AND h < 0",
    ] {
        assert!(query(text).range("h").is_empty(), "{text}");
    }
}

#[test]
fn texts_of_tags() {
    let text = "a = 'x' AND b = 5 AND c EXISTS AND c = 'y' AND c = 'z' AND d CONTAINS 'x'";
    let query = query(text);
    let texts = ["a", "b", "c", "d", "e"].map(|tag| query.text(tag));
    assert_eq!(texts, [Some("x"), None, Some("y"), None, None]);
}

fn any_order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![
        Order::Equal,
        Order::Less,
        Order::LessOrEqual,
        Order::Greater,
        Order::GreaterOrEqual,
    ])
}

fn any_number() -> impl Strategy<Value = String> {
    "[0-9]{1,24}(\\.[0-9]{0,6})?"
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let test = prop_oneof![
        Just(Test::Exists),
        "[^']{0,8}".prop_map(Test::Contains),
        "[^']{0,8}".prop_map(Test::Is),
        (any_order(), any_number())
            .prop_map(|(order, number)| Test::Number(order, Number::parse(&number).unwrap())),
        (any_order(), any::<u64>()).prop_map(|(order, nanos)| Test::Time(order, Timestamp(nanos))),
        (any_order(), 1970u16..2554, 1u8..=12, 1u8..=28).prop_map(|(order, year, month, day)| {
            let date = Date::parse(&format!("{year}-{month:02}-{day:02}")).unwrap();
            Test::Date(order, date)
        }),
    ];
    ("[a-z_é][a-zA-Z0-9._é-]{0,8}", test).prop_map(|(tag, test)| Condition { tag, test })
}

proptest! {
    #[test]
    fn a_query_comes_back_from_its_text(conditions in vec(any_condition(), 1..6)) {
        let query = Query { conditions };
        let text = query.to_string();
        prop_assume!(text.len() <= MAX_BYTES);
        prop_assert_eq!(text.parse::<Query>(), Ok(query));
    }

    #[test]
    fn any_text_is_a_query_or_refused_within_it(
        text in "([ a.']|=|<=|AND |TIME |DATE |EXISTS|CONTAINS|1970-01-01|\\PC){0,24}",
    ) {
        match text.parse::<Query>() {
            Ok(query) => prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query)),
            Err(QueryError::Unexpected { at, .. } | QueryError::OpenText { at }) => {
                prop_assert!(text.is_char_boundary(at));
            }
            Err(QueryError::TooLong { got }) => prop_assert_eq!(got, text.len()),
            Err(QueryError::TooMany { at }) => prop_assert!(at <= text.len()),
        }
    }

    #[test]
    fn decimals_compare_as_what_they_are(
        a in 0u64..1_000_000, b in 0u64..1_000_000, zeros in 0usize..3, order in any_order(),
    ) {
        let text = |n: u64| format!("{:0zeros$}{}.{:03}{}", 0, n / 1_000, n % 1_000, "0".repeat(zeros));
        let test = Test::Number(order, Number::parse(&text(b)).unwrap());
        prop_assert_eq!(test.holds(&text(a)), order.holds(a.cmp(&b)));
    }

    #[test]
    fn integers_of_a_number_are_those_that_it_holds_for(
        value in 0u64..40, number in 0u64..40, half in any::<bool>(), order in any_order(),
    ) {
        let text = format!("{number}.{}", if half { "5" } else { "" });
        let number = Number::parse(&text).unwrap();
        let holds = Test::Number(order, number.clone()).holds(&value.to_string());
        prop_assert_eq!(number.integers(order).contains(&value), holds);
    }
}
