//! What the module keeps in the state.

use crate::error::Error;
use crate::keys::PublicKey;
use crate::ledger::context::Context;
use crate::ledger::state::{State, key_of};
use crate::limits::MAX_GRANTEES_PER_DATA_SET;
use crate::modules::rights::{Grant, Grantee, Range, Right};
use crate::types::{DataSetName, OrgName};

const GRANTS: &str = "rights/grants/";
const GRANTEES: &str = "rights/grantees/";
/// In the place of a name: no name has this character.
const MEMBERS: &[u8] = b"*";

/// Prefix of a data set's grants.
pub(super) fn grants_of(data_set: &DataSetName) -> Vec<u8> {
    key_of(GRANTS, format!("{data_set}/").as_bytes())
}

/// The key of a grantee's grants, behind [`grants_of`].
pub(super) fn grantee_key(to: &Grantee) -> Vec<u8> {
    match to {
        Grantee::Members => MEMBERS.to_vec(),
        Grantee::Org(org) => org.as_str().into(),
        Grantee::User { org, key } => [org.as_str().as_bytes(), b"/", &key.0].concat(),
    }
}

/// What [`grantee_key`] made.
pub(super) fn grantee_of(key: &[u8]) -> Result<Grantee, Error> {
    if key == MEMBERS {
        return Ok(Grantee::Members);
    }
    let damaged = |reason: String| Error::Damaged { what: "grantee", reason };
    let slash = key.iter().position(|byte| *byte == b'/');
    let name = String::from_utf8(key[..slash.unwrap_or(key.len())].to_vec());
    let name = name.map_err(|error| damaged(error.to_string()))?;
    let org: OrgName = name.try_into().map_err(|error: Error| damaged(error.to_string()))?;
    let Some(slash) = slash else { return Ok(Grantee::Org(org)) };
    let user = PublicKey::from_slice(&key[slash + 1..]);
    let key = user.map_err(|error| damaged(error.to_string()))?;
    Ok(Grantee::User { org, key })
}

fn grants_key(data_set: &DataSetName, to: &Grantee) -> Vec<u8> {
    [grants_of(data_set), grantee_key(to)].concat()
}

/// The grants to one grantee in a data set, those that are void among them.
pub(super) fn grants(
    state: &mut State,
    data_set: &DataSetName,
    to: &Grantee,
) -> Result<Vec<Grant>, Error> {
    Ok(state.read("grants", &grants_key(data_set, to))?.unwrap_or_default())
}

/// Writes the grants to one grantee; empty when it has none any more.
pub(super) fn put_grants(
    state: &mut State,
    data_set: &DataSetName,
    to: &Grantee,
    list: &[Grant],
) -> Result<(), Error> {
    let count_key = key_of(GRANTEES, data_set.as_str().as_bytes());
    let count: u64 = state.read("number of grantees", &count_key)?.unwrap_or(0);
    let had_some = !grants(state, data_set, to)?.is_empty();
    let count = match (had_some, list.is_empty()) {
        (false, false) if count >= MAX_GRANTEES_PER_DATA_SET as u64 => {
            let max = MAX_GRANTEES_PER_DATA_SET;
            return Err(Error::TooMany { what: "grantees of a data set", max, got: max + 1 });
        }
        (false, false) => count + 1,
        (true, true) => count - 1,
        _ => count,
    };
    if list.is_empty() {
        state.delete(grants_key(data_set, to));
    } else {
        state.write(grants_key(data_set, to), &list);
    }
    state.write(count_key, &count);
    Ok(())
}

/// The first grant of a data set, to the organisation that creates it.
pub(crate) fn open(
    ctx: &mut Context,
    data_set: &DataSetName,
    owner: &OrgName,
) -> Result<(), Error> {
    let grant = Grant { range: Range::all(), right: Right::Write, height: ctx.height };
    put_grants(&mut ctx.state, data_set, &Grantee::Org(owner.clone()), &[grant])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::kit::{key, org};

    #[test]
    fn grantees_are_found_in_their_keys_again() {
        // A key may hold any byte, slashes too.
        let slashes = PublicKey([b'/'; 32]);
        for to in [
            Grantee::Members,
            Grantee::Org(org("a")),
            Grantee::User { org: org("a"), key: key("u") },
            Grantee::User { org: org("a"), key: slashes },
        ] {
            assert_eq!(grantee_of(&grantee_key(&to)), Ok(to));
        }
        for bad in [&b""[..], b"A", b"a/", b"a/short", b"\xff", b"/"] {
            assert_eq!(grantee_of(bad).unwrap_err().code(), 99);
        }
    }
}
