//! `tandem snapshot`.

use anyhow::{Context, bail};
use serde_json::json;
use tandem_chain::genesis::Genesis;
use tandem_chain::types::{Hash, Height};
use tandem_node::backup;
use tandem_node::config::Config;
use tandem_node::home::{Home, StorageKey};
use tandem_node::operator::OperatorCall;
use tandem_node::run::{load_genesis, wall_clock};
use tandem_node::snapshots::{Folder, Restore, Shelf, SnapshotError, TrustedBlock, verify_folder};
use tandem_node::storage::{Database, StorageConfig};

use super::db::Opened;
use crate::args::Global;
use crate::args::storage::{Snapshot, SnapshotFolder};
use crate::output;

pub async fn snapshot(global: &Global, command: Snapshot) -> anyhow::Result<()> {
    match command {
        Snapshot::Create => create(global).await,
        Snapshot::List => list(global),
        Snapshot::Verify(folder) => verify(global, folder),
        Snapshot::Restore(folder) => restore(global, folder),
    }
}

async fn create(global: &Global) -> anyhow::Result<()> {
    let opened = Opened::new(global)?;
    if opened.db.is_some() {
        bail!(
            "the node does not run: start it first, since a snapshot is proved by the block above, \
             which is yet to come"
        );
    }
    let made = opened.ask(global, OperatorCall::Snapshot).await?;
    let height = made.height.context("the node does not say of which height it is")?;
    let shelf = Shelf::new(opened.home.snapshots_path(), opened.storage.key.clone());
    let taken = Listed::of(&shelf.open(height)?)?;
    output::show(global, &taken.json(), |_| {
        output::facts(&[
            ("height", taken.height.to_string()),
            ("folder", shelf.path(height).display().to_string()),
            ("chunks", taken.chunks.to_string()),
            ("bytes", taken.bytes.to_string()),
            ("proved by", taken.proof.to_string()),
        ])
    })
}

/// A snapshot of a home.
struct Listed {
    height: Height,
    manifest: Hash,
    chunks: u32,
    bytes: u64,
    proof: TrustedBlock,
}

impl Listed {
    fn of(folder: &Folder) -> anyhow::Result<Self> {
        Ok(Self {
            height: folder.manifest().height(),
            manifest: folder.hash(),
            chunks: folder.chunks(),
            bytes: folder.bytes()?,
            proof: folder.proof(),
        })
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "height": self.height.to_string(),
            "manifest": self.manifest,
            "chunks": self.chunks,
            "bytes": self.bytes.to_string(),
            "proof": self.proof.to_string(),
        })
    }
}

fn list(global: &Global) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let storage = home.storage(&Config::load(&home.config_path())?)?;
    let shelf = Shelf::new(home.snapshots_path(), storage.key);
    let mut found = Vec::new();
    for height in shelf.heights()? {
        found.push(Listed::of(&shelf.open(height)?)?);
    }
    let answer = json!({ "snapshots": found.iter().map(Listed::json).collect::<Vec<_>>() });
    output::show(global, &answer, |_| {
        let rows = found.iter().map(|of| {
            let (height, chunks) = (of.height.to_string(), of.chunks.to_string());
            [height, chunks, of.bytes.to_string(), of.proof.to_string()]
        });
        output::table(["HEIGHT", "CHUNKS", "BYTES", "PROVED BY"], rows)
    })
}

/// A folder whose state is to be trusted, and what it is to go to.
struct Trusted {
    folder: Folder,
    home: Home,
    genesis: Genesis,
    storage: StorageConfig,
}

impl Trusted {
    fn open(global: &Global, args: SnapshotFolder) -> anyhow::Result<Self> {
        let SnapshotFolder { folder, trust, key_file } = args;
        let home = Home::new(&global.home);
        let (genesis, _) = load_genesis(&home, None)?;
        let config = Config::load(&home.config_path())?;
        let storage = home.storage(&config)?;
        let key = key_file.map(|file| StorageKey::load(&file)).transpose()?;
        let folder = Folder::open(&folder, key.as_ref().or(storage.key.as_ref()))?;
        // What the configuration names is for a restore from the others, and of another height.
        verify_folder(&folder, &genesis, trust, wall_clock(), config.snapshots.trust_period)?;
        Ok(Self { folder, home, genesis, storage })
    }
}

fn verify(global: &Global, args: SnapshotFolder) -> anyhow::Result<()> {
    let Trusted { folder, .. } = Trusted::open(global, args)?;
    for (index, tile) in (0..).zip(folder.manifest().tiles()) {
        let chunk = folder.chunk(index)?;
        chunk
            .check(tile)
            .with_context(|| format!("chunk {index} of {}", folder.path().display()))?;
    }
    report(global, &folder, folder.manifest().height())
}

fn restore(global: &Global, args: SnapshotFolder) -> anyhow::Result<()> {
    let Trusted { folder, home, genesis, storage } = Trusted::open(global, args)?;
    backup::finish(&home)?;
    let db = Database::open_to_restore(&home.data_path(), genesis.hash(), &storage)?;
    let (manifest, above) = (folder.manifest(), &folder.above().header);
    if db.height() == manifest.height() {
        let block = db.block(db.height())?;
        if block.is_some_and(|found| found.block.id() == folder.block().block.id()) {
            // This state is there: who was cut off at the very end runs the same command again.
            return report(global, &folder, db.height());
        }
    }
    if db.height() > Height::ZERO {
        return Err(SnapshotError::NotEmpty { height: db.height() }.into());
    }
    // What was begun of another snapshot is thrown away.
    let begun = Restore::resume(db.clone())?
        .filter(|begun| begun.manifest() == manifest && begun.above() == above);
    let restore = match begun {
        Some(restore) => restore,
        None => Restore::begin(db.clone(), manifest.clone(), above.clone())
            .map_err(SnapshotError::stopped)?,
    };
    for index in restore.missing()? {
        match restore.put(index, &folder.chunk(index)?).map_err(SnapshotError::stopped) {
            Err(error @ SnapshotError::Disk { .. }) => return Err(error.into()),
            put => put.with_context(|| format!("chunk {index} of {}", folder.path().display()))?,
        }
    }
    let height = restore.finish(&genesis, folder.block()).map_err(SnapshotError::stopped)?;
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
