//! `tandem snapshot`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::json;
use tandem_chain::genesis::Genesis;
use tandem_chain::types::{Height, Timestamp};
use tandem_node::config::Config;
use tandem_node::home::Home;
use tandem_node::run::load_genesis;
use tandem_node::snapshots::{Folder, Restore, Shelf, SnapshotError, TrustedBlock, verify_folder};
use tandem_node::storage::{Database, StorageConfig};

use crate::args::{Global, Snapshot};
use crate::{input, output};

/// Time between two looks whether a snapshot is there.
const LOOK: Duration = Duration::from_millis(200);

pub fn snapshot(global: &Global, command: Snapshot) -> anyhow::Result<()> {
    match command {
        Snapshot::Create { timeout } => crate::wait(create(global, timeout)),
        Snapshot::List => list(global),
        Snapshot::Verify { folder, trust } => verify(global, &folder, trust),
        Snapshot::Restore { folder, trust } => restore(global, &folder, trust),
    }
}

async fn create(global: &Global, timeout: Duration) -> anyhow::Result<()> {
    let client = input::client(global).await?;
    let after = client.take_snapshot().await?.after;
    let until = Instant::now() + timeout;
    loop {
        let there = client.snapshots().await?.snapshots;
        if let Some(taken) = there.into_iter().find(|taken| taken.height > after) {
            return output::show(global, &taken, |taken| {
                output::facts(&[
                    ("height", taken.height.to_string()),
                    ("manifest", taken.manifest.to_string()),
                    ("chunks", taken.chunks.to_string()),
                ])
            });
        }
        if Instant::now() >= until {
            bail!(
                "no snapshot above height {after} is there yet: the node's log says why; wait longer \
                 with --timeout"
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn list(global: &Global) -> anyhow::Result<()> {
    let shelf = Shelf::new(Home::new(&global.home).snapshots_path());
    let mut found = Vec::new();
    for height in shelf.heights()? {
        let folder = Folder::open(&shelf.path(height))?;
        let (chunks, bytes) = (folder.manifest().tiles().len(), folder.bytes()?);
        found.push((height, folder.hash(), chunks, bytes));
    }
    let answer = found.iter().map(|(height, manifest, chunks, bytes)| {
        json!({
            "height": height.to_string(),
            "manifest": manifest,
            "chunks": chunks,
            "bytes": bytes.to_string(),
        })
    });
    let answer = json!({ "snapshots": answer.collect::<Vec<_>>() });
    output::show(global, &answer, |_| {
        let rows = found.iter().map(|(height, manifest, chunks, bytes)| {
            [height.to_string(), chunks.to_string(), bytes.to_string(), manifest.to_string()]
        });
        output::table(["HEIGHT", "CHUNKS", "BYTES", "MANIFEST"], rows)
    })
}

/// Opens a folder whose state is to be trusted.
fn trusted(
    home: &Home,
    folder: &Path,
    trust: Option<TrustedBlock>,
) -> anyhow::Result<(Folder, Genesis, Config)> {
    let (genesis, _) = load_genesis(home, None)?;
    let config = Config::load(&home.config_path())?;
    let folder = Folder::open(folder)?;
    let trust = trust.or(config.snapshots.trusted().map_err(anyhow::Error::msg)?);
    verify_folder(&folder, &genesis, trust, now()?, config.snapshots.trust_period)?;
    Ok((folder, genesis, config))
}

fn verify(global: &Global, folder: &Path, trust: Option<TrustedBlock>) -> anyhow::Result<()> {
    let (folder, ..) = trusted(&Home::new(&global.home), folder, trust)?;
    for (index, tile) in (0..).zip(folder.manifest().tiles()) {
        let chunk = folder.chunk(index)?;
        chunk
            .check(tile)
            .with_context(|| format!("chunk {index} of {}", folder.path().display()))?;
    }
    report(global, &folder, folder.manifest().height())
}

fn restore(global: &Global, path: &Path, trust: Option<TrustedBlock>) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let (folder, genesis, config) = trusted(&home, path, trust)?;
    let storage = StorageConfig::from(&config.storage);
    let db = Database::open_to_restore(&home.data_path(), genesis.hash(), &storage)?;
    if db.height() > Height::ZERO {
        return Err(SnapshotError::NotEmpty { height: db.height() }.into());
    }
    let manifest = folder.manifest();
    // What was begun of another snapshot is thrown away.
    let begun = Restore::resume(db.clone())?.filter(|begun| begun.manifest() == manifest);
    let restore = match begun {
        Some(restore) => restore,
        None => Restore::begin(db.clone(), manifest.clone(), folder.above().header.clone())?,
    };
    for index in restore.missing()? {
        let put = restore.put(index, &folder.chunk(index)?);
        put.with_context(|| format!("chunk {index} of {}", path.display()))?;
    }
    let height = restore.finish(&genesis, folder.block())?;
    report(global, &folder, height)
}

fn report(global: &Global, folder: &Folder, height: Height) -> anyhow::Result<()> {
    let manifest = folder.manifest();
    let answer = json!({
        "height": height.to_string(),
        "app_hash": manifest.app_hash(),
        "block": folder.above().header.last_block_id,
        "above": folder.above().header.id(),
        "manifest": folder.hash(),
        "chunks": manifest.tiles().len(),
    });
    output::show(global, &answer, |_| {
        output::facts(&[
            ("height", height.to_string()),
            ("state", manifest.app_hash().to_string()),
            ("next block", folder.above().header.id().to_string()),
            ("chunks", manifest.tiles().len().to_string()),
        ])
    })
}

/// This machine's clock.
fn now() -> anyhow::Result<Timestamp> {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    let since = since.context("this machine's clock is before 1970")?;
    Ok(Timestamp::from_millis(u64::try_from(since.as_millis())?))
}
