//! What the module keeps in the state, and questions about it.

use crate::error::Error;
use crate::genesis::Genesis;
use crate::ledger::state::{State, missing};
use crate::modules::parameters::Parameters;
use crate::store::Store;

const CURRENT: &str = "parameters/current";

pub(crate) fn genesis(state: &mut State, genesis: &Genesis) {
    set(state, &genesis.parameters);
}

pub(crate) fn read(state: &mut State) -> Result<Parameters, Error> {
    state.read("parameters", CURRENT.as_bytes())?.ok_or_else(|| missing("parameters"))
}

/// Replaces all parameters; in effect from the next height on.
pub(crate) fn set(state: &mut State, parameters: &Parameters) {
    state.write(CURRENT.into(), parameters);
}

/// The parameters from the next height on.
///
/// # Errors
/// [`Error::Storage`], [`Error::Damaged`].
pub fn current(store: &dyn Store) -> Result<Parameters, Error> {
    read(&mut State::new(store))
}
