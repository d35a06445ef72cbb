//! The ledger: whatever calls are sent by whomever, blocks of them are executed.

use std::sync::LazyLock;

use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::modules::Call;
use tandem_chain::store::MemoryStore;
use tandem_chain::{codec, tree};

use crate::bytes::Bytes;
use crate::samples;
use crate::world::{World, at};

/// Blocks in one history.
const MAX_BLOCKS: u64 = 12;

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&[1, 1, 2]));

/// Someone whose key is known.
fn sender(bytes: &mut Bytes) -> PublicKey {
    let org = bytes.below(3);
    match bytes.below(3) {
        0 => WORLD.admin(org),
        1 => WORLD.validator(org),
        _ => WORLD.standby(org),
    }
}

/// A history of blocks: a byte of what comes next, then that.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mut ledger = WORLD.ledger();
    let (mut txs, mut nonce, mut ms) = (Vec::new(), 0, 0);
    while !bytes.is_empty() && ledger.tip().height.0 < MAX_BLOCKS {
        let next = bytes.u8();
        if next % 4 != 0 {
            let sender = sender(&mut bytes);
            let Ok(call) = codec::decode::<Call>("call", bytes.slice(), MAX_ENCODED_BYTES) else {
                continue;
            };
            nonce += 1;
            txs.push(WORLD.tx(&sender, nonce, bytes.number(), call));
            continue;
        }
        ms += 1 + bytes.number() % 100_000;
        let author = WORLD.validator(0);
        let txs = ledger.select(std::mem::take(&mut txs)).expect("memory does not fail");
        let last = tandem_chain::block::Certificate::default();
        let mut block = WORLD.block_with(ledger.tip(), &author, at(ms), &last, txs);
        // Who is alive, as the fuzzer likes.
        let bits = bytes.u8();
        let nodes = ledger.tip().previous_register.nodes.len();
        if block.header.height.0 > 1 {
            block.record.record.alive = (0..nodes).map(|i| bits >> (i % 8) & 1 == 1).collect();
        }
        execute(&mut ledger, &block);
    }
}

fn execute(ledger: &mut Ledger<MemoryStore>, block: &tandem_chain::block::Block) {
    ledger.check(block).expect("what was selected is valid");
    crate::world::commit(ledger, block);
    let root = tree::root_of_state(ledger.store()).expect("memory does not fail");
    assert_eq!(root, ledger.tip().app_hash, "the commitment is that of the state");
    let reopened = Ledger::open(ledger.store().clone(), &WORLD.genesis).expect("it opens");
    assert_eq!(reopened.tip(), ledger.tip(), "a restart finds the same");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let block = vec![0, 100, 255];
    let call = |org: u8, role: u8, call: &Call| {
        let call = codec::encode(call);
        let length = u16::try_from(call.len()).expect("short calls").to_be_bytes();
        [vec![1, org, role], length.to_vec(), call, vec![50]].concat()
    };
    let calls: Vec<Call> = samples::calls().into_iter().map(|(_, call)| call).collect();
    let of_world = |seat: usize| {
        Call::Standby(tandem_chain::modules::standby::Call::Switch {
            seat: crate::world::org(seat),
            target: WORLD.standby(seat),
            term: tandem_chain::types::Term(0),
        })
    };
    let mut seeds: Vec<Vec<u8>> =
        calls.iter().map(|one| [block.clone(), call(0, 0, one), block.clone()].concat()).collect();
    seeds.push([block.clone(), call(1, 0, &of_world(1)), block.clone(), block.clone()].concat());
    seeds.push(calls.iter().flat_map(|one| [call(2, 0, one), vec![0, 0, 0xfe]].concat()).collect());
    seeds
}
