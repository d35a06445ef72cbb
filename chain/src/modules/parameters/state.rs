//! What the module keeps in the state, and questions about it.

use crate::error::Error;
use crate::genesis::Genesis;
use crate::ledger::state::{State, key_of, missing};
use crate::modules::consortium;
use crate::modules::parameters::Parameters;
use crate::store::Store;
use crate::types::OrgName;

const CURRENT: &str = "parameters/current";
const VOTE: &str = "parameters/vote/";

pub(crate) fn genesis(state: &mut State, genesis: &Genesis) {
    write(state, &genesis.parameters);
}

pub(crate) fn read(state: &mut State) -> Result<Parameters, Error> {
    state.read("parameters", CURRENT.as_bytes())?.ok_or_else(|| missing("parameters"))
}

pub(super) fn write(state: &mut State, parameters: &Parameters) {
    state.write(CURRENT.into(), parameters);
}

fn vote_key(org: &OrgName) -> Vec<u8> {
    key_of(VOTE, org.as_str().as_bytes())
}

pub(super) fn vote(state: &mut State, org: &OrgName) -> Result<Option<Parameters>, Error> {
    state.read("vote on parameters", &vote_key(org))
}

pub(super) fn put_vote(state: &mut State, org: &OrgName, parameters: &Parameters) {
    state.write(vote_key(org), parameters);
}

pub(super) fn delete_vote(state: &mut State, org: &OrgName) {
    state.delete(vote_key(org));
}

/// The parameters from the next height on.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn current(store: &dyn Store) -> Result<Parameters, Error> {
    read(&mut State::new(store))
}

/// The votes for parameters that are not in effect, by organisation.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn votes(store: &dyn Store) -> Result<Vec<(OrgName, Parameters)>, Error> {
    let state = &mut State::new(store);
    let mut votes = Vec::new();
    for org in consortium::org_names(state)? {
        if let Some(parameters) = vote(state, &org)? {
            votes.push((org, parameters));
        }
    }
    Ok(votes)
}
