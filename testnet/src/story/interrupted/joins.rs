//! A new machine joins.

use anyhow::{Context as _, Result, ensure};
use tandem_chain::types::Height;

use super::super::machine::{Machine, has_block, invite};
use super::super::scene::SOON;
use super::scene::{SOURCE, Scene};
use super::{Doing, Moment, Step};
use crate::rpc::RegisterChange;
use crate::until::until;

/// `tandem join` on a new machine.
#[derive(Default)]
pub struct Join {
    machine: Option<Machine>,
    token: String,
    count: usize,
    /// The chain's height before.
    from: Height,
}

impl Join {
    async fn look(&mut self, scene: &Scene<'_>) -> Result<()> {
        let machine = self.machine.as_mut().context("it is ready")?;
        let source = scene.rpc(SOURCE);
        machine.join(scene.stage, &self.token).await?;
        let key = machine.is_registered(source).await?;
        machine.follows(source, scene.watcher.height()).await?;
        let join_file = machine.home().join_path();
        let over = until("its join is over", SOON, || async {
            ensure!(!join_file.exists(), "{} is there", join_file.display());
            Ok(())
        });
        over.await.map_err(|error| machine.explain(error))?;

        let (tip, org) =
            (scene.watcher.height(), scene.stage.net().layout().node(SOURCE)?.org.clone());
        has_block(source, tip).await?;
        let mut came = Vec::new();
        for height in self.from.0 + 1..=tip.0 {
            came.extend(source.results(Height(height)).await?.register);
        }
        let once = [RegisterChange::Came(key, org)];
        ensure!(came == once, "since it was invited, this came into the register: {came:?}");

        // Its token is of no use to another.
        let other = Machine::new(scene.stage, &format!("late-{}", self.count))?;
        other.is_refused(scene.stage, &self.token).await?;
        machine.stop().await
    }
}

impl Step for Join {
    fn about(&self) -> String {
        "`tandem join` on a new machine".to_owned()
    }

    fn ready<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            self.count += 1;
            let through = scene.stage.net().layout().node(SOURCE)?;
            self.token = invite(scene.stage, through).await?;
            self.machine = Some(Machine::new(scene.stage, &format!("new-{}", self.count))?);
            self.from = scene.watcher.height();
            Ok(())
        })
    }

    fn begin<'a>(&'a mut self, scene: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async {
            let machine = self.machine.as_mut().context("it is ready")?;
            machine.join(scene.stage, &self.token).await
        })
    }

    fn moment(&self, _: &Scene<'_>) -> Result<Moment> {
        let home = self.machine.as_ref().context("it is ready")?.home();
        Ok(if home.join_path().exists() {
            Moment::Within
        } else if home.node_key_path().exists() {
            Moment::After
        } else {
            Moment::Before
        })
    }

    fn kill<'a>(&'a mut self, _: &'a Scene<'_>) -> Doing<'a> {
        Box::pin(async { self.machine.as_mut().context("it is ready")?.kill().await })
    }

    fn again<'a>(&'a mut self, scene: &'a Scene<'_>, _: Moment) -> Doing<'a> {
        Box::pin(self.look(scene))
    }
}
