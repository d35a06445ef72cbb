//! Every kind of bad input that reaches a node from outside is refused by name, and changes
//! nothing: strangers, other chains, second processes, broken files, requests, transactions, crowds of
//! clients, a disk that takes no more, and the messages of registered nodes.

mod cases;
mod crowd;
mod liar;
mod peer;
mod processes;
mod requests;
mod rogue;

use anyhow::{Result, ensure};

use super::Stage;
use super::scene::SOON;
use crate::layout::Spec;
use crate::until::until;

/// Blocks that the chain makes after all of it.
const BLOCKS_AFTER: u64 = 20;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    crowd::prepare()?;
    let spec = Spec { observers: 1, websockets: crowd::DEAF, ..Spec::default() };
    let watcher = stage.open(spec, &["obs-1"], &[]).await?;
    let mut cases = processes::play(stage).await?;
    cases += requests::play(stage, &watcher).await?;
    cases += crowd::play(stage, &watcher).await?;
    cases += peer::play(stage, &watcher).await?;
    // Now that there are blocks to write.
    cases += processes::full_disk(stage).await?;

    watcher.reached(watcher.height().plus(BLOCKS_AFTER), SOON).await?;
    let names: Vec<String> =
        stage.net().names().into_iter().filter(|name| name != "obs-1").collect();
    for name in &names {
        let rpc = stage.net().rpc(name);
        until(&format!("{name} is connected to all others"), SOON, || async {
            let peers = rpc.status().await?.tandem.peers;
            ensure!(peers + 1 == names.len(), "it has {peers} peers");
            Ok(())
        })
        .await?;
        rpc.client().health().await?;
    }
    stage.report.holds("all nodes are well and connected to each other");
    stage.same_state(&names).await?;
    stage.read_chain(&names[0]).await?;
    stage.report.figure("cases", cases);
    Ok(())
}
