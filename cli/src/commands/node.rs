//! `tandem node`.

mod pair;

use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use tandem_chain::keys::{PublicKey, SecretKey};
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Invitation, InvitationBody, InvitedAs};
use tandem_chain::types::{Hash, OrgName, Timestamp};
use tandem_node::client::{Client, SyncInfo};
use tandem_node::join::token::MAX_MEMBERS;
use tandem_node::join::{Token, TokenMember};
use tandem_node::rpc::shapes::tandem::{NodeEntry, NodeRole, Nodes};
use tandem_node::snapshots::TrustedBlock;

use super::genesis::now;
use super::tx::{own_org, proved, send};
use crate::args::Global;
use crate::args::node::{Address, Invite, Node};
use crate::{input, output};
use pair::Step;

/// Time between the newest block and this machine's clock from which on it is told.
const CLOCK_OFF: Duration = Duration::from_secs(60);
/// Members in a token: enough that one of them is there, and few enough that it stays short.
const NAMED: usize = 3;

const _: () = assert!(NAMED <= MAX_MEMBERS);

pub async fn node(global: &Global, node: Node) -> anyhow::Result<()> {
    let (call, sending) = match node {
        Node::Invite(invite) => return self::invite(global, invite).await,
        Node::List => return list(global).await,
        Node::Register { node, proof, pair, address, sending } => {
            let (node, proof) = proved(global, &node, proof, &sending).await?;
            (consortium::Call::RegisterNode { node, proof, pair, addresses: address }, sending)
        }
        Node::Remove { node, dry_run, sending } => {
            let node = input::public_key(&node)?;
            return pair::change(global, Step::Remove, node, dry_run, &sending).await;
        }
        Node::SetPartner { node, dry_run, sending } => {
            let node = input::public_key(&node)?;
            return pair::change(global, Step::SetPartner, node, dry_run, &sending).await;
        }
        Node::Address(Address::Set { address, sending }) => {
            (consortium::Call::SetAddresses { addresses: address }, sending)
        }
    };
    send(global, Call::Consortium(call), &sending).await
}

async fn invite(global: &Global, args: Invite) -> anyhow::Result<()> {
    let admin = input::secret_key(global, &args.admin_key)?;
    let lost = args.replace.as_deref().map(input::public_key).transpose()?;
    let part = match lost {
        Some(lost) => InvitedAs::Replacement { lost },
        None if args.observer => InvitedAs::Observer,
        None => InvitedAs::Standby,
    };
    let client = input::client(global, Some(&args.admin_key)).await?;
    let status = client.status().await?;
    let block_time = status.sync_info.time()?;
    let genesis = status.tandem.genesis_hash;
    check_asked(genesis, args.genesis_hash, status.sync_info.catching_up)?;
    let (chain_id, org) = own_org(&client, &admin.public(), &args.admin_key).await?;
    let orgs = client.organizations().await?.organizations;
    if orgs.iter().any(|entry| entry.name == org && entry.is_suspended) {
        bail!("{org} is suspended: it invites nobody until the others restore it");
    }
    let found = client.nodes().await?;
    check_part(&part, &org, &found)?;
    // Of a one-time key, which whoever has the token uses in the admin key's place.
    let seed: [u8; 32] = rand::random();
    let body = InvitationBody {
        chain_id,
        org: org.clone(),
        claim: SecretKey::from_seed(&seed).public(),
        part,
        valid_until: block_time.plus(args.valid),
    };
    let valid_until = body.valid_until.to_rfc3339();
    let members = members(&found.nodes, &status.tandem.public_key, &org);
    if members.is_empty() {
        bail!(
            "no node has an address on the chain, so a new one would find none: set that of this one \
             with `tandem node address set`"
        );
    }
    let names = members.iter().map(|member| output::short(&member.key)).collect::<Vec<_>>();
    let invitation = Invitation::sign(body, &admin);
    let trust = trusted(&client, &status.sync_info).await?;
    let token = Token { invitation, seed, genesis, trust, members }.to_text();
    let answer = json!({
        "token": token,
        "organization": org,
        "as": part_text(&part),
        "valid_until": valid_until,
        "genesis_hash": genesis,
        "trust": trust.map(|trust| trust.to_string()),
        "members": names,
    });
    if !global.json {
        eprintln!(
            "For one node of {org}, as {}, until {valid_until}, on the chain with genesis {genesis}. \
             Whoever has it can use it: hand it over as you would a password. On the new machine: \
             tandem join TOKEN ADDRESS",
            part_text(&part),
        );
        if let Some(warning) = clock_warning(block_time, now()?) {
            eprintln!("{warning}");
        }
    }
    // Alone on standard output, to be piped.
    output::show(global, &answer, |_| token)
}

/// What the new node is to trust first: the block that proves the newest snapshot of the node that is
/// asked, else its newest block; none before there is one.
async fn trusted(client: &Client, newest: &SyncInfo) -> anyhow::Result<Option<TrustedBlock>> {
    if let Some(snapshot) = client.snapshots().await?.snapshots.first() {
        return Ok(Some(TrustedBlock { height: snapshot.height.next(), hash: snapshot.above }));
    }
    let hash = newest.latest_block_hash.parse().ok();
    Ok(hash.map(|hash| TrustedBlock { height: newest.latest_block_height, hash }))
}

/// Refuses to take another chain's word for it, or that of a node that is behind: the token is trusted
/// on first contact, and its time counts from the newest block.
fn check_asked(got: Hash, expected: Option<Hash>, catching_up: bool) -> anyhow::Result<()> {
    if let Some(expected) = expected.filter(|expected| *expected != got) {
        bail!("the node that was asked has genesis {got}, not {expected}: ask one of this chain");
    }
    if catching_up {
        bail!(
            "the node that was asked is catching up, and does not know how the chain stands now: ask \
             another (--node), or wait"
        );
    }
    Ok(())
}

/// What to say when the newest block is of another time than this machine's.
fn clock_warning(block: Timestamp, now: Timestamp) -> Option<String> {
    let off = block.since(now).max(now.since(block));
    (off > CLOCK_OFF).then(|| {
        format!(
            "the newest block is of {}, {} s from this machine's time: the token's time counts from the \
             block; is the chain standing still, or this clock wrong?",
            block.to_rfc3339(),
            off.as_secs()
        )
    })
}

/// Refuses what the ledger would refuse when the token is used, by how the chain stands now.
fn check_part(part: &InvitedAs, org: &OrgName, found: &Nodes) -> anyhow::Result<()> {
    let own = || found.nodes.iter().filter(|node| node.organization == *org);
    match part {
        InvitedAs::Standby if own().filter(|node| node.role != NodeRole::Observer).count() >= 2 => {
            bail!(
                "the pair of {org} has two nodes: invite an observer (--observer), or the replacement \
                 of a lost node (--replace NODE)"
            )
        }
        InvitedAs::Standby | InvitedAs::Observer => Ok(()),
        InvitedAs::Replacement { lost } => match own().find(|node| node.key == *lost) {
            None => bail!("node {lost} is none of {org}"),
            Some(node) if node.role == NodeRole::Validator => bail!(
                "node {lost} holds the seat of {org}: a lost validator is replaced by its standby first, \
                 see `tandem seats`"
            ),
            Some(_) => Ok(()),
        },
    }
}

/// Members that a token names: the node that was asked, then others, those that are alive first and
/// of these those of the organisation.
fn members(nodes: &[NodeEntry], asked: &PublicKey, org: &OrgName) -> Vec<TokenMember> {
    let mut nodes: Vec<&NodeEntry> =
        nodes.iter().filter(|node| !node.addresses.is_empty()).collect();
    nodes.sort_by_key(|node| {
        (node.key != *asked, node.alive == Some(false), node.organization != *org)
    });
    let member = |node: &&NodeEntry| TokenMember {
        key: node.key,
        addresses: node.addresses.iter().take(2).cloned().collect(),
    };
    nodes.iter().take(NAMED).map(member).collect()
}

fn part_text(part: &InvitedAs) -> String {
    match part {
        InvitedAs::Standby => "standby".to_owned(),
        InvitedAs::Observer => "observer".to_owned(),
        InvitedAs::Replacement { lost } => format!("replacement of {}", output::short(lost)),
    }
}

async fn list(global: &Global) -> anyhow::Result<()> {
    let found = input::client(global, None).await?.nodes().await?;
    output::show(global, &found, |found| {
        let row = |node: &NodeEntry| {
            [
                node.organization.to_string(),
                node.role.to_string(),
                output::short(&node.key),
                output::yes_no(node.alive),
                output::yes_no(Some(node.connected)),
                node.addresses.join(" "),
            ]
        };
        let heads = ["ORGANIZATION", "ROLE", "NODE", "ALIVE", "CONNECTED", "ADDRESSES"];
        output::table(heads, found.nodes.iter().map(row))
    })
}

#[cfg(test)]
mod tests {
    use tandem_chain::types::Height;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn entry(seed: u8, org: &str, role: NodeRole, alive: bool, addresses: usize) -> NodeEntry {
        NodeEntry {
            key: key(seed),
            address: key(seed).address(),
            organization: org.parse().unwrap(),
            role,
            alive: Some(alive),
            connected: true,
            addresses: vec!["/ip4/192.0.2.1/tcp/1".to_owned(); addresses],
        }
    }

    #[test]
    fn a_node_of_another_chain_or_one_that_is_behind_is_not_asked() {
        let [one, other] = [1, 2].map(|byte| Hash([byte; 32]));
        let check = |expected, catching_up| {
            check_asked(one, expected, catching_up).map_err(|error| error.to_string())
        };
        assert_eq!(check(None, false), Ok(()));
        assert_eq!(check(Some(one), false), Ok(()));
        assert!(check(Some(other), false).unwrap_err().contains("has genesis 0101"));
        assert!(check(Some(one), true).unwrap_err().contains("is catching up"));
    }

    #[test]
    fn a_block_of_another_time_than_this_machine_s_is_told() {
        let at = |seconds: u64| Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000);
        assert_eq!(clock_warning(at(60), at(0)), None);
        assert_eq!(clock_warning(at(0), at(60)), None);
        for (block, now) in [(at(61), at(0)), (at(0), at(61))] {
            assert!(clock_warning(block, now).unwrap().contains("61 s from this machine's time"));
        }
    }

    #[test]
    fn a_token_names_those_who_can_help_first() {
        let (role, org) = (NodeRole::Observer, "a".parse().unwrap());
        let nodes = [
            entry(1, "b", role, true, 1),
            entry(2, "a", role, false, 1),
            entry(3, "a", role, true, 3),
            entry(4, "a", role, true, 0),
            entry(5, "c", role, true, 1),
        ];
        let named = |asked| -> Vec<_> {
            let members = members(&nodes, &key(asked), &org);
            members.iter().map(|member| (member.key, member.addresses.len())).collect()
        };
        assert_eq!(named(5), [(key(5), 1), (key(3), 2), (key(1), 1)]);
        assert_eq!(named(4), [(key(3), 2), (key(1), 1), (key(5), 1)], "it has no address");
        assert_eq!(members(&nodes[3..4], &key(4), &org), []);
    }

    #[test]
    fn what_the_ledger_would_refuse_is_refused_before_it_is_signed() {
        let org = "a".parse().unwrap();
        let whole = [
            entry(1, "a", NodeRole::Validator, true, 1),
            entry(2, "a", NodeRole::Standby, true, 1),
            entry(3, "b", NodeRole::Observer, true, 1),
        ];
        let check = |part, nodes: &[NodeEntry]| {
            let found = Nodes { height: Height(1), nodes: nodes.to_vec() };
            check_part(&part, &org, &found).map_err(|error| error.to_string())
        };
        let replaces = |seed| InvitedAs::Replacement { lost: key(seed) };
        assert!(check(InvitedAs::Standby, &whole).unwrap_err().contains("--observer"));
        assert_eq!(check(InvitedAs::Standby, &whole[..1]), Ok(()));
        assert_eq!(check(InvitedAs::Observer, &whole), Ok(()));
        assert_eq!(check(replaces(2), &whole), Ok(()));
        assert!(check(replaces(1), &whole).unwrap_err().contains("holds the seat"));
        assert!(check(replaces(3), &whole).unwrap_err().contains("is none of a"));
    }
}
