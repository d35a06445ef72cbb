//! A network of one server grows to seven organisations, one command at a time, each through another
//! member, and shrinks again to four. At every step all nodes have the same members, nodes and
//! addresses, and the chain goes on.

use anyhow::{Context as _, Result, ensure};
use tandem_chain::keys::PublicKey;
use tandem_chain::types::Height;
use tokio::time::Instant;

use super::Stage;
use super::machine::{Machine, Voter, admin_file, block_of, carried, has_block, invite_by, tandem};
use super::scene::{READY, SOON, since};
use crate::layout::Spec;
use crate::rpc::Rpc;
use crate::stats::ms;
use crate::until::until;
use crate::watcher::Watcher;

/// Organisations that join the first, in the order in which they do.
const JOINING: [&str; 6] = ["bravo", "charlie", "delta", "echo", "foxtrot", "golf"];
/// Organisations that are left in the end.
const LEFT: usize = 4;

/// An organisation with one node.
struct Member {
    name: String,
    admin: String,
    url: String,
    rpc: Rpc,
    key: PublicKey,
    /// Its machine; that of the first is the network's own.
    machine: Option<Machine>,
}

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let spec = Spec { orgs: 1, pairs: false, ..Spec::default() };
    let watcher = stage.open(spec, &[], &[]).await?;
    let first = stage.net().layout().nodes[0].clone();
    let mut members = vec![Member {
        name: first.org.to_string(),
        admin: admin_file(stage, &first.org),
        url: first.rpc_url(),
        rpc: stage.net().rpc(&first.name).clone(),
        key: first.key,
        machine: None,
    }];
    let mut slowest = 0.0_f64;
    let joining = stage.size(stage.options.times, JOINING.len(), 3).min(JOINING.len());
    for (i, name) in JOINING.iter().take(joining).enumerate() {
        let (member, took) = join(stage, &watcher, &members, i, name).await?;
        slowest = slowest.max(took);
        members.push(member);
        agree(stage, &members).await?;
    }
    while members.len() > LEFT.min(joining) {
        leave(stage, &mut members).await?;
        agree(stage, &members).await?;
    }
    let goes_on = watcher.height().plus(20);
    watcher.reached(goes_on, SOON).await?;
    stage.report.holds(format!("the chain goes on with {} organisations", members.len()));
    for member in &mut members {
        if let Some(machine) = &mut member.machine {
            machine.stop().await?;
        }
    }
    stage.report.figure("organisations_joined", joining);
    stage.report.figure("slowest_from_command_to_role_table_ms", slowest);
    Ok(())
}

/// The members as voters, beginning with one of them.
fn voters(members: &[Member], first: usize) -> Vec<Voter> {
    let turn = (0..members.len()).map(|i| &members[(first + i) % members.len()]);
    turn.map(|member| Voter { admin: member.admin.clone(), url: member.url.clone() }).collect()
}

/// An organisation joins through one member: its motion, an invitation by its own admin key, and one
/// command on its machine. With it, the time in milliseconds from that command to the role table.
async fn join(
    stage: &mut Stage,
    watcher: &Watcher,
    members: &[Member],
    through: usize,
    name: &str,
) -> Result<(Member, f64)> {
    let host = &members[through % members.len()];
    let admin = stage.folder.path().join(format!("{name}-admin.json")).display().to_string();
    tandem(stage, &["keys", "new", &admin]).await?;
    let change = ["add", name, "--admin-key", &admin];
    let (answer, summary) = carried(stage, &voters(members, through), &change).await?;
    // Its node may be a block behind the one that had the last vote.
    has_block(&host.rpc, block_of(&answer)?).await?;
    let by = Voter { admin: admin.clone(), url: host.url.clone() };
    let token = invite_by(stage, &by, &[]).await?;
    let mut machine = Machine::new(stage, &format!("{name}-a"))?;
    let start = Instant::now();
    machine.join(stage, &token).await?;
    let key = machine.is_registered(&host.rpc).await?;
    let holds = until("the new organisation holds its seat", READY, || async {
        let seats = host.rpc.client().seats(1).await?.seats;
        let seat = seats.into_iter().find(|seat| seat.seat.as_str() == name);
        ensure!(seat.is_some_and(|seat| seat.holder == Some(key)), "its seat is left out");
        Ok(())
    });
    holds.await.map_err(|error| machine.explain(error))?;
    let took = start.elapsed();
    let rpc = machine.rpc()?;
    machine.follows(&host.rpc, watcher.height()).await?;
    let told = summary.map(|summary| format!(" ({summary})")).unwrap_or_default();
    stage.report.holds(format!(
        "{name} has joined through {}{told}: its node holds its seat {} after `tandem join`",
        host.name,
        since(start, start + took)
    ));
    let url = machine.url();
    let member = Member { name: name.to_owned(), admin, url, rpc, key, machine: Some(machine) };
    Ok((member, ms(took)))
}

/// The organisation that joined last but one is removed by the others: of those that joined, neither
/// the first nor the last.
async fn leave(stage: &mut Stage, members: &mut Vec<Member>) -> Result<()> {
    let mut gone = members.remove(members.len() - 2);
    let (answer, _) = carried(stage, &voters(members, 0), &["remove", &gone.name]).await?;
    let removed = block_of(&answer)?;
    let machine = gone.machine.as_mut().context("the first organisation stays")?;
    let quiet = until("its node has lost its connections", SOON, || async {
        let peers = gone.rpc.status().await?.tandem.peers;
        ensure!(peers == 0, "it has {peers} peers");
        Ok(())
    });
    quiet.await.map_err(|error| machine.explain(error))?;
    let last = gone.rpc.height().await?;
    ensure!(last <= removed.plus(2), "removed in block {removed}, {} has {last}", gone.name);
    machine.stop().await?;
    stage.report.holds(format!(
        "{} is removed in block {removed}: its node loses its connections, its last block is {last}",
        gone.name
    ));
    Ok(())
}

/// All nodes have the same members, nodes and addresses, at one height, and all are alive by a record
/// about a block in which every seat of today has its vote: before that, fewer observers were enough,
/// and a change that asks for all of them could be refused a block later.
async fn agree(stage: &mut Stage, members: &[Member]) -> Result<()> {
    let found = until("all nodes have the same register", SOON, || async {
        let mut known: Option<(Height, String)> = None;
        for member in members {
            let known_to = member.rpc.client().seats(1).await?;
            for seat in &known_to.seats {
                let is_told = known_to.height > seat.effective;
                ensure!(is_told, "{} is new to the record at {}", seat.seat, known_to.height);
            }
            let nodes = member.rpc.nodes().await?.nodes;
            ensure!(nodes.len() == members.len(), "{} has {} nodes", member.name, nodes.len());
            let place = |key: &PublicKey| nodes.iter().find(|node| node.key == *key);
            for other in members {
                let entry = place(&other.key);
                let is_there = entry.is_some_and(|node| {
                    node.organization.as_str() == other.name && node.alive == Some(true)
                });
                ensure!(is_there, "{} does not know {} alive", member.name, other.name);
            }
            let text = nodes
                .iter()
                .map(|node| format!("{} {} {:?}", node.key, node.role, node.addresses))
                .collect::<Vec<_>>()
                .join("\n");
            let block = member.rpc.height().await?;
            match &known {
                Some((_, first)) => ensure!(*first == text, "{} differs", member.name),
                None => known = Some((block, text)),
            }
        }
        known.context("there are nodes")
    })
    .await?;
    let (tip, _) = found;
    let first = members[0].rpc.block(tip).await?;
    for member in members {
        let what = format!("{} has block {tip}", member.name);
        let block = until(&what, SOON, || async { member.rpc.block(tip).await }).await?;
        let is_same = (block.id, block.app_hash) == (first.id, first.app_hash);
        ensure!(is_same, "{} has another block {tip} than {}", member.name, members[0].name);
    }
    stage.report.holds(format!(
        "all {} nodes have the same register, addresses and block {tip}",
        members.len()
    ));
    Ok(())
}
