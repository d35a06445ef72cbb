//! Snapshots of the state: taken, restored from files, restored from the peers.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tandem_chain::types::Height;

use super::super::scene::SOON;
use super::scene::{OBSERVER, SOURCE, Scene, VICTIM, names_in};
use super::{Doing, Moment, Step};
use crate::control::Command;
use crate::network::owned;
use crate::process::Process;
use crate::until::until;

/// Blocks by which a snapshot must be ahead of an empty node to be restored by it, and those that it may fetch
/// before it has asked its peers.
const BLOCKS_MIN: u64 = 1_500;
/// What the log of a node says when it begins to restore a snapshot of its peers.
const RESTORING: &str = "a snapshot is being restored";
/// What it says when it has.
const RESTORED: &str = "a snapshot is restored";
/// Snapshots that a node keeps; one more while it takes one.
const KEPT: usize = 2;

/// A validator takes a snapshot while it runs.
#[derive(Default)]
pub struct Snapshot {
    command: Option<Process>,
    /// The newest before.
    newest: u64,
}

impl Snapshot {
    /// The heights of the victim's snapshots, and names of what is not whole.
    fn shelf(scene: &Scene<'_>) -> Result<(Vec<u64>, Vec<String>)> {
        let (mut heights, mut others) = (Vec::new(), Vec::new());
        for name in names_in(&scene.home(VICTIM)?.snapshots_path())? {
            match name.parse() {
                Ok(height) => heights.push(height),
                Err(_) => others.push(name),
            }
        }
        heights.sort_unstable();
        Ok((heights, others))
    }

    async fn verify(scene: &Scene<'_>, height: u64) -> Result<()> {
        let folder = scene.home(VICTIM)?.snapshots_path().join(height.to_string());
        let verified =
            scene.run(VICTIM, &["snapshot", "verify", &folder.display().to_string()]).await?;
        ensure!(verified["height"] == height.to_string().as_str(), "{verified} for {height}");
        Ok(())
    }

    async fn look(&self, scene: &Scene<'_>, moment: Moment) -> Result<()> {
        let (heights, _) = Self::shelf(scene)?;
        ensure!(heights.len() <= KEPT + 1, "it keeps {heights:?}");
        for height in &heights {
            Self::verify(scene, *height).await.context("a snapshot of its name is not whole")?;
        }
        ensure!(
            (moment == Moment::After) == heights.iter().any(|height| *height > self.newest),
            "killed {moment}, it has {heights:?}"
        );
        scene.start(VICTIM).await?;
        until("what was not finished is taken away", SOON, || async {
            let (_, others) = Self::shelf(scene)?;
            ensure!(others.is_empty(), "there are {others:?}");
            Ok(())
        })
        .await?;
        let offered: Value = scene.rpc(VICTIM).call("snapshots", Value::Null).await?;
        let offered = offered["snapshots"].as_array().context("a list of snapshots")?;
        for snapshot in offered {
            let height = snapshot["height"].as_str().and_then(|height| height.parse().ok());
            let is_there = height.is_some_and(|height: u64| heights.contains(&height));
            ensure!(is_there, "it offers {snapshot} and has {heights:?}");
        }
        let taken = scene.take_snapshot(VICTIM).await.context("taken again")?;
        Self::verify(scene, taken.0).await?;
        ensure!(Self::shelf(scene)?.0.len() <= KEPT, "it keeps more than {KEPT}");
        scene.is_at_tip(VICTIM).await
    }
}

impl Step for Snapshot {
    fn about(&self) -> String {
        format!("{VICTIM} takes a snapshot")
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.newest = Self::shelf(scene)?.0.last().copied().unwrap_or(0);
            // The next is of another height.
            scene.watcher.reached(Height(self.newest).plus(2), SOON).await?;
            scene.is_at_tip(VICTIM).await
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.command = Some(scene.begin(VICTIM, &["snapshot", "create"]).await?);
            Ok(())
        })
    }

    fn moment(&self, scene: &Scene<'_>) -> Result<Moment> {
        let (heights, others) = Self::shelf(scene)?;
        Ok(if heights.iter().any(|height| *height > self.newest) {
            Moment::After
        } else if others.is_empty() {
            Moment::Before
        } else {
            Moment::Within
        })
    }

    fn node(&self) -> Option<&'static str> {
        Some(VICTIM)
    }

    fn command(&mut self) -> Option<&mut Process> {
        self.command.as_mut()
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a> {
        Box::pin(self.look(scene, moment))
    }
}

/// `tandem snapshot restore` at a home with an empty database.
#[derive(Default)]
pub struct Restore {
    command: Option<Process>,
    /// What is restored.
    folder: PathBuf,
    count: usize,
}

impl Restore {
    fn line(&self) -> [String; 3] {
        ["snapshot".to_owned(), "restore".to_owned(), self.folder.display().to_string()]
    }

    async fn look(&mut self, scene: &Scene<'_>, moment: Moment) -> Result<()> {
        self.count += 1;
        // In turns the command goes on with it, and the node, by its peers.
        if moment != Moment::After && self.count.is_multiple_of(2) {
            scene.run(OBSERVER, &self.line()).await?;
        }
        scene.start(OBSERVER).await?;
        scene.is_at_tip(OBSERVER).await
    }
}

impl Step for Restore {
    fn about(&self) -> String {
        "`tandem snapshot restore` into an empty database".to_owned()
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            if self.folder.as_os_str().is_empty() {
                let height = scene.take_snapshot(SOURCE).await?;
                self.folder = scene.home(SOURCE)?.snapshots_path().join(height.to_string());
            }
            scene.wipe(OBSERVER).await
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.command = Some(scene.begin(OBSERVER, &self.line()).await?);
            Ok(())
        })
    }

    fn moment(&self, scene: &Scene<'_>) -> Result<Moment> {
        let command = self.command.as_ref().context("it was begun")?;
        Ok(if scene.is_done(OBSERVER, command)? {
            Moment::After
        } else if scene.home(OBSERVER)?.data_path().join("CURRENT").exists() {
            Moment::Within
        } else {
            Moment::Before
        })
    }

    fn command(&mut self) -> Option<&mut Process> {
        self.command.as_mut()
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a> {
        Box::pin(self.look(scene, moment))
    }
}

/// A node with an empty disk restores the snapshot that its peers have.
#[derive(Default)]
pub struct Fetch {
    is_offered: bool,
    /// Length of its log before.
    from: u64,
}

impl Step for Fetch {
    fn about(&self) -> String {
        format!("{OBSERVER}, with an empty disk, restores a snapshot of its peers")
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            if !self.is_offered {
                scene.grow_to(Height(BLOCKS_MIN)).await?;
                let nodes = scene.stage.net().layout().nodes.iter();
                for node in nodes.filter(|node| node.name != OBSERVER) {
                    scene.take_snapshot(&node.name).await?;
                }
                self.is_offered = true;
            }
            scene.wipe(OBSERVER).await?;
            self.from = scene.log_len(OBSERVER)?;
            Ok(())
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            let start = Command::Start { nodes: owned(&[OBSERVER]), dial: None };
            scene.stage.net().tell(start).await?;
            Ok(())
        })
    }

    fn moment(&self, scene: &Scene<'_>) -> Result<Moment> {
        scene.moment(OBSERVER, self.from, [RESTORING, RESTORED])
    }

    fn node(&self) -> Option<&'static str> {
        Some(OBSERVER)
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a> {
        Box::pin(async move {
            scene.start(OBSERVER).await?;
            scene.is_at_tip(OBSERVER).await?;
            let lowest = scene.lowest(OBSERVER).await?;
            // Before it began, the node may have fetched so many blocks that it goes on with them.
            ensure!(
                lowest > Height(1) || moment == Moment::Before,
                "{OBSERVER} is at the tip without the snapshot that it had begun: it has block {lowest}"
            );
            Ok(())
        })
    }
}
