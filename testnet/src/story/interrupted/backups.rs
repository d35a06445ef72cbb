//! Backups of a database, made by the node that has it open or by the command, and put back.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Hash;
use tandem_node::backup::{BACKUP_FILE, Manifest};
use tandem_node::home::GuardState;

use super::super::scene::{READY, SOON};
use super::scene::{Scene, VICTIM, names_in};
use super::{Doing, Moment, Step};
use crate::homes::BACKUPS;
use crate::process::Process;
use crate::rpc::BlockView;
use crate::until::until;

/// What a backup under way has in the folder of the database.
const CHECKPOINTS: [&str; 2] = ["checkpoint", "checkpoint.tmp"];
/// What a restore under way has there.
const RESTORING: &str = "restoring";
/// What the log of a node says whose key counts as lost.
const LOST: &str = "the key's signing record is lost";

/// Every file of a backup is what `backup.json` says.
fn is_whole(folder: &Path) -> Result<()> {
    let manifest = Manifest::load(folder)?;
    for file in &manifest.files {
        let path = folder.join(&file.path);
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let same = bytes.len() as u64 == file.bytes && Hash::of(&bytes) == file.sha256;
        ensure!(same, "{} is not what {BACKUP_FILE} says", path.display());
    }
    Ok(())
}

fn backups(scene: &Scene<'_>) -> Result<PathBuf> {
    Ok(scene.home(VICTIM)?.root().join(BACKUPS))
}

/// What is left of, or under way in, the making of a backup.
fn parts(scene: &Scene<'_>) -> Result<Vec<String>> {
    let mut parts = names_in(&backups(scene)?)?;
    parts.retain(|name| name.starts_with('.'));
    let mut in_data = names_in(&scene.home(VICTIM)?.data_path())?;
    in_data.retain(|name| CHECKPOINTS.contains(&name.as_str()));
    parts.extend(in_data);
    Ok(parts)
}

/// A backup is made.
pub struct Backup {
    /// By the command, of a node that stands.
    stands: bool,
    command: Option<Process>,
    count: usize,
}

impl Backup {
    pub fn running() -> Self {
        Self { stands: false, command: None, count: 0 }
    }

    pub fn standing() -> Self {
        Self { stands: true, ..Self::running() }
    }

    fn name(&self) -> String {
        format!("{}-{}", if self.stands { "standing" } else { "running" }, self.count)
    }

    async fn look(&self, scene: &Scene<'_>, moment: Moment) -> Result<()> {
        let (folder, name) = (backups(scene)?, self.name());
        let target = folder.join(&name);
        ensure!(target.exists() == (moment == Moment::After), "killed {moment}: {name}");
        if moment == Moment::After {
            is_whole(&target)?;
        }
        if !self.stands {
            scene.start(VICTIM).await?;
            until("what is left of it in the database's folder is taken away", SOON, || async {
                let left = names_in(&scene.home(VICTIM)?.data_path())?;
                let left = left.iter().find(|name| CHECKPOINTS.contains(&name.as_str()));
                ensure!(left.is_none(), "there is {left:?}");
                Ok(())
            })
            .await?;
        }
        if moment != Moment::After {
            scene.run(VICTIM, &["db", "backup", &name]).await.context("made again")?;
            is_whole(&target)?;
            let left = parts(scene)?;
            ensure!(left.is_empty(), "a backup has left {left:?}");
        }
        if self.stands {
            scene.start(VICTIM).await?;
        }
        scene.is_at_tip(VICTIM).await?;
        // It has served its end; the room is wanted.
        std::fs::remove_dir_all(&target).with_context(|| target.display().to_string())
    }
}

impl Step for Backup {
    fn about(&self) -> String {
        if self.stands {
            format!("`tandem db backup` of {VICTIM}, which stands")
        } else {
            format!("{VICTIM} makes a backup while it runs")
        }
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.count += 1;
            if self.stands {
                scene.stop(VICTIM).await?;
            }
            Ok(())
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            let name = self.name();
            self.command = Some(scene.begin(VICTIM, &["db", "backup", &name]).await?);
            Ok(())
        })
    }

    fn moment(&self, scene: &Scene<'_>) -> Result<Moment> {
        Ok(if backups(scene)?.join(self.name()).exists() {
            Moment::After
        } else if parts(scene)?.is_empty() {
            Moment::Before
        } else {
            Moment::Within
        })
    }

    fn node(&self) -> Option<&'static str> {
        (!self.stands).then_some(VICTIM)
    }

    fn command(&mut self) -> Option<&mut Process> {
        self.command.as_mut()
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a> {
        Box::pin(self.look(scene, moment))
    }
}

/// A backup is put in the place of the database.
#[derive(Default)]
pub struct PutBack {
    backup: PathBuf,
    command: Option<Process>,
    count: usize,
}

impl PutBack {
    fn line(&self) -> [String; 4] {
        let folder = self.backup.display().to_string();
        ["db".to_owned(), "restore".to_owned(), folder, "--replace".to_owned()]
    }

    /// Whether the key is marked as that of a restored database.
    fn is_marked(scene: &Scene<'_>) -> Result<bool> {
        let guard = scene.home(VICTIM)?.guard()?;
        Ok(guard.is_some_and(|guard| guard.state == GuardState::Restored))
    }

    async fn look(&mut self, scene: &Scene<'_>, moment: Moment) -> Result<()> {
        self.count += 1;
        // In turns the command does it again, and the node starts with what is there.
        if moment != Moment::After && self.count.is_multiple_of(2) {
            scene.run(VICTIM, &self.line()).await?;
            ensure!(Self::is_marked(scene)?, "the command marks the key as restored");
        }
        let (is_marked, from) = (Self::is_marked(scene)?, scene.log_len(VICTIM)?);
        ensure!(is_marked || moment != Moment::After, "restored, and the key is not marked");
        scene.start(VICTIM).await?;
        let is_lost = scene.log_has(VICTIM, from, LOST)?;
        ensure!(is_lost || !is_marked, "the key is marked as restored, and not lost");
        scene.is_at_tip(VICTIM).await?;
        let left = scene.home(VICTIM)?.data_path().join(RESTORING);
        until("what is left of it is taken away", SOON, || async {
            ensure!(!left.exists(), "{} is there", left.display());
            Ok(())
        })
        .await?;
        let address = scene.stage.net().layout().node(VICTIM)?.key.address();
        let signs = |block: &BlockView| {
            let mut signatures = block.last_commit.signatures.iter().flatten();
            signatures.any(|signature| signature.address == address).then_some(())
        };
        let (what, from) = (format!("{VICTIM} signs again"), scene.watcher.height().plus(2));
        scene.watcher.find(&what, from, READY, signs).await?;
        Ok(())
    }
}

impl Step for PutBack {
    fn about(&self) -> String {
        format!("`tandem db restore --replace` at {VICTIM}, which stands")
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            if self.backup.as_os_str().is_empty() {
                scene.run(VICTIM, &["db", "backup", "to-put-back"]).await?;
                self.backup = backups(scene)?.join("to-put-back");
            }
            scene.stop(VICTIM).await
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.command = Some(scene.begin(VICTIM, &self.line()).await?);
            Ok(())
        })
    }

    fn moment(&self, scene: &Scene<'_>) -> Result<Moment> {
        let command = self.command.as_ref().context("it was begun")?;
        let is_done = scene.is_done(VICTIM, command)?;
        let is_under_way = scene.home(VICTIM)?.data_path().join(RESTORING).exists();
        Ok(match (is_under_way, Self::is_marked(scene)?) {
            (true, _) => Moment::Within,
            (false, true) => Moment::After,
            (false, false) => {
                ensure!(!is_done, "the command is done, and the key is not marked");
                Moment::Before
            }
        })
    }

    fn command(&mut self) -> Option<&mut Process> {
        self.command.as_mut()
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a> {
        Box::pin(self.look(scene, moment))
    }
}
