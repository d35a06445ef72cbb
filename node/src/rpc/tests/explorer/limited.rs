//! Executes the table of pages and readers of `docs/rights.md`.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::{Call, records};
use tandem_chain::types::{Hash, TxHash};

use super::html::check;
use super::{PAGES, http};
use crate::rpc::tests::Node;
use crate::rpc::tests::reading::table::{keys, table_of};
use crate::rpc::tests::reading::{header, limited, set, signed, token};
use crate::testing;

/// Paths of a row that a key asks, with the pattern of each. `own` is a transaction of the key.
fn targets(row: &str, own: TxHash, another: TxHash) -> Vec<(String, String)> {
    let record = |set: &str, key: &str| format!("/record/{set}/{}", hex::encode(key));
    let of = |pattern: &str, targets: Vec<String>| {
        targets.into_iter().map(|target| (pattern.to_owned(), target)).collect()
    };
    match row {
        "`/tx/{hash}` of an own transaction" => of("/tx/{hash}", vec![format!("/tx/{own}")]),
        "`/tx/{hash}` of another's" => of("/tx/{hash}", vec![format!("/tx/{another}")]),
        "`/record/{set}/{key}` that all members may read" => {
            of("/record/{set}/{key}", vec![record("set", "a/1"), record("set", "a/2")])
        }
        "`/record/{set}/{key}` of another record" => {
            let all = ["a", "a0", "b", "none"].map(|key| record("set", key));
            of("/record/{set}/{key}", [&all[..], &[record("set2", "a/1")]].concat())
        }
        patterns => patterns
            .split(", ")
            .map(|pattern| {
                let pattern = pattern.trim_matches('`');
                let path = pattern.strip_prefix("/explorer").unwrap_or(pattern);
                let target = path
                    .replace("{height}/{seat}", "1/alpha")
                    .replace("{height}", "1")
                    .replace("{name}", if path.starts_with("/data-set") { "set" } else { "alpha" })
                    .replace("{number}", "1")
                    .replace("{key}", &testing::user().public().to_string());
                (path.to_owned(), target)
            })
            .collect(),
    }
}

/// What a page says, in the words of the document.
async fn asked(node: &Node, permit: Option<String>, target: &str) -> String {
    let mut request = http().get(format!("{}{target}", node.client.url()));
    if let Some(permit) = &permit {
        request = request.header("authorization", permit);
    }
    let response = request.send().await.unwrap();
    let status = response.status();
    let asks_for = response.headers().get("www-authenticate").cloned();
    assert_eq!(asks_for.is_some(), status == StatusCode::UNAUTHORIZED);
    let text = response.text().await.unwrap();
    check(&text);
    match status {
        StatusCode::UNAUTHORIZED => {
            assert!(
                text.contains("Reading is limited here") && text.contains("permit make"),
                "{text}"
            );
            // Nothing of the chain but what everyone is told.
            assert!(!text.contains("/explorer/block/"), "{text}");
            "401".to_owned()
        }
        StatusCode::FORBIDDEN => "403".to_owned(),
        // No such switch: that it is told is the answer.
        StatusCode::NOT_FOUND if target.contains("/switch/") => "yes".to_owned(),
        // Records that are not there are told as such to who might read them.
        StatusCode::NOT_FOUND if target.ends_with(&hex::encode("none")) => "yes".to_owned(),
        StatusCode::OK if text.contains("Not shown:") || text.contains("shown to who may") => {
            assert!(!text.contains("/explorer/tx/"), "{target}: {text}");
            "part".to_owned()
        }
        StatusCode::OK if target.ends_with("/data-set/set") => {
            let has =
                |key: &str| text.contains(&format!("/record/set/{}\"", hex::encode_upper(key)));
            match (has("a/1"), has("b")) {
                (true, true) => "yes".to_owned(),
                (true, false) => "part".to_owned(),
                other => panic!("{other:?}: {text}"),
            }
        }
        StatusCode::OK => "yes".to_owned(),
        other => panic!("{target}: {other}: {text}"),
    }
}

#[tokio::test]
async fn each_page_is_shown_to_whom_the_document_says() {
    let (node, another) = limited().await;
    let (titles, rows) = table_of("| page |");
    let mut own = Vec::new();
    let mut txs = Vec::new();
    for (nonce, column) in (5_000..).zip(&titles[1..]) {
        for key in keys(column).into_iter().flatten() {
            if ["stranger", "suspended"].contains(&column.as_str()) {
                continue;
            }
            let create = records::Call::Create { data_set: set("own") };
            let tx = node.chain().sign(&key, nonce, Call::Records(create));
            own.push((key.public(), tx.hash()));
            txs.push(tx);
        }
    }
    node.commit(txs);
    let mut named = BTreeSet::new();
    for row in &rows {
        for (column, cell) in titles.iter().zip(row).skip(1) {
            for key in keys(column) {
                let public = key.as_ref().map(SecretKey::public);
                let sent = own.iter().find(|(sender, _)| Some(*sender) == public);
                let hash = sent.map_or(another, |(_, hash)| *hash);
                for (pattern, path) in targets(&row[0], hash, another) {
                    let target = format!("/explorer{path}");
                    let permits = match &key {
                        None => vec![None],
                        Some(key) => [token(key), signed(key, target.as_bytes())]
                            .map(|permit| Some(header(&permit)))
                            .into(),
                    };
                    for permit in permits {
                        let got = asked(&node, permit, &target).await;
                        assert_eq!(&got, cell, "{}, {column}: {target}", row[0]);
                    }
                    named.insert(pattern);
                }
            }
        }
    }
    let pages: BTreeSet<String> = PAGES.iter().map(|pattern| (*pattern).to_owned()).collect();
    assert_eq!(named, pages, "every page has its row");
}

#[tokio::test]
async fn style_and_script_are_given_to_everyone_and_wrong_addresses_to_nobody() {
    let (node, _) = limited().await;
    let text = http().get(format!("{}/explorer", node.client.url())).send().await.unwrap();
    assert_eq!(text.status(), StatusCode::UNAUTHORIZED);
    let text = text.text().await.unwrap();
    for asset in text.split('"').filter(|part| part.starts_with("/explorer/assets/")) {
        let response = http().get(format!("{}{asset}", node.client.url())).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{asset}");
    }
    for target in
        ["/explorer/none", "/explorer/block/x", &format!("/explorer/tx/{}", Hash::of(b""))]
    {
        let response = http().get(format!("{}{target}", node.client.url())).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{target}");
    }
}
