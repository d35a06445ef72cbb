//! Permits that are no good, or not for what is asked.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::consortium::{self, Change};
use tandem_chain::modules::rights::Range;
use tandem_chain::modules::{Call, records};
use tandem_chain::permit::{Permit, PermitBody};

use super::super::node;
use super::*;
use crate::client::{As, ClientError, submit_and_wait};

const READER: u8 = 202;

/// Status and reason of the refusal of `organizations` by POST, and of the same by GET.
async fn refusal(node: &Node, header: &str) -> (u16, String) {
    let body = request("organizations", &json!({})).to_string();
    let (status, answer) = post(node, Some(header), body).await;
    let (by_get, other) = get(node, Some(header), "/organizations").await;
    let [one, two] = [&answer, &other].map(|answer| answer["error"]["message"].clone());
    assert_eq!((status, one), (by_get, two), "{header}");
    // What everyone is told is told whatever the header is.
    let (is_told, _) = get(node, Some(header), "/health").await;
    assert_eq!(is_told, StatusCode::OK);
    (status.as_u16(), answer["error"]["data"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn permits_that_are_no_good_are_refused_with_the_reason() {
    let (node, _) = limited().await;
    let key = testing::key(READER);
    let sign = |change: &dyn Fn(&mut PermitBody)| {
        let mut body = body(&key);
        change(&mut body);
        header(&Permit::sign(body, &key))
    };
    assert_eq!(refusal(&node, &sign(&|_| ())).await, (200, String::new()));
    let by_another =
        Permit { body: body(&key), signature: SecretKey::from_seed(&[9; 32]).sign(b"") };
    let other_node = testing::validator(1).public();
    let cases = [
        ("expired", sign(&|body| body.ends = now(-1)), "permit ended at"),
        ("for too long", sign(&|body| body.ends = now(8 * 86_400)), "make one for less time"),
        ("for another chain", sign(&|b| b.chain_id = "other-1".parse().unwrap()), "other-1"),
        ("for another node", sign(&|body| body.node = Some(other_node)), "for another node"),
        ("for another request", header(&signed(&key, b"")), "for another request"),
        ("of another's signature", header(&by_another), "signature"),
        ("no hex", "Tandem-Permit xyz".to_owned(), "the permit is none"),
        ("nothing", "Tandem-Permit ".to_owned(), "the permit is none"),
        ("no permit", "Tandem-Permit".to_owned(), "the permit is none"),
        ("of another scheme", format!("Bearer {}", token(&key)), "of another scheme"),
        ("long", format!("Tandem-Permit {}", "0".repeat(60_000)), "the permit is none"),
        ("with more behind it", format!("{} 00", header(&token(&key))), "the permit is none"),
    ];
    for (name, shown, words) in cases {
        let (status, text) = refusal(&node, &shown).await;
        assert_eq!(status, 401, "{name}: {text}");
        assert!(text.contains(words), "{name}: {words:?} is not in {text:?}");
        assert!(text.len() < 1_000 && !text.contains("000000"), "{name}: {text}");
    }
    // A digit that is changed anywhere.
    let text = token(&key).to_string();
    for at in (0..text.len()).step_by(7) {
        let mut other = text.clone().into_bytes();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        let other = String::from_utf8(other).unwrap();
        let (status, _) = refusal(&node, &format!("Tandem-Permit {other}")).await;
        assert_eq!(status, 401, "digit {at}");
    }
    // Schemes are the same in any case of their letters.
    assert_eq!(refusal(&node, &format!("tandem-permit {text}")).await.0, 200);

    let two = reqwest::Client::new().get(format!("{}/organizations", node.client.url()));
    let two = two.header(AUTHORIZATION, header(&token(&key)));
    let (status, answer) = sent(two.header(AUTHORIZATION, header(&token(&key)))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(answer["error"]["data"].as_str().unwrap().contains("two headers"), "{answer}");
    let bytes = reqwest::header::HeaderValue::from_bytes(b"Tandem-Permit \xff").unwrap();
    let request = reqwest::Client::new().get(format!("{}/organizations", node.client.url()));
    assert_eq!(sent(request.header(AUTHORIZATION, bytes)).await.0, StatusCode::UNAUTHORIZED);

    // A head over the server's bound ends the connection, and nothing else.
    let request = reqwest::Client::new().get(format!("{}/organizations", node.client.url()));
    let huge = request.header(AUTHORIZATION, "0".repeat(200_000)).send().await;
    assert!(huge.is_err() || huge.is_ok_and(|answer| answer.status() == 431));
    assert_eq!(refusal(&node, &header(&token(&key))).await.0, 200);
}

#[tokio::test]
async fn a_permit_is_worth_what_its_key_may_read_now() {
    let (node, _) = limited().await;
    let (key, admin) = (testing::key(READER), testing::admin(0));
    let permit = token(&key);
    let (status, answer) = record(&node, &permit, "/records/set/a/1").await;
    assert_eq!((status, &answer["result"]["response"]["version"]), (StatusCode::OK, &json!("1")));

    // The user is taken back: the token is worth nothing, though it is good.
    let remove = consortium::Call::RemoveUser { user: key.public() };
    let tx = node.chain().sign(&admin, 500, Call::Consortium(remove));
    node.commit(vec![tx]);
    for path in ["/records", "/records/set", "/records/set/a/1"] {
        let (status, answer) = record(&node, &permit, path).await;
        let text = answer["error"]["data"].as_str().unwrap();
        assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
        assert!(text.contains(&key.public().to_string()), "{text}");
    }

    // So is one of an organisation that is suspended, until it is restored.
    let permit = token(&testing::admin(3));
    let (status, answer) = record(&node, &permit, "/records/set/a/1").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(answer["error"]["data"].as_str().unwrap().contains("delta"), "{answer}");
    let expires = node.chain().tip().time.plus(Duration::from_secs(3_600));
    let change = Change::RestoreOrg { name: "delta".parse().unwrap() };
    let propose = consortium::Call::Propose { change, force: false, expires };
    let mut txs = vec![node.chain().sign(&admin, 501, Call::Consortium(propose))];
    for org in [1, 2] {
        let vote = Call::Consortium(consortium::Call::Vote { motion: 2 });
        txs.push(node.chain().sign(&testing::admin(org), 502, vote));
    }
    node.commit(txs);
    assert_eq!(record(&node, &permit, "/records/set/a/1").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_permit_for_a_part_reads_that_part_of_what_its_key_may_read() {
    let (node, another) = limited().await;
    let admin = testing::admin(0);
    let only = |name: &str, prefix: &str| token_for(&admin, name, Range::prefix(prefix.as_bytes()));
    let cases = [
        (only("set", "a/1"), "/records/set/a/1", true),
        (only("set", "a/1"), "/records/set/a/2", false),
        (only("set", "a/"), "/records/set/a", false),
        (only("set", "a/"), "/records/set/a0", false),
        (only("set", "a/"), "/records/set2/a/1", false),
        (only("set", "a"), "/records/set/a0", true),
        (only("set2", ""), "/records/set2/b", true),
        (only("set2", ""), "/records/set/b", false),
        (only("set", "a/"), "/records", true),
        (token_for(&admin, "none", Range::all()), "/records/set/b", false),
        // It gives nothing that its key has not.
        (token_for(&testing::key(READER), "set", Range::all()), "/records/set/b", false),
        (token_for(&testing::key(READER), "set", Range::all()), "/records/set/a/1", true),
    ];
    for (permit, path, is_read) in cases {
        let (status, answer) = record(&node, &permit, path).await;
        let expected = if is_read { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(status, expected, "{path}: {answer}");
        if !is_read {
            let text = answer["error"]["data"].as_str().unwrap();
            assert!(text.contains("alone") && text.contains(path.rsplit('/').next().unwrap()));
        }
    }
    // Nor whole blocks or transactions, which its key would read.
    let part = header(&only("set", ""));
    let hash = format!("/tx?hash=0x{another}");
    for target in ["/block", "/block_results", &hash] {
        assert_eq!(get(&node, Some(&part), target).await.0, StatusCode::FORBIDDEN, "{target}");
        let whole = header(&token(&admin));
        assert_eq!(get(&node, Some(&whole), target).await.0, StatusCode::OK, "{target}");
    }
    assert_eq!(get(&node, Some(&part), "/organizations").await.0, StatusCode::OK);
}

/// The keys that a listing has, and where it goes on.
async fn listed(node: &Node, permit: &Permit, path: &str, prefix: &str) -> (Vec<String>, Value) {
    let params = json!({ "path": path, "data": hex::encode(prefix) });
    let body = request("abci_query", &params).to_string();
    let (status, answer) = post(node, Some(&header(permit)), body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let value = answer["result"]["response"]["value"].as_str().unwrap();
    let value = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, value).unwrap();
    let page: Value = serde_json::from_slice(&value).unwrap();
    let keys = page["records"].as_array().unwrap().iter();
    let keys = keys.map(|record| hex::decode(record["key"].as_str().unwrap()).unwrap());
    (keys.map(|key| String::from_utf8(key).unwrap()).collect(), page["next"].clone())
}

#[tokio::test]
async fn no_way_of_asking_reaches_beyond_what_was_granted() {
    let (node, _) = limited().await;
    let permit = token(&testing::key(READER));
    for path in [
        "/records/set/a",
        "/records/set/a%00",
        "/records/set/a.",
        "/records/set/a0",
        "/records/set/%61",
        "/records/set/",
        "/records/set/b",
        "/records/set/../set/b",
        "/records/set/%2e%2e%2fset2%2fa%2f1",
        "/records/set2/a/1",
        "/records/set2",
        "/records/set/%ff",
    ] {
        let (status, answer) = record(&node, &permit, path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {answer}");
        let text = answer["error"]["data"].as_str().unwrap();
        assert!(text.contains("tandem tx right grant"), "{path}: {text}");
    }
    // Inside there is what there is, and that something is not there may be known.
    for (path, code) in
        [("/records/set/a/1", 0), ("/records/set/a%2F1", 0), ("/records/set/a/%ff", 10)]
    {
        let (status, answer) = record(&node, &permit, path).await;
        let got = &answer["result"]["response"]["code"];
        assert_eq!((status, got), (StatusCode::OK, &json!(code)), "{path}");
    }
    let both = vec!["a/1".to_owned(), "a/2".to_owned()];
    for prefix in ["", "a", "a/"] {
        assert_eq!(listed(&node, &permit, "/records/set", prefix).await.0, both, "{prefix}");
    }
    for prefix in ["a0", "b", "\0", "a/3"] {
        let nothing = (Vec::new(), Value::Null);
        assert_eq!(listed(&node, &permit, "/records/set", prefix).await, nothing, "{prefix}");
    }
    // Where a part ends it goes on inside, and nowhere else.
    let (first, next) = listed(&node, &permit, "/records/set?limit=1", "").await;
    assert_eq!((first, &next), (vec!["a/1".to_owned()], &json!("612F31")));
    let rest = listed(&node, &permit, "/records/set?limit=9&after=612F31", "").await;
    assert_eq!(rest, (vec!["a/2".to_owned()], Value::Null));
    for after in ["61", "00", ""] {
        let path = format!("/records/set?after={after}");
        assert_eq!(listed(&node, &permit, &path, "").await.0, both, "{after}");
    }
    for after in ["6130", "ff"] {
        let path = format!("/records/set?after={after}");
        assert_eq!(listed(&node, &permit, &path, "").await.0, Vec::<String>::new(), "{after}");
    }
    // A data set that is not there is not there.
    let (status, answer) = record(&node, &permit, "/records/none/x").await;
    let code = &answer["result"]["response"]["code"];
    assert_eq!((status, code), (StatusCode::OK, &json!(10)));
}

#[tokio::test]
async fn each_request_of_a_batch_is_answered_by_what_it_needs() {
    let (node, another) = limited().await;
    let tx = json!({ "hash": crate::rpc::shapes::comet::base64(another.as_bytes()) });
    let query = |path: &str| json!({ "path": path });
    let calls = [
        ("health", json!({}), None),
        ("block", json!({}), Some("every record")),
        ("abci_query", query("/records/set/a/1"), None),
        ("abci_query", query("/records/set/b"), Some("set/b")),
        ("none", json!({}), None),
        ("tx", tx, Some("another's")),
        ("nodes", json!({ "x": 1 }), None),
    ];
    let mut batch: Vec<Value> =
        calls.iter().map(|(method, params, _)| request(method, params)).collect();
    // A notification is not carried out, and has no answer.
    batch.push(json!({ "jsonrpc": "2.0", "method": "block" }));
    let text = json!(batch).to_string();
    let key = testing::key(READER);
    for permit in [token(&key), signed(&key, text.as_bytes())] {
        let (status, answers) = post(&node, Some(&header(&permit)), text.clone()).await;
        let answers = answers.as_array().unwrap();
        assert_eq!((status, answers.len()), (StatusCode::OK, calls.len()));
        for ((method, _, refused), answer) in calls.iter().zip(answers) {
            let is_refused = answer["error"]["code"] == -32001;
            assert_eq!(is_refused, refused.is_some(), "{method}: {answer}");
            let data = answer["error"]["data"].as_str().unwrap_or_default();
            assert!(data.contains(refused.unwrap_or_default()), "{method}: {answer}");
        }
        assert_eq!(answers[4]["error"]["code"], -32601);
        assert_eq!(answers[6]["error"]["code"], -32602);
    }
    // One for another body is for none of them.
    let other = signed(&key, &text.as_bytes()[1..]);
    let (status, answers) = post(&node, Some(&header(&other)), text).await;
    assert_eq!((status, &answers[0]["result"]), (StatusCode::OK, &json!({})));
    assert_eq!(answers[2]["error"]["message"], "Permit needed");
}

#[tokio::test]
async fn a_permit_for_one_request_is_for_no_other() {
    let (node, _) = limited().await;
    let key = testing::key(READER);
    let ask = |name: &str| request(name, &json!({})).to_string();
    let permit = header(&signed(&key, ask("nodes").as_bytes()));
    assert_eq!(post(&node, Some(&permit), ask("nodes")).await.0, StatusCode::OK);
    assert_eq!(post(&node, Some(&permit), ask("seats")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&node, Some(&permit), "/nodes").await.0, StatusCode::UNAUTHORIZED);
    let permit = header(&signed(&key, b"/seats?blocks=7"));
    assert_eq!(get(&node, Some(&permit), "/seats?blocks=7").await.0, StatusCode::OK);
    assert_eq!(get(&node, Some(&permit), "/seats?blocks=8").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(get(&node, Some(&permit), "/seats").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_method_asks_for_a_permit_however_it_is_reached() {
    let (node, _) = limited().await;
    let ask = async |method: reqwest::Method, target: &str| {
        let url = format!("{}{target}", node.client.url());
        reqwest::Client::new().request(method, url).send().await.unwrap().status()
    };
    for target in ["/block", "/%62lock", "/bloc%6B", "/block?", "/block?height=1"] {
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            assert_eq!(ask(method, target).await, StatusCode::UNAUTHORIZED, "{target}");
        }
        assert_eq!(ask(reqwest::Method::POST, target).await, StatusCode::METHOD_NOT_ALLOWED);
    }
    for target in ["/Block", "/block/", "/block%00", "/block%2f"] {
        assert_eq!(ask(reqwest::Method::GET, target).await, StatusCode::NOT_FOUND, "{target}");
    }
}

#[tokio::test]
async fn where_reading_is_open_no_permit_is_looked_at() {
    let node = node().await;
    node.commit(vec![]);
    for header in [None, Some("Tandem-Permit xyz"), Some("Basic eDp5")] {
        assert_eq!(get(&node, header, "/block").await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_client_shows_a_permit_where_it_is_asked_for_one() {
    let (node, _) = limited().await;
    let data_set = set("set");
    let error = node.client.record(&data_set, b"a/1").await.unwrap_err();
    assert!(matches!(error, ClientError::Rpc { code: -32001, .. }), "{error}");
    let reader = testing::key(READER);
    for reads_as in [As::Key(reader.clone()), As::Permit(token(&reader))] {
        let client = node.client.clone().reading(reads_as);
        assert_eq!(client.record(&data_set, b"a/1").await.unwrap().value, b"set/a/1");
        assert_eq!(client.records(&data_set, b"", None, 9).await.unwrap().records.len(), 2);
        let error = client.record(&data_set, b"b").await.unwrap_err().to_string();
        assert!(error.contains("set/b") && error.contains("-32001"), "{error}");
        let calls = vec![("nodes", Value::Null), ("block", Value::Null)];
        let answers = client.batch(calls).await.unwrap();
        assert!(answers[0].is_ok() && answers[1].is_err());
    }
    let late = Permit::sign(PermitBody { ends: now(-9), ..body(&reader) }, &reader);
    let client = node.client.clone().reading(As::Permit(late));
    let error = client.nodes().await.unwrap_err().to_string();
    assert!(error.contains("permit ended at"), "{error}");

    // Who sends a transaction is shown its receipt.
    let writer = testing::user();
    let client = [node.client.clone().reading(As::Key(writer.clone()))];
    let create = records::Call::Create { data_set: set("new") };
    let tx = node.chain().sign(&writer, 900, Call::Records(create));
    let commits = async {
        node.admission.arrived().await;
        node.commit(node.admission.take(1_000_000, 10));
    };
    let (done, ()) = tokio::join!(submit_and_wait(&client, &tx, Duration::from_secs(60)), commits);
    assert_eq!(done.unwrap().info.receipt.code, 0);
}

#[tokio::test]
async fn users_and_rights_are_told() {
    let (node, _) = limited().await;
    let client = node.client.clone().reading(As::Key(testing::admin(1)));
    let users = client.users(&"alpha".parse().unwrap()).await.unwrap().users;
    assert_eq!(users.len(), 5);
    let found = users.iter().find(|user| user.key == testing::key(READER).public()).unwrap();
    assert_eq!((found.role, found.since.0), (UserRole::Reader, 1));
    let key = client.key(&testing::key(203).public()).await.unwrap();
    assert_eq!((key.role.as_deref(), key.user_role), (Some("user"), Some(UserRole::Auditor)));
    let error = client.users(&"none".parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("organization (none) not found"), "{error}");

    let found = client.rights(&set("set"), None).await.unwrap();
    let [right] = found.rights.as_slice() else { panic!("{found:?}") };
    assert_eq!((right.organization.as_ref(), right.user, right.is_void), (None, None, false));
    assert_eq!(right.range.range(), Ok(Range::prefix(b"a/")));
    assert_eq!((right.right, found.next), (rights::Right::Read, None));

    // In parts of so many grantees.
    let grant = |nonce, org: &str, range: Range| {
        let (data_set, to) = (set("set"), Grantee::Org(org.parse().unwrap()));
        let grant = rights::Call::Grant { data_set, to, range, right: rights::Right::Write };
        node.chain().sign(&testing::admin(0), nonce, Call::Rights(grant))
    };
    let txs = vec![
        grant(700, "beta", Range::prefix(b"x")),
        grant(701, "beta", Range::prefix(b"y")),
        grant(702, "gamma", Range::all()),
    ];
    node.commit(txs);
    let mut after: Option<String> = None;
    let mut seen = Vec::new();
    loop {
        let params = json!({ "data_set": "set", "after": after, "limit": 1 });
        let part: crate::rpc::shapes::rights::Rights = client.call("rights", params).await.unwrap();
        seen.push(part.rights.len());
        match part.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 1, 0]);

    let may = client.may_read(&testing::key(READER).public(), &set("set"), Some(b"a/7")).await;
    let may = may.unwrap();
    assert_eq!((may.record, may.blocks, may.reason), (Some(true), false, None));
    assert_eq!(may.ranges.len(), 1);
    let may = client.may_read(&testing::validator(0).public(), &set("set"), None).await.unwrap();
    assert_eq!((may.record, may.blocks), (None, true));
    let may = client.may_read(&testing::key(250).public(), &set("set"), Some(b"a/1")).await;
    let may = may.unwrap();
    assert_eq!((may.record, may.organization, may.ranges.len()), (Some(false), None, 0));
    assert!(may.reason.unwrap().contains("no registered key"));
    for (method, params) in [
        ("users", json!({})),
        ("users", json!({ "organization": "Big Name" })),
        ("rights", json!({ "data_set": "set", "after": "x/y" })),
        ("rights", json!({ "data_set": "set", "limit": 61 })),
        ("may_read", json!({ "key": "AB", "data_set": "set" })),
        ("may_read", json!({ "key": testing::user().public(), "data_set": "set", "record": "x" })),
    ] {
        match client.call::<Value>(method, params.clone()).await {
            Err(ClientError::Rpc { code: -32602, .. }) => {}
            other => panic!("{method} {params}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn pages_of_allowed_origins_may_show_permits() {
    let origin = "https://explorer.example.org";
    let node = node_with(|config| config.rpc.cors_origins = vec![origin.to_owned()]).await;
    let request = reqwest::Client::new().request(reqwest::Method::OPTIONS, node.client.url());
    let request = request
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,x-other");
    let response = request.send().await.unwrap();
    let allowed = response.headers().get("access-control-allow-headers").unwrap();
    let mut allowed: Vec<&str> = allowed.to_str().unwrap().split(',').collect();
    allowed.sort_unstable();
    let expected = ["accept", "authorization", "content-type", "x-requested-with", "x-server-time"];
    assert_eq!(allowed, expected, "and no other");
}
