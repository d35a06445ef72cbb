//! `consensus_state`: the round that is being decided, with the votes that this node has.

use std::sync::Arc;

use serde_json::{Value, json};
use tandem_chain::roles::RoleTable;
use tandem_chain::types::{BlockId, Height, Power, Round};
use tandem_consensus::{Ballot, RoundStanding, Standing, Step};

use crate::rpc::error::RpcError;
use crate::rpc::params::Params;
use crate::rpc::state::RpcState;

/// Bytes of a hash, address or signature that stand for it in a vote's text.
const FINGERPRINT: usize = 6;

/// `consensus_state`.
pub async fn consensus_state(state: &Arc<RpcState>, _: Params) -> Result<Value, RpcError> {
    let standing = state.view().standing.clone();
    let standing = standing.ok_or_else(|| RpcError::busy("the node has only just started"))?;
    let start = state.tip().time.to_rfc3339();
    Ok(json!({ "round_state": round_state(&standing, &start) }))
}

fn round_state(standing: &Standing, start: &str) -> Value {
    let Standing { height, round, step, proposer, proposed, locked, valid, table, rounds } =
        standing;
    // CometBFT's numbers of its steps.
    let step = match step {
        Step::Propose => 3,
        Step::Prevote => 4,
        Step::Precommit => 6,
    };
    let hash = |block: Option<BlockId>| block.map(|id| id.to_string()).unwrap_or_default();
    let rounds = rounds.iter().map(|round| round_votes(*height, table, round));
    json!({
        "height/round/step": format!("{height}/{}/{step}", round.0),
        "start_time": start,
        "proposal_block_hash": hash(*proposed),
        "locked_block_hash": hash(*locked),
        "valid_block_hash": hash(*valid),
        "height_vote_set": rounds.collect::<Vec<_>>(),
        "proposer": {
            "address": proposer.address(),
            "index": table.by_key(proposer).map_or(0, |(index, _)| index),
        },
    })
}

fn round_votes(height: Height, table: &RoleTable, votes: &RoundStanding) -> Value {
    let RoundStanding { round, prevotes, precommits } = votes;
    let texts = |ballots: &[Option<Ballot>], kind| -> Vec<String> {
        let texts = table.validators().iter().zip(ballots).enumerate();
        texts
            .map(|(index, (voter, ballot))| match ballot {
                None => "nil-Vote".to_owned(),
                Some(ballot) => {
                    let address = fingerprint(voter.address.as_bytes());
                    text(&format!("{index}:{address}"), height, *round, kind, ballot)
                }
            })
            .collect()
    };
    json!({
        "round": round.0,
        "prevotes": texts(prevotes, "1(Prevote)"),
        "prevotes_bit_array": bits(table, prevotes),
        "precommits": texts(precommits, "2(Precommit)"),
        "precommits_bit_array": bits(table, precommits),
    })
}

/// A vote as `tendermint-rpc` reads it.
fn text(voter: &str, height: Height, round: Round, kind: &str, ballot: &Ballot) -> String {
    let block = fingerprint(ballot.block.as_ref().map_or(&[], |block| block.as_bytes()));
    let signature = fingerprint(ballot.signature.as_bytes());
    let time = ballot.timestamp.to_rfc3339();
    format!("Vote{{{voter} {height}/{:02}/{kind} {block} {signature} @ {time}}}", round.0)
}

/// The first bytes in hex; zeros where there are fewer.
fn fingerprint(bytes: &[u8]) -> String {
    let mut first = [0; FINGERPRINT];
    first.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    hex::encode_upper(first)
}

/// Who has voted, and their power of all.
fn bits(table: &RoleTable, ballots: &[Option<Ballot>]) -> String {
    let marks: String = ballots.iter().map(|b| if b.is_some() { 'x' } else { '_' }).collect();
    let voted = table.validators().iter().zip(ballots).filter(|(_, ballot)| ballot.is_some());
    let power = Power(voted.map(|(voter, _)| voter.power.0).sum());
    let total = table.total_power();
    // Hundredths, without a number that a float would round.
    let share = u128::from(power.0) * 100 / u128::from(total.0.max(1));
    format!("BA{{{}:{marks}}} {power}/{total} = {}.{:02}", ballots.len(), share / 100, share % 100)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tandem_chain::keys::{PublicKey, Signature};
    use tandem_chain::roles::Seat;
    use tandem_chain::types::{Hash, Term, Timestamp};

    use super::*;

    #[test]
    fn votes_are_as_clients_read_them() {
        let key = |number: u8| PublicKey([number; 32]);
        let seat =
            |number| Seat { holder: key(number), power: Power(u64::from(number)), term: Term(0) };
        let seats = [("a", 1), ("b", 3)].map(|(name, n)| (name.parse().unwrap(), seat(n)));
        let table: RoleTable = BTreeMap::from(seats).into();
        let ballot = |block| {
            let timestamp = Timestamp::from_millis(1_800_000_000_500);
            Some(Ballot { block, timestamp, signature: Signature([0xab; 64]) })
        };
        let block = Hash([0xcd; 32]);
        let standing = Standing {
            height: Height(7),
            round: Round(1),
            step: Step::Precommit,
            proposer: key(1),
            proposed: Some(block),
            locked: None,
            valid: Some(block),
            table: std::sync::Arc::new(table),
            rounds: vec![RoundStanding {
                round: Round(1),
                prevotes: vec![ballot(Some(block)), None],
                precommits: vec![ballot(None), ballot(Some(block))],
            }],
        };
        let value = round_state(&standing, "2027-01-15T08:00:00Z");
        assert_eq!(value["height/round/step"], "7/1/6");
        assert_eq!(
            (&value["locked_block_hash"], &value["proposer"]["index"]),
            (&json!(""), &json!(1))
        );
        assert_eq!(value["proposal_block_hash"], block.to_string());
        let votes = &value["height_vote_set"][0];
        assert_eq!(votes["prevotes_bit_array"], "BA{2:x_} 3/4 = 0.75");
        assert_eq!(votes["precommits_bit_array"], "BA{2:xx} 4/4 = 1.00");
        let of = |number: u8| key(number).address().to_string()[..12].to_owned();
        let prevote = format!(
            "Vote{{0:{} 7/01/1(Prevote) CDCDCDCDCDCD ABABABABABAB @ 2027-01-15T08:00:00.5Z}}",
            of(3)
        );
        assert_eq!(votes["prevotes"], json!([prevote, "nil-Vote"]));
        let nil = format!("Vote{{0:{} 7/01/2(Precommit) 000000000000 ABAB", of(3));
        assert!(votes["precommits"][0].as_str().unwrap().starts_with(&nil), "{votes}");
    }
}
