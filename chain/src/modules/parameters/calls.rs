//! The module's call.

use crate::codec;
use crate::error::Error;
use crate::ledger::Event;
use crate::ledger::context::Context;
use crate::modules::parameters::Call;
use crate::modules::parameters::state::{delete_vote, put_vote, vote, write};
use crate::modules::{Sender, consortium};
use crate::types::{Height, OrgName};

/// Executes a call. Its data is the height from which the parameters are in effect, as an option:
/// none while more votes are needed.
pub(crate) fn execute(ctx: &mut Context, sender: &Sender, call: &Call) -> Result<Vec<u8>, Error> {
    let Call::Set(parameters) = call;
    sender.must_be_admin()?;
    if let Some(fault) = parameters.faults().into_iter().next() {
        return Err(fault);
    }
    put_vote(&mut ctx.state, &sender.org, parameters);
    let (mut total, mut agreed) = (0u64, 0u64);
    let mut voters: Vec<OrgName> = Vec::new();
    for org in consortium::org_names(&mut ctx.state)? {
        let power = consortium::org(&mut ctx.state, &org)?.power.0;
        total += power;
        if vote(&mut ctx.state, &org)?.is_some_and(|vote| vote == *parameters) {
            agreed += power;
            voters.push(org);
        }
    }
    let org = ("org", sender.org.to_string());
    if agreed * 3 <= total * 2 {
        let share = ("power", format!("{agreed} of {total}"));
        ctx.events.push(Event::new("parameters_vote", [org, share]));
        return Ok(codec::encode(&None::<Height>));
    }
    write(&mut ctx.state, parameters);
    for voter in &voters {
        delete_vote(&mut ctx.state, voter);
    }
    let height = ctx.height.next();
    let effective = ("effective_height", height.to_string());
    ctx.events.push(Event::new("parameters_set", [org, effective]));
    Ok(codec::encode(&Some(height)))
}
