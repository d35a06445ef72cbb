//! Old blocks are taken away by a node that runs.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Height;
use tandem_node::pruning::LEAST_BLOCKS;

use super::scene::{OBSERVER, Scene};
use super::{Doing, Moment, Step};
use crate::homes::BACKUPS;
use crate::process::Process;
use crate::rpc::height;

/// Blocks above those that stay in any case.
const OLD: u64 = 1_500;
/// What the log of a node says when it begins.
const BEGINS: &str = "maintenance begins";
/// What it says when it is done.
const DONE: &str = "maintenance is done";
/// Of the blocks that are left, the lowest are looked up, and one of so many others.
const LOOKED_UP: u64 = 100;

/// A node that runs takes blocks away, down to the fewest that may stay. Before each time its database is
/// one again that has them.
#[derive(Default)]
pub struct Prune {
    /// Of the database with its old blocks.
    backup: PathBuf,
    command: Option<Process>,
    /// Length of the node's log before.
    from: u64,
    /// The lowest block before.
    lowest: Height,
    /// The newest before.
    tip: Height,
}

impl Prune {
    fn line() -> [String; 4] {
        let least = LEAST_BLOCKS.to_string();
        ["db".to_owned(), "prune".to_owned(), "--keep-blocks".to_owned(), least]
    }

    /// The blocks from `lowest` on are there, and none below.
    async fn has_from(&self, scene: &Scene<'_>, lowest: Height) -> Result<()> {
        let (rpc, tip) = (scene.rpc(OBSERVER), scene.watcher.height());
        let heights = lowest.0..=tip.0;
        let is_looked_up =
            |height: &u64| height - lowest.0 < LOOKED_UP || height.is_multiple_of(LOOKED_UP);
        for height in heights.filter(is_looked_up).map(Height) {
            rpc.block(height).await?;
            // The lowest before may be that of a snapshot, whose results are not known.
            if height > self.lowest {
                rpc.results(height).await?;
            }
        }
        if lowest > Height(1) {
            let below = lowest.back(1);
            let Err(error) = rpc.block(below).await else {
                anyhow::bail!("block {below} is there, and the lowest is {lowest}");
            };
            let text = format!("{error:#}");
            ensure!(text.contains(&lowest.to_string()), "of block {below} it says: {text}");
        }
        Ok(())
    }

    async fn look(&self, scene: &Scene<'_>, moment: Moment) -> Result<()> {
        scene.start(OBSERVER).await?;
        scene.is_at_tip(OBSERVER).await?;
        let left = scene.lowest(OBSERVER).await?;
        let [first, last] =
            [self.tip, scene.watcher.height()].map(|tip| tip.back(LEAST_BLOCKS - 1));
        let expected = match moment {
            Moment::Before => self.lowest..=self.lowest,
            Moment::Within => self.lowest..=last,
            Moment::After => first..=last,
        };
        ensure!(
            expected.contains(&left),
            "killed {moment}, it has blocks from {left} on, not {expected:?}"
        );
        self.has_from(scene, left).await?;
        let pruned = scene.run(OBSERVER, &Self::line()).await.context("pruned again")?;
        let floor = height(pruned["lowest"].as_str().context("a floor")?)?;
        let lowest = scene.lowest(OBSERVER).await?;
        ensure!(lowest == floor && floor >= first, "{pruned}, and it has blocks from {lowest} on");
        self.has_from(scene, lowest).await
    }
}

impl Step for Prune {
    fn about(&self) -> String {
        format!("{OBSERVER} takes away old blocks while it runs")
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            if self.backup.as_os_str().is_empty() {
                scene.grow_to(scene.lowest(OBSERVER).await?.plus(LEAST_BLOCKS + OLD)).await?;
                scene.is_at_tip(OBSERVER).await?;
                scene.stop(OBSERVER).await?;
                scene.run(OBSERVER, &["db", "backup", "with-old-blocks"]).await?;
                self.backup = scene.home(OBSERVER)?.root().join(BACKUPS).join("with-old-blocks");
            }
            scene.stop(OBSERVER).await?;
            let folder = self.backup.display().to_string();
            scene.run(OBSERVER, &["db", "restore", &folder, "--replace"]).await?;
            scene.start(OBSERVER).await?;
            scene.is_at_tip(OBSERVER).await?;
            self.from = scene.log_len(OBSERVER)?;
            (self.lowest, self.tip) =
                (scene.lowest(OBSERVER).await?, scene.rpc(OBSERVER).height().await?);
            Ok(())
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.command = Some(scene.begin(OBSERVER, &Self::line()).await?);
            Ok(())
        })
    }

    fn moment(&self, scene: &Scene<'_>) -> Result<Moment> {
        scene.moment(OBSERVER, self.from, [BEGINS, DONE])
    }

    fn node(&self) -> Option<&'static str> {
        Some(OBSERVER)
    }

    fn command(&mut self) -> Option<&mut Process> {
        self.command.as_mut()
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, moment: Moment) -> Doing<'a> {
        Box::pin(self.look(scene, moment))
    }
}
