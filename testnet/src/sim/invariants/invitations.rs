//! Invitations: each brings in one node at most, and only one that the holder of its one-time key has
//! chosen, and does bring it in while it holds and its holder goes on trying (asked for at the end). And
//! of those that send transactions, whoever has no role in the chain changes nothing: who was removed,
//! from that very transaction on.
//!
//! Nothing is verified here. The world tells what was signed: each invitation when an admin key signs
//! it ([`Issued`]), and each node that its holder claims it for. What is not told is a forgery.

use std::collections::{BTreeMap, BTreeSet};

use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Receipt;
use tandem_chain::limits::{MAX_INVITATION_LIFE, MAX_NODES_PER_ORG};
use tandem_chain::modules::consortium::{Invitation, InvitedAs};
use tandem_chain::tx::Tx;

use super::calls::Scene;
use super::seats::Seats;
use super::{Verdict, broken};

const RULE: &str = "invitations";

/// An invitation that was signed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// All of it.
    pub invitation: Invitation,
    /// The key that has signed it.
    pub by: PublicKey,
}

/// All invitations of a history.
#[derive(Debug, Default)]
pub(super) struct Invitations {
    issued: BTreeMap<PublicKey, Issued>,
    /// By one-time key, the nodes that its holder has chosen.
    chosen: BTreeMap<PublicKey, BTreeSet<PublicKey>>,
    /// By one-time key, the node that came by it; never forgotten.
    used: BTreeMap<PublicKey, PublicKey>,
    /// Transactions of keys without a role that changed nothing.
    pub(super) outsiders: u64,
}

impl Invitations {
    pub(super) fn issued(&mut self, issued: Issued) {
        self.issued.insert(issued.invitation.body.claim, issued);
    }

    pub(super) fn chosen(&mut self, one_time: PublicKey, node: PublicKey) {
        self.chosen.entry(one_time).or_default().insert(node);
    }

    /// The node that an invitation was used for.
    pub(super) fn used(&self, one_time: &PublicKey) -> Option<PublicKey> {
        self.used.get(one_time).copied()
    }
}

/// At the end: machines that have gone on trying, with invitations that hold, are registered.
///
/// # Errors
/// When one is not.
pub fn at_end(awaited: &[String]) -> Verdict {
    if awaited.is_empty() {
        return Ok(());
    }
    let what = format!("invited, and not registered after all that time: {}", awaited.join(", "));
    broken(RULE, what)
}

/// What a call comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    Refused(&'static str),
    /// It is about what the model does not follow.
    Any,
}

impl Fate {
    /// Held against its receipt.
    pub(super) fn compare(self, tx: &Tx, receipt: &Receipt) -> Verdict {
        let body = tx.body();
        match self {
            Self::Done if !receipt.is_ok() => {
                let what = format!("{:?} of {} fails: {}", body.call, body.sender, receipt.log);
                broken(RULE, what)
            }
            Self::Refused(why) if receipt.is_ok() => {
                let what = format!("{} does what it may not ({why}): {:?}", body.sender, body.call);
                broken(RULE, what)
            }
            _ => Ok(()),
        }
    }
}

impl Seats {
    /// Why an invitation does not bring in a node in a block of a time; holders and changes of the
    /// block itself left aside.
    pub(super) fn admits(
        &self,
        sender: &PublicKey,
        invitation: &Invitation,
        time: u64,
    ) -> Result<(), &'static str> {
        let body = &invitation.body;
        let known = self.invitations.issued.get(&body.claim);
        let issued = known.filter(|issued| issued.invitation == *invitation);
        let issued = issued.ok_or("it was signed by nobody as it is")?;
        let seat = self.seats.get(body.org.as_str()).filter(|seat| !seat.is_removed());
        let seat = seat.ok_or("its organisation is no member")?;
        let life = u64::try_from(MAX_INVITATION_LIFE.as_nanos()).expect("a week");
        let chosen = self.invitations.chosen.get(&body.claim);
        let (lost, pair) = match &body.part {
            InvitedAs::Standby => (None, true),
            InvitedAs::Observer => (None, false),
            InvitedAs::Replacement { lost } => (Some(lost), seat.pair.contains(lost)),
        };
        let name = body.org.as_str();
        let of_org = |key: &PublicKey| self.members.get(key).is_some_and(|org| org == name);
        let nodes = self.members.keys().filter(|key| of_org(key) && lost != Some(*key));
        let in_pair = seat.pair.iter().filter(|key| lost != Some(*key));
        for (is_wrong, why) in [
            (seat.is_closed(), "its organisation is suspended"),
            (self.barred.contains(&issued.by), "it is signed by a key that is barred"),
            (issued.by != seat.admin, "it is not signed by the admin key"),
            (time > body.valid_until.0, "it has expired"),
            (body.valid_until.0 > time + life, "it is for too long"),
            (self.invitations.used.contains_key(&body.claim), "it was used"),
            (!chosen.is_some_and(|nodes| nodes.contains(sender)), "its holder has chosen another"),
            (!self.is_free(sender), "the key has or had a role"),
            (lost.is_some_and(|lost| !of_org(lost)), "the lost node is none"),
            (nodes.count() >= MAX_NODES_PER_ORG, "there are too many nodes"),
            (pair && in_pair.count() >= 2, "the pair is full"),
        ] {
            if is_wrong {
                return Err(why);
            }
        }
        Ok(())
    }

    /// A node registers itself by an invitation.
    pub(super) fn register_invited(
        &mut self,
        scene: &mut Scene,
        sender: PublicKey,
        invitation: &Invitation,
        addresses: &[String],
    ) -> Fate {
        if let Err(why) = self.admits(&sender, invitation, scene.time) {
            return Fate::Refused(why);
        }
        let (name, part) = (invitation.body.org.as_str(), invitation.body.part);
        let lost = match part {
            InvitedAs::Replacement { lost } => Some(lost),
            _ => None,
        };
        let holds = |key: &PublicKey| scene.next.values().any(|seat| seat.holder == *key);
        let waits = self.waits(scene, name, &sender);
        let Some(seat) = self.seats.get_mut(name) else { return Fate::Refused("no member") };
        if lost.is_some_and(|lost| holds(&lost) || seat.holder == Some(lost)) {
            return Fate::Refused("the lost node holds the seat");
        }
        let pair = match lost {
            Some(lost) => seat.pair.contains(&lost),
            None => part == InvitedAs::Standby,
        };
        if pair && seat.effective == scene.k + 2 {
            return Fate::Refused("the seat has changed in this block");
        }
        if let Some(lost) = lost {
            seat.pair.remove(&lost);
            self.members.remove(&lost);
            self.changes.removed += 1;
        }
        self.members.insert(sender, name.to_owned());
        self.addresses.insert(sender, addresses.to_vec());
        self.invitations.used.insert(invitation.body.claim, sender);
        self.changes.invited += 1;
        if pair {
            seat.pair.insert(sender);
            self.changes.partners += 1;
            seat.pair_changed(scene, name, Some(sender).filter(|_| !waits));
        }
        Fate::Done
    }

    /// Whether a key may send transactions: its organisation is a member, and not suspended.
    pub(super) fn has_role(&self, key: &PublicKey) -> bool {
        let is_open = |org: &String| self.seats.get(org).is_some_and(|seat| !seat.is_closed());
        let is_node = self.members.get(key).is_some_and(is_open);
        let has_role = is_node || self.admin_of(*key).is_some() || self.user_org(key).is_some();
        has_role && !self.barred.contains(key)
    }

    /// Whether an invitation would bring in this node in the next block, if that came now.
    pub(super) fn would_admit(&self, node: &PublicKey, invitation: &Invitation) -> bool {
        let time = self.newest_time() + 1;
        let holds = match &invitation.body.part {
            InvitedAs::Replacement { lost } => self.holds_a_seat(lost),
            _ => false,
        };
        !holds && self.admits(node, invitation, time).is_ok()
    }
}
