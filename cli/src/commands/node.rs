//! `tandem node`.

use anyhow::bail;
use serde_json::json;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{
    self, Invitation, InvitationBody, InvitationNonce, InvitedAs,
};
use tandem_chain::types::OrgName;
use tandem_node::join::token::MAX_MEMBERS;
use tandem_node::join::{Token, TokenMember};
use tandem_node::rpc::shapes::tandem::{NodeEntry, NodeRole, Nodes};

use super::tx::{own_org, proved, send};
use crate::args::{Address, Global, Invite, Node};
use crate::{input, output};

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
        Node::Remove { node, sending } => {
            (consortium::Call::RemoveNode { node: input::public_key(&node)? }, sending)
        }
        Node::SetPartner { node, sending } => {
            (consortium::Call::SetPartner { node: input::public_key(&node)? }, sending)
        }
        Node::Address(Address::Set { address, sending }) => {
            (consortium::Call::SetAddresses { addresses: address }, sending)
        }
    };
    send(global, Call::Consortium(call), &sending).await
}

async fn invite(global: &Global, args: Invite) -> anyhow::Result<()> {
    let admin = input::secret_key(&args.admin_key)?;
    let lost = args.replace.as_deref().map(input::public_key).transpose()?;
    let part = match lost {
        Some(lost) => InvitedAs::Replacement { lost },
        None if args.observer => InvitedAs::Observer,
        None => InvitedAs::Standby,
    };
    let client = input::client(global).await?;
    let status = client.status().await?;
    let (chain_id, org) = own_org(&client, &admin.public(), &args.admin_key).await?;
    let orgs = client.organizations().await?.organizations;
    if orgs.iter().any(|entry| entry.name == org && entry.is_suspended) {
        bail!("{org} is suspended: it invites nobody until the others restore it");
    }
    let found = client.nodes().await?;
    check_part(&part, &org, &found)?;
    let body = InvitationBody {
        chain_id,
        org: org.clone(),
        nonce: InvitationNonce(rand::random()),
        part,
        valid_until: status.sync_info.time()?.plus(args.valid),
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
    let token = Token { invitation, genesis: status.tandem.genesis_hash, members }.to_text();
    let answer = json!({
        "token": token,
        "organization": org,
        "as": part_text(&part),
        "valid_until": valid_until,
        "members": names,
    });
    if !global.json {
        eprintln!(
            "For one node of {org}, as {}, until {valid_until}. Whoever has it can use it: hand it over \
             as you would a password. On the new machine: tandem join TOKEN ADDRESS",
            part_text(&part),
        );
    }
    // Alone on standard output, to be piped.
    output::show(global, &answer, |_| token)
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
    let found = input::client(global).await?.nodes().await?;
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
    use tandem_chain::keys::SecretKey;
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
