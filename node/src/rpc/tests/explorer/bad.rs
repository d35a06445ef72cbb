//! Addresses that are wrong, of what is not there, and hostile ones.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{HOSTILE, eventful, fetch, whole};
use crate::rpc::tests::{Node, node};
use crate::view::NodeView;

/// Status and page of a target whose bytes are sent as they are.
async fn raw(node: &Node, target: &[u8]) -> String {
    let address = node.client.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        [b"GET ", target, b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat();
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let (node, _) = eventful().await;
    let newest = node.chain().tip().height;
    let (absent, long) = ("AB".repeat(32), "9".repeat(300));
    let encoded = utf8_percent_encode(HOSTILE, NON_ALPHANUMERIC).to_string();
    let cases: Vec<(String, u16, &str)> = vec![
        ("none".into(), 404, "there is no page /explorer/none"),
        ("block".into(), 404, "there is no page"),
        ("block/0".into(), 400, "there is no block of height 0"),
        ("block/-1".into(), 400, "a height must be a whole number from 0 on, got -1"),
        ("block/x".into(), 400, "must be a whole number"),
        (format!("block/{long}"), 400, "must be a whole number"),
        (format!("block/{}", newest.plus(1)), 404, "must be less than or equal to the current"),
        (format!("block/{absent}"), 404, "no block here has the hash"),
        ("block/1?page=0".into(), 404, "within 1 to 1"),
        ("block/1?page=-1".into(), 400, "page must be"),
        ("block/1?pages=1".into(), 400, "no parameter pages; it takes page"),
        ("block/1?page=1&page=2".into(), 400, "is there twice"),
        ("blocks?from=99999".into(), 404, "must be less than or equal"),
        ("blocks?from=0".into(), 400, "no block of height 0"),
        ("blocks?from=18446744073709551616".into(), 400, "must be a whole number"),
        (format!("tx/{absent}"), 404, "may still wait"),
        ("tx/AB".into(), 400, "1 bytes where 32 belong"),
        (format!("tx/{encoded}"), 400, "not hex digits"),
        ("organization/nobody".into(), 404, "no organisation nobody is a member"),
        ("organization/Alpha".into(), 400, "organisation name"),
        ("key/12".into(), 400, "1 bytes where 32 belong"),
        ("motion/7".into(), 404, "there is no motion 7"),
        ("motion/x".into(), 400, "a motion must be"),
        ("motions?before=x".into(), 400, "before must be"),
        ("data-set/none".into(), 404, "none"),
        ("data-set/Big".into(), 400, "data set name"),
        ("data-set/set?after=xyz".into(), 400, "after must be hex digits"),
        ("data-sets?page=2".into(), 404, "within 1 to 1"),
        ("record/set/zz".into(), 400, "hex digits"),
        (format!("record/set/{}", "ab".repeat(300)), 400, "hex digits"),
        (format!("record/set/{}", hex::encode("none")), 404, "set/none"),
        ("switch/1/beta".into(), 404, "no switch of seat beta in block 1 is remembered"),
        ("switch/x/beta".into(), 400, "a height must be"),
        ("switches?skip=99999".into(), 200, "Nothing yet"),
        (format!("search?q={}", "x".repeat(700)), 400, "at most 600 bytes"),
        (format!("{encoded}?{encoded}={encoded}"), 404, "there is no page"),
        (format!("pairs?{encoded}=1"), 400, "&lt;script&gt;"),
        ("pairs?%ff%fe=%00".into(), 400, "no parameter"),
        ("pairs?x=%".into(), 400, "no parameter x; it takes none"),
    ];
    for (target, status, words) in cases {
        let response = fetch(&node, &format!("/explorer/{target}")).await;
        let got = response.status();
        let text = whole(response).await;
        assert_eq!(got.as_u16(), status, "{target}: {text}");
        assert!(text.contains(words), "{target}: {words} is not in {text}");
        assert!(!text.contains("<script>") && !text.contains("<img"), "{target}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_address_are_refused_and_the_next_request_is_answered() {
    let node = node().await;
    for target in [
        &b"/explorer/\xff\xfe"[..],
        b"/explorer/a<b>\"c",
        b"/explorer?q=\x1b[31m",
        b"/explorer/%zz",
    ] {
        let answer = raw(&node, target).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(!answer.contains('\x1b') && !answer.contains("<b>"), "{answer}");
    }
    let long = format!("/explorer/{}", "a/".repeat(20_000));
    let answer = raw(&node, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 4") && answer.len() < 20_000, "{}", answer.len());
    assert_eq!(fetch(&node, "/explorer").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn before_the_first_block_every_page_says_so() {
    let node = node().await;
    for target in [
        "",
        "/pairs",
        "/blocks",
        "/network",
        "/motions",
        "/data-sets",
        "/parameters",
        "/api",
        "/switches",
    ] {
        let response = fetch(&node, &format!("/explorer{target}")).await;
        let status = response.status();
        let text = whole(response).await;
        assert_eq!(status, StatusCode::OK, "{target}: {text}");
    }
    let response = fetch(&node, "/explorer/block/1").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert!(whole(response).await.contains("no block yet"));
}

#[tokio::test]
async fn a_node_that_is_not_well_says_so_on_every_page() {
    let node = node().await;
    node.commit(vec![]);
    let told = async |target: &str| {
        let text = whole(fetch(&node, &format!("/explorer{target}")).await).await;
        let words = |word: &str| text.contains(word);
        (words("This node is syncing"), words("This node is not well"), words("&lt;b&gt;full"))
    };
    let view = |catching_up, alarms: &[&str]| {
        let alarms = alarms.iter().map(|alarm| (*alarm).to_owned()).collect();
        node.view.send_replace(NodeView { catching_up, alarms, ..NodeView::default() }.into())
    };
    for target in ["", "/pairs", "/block/1", "/search?q=a", "/none", "/block/99"] {
        view(true, &[]);
        assert_eq!(told(target).await, (true, false, false), "{target}");
        view(false, &["disk: <b>full"]);
        assert_eq!(told(target).await, (false, true, true), "{target}");
    }
}

#[tokio::test]
async fn heights_that_are_pruned_say_so() {
    let node = node().await;
    let create = node.chain().create(1);
    let hash = create.hash();
    node.commit(vec![create]);
    for _ in 0..20 {
        node.commit(vec![]);
    }
    node.chain().db.prune(tandem_chain::types::Height(5)).unwrap();
    for (target, words) in [
        ("/explorer/block/1".to_owned(), "height 1 is not available, lowest height is 5"),
        ("/explorer/blocks?from=2".to_owned(), "lowest height is 5"),
        (format!("/explorer/tx/{hash}"), "blocks below height 5 are not here"),
    ] {
        let response = fetch(&node, &target).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{target}");
        let text = whole(response).await;
        assert!(text.contains(words), "{target}: {text}");
    }
    let list = fetch(&node, "/explorer/blocks?from=6").await.text().await.unwrap();
    assert!(list.contains("Heights 5 to") && !list.contains("/explorer/block/4\""), "{list}");
}
