//! `tandem status`.

use tandem_node::client::Status;

use crate::args::Global;
use crate::{input, output};

pub async fn status(global: &Global) -> anyhow::Result<()> {
    let status = input::client(global, None).await?.status().await?;
    output::show(global, &status, text)
}

fn text(status: &Status) -> String {
    let (sync, own) = (&status.sync_info, &status.tandem);
    let org = own.organization.as_ref().map(|org| format!(" of {org}")).unwrap_or_default();
    let term = own.term.map(|term| format!(", term {term}")).unwrap_or_default();
    let mut facts = vec![
        ("chain", status.node_info.network.to_string()),
        ("height", sync.latest_block_height.to_string()),
        ("block", sync.latest_block_hash.clone()),
        ("state", sync.latest_app_hash.to_string()),
        ("time", sync.latest_block_time.clone()),
        ("lowest block", sync.earliest_block_height.to_string()),
        ("node", own.public_key.to_string()),
        ("role", format!("{}{org}{term}", own.role)),
        ("deciding", format!("height {}, round {}, {}", own.height, own.round, own.step)),
        ("peers", own.peers.to_string()),
        ("catching up", output::yes_no(Some(sync.catching_up))),
        ("version", own.version.clone()),
    ];
    if own.key_lost {
        facts.push((
            "key",
            "lost: it signs nothing before the others told how far it signed".into(),
        ));
    }
    facts.extend(own.alarms.iter().map(|alarm| ("alarm", alarm.clone())));
    output::facts(&facts)
}
