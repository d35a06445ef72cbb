//! `tandem db`: the database of a home, whether its node runs or not.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, bail};
use serde_json::json;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_node::backup::{self, BackupError, Order};
use tandem_node::client::Client;
use tandem_node::config::Config;
use tandem_node::home::{Home, StorageKey};
use tandem_node::operator::{OperatorCall, OperatorRequest};
use tandem_node::pruning::{self, Policy, Report};
use tandem_node::rpc::shapes::tandem::{FamilyStats, Job, JobState, LevelStats, StorageInfo};
use tandem_node::run::{load_genesis, wall_clock};
use tandem_node::snapshots::Shelf;
use tandem_node::storage::{self, Database, StorageConfig};

use crate::args::Global;
use crate::args::storage::Db;
use crate::exit::Usage;
use crate::{input, output};

pub async fn db(global: &Global, command: Db) -> anyhow::Result<()> {
    match command {
        Db::Key { file } => {
            StorageKey::random().create(&file)?;
            output::show(global, &json!({ "file": file }), |_| {
                format!("{}\nkeep a copy: without it, what it encrypts is lost", file.display())
            })
        }
        Db::Stats => stats(global).await,
        Db::Compact => compact(global).await,
        Db::Prune { keep_blocks, keep_days, dry_run } => {
            prune(global, keep_blocks, keep_days, dry_run).await
        }
        Db::Backup { name, dir, with_key } => make_backup(global, name, dir, with_key).await,
        Db::Restore { folder, replace } => restore(global, &folder, replace),
    }
}

/// A home, and its database unless the node that runs has it.
pub(super) struct Opened {
    pub home: Home,
    config: Config,
    pub storage: StorageConfig,
    genesis: Genesis,
    pub db: Option<Database>,
}

impl Opened {
    pub fn new(global: &Global) -> anyhow::Result<Self> {
        let home = Home::new(&global.home);
        let config = Config::load(&home.config_path())?;
        let (genesis, _) = load_genesis(&home, None)?;
        let storage = home.storage(&config)?;
        let db = Self::database(&home, &genesis, &storage)?;
        Ok(Self { home, config, storage, genesis, db })
    }

    fn database(
        home: &Home,
        genesis: &Genesis,
        storage: &StorageConfig,
    ) -> anyhow::Result<Option<Database>> {
        match backup::finish(home) {
            Err(BackupError::Storage(storage::Error::InUse { .. })) => return Ok(None),
            finished => finished?,
        }
        match Database::open_existing(&home.data_path(), genesis.hash(), storage) {
            Ok(db) => Ok(Some(db)),
            Err(storage::Error::InUse { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Figures of the database, which the node that runs tells when it has it open.
    async fn info(&self, global: &Global) -> anyhow::Result<StorageInfo> {
        if let Some(db) = &self.db {
            return Ok(StorageInfo {
                height: db.height(),
                lowest: db.first_height(),
                encrypted: db.is_encrypted(),
                families: db.stats()?,
                job: None,
            });
        }
        let key = self.home.node_key(&input::passphrases(global)?)?;
        let client = self.running(global, key.public()).await?;
        Ok(client.operator(&self.sign(OperatorCall::Storage { wait: false }, &key)).await?)
    }

    /// Asks the node that runs, and waits until it has done it.
    pub async fn ask(&self, global: &Global, call: OperatorCall) -> anyhow::Result<Job> {
        let key = self.home.node_key(&input::passphrases(global)?)?;
        let client = self.running(global, key.public()).await?;
        let begun: Job = client.operator(&self.sign(call, &key)).await?;
        loop {
            let look = self.sign(OperatorCall::Storage { wait: true }, &key);
            let info: anyhow::Result<StorageInfo> = Ok(client.operator(&look).await?);
            let info = info.with_context(|| {
                format!("the node does its {} all the same: see `tandem db stats`", begun.job)
            })?;
            let Some(job) = info.job else {
                bail!(
                    "the node was started again meanwhile: look whether the {} is there",
                    begun.job
                )
            };
            if (&job.job, &job.name) != (&begun.job, &begun.name) {
                bail!("another {} was begun meanwhile: see the node's log", job.job);
            }
            match job.state {
                JobState::Running => {}
                JobState::Done => return Ok(job),
                JobState::Failed => {
                    bail!("the node's {} has failed: {}", job.job, job.error.unwrap_or_default())
                }
            }
        }
    }

    fn sign(&self, call: OperatorCall, key: &SecretKey) -> OperatorRequest {
        OperatorRequest::sign(call, wall_clock(), &self.genesis.chain_id, key)
    }

    /// The node that has the database open: that with the home's key.
    async fn running(&self, global: &Global, own: PublicKey) -> anyhow::Result<Client> {
        let mut unheard = None;
        for client in input::clients(global, None)? {
            match client.status().await {
                Ok(status) if status.tandem.public_key == own => return Ok(client),
                Ok(_) => {}
                Err(error) => unheard = Some(error),
            }
        }
        let text = format!(
            "the home's node ({own}) is running and has the database open, and is none of those \
             that --node names: name its rpc.listen, {}",
            self.config.rpc.listen
        );
        match unheard {
            Some(error) => Err(anyhow::Error::from(error).context(text)),
            None => bail!(text),
        }
    }
}

async fn stats(global: &Global) -> anyhow::Result<()> {
    let info = Opened::new(global)?.info(global).await?;
    output::show(global, &info, stats_text)
}

fn stats_text(info: &StorageInfo) -> String {
    let levels = |family: &FamilyStats| {
        let level =
            |level: &LevelStats| format!("L{}: {} in {}", level.level, level.bytes, level.files);
        family.levels.iter().map(level).collect::<Vec<_>>().join(", ")
    };
    let rows = info.families.iter().map(|family| {
        [
            family.name.clone(),
            family.entries.to_string(),
            family.table_bytes.to_string(),
            family.unflushed_bytes.to_string(),
            levels(family),
        ]
    });
    let table = output::table(
        ["FAMILY", "ENTRIES", "BYTES", "NOT IN TABLES", "LEVELS: BYTES IN TABLES"],
        rows,
    );
    let total: u64 = info.families.iter().map(|family| family.table_bytes).sum();
    let mut facts = vec![
        ("height", info.height.to_string()),
        ("lowest block", info.lowest.to_string()),
        ("encrypted", output::yes_no(Some(info.encrypted))),
        ("bytes in tables", total.to_string()),
    ];
    facts.extend(info.job.as_ref().map(|job| ("last job", job_text(job))));
    format!("{}\n\n{table}", output::facts(&facts))
}

fn job_text(job: &Job) -> String {
    let name = job.name.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    let state = match (job.state, &job.error) {
        (JobState::Running, _) => "under way".to_owned(),
        (JobState::Done, _) => "done".to_owned(),
        (JobState::Failed, error) => format!("failed: {}", error.as_deref().unwrap_or("?")),
    };
    format!("{}{name}: {state}", job.job)
}

async fn compact(global: &Global) -> anyhow::Result<()> {
    let opened = Opened::new(global)?;
    match &opened.db {
        Some(db) => db.compact()?,
        None => drop(opened.ask(global, OperatorCall::Compact).await?),
    }
    drop(opened);
    stats(global).await
}

async fn prune(
    global: &Global,
    keep_blocks: Option<u64>,
    keep_days: Option<u64>,
    dry_run: bool,
) -> anyhow::Result<()> {
    let asked = Policy { keep_blocks: keep_blocks.unwrap_or(0), keep_days: keep_days.unwrap_or(0) };
    let opened = Opened::new(global)?;
    let is_asked = keep_blocks.or(keep_days).is_some();
    let policy = if is_asked { asked } else { Policy::from(&opened.config.storage) };
    policy.check().map_err(|error| Usage(error.to_string()))?;
    if policy.is_archive() {
        let text = "this keeps all blocks: say how many stay with --keep-blocks or --keep-days, or set \
                    storage.keep_blocks or storage.keep_days in config.toml";
        return Err(Usage(text.to_owned()).into());
    }
    let (lowest, blocks, bytes, kept_for) = if let Some(db) = &opened.db {
        let shelf = Shelf::new(opened.home.snapshots_path(), opened.storage.key.clone());
        let Report { floor, blocks, bytes } = pruning::report(db, &shelf, &policy)?;
        if !dry_run {
            pruning::prune(db, floor.height, &AtomicBool::new(false), || {})?;
            db.compact_pruned();
            db.sync()?;
        }
        (Some(floor.height), Some(blocks), Some(bytes), Some(floor.bound.to_string()))
    } else {
        let Policy { keep_blocks, keep_days } = policy;
        let call = OperatorCall::Prune { keep_blocks, keep_days, dry_run };
        let job = opened.ask(global, call).await?;
        (job.height, job.blocks, job.bytes, job.kept_for)
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let (lowest, blocks, bytes) =
        (number(lowest.map(|height| height.0)), number(blocks), number(bytes));
    let answer = json!({
        "dry_run": dry_run,
        "blocks": blocks,
        "bytes": bytes,
        "lowest": lowest,
        "kept_for": kept_for,
    });
    output::show(global, &answer, |_| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        let (what, left) = if dry_run {
            ("blocks that would go", "lowest block then")
        } else {
            ("blocks that are gone", "lowest block")
        };
        output::facts(&[
            (what, text(&blocks)),
            ("their bytes", text(&bytes)),
            (left, text(&lowest)),
            ("kept for", text(&kept_for)),
        ])
    })
}

async fn make_backup(
    global: &Global,
    name: Option<String>,
    dir: Option<PathBuf>,
    with_key: bool,
) -> anyhow::Result<()> {
    let name = name.unwrap_or_else(default_name);
    backup::check_name(&name).map_err(|error| Usage(error.to_string()))?;
    let opened = Opened::new(global)?;
    let configured = opened.home.backup_dir(&opened.config);
    let (folder, height, bytes) = if let Some(db) = &opened.db {
        let dir = dir.or(configured).ok_or_else(|| {
            Usage("say where with --dir, or set storage.backup_dir in config.toml".to_owned())
        })?;
        let order = Order {
            home: &opened.home,
            db,
            storage: &opened.storage,
            genesis: &opened.genesis,
            node: opened.home.node_public_key()?,
            time: wall_clock(),
            dir: &dir,
            name: &name,
            with_key,
        };
        let manifest = backup::create(&order, &AtomicBool::new(false))?;
        (dir.join(&name), Some(manifest.height), Some(manifest.bytes()))
    } else {
        if dir.is_some() {
            let text = "the node is running, and makes backups below storage.backup_dir alone: \
                        leave out --dir, or stop it first";
            return Err(Usage(text.to_owned()).into());
        }
        let call = OperatorCall::Backup { name: name.clone(), with_key };
        let job = opened.ask(global, call).await?;
        (configured.unwrap_or_default().join(&name), job.height, job.bytes)
    };
    let answer = json!({
        "folder": folder,
        "height": height.map(|height| height.to_string()),
        "bytes": bytes.map(|bytes| bytes.to_string()),
        "with_key": with_key,
    });
    output::show(global, &answer, |_| {
        let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
        output::facts(&[
            ("folder", folder.display().to_string()),
            ("height", number(height.map(|height| height.0))),
            ("bytes", number(bytes)),
            ("with the node's key", output::yes_no(Some(with_key))),
        ])
    })
}

/// The time, such as `20261126T163842Z`.
fn default_name() -> String {
    let time = wall_clock().to_rfc3339();
    let seconds = time.split(['.', 'Z']).next().unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

fn restore(global: &Global, folder: &Path, replace: bool) -> anyhow::Result<()> {
    let home = Home::new(&global.home);
    let restored = backup::restore(&home, folder, replace)?;
    let manifest = &restored.manifest;
    let answer = json!({
        "home": home.root(),
        "chain_id": manifest.chain_id,
        "height": manifest.height.to_string(),
        "made": manifest.time,
        "node": restored.node,
        "key_lost": true,
    });
    output::show(global, &answer, |_| {
        output::facts(&[
            ("home", home.root().display().to_string()),
            ("chain id", manifest.chain_id.to_string()),
            ("height", manifest.height.to_string()),
            ("made", manifest.time.clone()),
            ("node key", restored.node.to_string()),
            (
                "signing",
                "the key counts as lost: the node asks the others how far the chain is, and signs \
                 only beyond"
                    .to_owned(),
            ),
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_without_a_name_is_called_by_its_time() {
        let name = default_name();
        backup::check_name(&name).unwrap();
        assert!(name.len() == 16 && name.starts_with("20") && name.ends_with('Z'), "{name}");
    }
}
