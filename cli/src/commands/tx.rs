//! `tandem tx` and `tandem switch`.

use std::path::Path;

use anyhow::{Context, bail};
use serde_json::json;
use tandem_chain::codec;
use tandem_chain::keys::{PublicKey, Signature};
use tandem_chain::modules::consortium::{self, registration_proof};
use tandem_chain::modules::rights::{self, Grantee, Range};
use tandem_chain::modules::{Call, records, standby};
use tandem_chain::tx::Tx as ChainTx;
use tandem_chain::types::{ChainId, DataSetName, Height, OrgName};
use tandem_node::client::{Client, Submission, SubmitError, TxInfo, prepare, submit_and_wait};

use crate::args::rights::{On, RightTx, To, UserTx};
use crate::args::{Global, RecordTx, Sending, Switch, Tx};
use crate::exit::{FailedReceipt, Usage};
use crate::{input, output};

pub async fn tx(global: &Global, tx: Tx) -> anyhow::Result<()> {
    match tx {
        Tx::Record(record) => {
            let (call, sending) = record_call(record)?;
            send(global, Call::Records(call), &sending).await
        }
        Tx::User(user) => {
            let (call, sending) = match user {
                UserTx::Add { user, role, proof, sending } => {
                    let (user, proof) = proved(global, &user, proof, &sending).await?;
                    (consortium::Call::AddUser { user, role, proof }, sending)
                }
                UserTx::Role { user, role, sending } => {
                    let user = input::public_key(&user)?;
                    (consortium::Call::SetRole { user, role }, sending)
                }
                UserTx::Remove { user, sending } => {
                    (consortium::Call::RemoveUser { user: input::public_key(&user)? }, sending)
                }
            };
            send(global, Call::Consortium(call), &sending).await
        }
        Tx::Right(right) => {
            let (call, sending) = right_call(global, right).await?;
            send(global, Call::Rights(call), &sending).await
        }
        Tx::Raw { hex, timeout } => {
            let text = input::value(&hex)?;
            let bytes = hex::decode(text.trim_ascii())
                .map_err(|_| Usage("a raw transaction is hex digits alone".to_owned()))?;
            let tx = ChainTx::decode(bytes).context("what was given is no transaction")?;
            let submission = submit_and_wait(&input::clients(global, None)?, &tx, timeout).await?;
            show_receipt(global, &submission.info)
        }
    }
}

async fn right_call(global: &Global, tx: RightTx) -> anyhow::Result<(rights::Call, Sending)> {
    Ok(match tx {
        RightTx::Grant { on, right, sending } => {
            let (data_set, to, range) = granted(global, on, &sending).await?;
            (rights::Call::Grant { data_set, to, range, right }, sending)
        }
        RightTx::Revoke { on, sending } => {
            let (data_set, to, range) = granted(global, on, &sending).await?;
            (rights::Call::Revoke { data_set, to, range }, sending)
        }
    })
}

async fn granted(
    global: &Global,
    on: On,
    sending: &Sending,
) -> anyhow::Result<(DataSetName, Grantee, Range)> {
    let On { set, to, of, keys } = on;
    Ok((set, grantee(global, to, of, sending).await?, keys.named()?))
}

/// Whom something is granted; of a user, the node is asked for the organisation where it is not said.
async fn grantee(
    global: &Global,
    to: To,
    of: Option<OrgName>,
    sending: &Sending,
) -> anyhow::Result<Grantee> {
    let key = match to {
        To { members: true, .. } => return Ok(Grantee::Members),
        To { org: Some(org), .. } => return Ok(Grantee::Org(org)),
        To { user, .. } => input::public_key(&user.unwrap_or_default())?,
    };
    if let Some(org) = of {
        return Ok(Grantee::User { org, key });
    }
    let found = input::client(global, Some(&sending.key)).await?.key(&key).await?;
    match (found.organization, found.user_role) {
        (Some(org), Some(_)) => Ok(Grantee::User { org, key }),
        _ => bail!("key {key} is no user; of one that was, name the organisation: --of ORG"),
    }
}

fn record_call(tx: RecordTx) -> anyhow::Result<(records::Call, Sending)> {
    Ok(match tx {
        RecordTx::Create { set, sending } => (records::Call::Create { data_set: set }, sending),
        RecordTx::Put { set: data_set, key, value, content_type, expect: expected, sending } => {
            let (key, value) = (input::record_key(&key)?, input::value(&value)?);
            (records::Call::Put { data_set, key, content_type, value, expected }, sending)
        }
        RecordTx::Delete { set, key, expect, sending } => {
            let key = input::record_key(&key)?;
            (records::Call::Delete { data_set: set, key, expected: expect }, sending)
        }
    })
}

/// A key with the proof that is given; or that by its key file, for the organisation of the sender.
pub async fn proved(
    global: &Global,
    key: &str,
    proof: Option<String>,
    sending: &Sending,
) -> anyhow::Result<(PublicKey, Signature)> {
    if let Some(proof) = proof {
        let text = "a proof is the 128 hex digits that `tandem keys proof` prints";
        let proof: Signature = proof.parse().map_err(|_| Usage(text.to_owned()))?;
        return Ok((input::public_key(key)?, proof));
    }
    if !Path::new(key).exists() {
        let text = "without --proof, the key is given by its file; see also `tandem keys proof`";
        return Err(Usage(text.to_owned()).into());
    }
    let key = input::secret_key(global, Path::new(key))?;
    let sender = input::public_key_in(&sending.key)?;
    let client = input::client(global, Some(&sending.key)).await?;
    let chain_id = client.status().await?.node_info.network;
    let Some(org) = client.key(&sender).await?.organization else {
        bail!("the key in {} is none of {chain_id}", sending.key.display());
    };
    Ok((key.public(), registration_proof(&chain_id, &org, &key)))
}

/// The chain, and the organisation there whose admin key a file has.
pub async fn own_org(
    client: &Client,
    admin: &PublicKey,
    file: &Path,
) -> anyhow::Result<(ChainId, OrgName)> {
    let chain_id = client.status().await?.node_info.network;
    let found = client.key(admin).await?;
    match (found.organization, found.role.as_deref()) {
        (Some(org), Some("admin")) => Ok((chain_id, org)),
        _ => bail!("the key in {} is no organisation's admin key in {chain_id}", file.display()),
    }
}

pub async fn switch(global: &Global, args: Switch) -> anyhow::Result<()> {
    let client = input::client(global, Some(&args.sending.key)).await?;
    let mut target = args.to.as_deref().map(input::public_key).transpose()?;
    let mut term = args.term;
    if target.is_none() || term.is_none() {
        let seats = client.seats(1).await?.seats;
        let names: Vec<&str> = seats.iter().map(|seat| seat.seat.as_str()).collect();
        let Some(seat) = seats.iter().find(|seat| seat.seat == args.seat) else {
            return Err(Usage(format!(
                "there is no seat {}; there are {}",
                args.seat,
                names.join(", ")
            ))
            .into());
        };
        target = target.or(seat.partner);
        term = term.or(Some(seat.term));
    }
    let (Some(target), Some(term)) = (target, term) else {
        bail!(
            "seat {} has no partner that it could go to; `tandem node invite` makes one",
            args.seat
        );
    };
    let call = standby::Call::Switch { seat: args.seat.clone(), target, term };
    let Some(info) = submit(global, &client, Call::Standby(call), &args.sending).await? else {
        return Ok(());
    };
    check(&info)?;
    let effective: Height = codec::decode("height of the switch", &info.receipt.data, 8)?;
    let answer = json!({
        "seat": args.seat,
        "holder": target,
        "term": term.next().to_string(),
        "effective": effective.to_string(),
        "height": info.height.to_string(),
        "hash": info.hash,
    });
    output::show(global, &answer, |_| switched(&args.seat, &target, effective, &info))
}

fn switched(seat: &OrgName, target: &PublicKey, effective: Height, info: &TxInfo) -> String {
    let target = output::short(target);
    format!("block {}: seat {seat} goes to {target} from height {effective} on", info.height)
}

/// Signs a call, sends it and shows its receipt.
pub async fn send(global: &Global, call: Call, sending: &Sending) -> anyhow::Result<()> {
    let client = input::client(global, Some(&sending.key)).await?;
    match submit(global, &client, call, sending).await? {
        Some(info) => show_receipt(global, &info),
        None => Ok(()),
    }
}

/// Signs a call and sends it; none when there is no receipt to wait for.
pub async fn submit(
    global: &Global,
    client: &Client,
    call: Call,
    sending: &Sending,
) -> anyhow::Result<Option<TxInfo>> {
    let key = input::secret_key(global, &sending.key)?;
    let tx = prepare(client, &key, call, sending.valid_for).await?;
    if sending.sign_only {
        let signed = json!({
            "hash": tx.hash(),
            "valid_until": tx.body().valid_until.to_string(),
            "tx": hex::encode_upper(tx.bytes()),
        });
        output::show(global, &signed, |_| hex::encode_upper(tx.bytes()))?;
        return Ok(None);
    }
    if sending.no_wait {
        let answer = client.broadcast_tx_sync(tx.bytes()).await?;
        if answer.code != 0 {
            let (hash, code, log) = (answer.hash, answer.code, answer.log);
            return Err(SubmitError::Refused { hash, code, log }.into());
        }
        output::show(global, &answer, |answer| answer.hash.to_string())?;
        return Ok(None);
    }
    // The node that was asked first, then the others.
    let others = input::clients(global, Some(&sending.key))?
        .into_iter()
        .filter(|other| other.url() != client.url());
    let clients: Vec<Client> = std::iter::once(client.clone()).chain(others).collect();
    let Submission { info, .. } = submit_and_wait(&clients, &tx, sending.timeout).await?;
    Ok(Some(info))
}

pub fn check(info: &TxInfo) -> Result<(), FailedReceipt> {
    if info.receipt.is_ok() {
        return Ok(());
    }
    let (code, log) = (info.receipt.code, info.receipt.log.clone());
    Err(FailedReceipt { height: info.height, code, log })
}

/// Shows a receipt; one with an error is also the command's error.
pub fn show_receipt(global: &Global, info: &TxInfo) -> anyhow::Result<()> {
    let receipt = &info.receipt;
    let events: Vec<_> = receipt
        .events
        .iter()
        .map(|event| {
            let attributes: serde_json::Map<_, _> = event
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect();
            json!({ "type": event.kind, "attributes": attributes })
        })
        .collect();
    let answer = json!({
        "hash": info.hash,
        "height": info.height.to_string(),
        "index": info.index,
        "code": receipt.code,
        "data": hex::encode_upper(&receipt.data),
        "log": receipt.log,
        "events": events,
    });
    output::show(global, &answer, |_| {
        let place = format!("height {}, place {}", info.height, info.index);
        let mut facts = vec![("transaction", info.hash.to_string()), ("block", place)];
        for event in &receipt.events {
            let attributes = event.attributes.iter().map(|(name, value)| format!("{name}={value}"));
            let attributes: Vec<String> = attributes.collect();
            facts.push(("event", format!("{} {}", event.kind, attributes.join(" "))));
        }
        output::facts(&facts)
    })?;
    Ok(check(info)?)
}
