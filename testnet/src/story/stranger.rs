//! Who is not registered speaks the protocol perfectly and gets no byte of ledger data, nor has any
//! effect; who was removed likewise, from that height on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tandem_chain::codec;
use tandem_chain::genesis::Genesis;
use tandem_chain::keys::SecretKey;
use tandem_chain::modules::consortium::{self, Invitation, InvitationBody, InvitedAs};
use tandem_chain::modules::{Call, records};
use tandem_chain::tx::{Tx, TxBody};
use tandem_chain::types::Height;
use tandem_node::home::Home;
use tandem_node::join::wire::{Greeting, GuestHello};
use tandem_node::join::{Token, TokenMember};
use tandem_node::network::{Error as NetworkError, Visit};

use super::Stage;
use super::machine::{Machine, admin_file, invite, send};
use super::scene::{READY, SOON};
use crate::homes;
use crate::layout::{Layout, Node, Spec};
use crate::until::until;

/// Code of a transaction whose sender is no registered key.
const UNKNOWN_SENDER: u32 = 7;
/// Blocks of the chain of which a stranger must not get one.
const BLOCKS: u64 = 300;
/// Code of a wrong signature.
const BAD_SIGNATURE: u32 = 2;
/// Code of a call that is refused, as one by an invitation that was used.
const REFUSED: u32 = 17;

/// Plays it.
pub async fn play(stage: &mut Stage) -> Result<()> {
    let watcher = stage.open(Spec::default(), &[], &[]).await?;
    let load = stage.steady_load(&watcher, stage.size(stage.options.rate, 200.0, 200.0)).await?;
    let layout = stage.net().layout().clone();
    let json = std::fs::read_to_string(Home::new(layout.home(&layout.nodes[0])).genesis_path())?;
    let genesis = Genesis::from_json(&json)?;

    let stranger = SecretKey::from_seed(&rand::random());
    let mut machine = Machine::new(stage, "stranger")?;
    machine.start_by_hand(stage, &stranger, &json, &layout.nodes).await?;
    let rpc = machine.rpc()?;
    until("it answers", SOON, || async { rpc.status().await }).await?;
    let before = watcher.height();
    let refused = refusals(stage, &layout).await?;
    watcher.reached(before.plus(BLOCKS), READY).await?;
    let more = until("it is refused", SOON, || async {
        let more = refusals(stage, &layout).await?.saturating_sub(refused);
        ensure!(more > 0, "nobody counts that it was");
        Ok(more)
    })
    .await?;
    let status = rpc.status().await.map_err(|error| machine.explain(error))?;
    let (peers, height) = (status.tandem.peers, status.sync_info.latest_block_height);
    ensure!(peers == 0 && height == Height::ZERO, "it has {peers} peers and block {height}");
    stage.report.holds(format!(
        "a node with a fresh key, the genesis and the addresses of all has no link and no block, while \
         it was refused {more} times and the chain made {} blocks",
        watcher.height().0 - before.0
    ));
    machine.stop().await?;

    // The protocol of guests, with an invitation that no admin key has signed.
    let forged = token(&layout, &genesis, &stranger);
    for node in &layout.nodes {
        let visited = visit(&forged, &stranger, node).await;
        let unheard = matches!(visited, Err(NetworkError::NotReceived { .. }));
        ensure!(unheard, "{} answers a forged invitation: {visited:?}", node.name);
    }
    stage.report.holds("a forged invitation is answered by none of them, with not a byte");

    let entry = stage.net().rpc(&layout.nodes[0].name).clone();
    let until_height = watcher.height().plus(500);
    let create = Call::Records(records::Call::Create { data_set: "stolen".parse()? });
    let register = Call::Consortium(consortium::Call::RegisterInvited {
        invitation: forged.invitation.clone(),
        claim: forged.invitation.claim(&forged.one_time(), &stranger.public()),
        addresses: Vec::new(),
    });
    for (what, call, code) in
        [("a record", create.clone(), UNKNOWN_SENDER), ("a registration", register, BAD_SIGNATURE)]
    {
        let tx = sign(&layout, &stranger, call, until_height);
        let answer = entry.submit_bytes(tx.bytes()).await?;
        ensure!(answer.code == code, "{what} has code {}: {}", answer.code, answer.log);
    }
    stage.report.holds("its transactions are refused before they wait anywhere");

    // A member that is removed.
    let through = layout.node("charlie-b")?.clone();
    let text = invite(stage, &through).await?;
    let mut member = Machine::new(stage, "charlie-c")?;
    member.join(stage, &text).await?;
    let key = member.is_registered(&entry).await?;
    member.follows(&entry, watcher.height()).await?;
    let remove = ["node", "remove", &key.to_string()];
    let admin = admin_file(stage, &through.org);
    let removed = send(stage, &through, &remove, admin.as_ref()).await?;
    let rpc = member.rpc()?;
    until("it has lost all its connections", SOON, || async {
        let peers = rpc.status().await?.tandem.peers;
        ensure!(peers == 0, "it has {peers} peers");
        Ok(())
    })
    .await?;
    let last = rpc.height().await?;
    watcher.reached(watcher.height().plus(BLOCKS), READY).await?;
    let status = rpc.status().await?;
    let (peers, height) = (status.tandem.peers, status.sync_info.latest_block_height);
    ensure!(peers == 0 && height == last, "it has {peers} peers and block {height} after {last}");
    ensure!(last <= removed.plus(2), "removed in block {removed}, it got block {last}");
    let secret = member.secret()?;
    let tx = sign(&layout, &secret, create, watcher.height().plus(500));
    let answer = entry.submit_bytes(tx.bytes()).await?;
    ensure!(answer.code == UNKNOWN_SENDER, "its transaction has code {}", answer.code);
    let used = Token::parse(&text).context("the token of the member")?;
    let refused = visit(&used, &secret, &layout.nodes[0]).await;
    let is_refused = matches!(refused, Ok(Greeting::Refused { code: REFUSED, .. }));
    ensure!(is_refused, "its old token is answered with {refused:?}");
    stage.report.holds(format!(
        "a member that block {removed} removes has block {last} as its last, no link, no transaction, \
         and its old token opens nothing"
    ));
    member.stop().await?;

    let tracker = load.tracker().clone();
    stage.end_load(load).await?;
    let names = stage.net().names();
    stage.same_state(&names).await?;
    let chain = stage.read_chain(&names[0]).await?;
    chain.has_each_once(&tracker.receipts())?;
    stage.report.figure("refusals", more);
    stage.report.figure("blocks_after_removal", last.0.saturating_sub(removed.0));
    Ok(())
}

/// How often the network's nodes have refused a key that is not registered.
async fn refusals(stage: &Stage, layout: &Layout) -> Result<u64> {
    let mut total = 0;
    for node in &layout.nodes {
        let counters = stage.net().rpc(&node.name).status().await?.tandem.counters;
        total += counters.get("network_refused_unregistered").copied().unwrap_or(0);
    }
    Ok(total)
}

/// A token of the first organisation, good for a day, signed by whatever key.
fn token(layout: &Layout, genesis: &Genesis, by: &SecretKey) -> Token {
    let seed: [u8; 32] = rand::random();
    let body = InvitationBody {
        chain_id: layout.chain_id.clone(),
        org: layout.orgs[0].clone(),
        claim: SecretKey::from_seed(&seed).public(),
        part: InvitedAs::Observer,
        valid_until: genesis.genesis_time.plus(Duration::from_secs(86_400)),
    };
    let member =
        |node: &Node| TokenMember { key: node.key, addresses: vec![homes::address(node.p2p_port)] };
    let members = layout.nodes.iter().take(1).map(member).collect();
    let (invitation, genesis) = (Invitation::sign(body, by), genesis.hash());
    Token { invitation, seed, genesis, trust: None, members }
}

/// Calls on a node with a token; its first word.
async fn visit(token: &Token, node: &SecretKey, at: &Node) -> Result<Greeting, NetworkError> {
    let guest = SecretKey::from_seed(&rand::random());
    let hello = GuestHello::new(token, node, &guest.public(), &at.key);
    let addresses = [homes::address(at.p2p_port)];
    let (_visit, word) = Visit::open(&guest, at.key, &addresses, &codec::encode(&hello)).await?;
    // What cannot be read is no greeting, and is told as such.
    Ok(codec::decode("greeting", &word, word.len()).unwrap_or_else(|error| Greeting::Refused {
        code: error.code(),
        reason: error.to_string(),
    }))
}

fn sign(layout: &Layout, sender: &SecretKey, call: Call, valid_until: Height) -> Tx {
    let body = TxBody {
        chain_id: layout.chain_id.clone(),
        sender: sender.public(),
        nonce: rand::random(),
        valid_until,
        call,
    };
    Tx::sign(body, sender)
}
