//! The explorer over a real socket: every page, hostile names and addresses, and whom it is shown.

mod bad;
mod html;
mod limited;

use std::collections::{BTreeSet, VecDeque};

use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use tandem_chain::modules::consortium::{self, Change};
use tandem_chain::modules::rights::{self, Grantee, Range, Right};
use tandem_chain::modules::{Call, records, standby};
use tandem_chain::types::{Height, Power, Term, TxHash};

use self::html::check;
use super::{Node, node, node_with};
use crate::rpc::explorer::PAGES;
use crate::testing;

/// What an attacker writes into names, keys and values.
const HOSTILE: &str = "<script>alert('1')</script>\"><img src=x onerror=alert(2)>";

fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(Policy::none()).build().unwrap()
}

async fn fetch(node: &Node, target: &str) -> Response {
    http().get(format!("{}{target}", node.client.url())).send().await.unwrap()
}

/// A page that is there, checked as every page is.
async fn page(node: &Node, target: &str) -> String {
    let response = fetch(node, target).await;
    let (status, text) = (response.status(), whole(response).await);
    assert_eq!(status, StatusCode::OK, "{target}: {text}");
    text
}

/// The text of a page, with headers and markup checked.
async fn whole(response: Response) -> String {
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let policy = header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("x-frame-options"), "DENY");
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("access-control-allow-origin"), "");
    let text = response.text().await.unwrap();
    check(&text);
    text
}

/// A chain with everything that pages tell of: hostile records, a call that failed, switches, motions.
async fn eventful() -> (Node, Vec<TxHash>) {
    let node = node().await;
    let set = || "set".parse().unwrap();
    let expires = node.chain().tip().time.plus(std::time::Duration::from_secs(3_600));
    let admin = testing::admin(0);
    let put = |nonce, key: &[u8], value: &[u8], expected| {
        let call = records::Call::Put {
            data_set: set(),
            key: key.into(),
            content_type: None,
            value: value.into(),
            expected,
        };
        node.chain().sign(&testing::user(), nonce, Call::Records(call))
    };
    let add = Change::AddOrg {
        name: "epsilon".parse().unwrap(),
        admin_key: testing::key(240).public(),
        power: Power(1),
    };
    let propose = consortium::Call::Propose { change: add, force: false, expires };
    let to = Grantee::Members;
    let grant = rights::Call::Grant {
        data_set: set(),
        to,
        range: Range::prefix(b"a\x1b"),
        right: Right::Read,
    };
    // Each by itself: the chain is locked while one is made.
    let create = node.chain().create(1);
    let grant = node.chain().sign(&admin, 10, Call::Rights(grant));
    let propose = node.chain().sign(&admin, 11, Call::Consortium(propose));
    let typed =
        node.chain().put_as(12, "b/typed", Some("text/csv; header=\"&amp;\""), b"{\"a\": 1}");
    let txs = vec![
        create,
        put(
            2,
            HOSTILE.as_bytes(),
            format!("{{\"{}\": [1, {{}}]}}", HOSTILE.replace('"', "'")).as_bytes(),
            None,
        ),
        put(3, b"\x1b[31mred\x1b[0m", b"\x1b]0;title\x07", None),
        put(4, b"a/1", HOSTILE.as_bytes(), None),
        put(5, b"a/1", b"two", Some(1)),
        put(6, b"a/1", b"refused", Some(7)),
        put(
            7,
            "\u{202e}right to left".as_bytes(),
            "\u{202e}\u{200b}hidden\u{2066}".as_bytes(),
            None,
        ),
        put(8, b"empty", b"", None),
        put(9, b"large", &b"x\n".repeat(90_000), None),
        grant,
        propose,
        typed,
    ];
    let hashes = txs.iter().map(tandem_chain::tx::Tx::hash).collect();
    node.commit(txs);
    let target = testing::standby(2).public();
    let switch = standby::Call::Switch { seat: "gamma".parse().unwrap(), target, term: Term(0) };
    let switch = node.chain().sign(&testing::admin(2), 12, Call::Standby(switch));
    node.commit(vec![switch]);
    let dead = testing::validator(1).public();
    while node.client.switches(0, 10).await.unwrap().switches.len() < 2 {
        assert!(node.chain().tip().height < Height(60), "beta is not switched");
        node.commit_seen(|key| *key != dead);
    }
    node.commit(vec![]);
    node.commit_seen(|key| *key != testing::standby(3).public());
    node.commit(vec![]);
    (node, hashes)
}

/// Where a page leads to within the explorer.
fn links(text: &str) -> Vec<String> {
    let parts = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let own = parts.filter(|target| target.starts_with("/explorer"));
    own.map(|target| target.replace("&amp;", "&").split('#').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_page_is_whole_and_every_link_leads_to_one() {
    let (node, hashes) = eventful().await;
    let mut seen = BTreeSet::new();
    let mut waiting =
        VecDeque::from(["/explorer".to_owned(), "/explorer/try?kind=add_org&name=zeta".to_owned()]);
    waiting.extend(hashes.iter().map(|hash| format!("/explorer/tx/{hash}")));
    waiting.push_back("/explorer/search?q=zzz".to_owned());
    while let Some(target) = waiting.pop_front() {
        if !seen.insert(target.clone()) {
            continue;
        }
        assert!(seen.len() < 400, "the pages have no end: {target}");
        if target.starts_with("/explorer/assets/") {
            assert_eq!(fetch(&node, &target).await.status(), StatusCode::OK, "{target}");
            continue;
        }
        let text = page(&node, &target).await;
        assert!(!text.contains("<script>") && !text.contains("<img"), "{target}");
        assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{target}");
        for hidden in ['\u{202e}', '\u{200b}', '\u{2066}'] {
            assert!(!text.contains(hidden), "{target}");
        }
        waiting.extend(links(&text));
    }
    for pattern in PAGES {
        let is_seen = seen.iter().any(|target| {
            let path = target.strip_prefix("/explorer").unwrap().split('?').next().unwrap();
            let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
            wanted.clone().count() == found.clone().count()
                && wanted.all(|part| {
                    found.next().is_some_and(|name| part.starts_with('{') || part == name)
                })
        });
        assert!(is_seen, "no link leads to {pattern}");
    }
}

#[tokio::test]
async fn pages_tell_what_is_in_the_chain() {
    let (node, hashes) = eventful().await;
    let hash = |i: usize| format!("/explorer/tx/{}", hashes[i]);
    let newest = node.chain().tip().height;
    let automatic = node.client.switches(0, 1).await.unwrap().switches[0].clone();
    for (target, words) in [
        (
            "/explorer".to_owned(),
            &["3 of 4", "its standby is dead", "Standbys ready", "role=\"img\""][..],
        ),
        (
            "/explorer/pairs".to_owned(),
            &["standby not ready", "of the last 1", "automatic", "planned"],
        ),
        ("/explorer/blocks".to_owned(), &["switch gamma", "switch beta", "1 failed", "4 of 4"]),
        (
            "/explorer/block/1".to_owned(),
            &["The first block has no record", "put", "record_put", "canonical"],
        ),
        ("/explorer/block/4".to_owned(), &["Seen by", "dead", "0 of 4"]),
        (format!("/explorer/block/{newest}"), &["this node's own"]),
        (hash(1), &["&lt;script&gt;alert(", "/explorer/data-set/set", "done"]),
        (hash(2), &["hex", "1B5B33316D", "record_put"]),
        (hash(5), &["failed", "code 13", "version"]),
        (hash(6), &["\\u{202e}", "\\u{200b}"]),
        (hash(8), &["The first 16.0 KiB of 175.8 KiB are shown"]),
        (hash(10), &["propose", "epsilon"]),
        ("/explorer/organization/alpha".to_owned(), &["writer", "connected", "set", "add"]),
        (
            "/explorer/motion/1".to_owned(),
            &["seats 4 -&gt; 5, quorum 3 -&gt; 4, online after this 4", "1 of 3"],
        ),
        (
            "/explorer/motions".to_owned(),
            &["seats 4 -&gt; 5, quorum 3 -&gt; 4, online after this 4", "allowed", "1 of 3"],
        ),
        (
            "/explorer/data-set/set".to_owned(),
            &["&lt;script&gt;", "all members", "1B5B", "a/1", "text/csv"],
        ),
        (
            format!("/explorer/record/set/{}", hex::encode("a/1")),
            &["two", "text, 3 B", ">2<", "History", "&lt;script&gt;alert(", ">1<"],
        ),
        (
            format!("/explorer/record/set/{}", hex::encode("b/typed")),
            &["text/csv; header=&quot;&amp;amp;&quot;", "text, 8 B", "as who wrote it says"],
        ),
        (
            "/explorer/network".to_owned(),
            &["/ip4/10.0.0.2/tcp/26656", "2.0 KiB", "does not see it"],
        ),
        ("/explorer/parameters".to_owned(), &["idle_block_interval_ms", "100 ms", "2.0 MiB"]),
        (
            "/explorer/api".to_owned(),
            &["broadcast_tx_commit", "/seats?blocks=100", "unsubscribe_all", "the operator"],
        ),
        (
            format!("/explorer/switch/{}/beta", automatic.height),
            &["Records", "seen by 0 of 4", "Role table after"],
        ),
        ("/explorer/switch/2/gamma".to_owned(), &["planned", "Transaction", "effective_height"]),
        (
            "/explorer/key/".to_owned() + &testing::validator(0).public().to_string(),
            &["alpha", "validator"],
        ),
        (
            "/explorer/key/".to_owned() + &testing::key(250).public().to_string(),
            &["does not know this key"],
        ),
    ] {
        let text = page(&node, &target).await;
        for word in words {
            assert!(text.contains(word), "{target}: {word} is not in {text}");
        }
    }
}

#[tokio::test]
async fn a_record_has_its_history() {
    let node = node().await;
    let key = hex::encode("a");
    let create = node.chain().create(1);
    node.commit(vec![create]);
    for nonce in 2..=25 {
        let put = node.chain().put(nonce, "a", format!("value {nonce}").as_bytes());
        node.commit(vec![put]);
    }
    let target = format!("/explorer/record/set/{}", hex::encode_upper("a"));
    let (mut next, mut seen) = (target.clone(), String::new());
    let mut pages = 0;
    loop {
        pages += 1;
        let text = page(&node, &next).await;
        assert!(!text.contains("knows nothing"), "{text}");
        seen += &text;
        let before = format!("{target}?before=");
        match links(&text).into_iter().find(|link| link.starts_with(&before)) {
            Some(link) => next = link,
            None => break,
        }
    }
    assert_eq!(pages, 3);
    for nonce in 2..=25 {
        assert!(seen.contains(&format!("value {nonce}<")), "{nonce} is not in {seen}");
    }
    let newest = links(&page(&node, &target).await);
    let newest = newest.into_iter().find(|link| link.contains("?write=")).expect("what it changed");
    let text = page(&node, &newest).await;
    assert!(
        text.contains("<del>− value 24</del>") && text.contains("<ins>+ value 25</ins>"),
        "{text}"
    );
    for (bad, status) in [
        ("x", StatusCode::BAD_REQUEST),
        ("1", StatusCode::BAD_REQUEST),
        ("1/x", StatusCode::BAD_REQUEST),
        ("9/7", StatusCode::NOT_FOUND),
        ("99999/0", StatusCode::NOT_FOUND),
    ] {
        let response = fetch(&node, &format!("{target}?write={bad}")).await;
        assert_eq!(response.status(), status, "{bad}");
        whole(response).await;
    }
    node.chain().db.prune(Height(20)).unwrap();
    assert!(page(&node, &target).await.contains("written below block 20 this node knows nothing"));
    for bad in ["x", "1", "1/x", "%ff", "1/1&before=1/1"] {
        let response = fetch(&node, &format!("{target}?before={bad}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
        whole(response).await;
    }

    let off = node_with(|config| config.index.enabled = false).await;
    let create = off.chain().create(1);
    let put = off.chain().put(2, "a", b"value");
    off.commit(vec![create, put]);
    let text = page(&off, &format!("/explorer/record/set/{key}")).await;
    assert!(text.contains("keeps no index"), "{text}");
}

#[tokio::test]
async fn a_change_is_tried_on_paper() {
    let node = node().await;
    node.commit(vec![]);
    node.commit(vec![]);
    for (query, words) in [
        ("", &["Fill in the form"][..]),
        ("kind=add_org&name=epsilon", &["seats 4 -&gt; 5, quorum 3 -&gt; 4", "allowed"]),
        ("kind=remove_org&name=beta", &["seats 4 -&gt; 3", "To be known"]),
        ("kind=remove_org&name=nobody", &["refused", "nobody"]),
        ("kind=suspend_org", &["name an organisation"]),
        ("kind=set_power&name=beta&power=x", &["must be a whole number"]),
        ("kind=set_power&name=beta&power=3", &["Quorum"]),
        ("kind=add_org&name=epsilon&key=12", &["key"]),
        ("kind=add_org&name=%3Cscript%3E", &["organisation name"]),
        ("kind=json&change=%7B", &["the change:"]),
        (
            "kind=json&change=%7B%22remove_org%22%3A%7B%22name%22%3A%22beta%22%7D%7D",
            &["seats 4 -&gt; 3"],
        ),
        ("kind=none", &["kind must be one of add_org"]),
    ] {
        let text = page(&node, &format!("/explorer/try?{query}")).await;
        for word in words {
            assert!(text.contains(word), "{query}: {word} is not in {text}");
        }
    }
}

#[tokio::test]
async fn search_goes_where_one_thing_is_meant() {
    let (node, hashes) = eventful().await;
    let key = testing::validator(0).public();
    let block = node.chain().tip().block.unwrap();
    let newest = node.chain().tip().height;
    for (text, target) in [
        ("1".to_owned(), "/explorer/block/1".to_owned()),
        (hashes[0].to_string().to_lowercase(), format!("/explorer/tx/{}", hashes[0])),
        (block.to_string(), format!("/explorer/block/{newest}")),
        (key.to_string(), format!("/explorer/key/{key}")),
        (key.to_string()[..10].to_owned(), format!("/explorer/key/{key}")),
        (key.address().to_string(), format!("/explorer/key/{key}")),
        ("Gamma".to_owned(), "/explorer/organization/gamma".to_owned()),
        ("set".to_owned(), "/explorer/data-set/set".to_owned()),
    ] {
        let response = fetch(&node, &format!("/explorer/search?q={text}")).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{text}");
        assert_eq!(response.headers()["location"], target, "{text}");
    }
    for (text, words) in [
        ("", "Nothing was asked for"),
        ("a", "Organisation alpha"),
        ("0", "Nothing here is that"),
        ("99999999999999999999999", "Nothing here is that"),
        ("%3Cscript%3E%1b", "&lt;script&gt;\\u{1b}"),
        ("%ff%00", "Nothing here is that"),
    ] {
        let found = page(&node, &format!("/explorer/search?q={text}")).await;
        assert!(found.contains(words), "{text}: {found}");
    }
}

#[tokio::test]
async fn a_block_of_many_transactions_has_pages() {
    let node = node().await;
    let txs = {
        let chain = node.chain();
        let puts = (2..150).map(|nonce| chain.put(nonce, &format!("key {nonce}"), b"value"));
        std::iter::once(chain.create(1)).chain(puts).collect::<Vec<_>>()
    };
    let last = txs[148].hash().to_string();
    node.commit(txs);
    let first = page(&node, "/explorer/block/1").await;
    assert!(!first.contains(&last) && first.contains("/explorer/block/1?page=2"), "{first}");
    assert!(page(&node, "/explorer/block/1?page=3").await.contains(&last));
    let missing = fetch(&node, "/explorer/block/1?page=4").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(whole(missing).await.contains("within 1 to 3"));
}

#[tokio::test]
async fn assets_are_kept_for_ever_and_named_by_what_is_in_them() {
    let node = node().await;
    let text = page(&node, "/explorer").await;
    let assets: BTreeSet<&str> =
        text.split('"').filter(|part| part.starts_with("/explorer/assets/")).collect();
    assert_eq!(assets.len(), 3, "{assets:?}");
    for asset in assets {
        let response = fetch(&node, asset).await;
        assert_eq!(response.status(), StatusCode::OK, "{asset}");
        assert_eq!(response.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let content = response.text().await.unwrap();
        // The name of a language is no address.
        let content = content.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        for elsewhere in ["http://", "https://", "@import"] {
            assert!(!content.contains(elsewhere), "{asset} has {elsewhere}");
        }
    }
    for none in ["style.css", "style-0000000000000000.css", "%2e%2e%2fCargo.toml"] {
        let response = fetch(&node, &format!("/explorer/assets/{none}")).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{none}");
    }
}

#[tokio::test]
async fn a_browser_at_the_root_is_shown_the_explorer_unless_there_is_none() {
    let browser = |node: &Node| {
        let request = http().get(node.client.url()).header("accept", "text/html,*/*;q=0.8");
        async { request.send().await.unwrap() }
    };
    let node = node().await;
    let response = browser(&node).await;
    assert_eq!(
        (response.status(), &response.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/explorer".parse().unwrap())
    );
    assert!(fetch(&node, "/").await.text().await.unwrap().contains("/seats"));
    let off = node_with(|config| config.rpc.explorer = false).await;
    assert_eq!(browser(&off).await.status(), StatusCode::OK);
    for target in ["/explorer", "/explorer/pairs"] {
        assert_eq!(fetch(&off, target).await.status(), StatusCode::NOT_FOUND, "{target}");
    }
}
