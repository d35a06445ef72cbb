//! Whether a key has a right.

use crate::error::Error;
use crate::ledger::context::Context;
use crate::ledger::state::State;
use crate::modules::rights::roles::{ceiling, standing};
use crate::modules::rights::state::grants;
use crate::modules::rights::{Grant, Grantee, Range, Reach, Right};
use crate::modules::{Sender, consortium};
use crate::types::{DataSetName, Height, OrgName};

/// A data set and the organisation that owns it.
#[derive(Clone, Copy)]
pub(super) struct Owned<'a> {
    pub(super) data_set: &'a DataSetName,
    pub(super) owner: &'a OrgName,
}

/// The block that gave a grantee its place; none when it has none. It is 0 for an owner that is still
/// there: that was there before its data set, whose first grant may be of the block in which it came.
pub(super) fn since(state: &mut State, of: Owned, to: &Grantee) -> Result<Option<Height>, Error> {
    match to {
        Grantee::Members => Ok(Some(Height::ZERO)),
        Grantee::Org(org) => {
            let since = consortium::member_since(state, org)?;
            Ok(since.map(|since| if org == of.owner { Height::ZERO } else { since }))
        }
        Grantee::User { org, key } => {
            Ok(consortium::find_user(state, org, key)?.map(|user| user.since))
        }
    }
}

/// Whether a grant is void: whom it was made to has its place no more, or anew.
pub(super) fn is_void(grant: &Grant, since: Option<Height>) -> bool {
    since.is_none_or(|since| grant.height <= since)
}

/// Under whose name a key can have been granted something.
fn names(who: &Sender) -> impl Iterator<Item = Grantee> {
    let (org, key) = (who.org.clone(), who.key);
    let user = who.user.map(|_| Grantee::User { org: org.clone(), key });
    [Some(Grantee::Org(org)), Some(Grantee::Members), user].into_iter().flatten()
}

/// The grants to one of a key's names in a data set.
fn granted(state: &mut State, of: Owned, to: &Grantee) -> Result<Vec<Grant>, Error> {
    let mut list = grants(state, of.data_set, to)?;
    // Whoever asks is there: an owner's grants need no look at it, and they are the common case.
    let is_owner = matches!(to, Grantee::Org(org) if org == of.owner);
    if !list.is_empty() && !is_owner {
        let since = since(state, of, to)?;
        list.retain(|grant| !is_void(grant, since));
    }
    Ok(list)
}

/// Whether a key has a right on all of a range.
pub(super) fn has(
    state: &mut State,
    who: &Sender,
    of: Owned,
    right: Right,
    range: &Range,
) -> Result<bool, Error> {
    if ceiling(who) < Some(right) {
        return Ok(false);
    }
    if who.org == *of.owner && standing(who) >= Some(right) {
        return Ok(true);
    }
    for to in names(who) {
        let list = granted(state, of, &to)?;
        if list.iter().any(|grant| grant.right >= right && grant.range.covers(range)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The records that a key may read.
pub(super) fn reach(state: &mut State, who: &Sender, of: Owned) -> Result<Reach, Error> {
    if ceiling(who).is_none() {
        return Ok(Reach::default());
    }
    if who.org == *of.owner && standing(who).is_some() {
        return Ok(Reach::new(vec![Range::all()]));
    }
    let mut ranges = Vec::new();
    for to in names(who) {
        ranges.extend(granted(state, of, &to)?.into_iter().map(|grant| grant.range));
    }
    Ok(Reach::new(ranges))
}

/// Refuses a sender that may not create data sets.
pub(crate) fn must_create(who: &Sender) -> Result<(), Error> {
    must_have_role(who, Right::Write)
}

fn must_have_role(who: &Sender, right: Right) -> Result<(), Error> {
    if ceiling(who) >= Some(right) {
        return Ok(());
    }
    let needed = match right {
        Right::Read => "an admin key, a node, an admin, a writer, a reader or an auditor",
        Right::Write => "an admin key, a node, an admin or a writer",
        Right::Admin => "an admin key or an admin",
    };
    Err(Error::NotAllowed { sender: who.key, needed })
}

/// Refuses a sender that may not write a record.
pub(crate) fn must_write(
    ctx: &mut Context,
    who: &Sender,
    data_set: &DataSetName,
    owner: &OrgName,
    key: &[u8],
) -> Result<(), Error> {
    must_have_role(who, Right::Write)?;
    if has(&mut ctx.state, who, Owned { data_set, owner }, Right::Write, &Range::only(key))? {
        return Ok(());
    }
    let needed = "an admin of the data set's owner, or who was granted to write this key there,";
    Err(Error::NotAllowed { sender: who.key, needed })
}

/// Refuses a sender that may not grant or revoke a right on a range.
pub(super) fn must_grant(
    ctx: &mut Context,
    who: &Sender,
    of: Owned,
    right: Right,
    range: &Range,
) -> Result<(), Error> {
    must_have_role(who, Right::Admin)?;
    if who.org == *of.owner {
        return Ok(());
    }
    let needed = if right == Right::Admin {
        "the admin key or an admin of the data set's owner"
    } else if has(&mut ctx.state, who, of, Right::Admin, range)? {
        return Ok(());
    } else {
        "an admin of the data set's owner, or of who was granted admin on all of this range,"
    };
    Err(Error::NotAllowed { sender: who.key, needed })
}
