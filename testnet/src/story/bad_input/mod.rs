//! Every kind of bad input that reaches a node from outside is refused by name, and changes
//! nothing: strangers, other chains, second processes, broken files, requests, transactions.
//!
//! Bad messages between nodes that are registered are the matter of unit tests and the simulator:
//! a process of this program never sends one.

mod processes;
mod requests;

use anyhow::{Result, ensure};

use super::Stage;
use super::scene::SOON;
use crate::layout::Spec;

/// Blocks that the chain makes after all of it.
const BLOCKS_AFTER: u64 = 20;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let spec = Spec { observers: 1, ..Spec::default() };
    let watcher = stage.open(spec, &["obs-1"], &[]).await?;
    let mut cases = processes::play(stage).await?;
    cases += requests::play(stage, &watcher).await?;

    watcher.reached(watcher.height().plus(BLOCKS_AFTER), SOON).await?;
    let names: Vec<String> =
        stage.net().names().into_iter().filter(|name| name != "obs-1").collect();
    for name in &names {
        let rpc = stage.net().rpc(name);
        let peers = rpc.status().await?.tandem.peers;
        ensure!(peers + 1 == names.len(), "{name} has {peers} peers");
        rpc.client().health().await?;
    }
    stage.report.holds("all nodes are well and connected to each other");
    stage.same_state(&names).await?;
    stage.read_chain(&names[0]).await?;
    stage.report.figure("cases", cases);
    Ok(())
}
