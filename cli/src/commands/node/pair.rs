//! What a removal or a new partner does to the pair of a seat: told before it is sent.

use serde::Serialize;
use tandem_chain::keys::PublicKey;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium;
use tandem_chain::types::OrgName;
use tandem_node::client::Client;
use tandem_node::rpc::shapes::tandem::OrganizationEntry;

use crate::args::{Global, Sending};
use crate::commands::{org, tx};
use crate::exit::RefusedOnPaper;
use crate::{input, output};

/// What is done with a node.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// It leaves the register.
    Remove,
    /// It becomes the partner in the pair.
    SetPartner,
}

/// A step on paper.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Tried {
    seat: OrgName,
    /// Who holds the seat, and stays there.
    validator: Option<PublicKey>,
    /// The others of the pair now.
    before: Vec<PublicKey>,
    /// The others of the pair after the step.
    after: Vec<PublicKey>,
    warnings: Vec<String>,
}

/// Tells what a step does, and sends it; with `dry_run` that is all.
pub async fn change(
    global: &Global,
    step: Step,
    node: PublicKey,
    dry_run: bool,
    sending: &Sending,
) -> anyhow::Result<()> {
    let client = input::client(global, Some(&sending.key)).await?;
    let tried = on_paper(&client, step, node, sending).await?;
    if dry_run {
        return output::show(global, &tried.map_err(RefusedOnPaper)?, Tried::text);
    }
    // What cannot be done, the ledger refuses.
    if let Ok(tried) = tried {
        org::tell(global, sending, &tried.text())?;
    }
    let call = match step {
        Step::Remove => consortium::Call::RemoveNode { node },
        Step::SetPartner => consortium::Call::SetPartner { node },
    };
    match tx::submit(global, &client, Call::Consortium(call), sending).await? {
        Some(info) => tx::show_receipt(global, &info),
        None => Ok(()),
    }
}

/// What a step of the sender's organisation does by the newest block, or why it cannot be done.
async fn on_paper(
    client: &Client,
    step: Step,
    node: PublicKey,
    sending: &Sending,
) -> anyhow::Result<Result<Tried, String>> {
    let sender = input::public_key_in(&sending.key)?;
    let orgs = client.organizations().await?.organizations;
    let name = client.key(&sender).await?.organization;
    let Some(org) = orgs.iter().find(|org| Some(&org.name) == name.as_ref()) else {
        return Ok(Err(format!("the key in {} is of no member", sending.key.display())));
    };
    let seats = client.seats(1).await?.seats;
    let holder = seats.iter().find(|seat| seat.seat == org.name).and_then(|seat| seat.holder);
    Ok(Tried::new(org, holder, step, node))
}

impl Tried {
    fn new(
        org: &OrganizationEntry,
        holder: Option<PublicKey>,
        step: Step,
        node: PublicKey,
    ) -> Result<Self, String> {
        let is_of_pair = org.pair.contains(&node);
        if !is_of_pair && !org.observers.contains(&node) {
            return Err(format!("node {node} is none of {}", org.name));
        }
        // One that signed twice may hold the seat still, and is not of the pair.
        let validator = holder.filter(|holder| org.pair.contains(holder));
        let others = org.pair.iter().copied().filter(|key| Some(*key) != validator);
        let before: Vec<PublicKey> = others.collect();
        let after: Vec<PublicKey> = match step {
            Step::Remove if holder == Some(node) => {
                return Err("the node holds the seat: switch to its partner first".to_owned());
            }
            Step::Remove => before.iter().copied().filter(|key| *key != node).collect(),
            Step::SetPartner if is_of_pair => {
                return Err("the node is of the pair already".to_owned());
            }
            Step::SetPartner => vec![node],
        };
        let mut warnings = Vec::new();
        if after.is_empty() && !before.is_empty() {
            let what = match validator {
                Some(_) => "nobody takes over when its validator dies",
                None => "nobody can take it",
            };
            warnings.push(format!(
                "the seat of {} is left without a standby: {what}, until `tandem node invite` or \
                 `tandem node set-partner` gives it one",
                org.name
            ));
        }
        Ok(Self { seat: org.name.clone(), validator, before, after, warnings })
    }

    /// Such as `seat of alpha: validator 0123456789AB, standby BA9876543210 -> none`.
    fn text(&self) -> String {
        let names = |keys: &[PublicKey]| {
            let names: Vec<String> = keys.iter().map(output::short).collect();
            if names.is_empty() { "none".to_owned() } else { names.join(" and ") }
        };
        let validator = match &self.validator {
            Some(key) => format!("validator {}, standby", output::short(key)),
            None => "validator none, pair".to_owned(),
        };
        let before = names(&self.before);
        let others = if self.before == self.after {
            format!("{before}, as before")
        } else {
            format!("{before} -> {}", names(&self.after))
        };
        let mut lines = vec![format!("seat of {}: {validator} {others}", self.seat)];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use tandem_chain::keys::SecretKey;
    use tandem_chain::types::Power;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    /// What a step with a node does to the seat of `a`, with 3 as an observer.
    fn told(pair: &[u8], holder: Option<u8>, step: Step, node: u8) -> Result<String, String> {
        let org = OrganizationEntry {
            name: "a".parse().unwrap(),
            admin_key: key(9),
            power: Power(1),
            pair: pair.iter().copied().map(key).collect(),
            observers: vec![key(3)],
            users: 0,
            is_suspended: false,
        };
        Tried::new(&org, holder.map(key), step, key(node)).map(|tried| tried.text())
    }

    #[test]
    fn what_becomes_of_a_pair_is_told() {
        let [one, two, three] = [1, 2, 3].map(|seed| output::short(&key(seed)));
        let seat = format!("seat of a: validator {one}, standby");
        let none = "seat of a: validator none, pair";
        for (pair, holder, step, node, expected) in [
            (&[1, 2][..], Some(1), Step::SetPartner, 3, format!("{seat} {two} -> {three}")),
            (&[1], Some(1), Step::SetPartner, 3, format!("{seat} none -> {three}")),
            (&[1, 2], Some(1), Step::Remove, 3, format!("{seat} {two}, as before")),
            (&[1], Some(1), Step::Remove, 3, format!("{seat} none, as before")),
            (&[1, 2], None, Step::Remove, 1, format!("{none} {one} and {two} -> {two}")),
            (&[], None, Step::SetPartner, 3, format!("{none} none -> {three}")),
            // The holder signed twice.
            (&[2], Some(3), Step::SetPartner, 3, format!("{none} {two} -> {three}")),
        ] {
            assert_eq!(told(pair, holder, step, node), Ok(expected));
        }
    }

    #[test]
    fn a_seat_that_is_left_without_a_standby_is_warned_of() {
        let two = output::short(&key(2));
        for (pair, holder, line, words) in [
            (&[1, 2][..], Some(1), "standby", "takes over when its validator dies"),
            (&[2], None, "pair", "nobody can take it"),
        ] {
            let text = told(pair, holder, Step::Remove, 2).unwrap();
            let (first, warning) = text.split_once('\n').unwrap();
            assert!(first.ends_with(&format!("{line} {two} -> none")), "{text}");
            assert!(warning.starts_with("warning: the seat of a is left without a standby"));
            assert!(warning.contains(words), "{text}");
        }
    }

    #[test]
    fn what_the_ledger_would_refuse_has_no_effect_to_tell() {
        for (step, node, reason) in [
            (Step::Remove, 1, "holds the seat"),
            (Step::Remove, 4, "is none of a"),
            (Step::SetPartner, 2, "of the pair already"),
            (Step::SetPartner, 4, "is none of a"),
        ] {
            assert!(told(&[1, 2], Some(1), step, node).unwrap_err().contains(reason));
        }
    }
}
