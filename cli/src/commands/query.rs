//! `tandem query`.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tandem_chain::types::{ContentType, DataSetName, Height, OrgName};
use tandem_node::client::{Client, QueryAnswer};
use tandem_node::decode::content::{self, Content};
use tandem_node::decode::terminal::visible;
use tandem_node::rpc::shapes::records::{RecordHistory, RecordVersion};
use tandem_node::rpc::shapes::rights::{MayRead, RangeText, RightEntry, Users};
use tandem_node::rpc::shapes::tandem::{
    DataSets, KeyInfo, ParametersInfo, RecordEntry, RecordsPage,
};

use super::tx;
use crate::args::Global;
use crate::args::query::Query;
use crate::exit::Usage;
use crate::{input, output};

pub async fn query(global: &Global, query: Query) -> anyhow::Result<()> {
    let client = input::client(global, None).await?;
    match query {
        Query::Record { set, key } => {
            let answer = client.record(&set, &input::record_key(&key)?).await?;
            show_record(global, answer)
        }
        Query::History { set, key, limit, before } => {
            let (key, limit) = (input::record_key(&key)?, usize::try_from(limit)?);
            let found = client.record_history(&set, &key, before.as_deref(), limit).await?;
            output::show(global, &found, history_text)
        }
        Query::Records { set, prefix, limit } => {
            let prefix = input::record_key(&prefix)?;
            let page = client.records(&set, &prefix, None, limit).await?;
            output::show(global, &page, records_text)
        }
        Query::DataSets => {
            let sets = client.data_sets().await?;
            output::show(global, &sets, |DataSets { data_sets }| {
                let rows =
                    data_sets.iter().map(|set| [set.name.to_string(), set.owner.to_string()]);
                output::table(["DATA SET", "OWNER"], rows)
            })
        }
        Query::Tx { hash } => match client.tx(&hash).await? {
            Some(info) => tx::show_receipt(global, &info),
            None => match client.status().await?.sync_info.earliest_block_height {
                Height(0 | 1) => {
                    bail!("transaction {hash} is not in the chain (it may still come)")
                }
                lowest => bail!(
                    "transaction {hash} is in no block from {lowest} on, and this node has no others (it may \
                     still come, or be older: ask a node that keeps all)"
                ),
            },
        },
        Query::Block { height } => {
            let block = client.block(height.map(Height)).await?;
            output::show(global, &block, block_text)
        }
        Query::Parameters => {
            let found = client.parameters().await?;
            output::show(global, &found, parameters_text)
        }
        Query::Key { key } => {
            let found = client.key(&input::public_key(&key)?).await?;
            output::show(global, &found, |KeyInfo { organization, role, user_role }| {
                match (organization, role, user_role) {
                    (Some(organization), Some(role), Some(user_role)) => {
                        format!("{role} of {organization}: {user_role}")
                    }
                    (Some(organization), Some(role), None) => format!("{role} of {organization}"),
                    _ => "not a key of this chain".to_owned(),
                }
            })
        }
        Query::Users { org } => users(global, &client, org).await,
        Query::Rights { set } => rights(global, &client, &set).await,
        Query::MayRead { key, set, record } => {
            let record = record.as_deref().map(input::record_key).transpose()?;
            let key = input::public_key(&key)?;
            let found = client.may_read(&key, &set, record.as_deref()).await?;
            output::show(global, &found, may_read_text)
        }
        Query::Rpc { method, params } => {
            let mut object = serde_json::Map::new();
            for param in params {
                let Some((name, value)) = param.split_once('=') else {
                    return Err(Usage(format!("\"{param}\" is not NAME=VALUE")).into());
                };
                let value = match value {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    text => Value::from(text),
                };
                object.insert(name.to_owned(), value);
            }
            let answer: Value = client.call(&method, Value::Object(object)).await?;
            output::print(&serde_json::to_string_pretty(&answer)?)
        }
    }
}

/// The users of a member, or of all.
async fn users(global: &Global, client: &Client, org: Option<OrgName>) -> anyhow::Result<()> {
    let orgs = if let Some(org) = org {
        vec![org]
    } else {
        let members = client.organizations().await?.organizations;
        members.into_iter().map(|member| member.name).collect()
    };
    let mut found = Vec::new();
    for org in orgs {
        found.push(client.users(&org).await?);
    }
    output::show(global, &found, |found| {
        let rows = found.iter().flat_map(|Users { organization, users }| {
            users.iter().map(|user| {
                let (role, since) = (user.role.to_string(), user.since.to_string());
                [organization.to_string(), user.key.to_string(), role, since]
            })
        });
        output::table(["ORGANIZATION", "USER", "ROLE", "SINCE BLOCK"], rows)
    })
}

/// All that is granted in a data set.
async fn rights(global: &Global, client: &Client, set: &DataSetName) -> anyhow::Result<()> {
    let mut found = client.rights(set, None).await?;
    while let Some(next) = found.next.take() {
        let part = client.rights(set, Some(&next)).await?;
        if part.next.as_ref().is_some_and(|further| *further <= next) {
            bail!("the node's answer goes round in a circle: what is behind {next} ends before it");
        }
        found.rights.extend(part.rights);
        found.next = part.next;
    }
    output::show(global, &found, |found| {
        let row = |entry: &RightEntry| {
            let to = match (&entry.organization, &entry.user) {
                (None, _) => "all members".to_owned(),
                (Some(org), None) => org.to_string(),
                (Some(org), Some(user)) => format!("{user} of {org}"),
            };
            let counts = output::yes_no(Some(!entry.is_void));
            let keys = range_text(&entry.range);
            [to, entry.right.to_string(), keys, entry.height.to_string(), counts]
        };
        output::table(["TO", "RIGHT", "KEYS", "BLOCK", "COUNTS"], found.rights.iter().map(row))
    })
}

fn range_text(range: &RangeText) -> String {
    range.range().map_or_else(|_| format!("{}..{}", range.from, range.until), |r| r.to_string())
}

fn may_read_text(found: &MayRead) -> String {
    let ranges: Vec<String> = found.ranges.iter().map(range_text).collect();
    let nothing = || "nothing".to_owned();
    let mut facts = vec![
        ("key of", found.organization.as_ref().map_or("nobody".to_owned(), ToString::to_string)),
        ("reads", if ranges.is_empty() { nothing() } else { ranges.join(", ") }),
        ("of data set", found.data_set.to_string()),
    ];
    facts.extend(found.record.map(|may| ("this record", output::yes_no(Some(may)))));
    facts.push(("whole blocks here", output::yes_no(Some(found.blocks))));
    facts.extend(found.reason.clone().map(|reason| ("why nothing", reason)));
    output::facts(&facts)
}

fn show_record(global: &Global, answer: QueryAnswer) -> anyhow::Result<()> {
    use std::io::{IsTerminal, Write};
    if answer.code != 0 {
        bail!("{}", answer.log);
    }
    if global.json {
        let QueryAnswer { value, version, content_type, height, .. } = answer;
        let value = json!({
            "value": hex::encode(&value),
            "content_type": content_type,
            "content": content::show(&value, content_type.as_ref()),
            "text": String::from_utf8(value).ok(),
            "version": version.to_string(),
            "height": height.to_string(),
        });
        return output::show(global, &value, |_| String::new());
    }
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        drop(out);
        return output::print(&for_terminal(&answer.value, answer.content_type.as_ref()));
    }
    // As it is: it may be a file.
    out.write_all(&answer.value).context("cannot write the value")
}

/// A value for people, by what is in it, below what it is claimed to be; nothing that a terminal would
/// act on.
fn for_terminal(value: &[u8], content_type: Option<&ContentType>) -> String {
    let shown = match Content::of(value, content_type) {
        Content::Json(value) => output::json_text(&value),
        Content::Text(text) => visible(&text),
        Content::Cbor(notation) => visible(&notation),
        Content::Bytes(bytes) => output::facts(&[
            ("bytes", bytes.len().to_string()),
            ("hex", hex::encode_upper(&bytes)),
            ("base64", STANDARD.encode(&bytes)),
        ]),
    };
    match content_type {
        Some(content_type) => format!("content type: {content_type}\n\n{shown}"),
        None => shown,
    }
}

fn records_text(page: &RecordsPage) -> String {
    let row = |record: &RecordEntry| {
        let key = hex::decode(&record.key).map_or(record.key.clone(), |key| output::readable(&key));
        let digest = record.digest.to_string();
        let content_type = record.content_type.as_ref().map_or("-", ContentType::as_str);
        let (version, size) = (record.version.to_string(), record.size.to_string());
        [key, version, size, digest, content_type.to_owned()]
    };
    let heads = ["KEY", "VERSION", "BYTES", "SHA-256", "CONTENT TYPE"];
    let mut text = output::table(heads, page.records.iter().map(row));
    if page.next.is_some() {
        text += "\nthere are more: use --prefix or --limit";
    }
    text
}

/// Bytes of a value that a table shows.
const MAX_IN_TABLE: usize = 64;

fn history_text(history: &RecordHistory) -> String {
    let row = |version: &RecordVersion| {
        let value = version.value.as_ref().and_then(|text| STANDARD.decode(text).ok());
        let value = match value {
            None => "deleted".to_owned(),
            Some(long) if long.len() > MAX_IN_TABLE => format!("{} bytes", long.len()),
            Some(value) => output::readable(&value),
        };
        let (number, height) = (version.version.to_string(), version.height.to_string());
        [number, height, version.time.clone(), version.tx.to_string(), value]
    };
    let rows = history.versions.iter().map(row);
    let text = output::table(["VERSION", "BLOCK", "TIME", "TRANSACTION", "VALUE"], rows);
    match &history.next {
        Some(next) => format!("{text}\nthere are more: use --before {next}"),
        None if history.versions.last().is_none_or(|oldest| oldest.version != 1) => {
            let from = history.from;
            format!("{text}\nthe node knows of nothing that was written below block {from}")
        }
        None => text,
    }
}

fn block_text(block: &Value) -> String {
    let header = &block["block"]["header"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let txs = block["block"]["data"]["txs"].as_array().map_or(0, Vec::len);
    let commit = &block["block"]["last_commit"];
    let signatures = commit["signatures"].as_array();
    let signed = signatures.map_or(0, |all| all.iter().filter(|s| s["block_id_flag"] == 2).count());
    output::facts(&[
        ("height", text(&header["height"])),
        ("block", text(&block["block_id"]["hash"])),
        ("time", text(&header["time"])),
        ("proposer", text(&header["proposer_address"])),
        ("transactions", format!("{}, and the liveness record", txs.saturating_sub(1))),
        ("state before", text(&header["app_hash"])),
        (
            "last commit",
            format!(
                "round {}, {signed} of {} signatures",
                commit["round"],
                signatures.map_or(0, Vec::len)
            ),
        ),
    ])
}

fn parameters_text(info: &ParametersInfo) -> String {
    let value = serde_json::to_value(&info.parameters).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten();
    let mut facts: Vec<(&str, String)> =
        fields.map(|(name, value)| (name.as_str(), value.to_string())).collect();
    let derived = [
        ("liveness grace (ms)", info.liveness_grace_ms),
        ("blocks until a switch", info.failover_blocks),
        ("least time of them (ms)", info.failover_min_ms),
    ];
    facts.extend(derived.map(|(name, value)| (name, value.to_string())));
    output::facts(&facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_shown_what_is_in_a_value_and_acts_on_none_of_it() {
        for (value, expected) in [
            (&b"81.20"[..], "81.20"),
            (b"one\n\ttwo\r\n", "one\n\ttwo\\r\n"),
            (b"{\"usd\":81.2}", "{\n  \"usd\": 81.2\n}"),
            (b"\xa1\x63usd\x01", "{\"usd\": 1}"),
            ("\u{202e}txt.exe".as_bytes(), "\\u{202e}txt.exe"),
            (b"\xa1\x61\x7f\x01", "{\"\\u{7f}\": 1}"),
            (b"\x1b[2J", "bytes   4\nhex     1B5B324A\nbase64  G1sySg=="),
        ] {
            assert_eq!(for_terminal(value, None), expected);
        }
        let claimed = |text: &str, value| for_terminal(value, Some(&text.parse().unwrap()));
        assert_eq!(claimed("text/csv", b"[1]"), "content type: text/csv\n\n[1]");
        let expected = "content type: application/json\n\nbytes   1\nhex     FF\nbase64  /w==";
        assert_eq!(claimed("application/json", b"\xff"), expected);
    }
}
