//! `tandem org`.

use anyhow::bail;
use serde_json::json;
use tandem_chain::codec;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Change, Decision, MotionStatus, registration_proof};
use tandem_chain::types::{Height, OrgName};
use tandem_node::client::{Client, TxInfo};
use tandem_node::genesis_files::{set_parameters, set_policy};
use tandem_node::rpc::shapes::motions::{MotionEntry, MotionInfo, Motions, PolicyInfo, Tried};
use tandem_node::rpc::shapes::tandem::{OrganizationEntry, Seat};

use crate::args::org::{Org, Propose, Proposing};
use crate::args::{Global, Sending};
use crate::commands::tx;
use crate::exit::{RefusedOnPaper, Usage};
use crate::{input, output};

/// Bytes of a [`Decision`].
const DECISION_BYTES: usize = 17;

pub async fn org(global: &Global, command: Org) -> anyhow::Result<()> {
    match command {
        Org::List => list(global).await,
        Org::Show { name } => show(global, &name).await,
        Org::Propose(what) => {
            let client = input::client(global, Some(what.key())).await?;
            let (change, proposing) = change(&client, what).await?;
            propose(global, &client, change, &proposing).await
        }
        Org::Vote { motion, sending } => {
            let client = input::client(global, Some(&sending.key)).await?;
            // What there is not, the ledger refuses.
            if let Ok(info) = client.motion(motion).await {
                tell(global, &sending, &motion_text(&info))?;
            }
            let call = Call::Consortium(consortium::Call::Vote { motion });
            decide(global, &client, call, &sending, None).await
        }
        Org::Motions { motion: Some(motion), .. } => {
            let info = input::client(global, None).await?.motion(motion).await?;
            output::show(global, &info, motion_text)
        }
        Org::Motions { motion: None, open, limit } => {
            let found = input::client(global, None).await?.motions(open, limit).await?;
            output::show(global, &found, motions_text)
        }
        Org::Policy => {
            let found = input::client(global, None).await?.policy().await?;
            output::show(global, &found, policy_text)
        }
        Org::AdminKey { new, sending } => {
            let client = input::client(global, Some(&sending.key)).await?;
            let new = input::secret_key(global, &new)?;
            let old = input::public_key_in(&sending.key)?;
            let (chain_id, org) = tx::own_org(&client, &old, &sending.key).await?;
            let proof = registration_proof(&chain_id, &org, &new);
            let call = consortium::Call::SetAdminKey { key: new.public(), proof };
            tx::send(global, Call::Consortium(call), &sending).await
        }
    }
}

async fn change(client: &Client, what: Propose) -> anyhow::Result<(Change, Proposing)> {
    Ok(match what {
        Propose::Add { name, admin_key, power, proposing } => {
            let admin_key = input::public_key(&admin_key)?;
            (Change::AddOrg { name, admin_key, power }, proposing)
        }
        Propose::Remove { name, proposing } => (Change::RemoveOrg { name }, proposing),
        Propose::Suspend { name, proposing } => (Change::SuspendOrg { name }, proposing),
        Propose::Restore { name, proposing } => (Change::RestoreOrg { name }, proposing),
        Propose::Power { name, power, proposing } => (Change::SetPower { name, power }, proposing),
        Propose::AdminKey { name, new, proposing } => {
            (Change::ReplaceAdminKey { name, key: input::public_key(&new)? }, proposing)
        }
        Propose::Parameters { set, proposing } => {
            let present = client.parameters().await?.parameters;
            (Change::SetParameters(set_parameters(present, &set).map_err(Usage)?), proposing)
        }
        Propose::Policy { set, proposing } => {
            let present = client.policy().await?.policy;
            (Change::SetPolicy(set_policy(&present, &set).map_err(Usage)?), proposing)
        }
    })
}

/// Tries a change on paper, tells what it does, and makes a motion of it.
async fn propose(
    global: &Global,
    client: &Client,
    change: Change,
    proposing: &Proposing,
) -> anyhow::Result<()> {
    let tried = client.try_change(&change).await?;
    if proposing.dry_run {
        output::show(global, &tried, tried_text)?;
    } else if tried.summary.is_some() {
        tell(global, &proposing.sending, &tried_text(&tried))?;
    }
    let unless_forced = tried.unsafe_because.as_ref().filter(|_| !proposing.force);
    if let Some(reason) = tried.impossible_because.as_ref().or(unless_forced) {
        return Err(RefusedOnPaper(reason.clone()).into());
    }
    if proposing.dry_run {
        return Ok(());
    }
    let newest = client.status().await?.sync_info.time()?;
    let (force, expires) = (proposing.force, newest.plus(proposing.expires_in));
    let call = Call::Consortium(consortium::Call::Propose { change, force, expires });
    decide(global, client, call, &proposing.sending, Some(&tried)).await
}

/// Says what is about to be sent. Where that is printed instead, it stands alone on standard output.
pub fn tell(global: &Global, sending: &Sending, text: &str) -> anyhow::Result<()> {
    if global.json {
        return Ok(());
    }
    if sending.sign_only {
        eprintln!("{text}");
        return Ok(());
    }
    output::print(text)
}

/// Sends a motion or a vote and tells what came of it; with what a motion would do, for scripts.
async fn decide(
    global: &Global,
    client: &Client,
    call: Call,
    sending: &Sending,
    tried: Option<&Tried>,
) -> anyhow::Result<()> {
    let Some(info) = tx::submit(global, client, call, sending).await? else { return Ok(()) };
    tx::check(&info)?;
    let decision: Decision = codec::decode("decision", &info.receipt.data, DECISION_BYTES)?;
    let votes = votes(&info).unwrap_or_default();
    let answer = json!({
        "motion": decision.motion.to_string(),
        "votes": votes,
        "effective": decision.effective.map(|height| height.to_string()),
        "height": info.height.to_string(),
        "hash": info.hash,
        "tried": tried,
    });
    output::show(global, &answer, |_| decided(&decision, &votes, info.height))
}

/// Such as `2 of 3`.
fn votes(info: &TxInfo) -> Option<String> {
    let event = info.receipt.events.iter().find(|event| event.kind == "motion_vote")?;
    event.attribute("votes").map(str::to_owned)
}

fn decided(decision: &Decision, votes: &str, height: Height) -> String {
    let Decision { motion, effective } = decision;
    match effective {
        Some(effective) => {
            format!(
                "block {height}: motion {motion} is carried, in effect from height {effective} on"
            )
        }
        None => format!(
            "block {height}: motion {motion} has {votes} votes that it takes; the others vote with \
             `tandem org vote {motion} --key FILE`"
        ),
    }
}

fn tried_text(tried: &Tried) -> String {
    let mut lines: Vec<String> = tried.changes.iter().map(ToString::to_string).collect();
    lines.extend(tried.summary.iter().cloned());
    lines.extend(tried.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

async fn list(global: &Global) -> anyhow::Result<()> {
    let found = input::client(global, None).await?.organizations().await?;
    output::show(global, &found, |found| {
        let row = |org: &OrganizationEntry| {
            let keys = |keys: &[_]| {
                let keys: Vec<String> = keys.iter().map(output::short).collect();
                keys.join(" ")
            };
            [
                org.name.to_string(),
                standing(org).to_owned(),
                org.power.to_string(),
                output::short(&org.admin_key),
                keys(&org.pair),
                keys(&org.observers),
                org.users.to_string(),
            ]
        };
        let heads =
            ["ORGANIZATION", "STANDING", "POWER", "ADMIN KEY", "PAIR", "OBSERVERS", "USERS"];
        output::table(heads, found.organizations.iter().map(row))
    })
}

fn standing(org: &OrganizationEntry) -> &'static str {
    if org.is_suspended { "suspended" } else { "member" }
}

async fn show(global: &Global, name: &OrgName) -> anyhow::Result<()> {
    let client = input::client(global, None).await?;
    let members = client.organizations().await?.organizations;
    let Some(org) = members.iter().find(|org| org.name == *name) else {
        let names: Vec<&str> = members.iter().map(|org| org.name.as_str()).collect();
        bail!("{name} is no member; there are {}", names.join(", "));
    };
    let seats = client.seats(1).await?.seats;
    let seat = seats.iter().find(|seat| seat.seat == *name);
    let answer = json!({ "organization": org, "seat": seat });
    output::show(global, &answer, |_| org_text(org, seat))
}

fn org_text(org: &OrganizationEntry, seat: Option<&Seat>) -> String {
    let mut facts = vec![
        ("organization", org.name.to_string()),
        ("standing", standing(org).to_owned()),
        ("power", org.power.to_string()),
        ("admin key", org.admin_key.to_string()),
    ];
    if let Some(seat) = seat {
        let alive = |alive: Option<bool>| match alive {
            Some(true) => "alive",
            Some(false) => "dead",
            None => "not known",
        };
        facts.push((
            "seat",
            match seat.holder {
                Some(holder) => format!(
                    "term {}, held by {} ({})",
                    seat.term,
                    output::short(&holder),
                    alive(seat.holder_alive)
                ),
                None => format!("term {}, left out", seat.term),
            },
        ));
    }
    facts.extend(org.pair.iter().map(|key| ("node of the pair", key.to_string())));
    facts.extend(org.observers.iter().map(|key| ("observer", key.to_string())));
    facts.push(("users", org.users.to_string()));
    output::facts(&facts)
}

/// What a change is, in a line.
fn change_text(change: &Change) -> String {
    match change {
        Change::AddOrg { name, admin_key, power } => {
            format!("add {name} with power {power}, admin key {}", output::short(admin_key))
        }
        Change::RemoveOrg { name } => format!("remove {name}"),
        Change::SuspendOrg { name } => format!("suspend {name}"),
        Change::RestoreOrg { name } => format!("restore {name}"),
        Change::SetPower { name, power } => format!("set the power of {name} to {power}"),
        Change::ReplaceAdminKey { name, key } => {
            format!("give {name} the admin key {}", output::short(key))
        }
        Change::SetParameters(_) => "other parameters".to_owned(),
        Change::SetPolicy(_) => "another policy".to_owned(),
    }
}

fn status(entry: &MotionEntry) -> String {
    let status = serde_json::to_value(entry.status).unwrap_or_default();
    let status = status.as_str().unwrap_or_default();
    match entry.effective {
        Some(effective) => format!("{status}, in effect from height {effective} on"),
        None => status.to_owned(),
    }
}

fn motions_text(found: &Motions) -> String {
    if found.motions.is_empty() {
        return "there is no motion".to_owned();
    }
    let row = |entry: &MotionEntry| {
        [
            entry.motion.to_string(),
            change_text(&entry.change) + if entry.force { ", by force" } else { "" },
            entry.made_by.to_string(),
            votes_text(entry),
            entry.expires.clone(),
            status(entry),
        ]
    };
    let heads = ["MOTION", "CHANGE", "MADE BY", "VOTES", "EXPIRES", "STATUS"];
    output::table(heads, found.motions.iter().map(row))
}

/// Of a motion that is closed, how many voted for it; how many it took is forgotten.
fn votes_text(entry: &MotionEntry) -> String {
    match entry.status {
        MotionStatus::Open => {
            format!("{} of {} ({} members)", entry.counted, entry.needed, entry.members)
        }
        MotionStatus::Carried | MotionStatus::Dropped | MotionStatus::Expired => {
            entry.votes.len().to_string()
        }
    }
}

fn motion_text(info: &MotionInfo) -> String {
    let MotionInfo { motion, tried } = info;
    let votes: Vec<&str> = motion.votes.iter().map(OrgName::as_str).collect();
    let mut facts = vec![
        ("motion", motion.motion.to_string()),
        ("change", change_text(&motion.change)),
        ("by force", output::yes_no(Some(motion.force))),
        ("status", status(motion)),
        ("made by", format!("{}, in block {}", motion.made_by, motion.height)),
        ("expires", motion.expires.clone()),
        ("votes", format!("{}: {}", votes_text(motion), votes.join(", "))),
    ];
    facts.extend(details(&motion.change).into_iter().map(|detail| ("to be", detail)));
    if let Some(tried) = tried {
        facts.extend(tried.changes.iter().map(|changed| ("what it does", changed.to_string())));
        facts.extend(tried.summary.iter().map(|line| ("what it does", line.clone())));
        facts.extend(tried.warnings.iter().map(|warning| ("warning", warning.clone())));
        let reasons = tried.unsafe_because.iter().chain(&tried.impossible_because);
        facts.extend(reasons.map(|reason| ("refused now", reason.clone())));
    }
    output::facts(&facts)
}

/// Keys in full, parameters and thresholds by name: what voters are to compare.
fn details(change: &Change) -> Vec<String> {
    let by_name = |value: serde_json::Value| {
        let fields = value.as_object().cloned().unwrap_or_default();
        fields
            .into_iter()
            .map(|(name, value)| match value.as_str() {
                Some(text) => format!("{name}={text}"),
                None => format!("{name}={value}"),
            })
            .collect()
    };
    match change {
        Change::AddOrg { admin_key: key, .. } | Change::ReplaceAdminKey { key, .. } => {
            vec![format!("admin key {key}")]
        }
        Change::SetParameters(parameters) => {
            by_name(serde_json::to_value(parameters).unwrap_or_default())
        }
        Change::SetPolicy(policy) => by_name(serde_json::to_value(policy).unwrap_or_default()),
        Change::RemoveOrg { .. }
        | Change::SuspendOrg { .. }
        | Change::RestoreOrg { .. }
        | Change::SetPower { .. } => Vec::new(),
    }
}

fn policy_text(info: &PolicyInfo) -> String {
    let row = |(name, threshold): (&str, consortium::Threshold)| {
        let needed = info.needed.get(name).map(ToString::to_string).unwrap_or_default();
        [name.to_owned(), threshold.to_string(), format!("{needed} of {}", info.members)]
    };
    output::table(["CHANGE", "THRESHOLD", "VOTES"], info.policy.by_name().map(row))
}
