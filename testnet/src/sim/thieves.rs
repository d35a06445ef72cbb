//! What others try with an invitation that they have seen in a registration, and its holder with one
//! that is used, expired or not what it wants. It goes into a member's mempool as it is: a validator
//! that lies would put it into its block.

use tandem_chain::keys::{SecretKey, Signature};
use tandem_chain::ledger::Receipt;
use tandem_chain::limits::MAX_INVITATION_LIFE;
use tandem_chain::modules::Call;
use tandem_chain::modules::consortium::{self, Invitation, InvitedAs};
use tandem_chain::tx::Tx;

use super::coverage::Entry;
use super::world::World;

/// Blocks for which it may wait.
const VALID_FOR: u64 = 50;

/// What there is to try.
const DEEDS: [Entry; 13] = [
    Entry::Copied,
    Entry::OwnClaim,
    Entry::OwnOneTime,
    Entry::OtherPart,
    Entry::Longer,
    Entry::OtherOrg,
    Entry::OtherChain,
    Entry::NotAdmin,
    Entry::Late,
    Entry::TooFar,
    Entry::KnownKey,
    Entry::UsedTwice,
    Entry::Repeated,
];

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a week")
}

impl World {
    /// Someone has seen a guest's registration.
    pub(super) fn steal(&mut self, index: usize, tx: &Tx) {
        let deed = self.random.pick(&DEEDS);
        if deed == Entry::Repeated {
            // Where it stands in a block, it must not stand in another.
            if self.invariants.has_receipt(&tx.hash()) {
                self.watch.entry(deed);
            }
            self.submit(tx);
            return;
        }
        let Some(index) = self.fit_for(index, deed) else { return };
        let Some(tried) = self.try_with(index, deed) else { return };
        self.tell(|w| {
            let name = &w.nodes[w.guests[index].node].name;
            format!("the invitation of {name} is tried: {deed}")
        });
        self.thefts.insert(tried.hash(), deed);
        self.submit(&tried);
    }

    /// The guest with whose invitation a deed is done: any of which it is true, or the one seen.
    fn fit_for(&mut self, index: usize, deed: Entry) -> Option<usize> {
        let now = self.invariants.time();
        let latest = now + nanos(MAX_INVITATION_LIFE);
        let is_fit = |guest: &super::guests::Guest| {
            let until = guest.invitation.body.valid_until.0;
            match deed {
                Entry::Late => until < now,
                Entry::TooFar => until > latest,
                _ => self.invariants.came_by(&guest.one_time.public()).is_some(),
            }
        };
        if !matches!(deed, Entry::Late | Entry::TooFar | Entry::UsedTwice) {
            return Some(index);
        }
        let fit: Vec<usize> =
            (0..self.guests.len()).filter(|guest| is_fit(&self.guests[*guest])).collect();
        if fit.is_empty() { None } else { Some(self.random.pick(&fit)) }
    }

    fn try_with(&mut self, index: usize, deed: Entry) -> Option<Tx> {
        let thief = self.fresh_secret();
        let guest = &self.guests[index];
        let (mut invitation, one_time) = (guest.invitation.clone(), guest.one_time.clone());
        let own = self.secrets[guest.node].clone();
        let org = self.nodes[guest.node].org;
        let now = self.invariants.time();
        let valid_until = &mut invitation.body.valid_until;
        let (sender, claimed_by) = match deed {
            Entry::Copied => {
                let claim = invitation.claim(&one_time, &own.public());
                return Some(self.registration(&thief, invitation, claim));
            }
            Entry::OwnClaim => (thief.clone(), thief),
            Entry::OwnOneTime => {
                invitation.body.claim = thief.public();
                (thief.clone(), thief)
            }
            Entry::OtherPart => {
                invitation.body.part = match invitation.body.part {
                    InvitedAs::Standby => InvitedAs::Observer,
                    _ => InvitedAs::Standby,
                };
                (own, one_time)
            }
            Entry::Longer => {
                valid_until.0 = valid_until.0.max(now) + nanos(MAX_INVITATION_LIFE) / 10;
                (own, one_time)
            }
            Entry::OtherOrg => {
                let other = self.names.iter().enumerate().find(|(i, _)| *i != org)?;
                invitation.body.org = other.1.clone();
                invitation.body.claim = thief.public();
                (thief.clone(), thief)
            }
            Entry::OtherChain => {
                let mut body = invitation.body;
                body.chain_id = "other".parse().expect("letters are a name");
                invitation = Invitation::sign(body, self.admin(org));
                (own, one_time)
            }
            Entry::NotAdmin => {
                // Its own organisation's other keys may be the admin key by the time.
                let mut others = self.admins.iter().enumerate().filter(|(i, _)| *i != org);
                let other = &others.next()?.1[0];
                let mut body = invitation.body;
                body.claim = thief.public();
                invitation = Invitation::sign(body, other);
                (thief.clone(), thief)
            }
            Entry::Late | Entry::TooFar => (own, one_time),
            Entry::KnownKey => {
                let is_known = |node: &usize| {
                    let node = &self.nodes[*node];
                    node.org == org && self.invariants.is_registered(&node.key)
                };
                let node = (0..self.nodes.len()).find(is_known)?;
                let key = self.secrets[node].clone();
                self.invariants.chosen(one_time.public(), key.public());
                (key, one_time)
            }
            Entry::UsedTwice => {
                self.invariants.chosen(one_time.public(), thief.public());
                (thief, one_time)
            }
            _ => return None,
        };
        let claim = invitation.claim(&claimed_by, &sender.public());
        Some(self.registration(&sender, invitation, claim))
    }

    fn registration(&mut self, key: &SecretKey, invitation: Invitation, claim: Signature) -> Tx {
        let addresses = Vec::new();
        let call = consortium::Call::RegisterInvited { invitation, claim, addresses };
        self.signed(key, Call::Consortium(call), VALID_FOR)
    }

    /// A new block of the chain holds these transactions: who came by an invitation, and what was
    /// refused of what was tried.
    pub(super) fn tell_invited(&mut self, txs: &[Tx], receipts: &[Receipt]) {
        // The first is the record's.
        for (tx, receipt) in txs.iter().zip(receipts.iter().skip(1)) {
            let body = tx.body();
            let Call::Consortium(consortium::Call::RegisterInvited { invitation, .. }) = &body.call
            else {
                continue;
            };
            if receipt.is_ok() {
                self.came(body.sender, invitation.body.claim);
            } else if let Some(deed) = self.thefts.get(&tx.hash()).copied() {
                self.watch.entry(deed);
            }
        }
    }
}
