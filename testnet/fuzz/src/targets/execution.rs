//! The ledger: whatever calls are sent by whomever, blocks of them are executed.

use std::sync::{Arc, LazyLock};

use tandem_chain::block::{Block, Certificate};
use tandem_chain::evidence_pool::EvidencePool;
use tandem_chain::keys::PublicKey;
use tandem_chain::ledger::Ledger;
use tandem_chain::limits::MAX_ENCODED_BYTES;
use tandem_chain::modules::Call;
use tandem_chain::store::{Column, MemoryStore};
use tandem_chain::tx::Tx;
use tandem_chain::{codec, tree};

use crate::bytes::Bytes;
use crate::samples;
use crate::world::{World, at, commit, rehash};

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

/// What the next block is made of, and when the last one was.
#[derive(Default)]
struct Next {
    txs: Vec<Tx>,
    nonce: u64,
    accused: EvidencePool,
    ms: u64,
}

/// A history of blocks: a byte of what comes next, then that.
pub fn run(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mut ledger = WORLD.ledger();
    let mut next = Next::default();
    // Those on which each block stood.
    let mut tips = vec![Arc::clone(ledger.tip())];
    while !bytes.is_empty() && ledger.tip().height.0 < MAX_BLOCKS {
        match bytes.u8() % 4 {
            0 => {
                let block = next.block(&mut bytes, &ledger);
                execute(&mut ledger, &block);
                tips.push(Arc::clone(ledger.tip()));
            }
            1 => {
                let key = sender(&mut bytes);
                let [one, other] = WORLD.double_prevotes(&tips[bytes.below(tips.len())], &key);
                next.accused.add(key, one, other);
            }
            _ => next.call(&mut bytes),
        }
    }
}

impl Next {
    fn call(&mut self, bytes: &mut Bytes) {
        let sender = sender(bytes);
        let Ok(call) = codec::decode::<Call>("call", bytes.slice(), MAX_ENCODED_BYTES) else {
            return;
        };
        self.nonce += 1;
        self.txs.push(WORLD.tx(&sender, self.nonce, bytes.number(), call));
    }

    fn block(&mut self, bytes: &mut Bytes, ledger: &Ledger<MemoryStore>) -> Block {
        self.ms += 1 + bytes.number() % 100_000;
        let (tip, author) = (ledger.tip(), WORLD.validator(0));
        let txs = ledger.select(std::mem::take(&mut self.txs)).expect("memory does not fail");
        let mut block = WORLD.block_with(tip, &author, at(self.ms), &Certificate::default(), txs);
        block.evidence = self.accused.for_block(ledger).expect("memory does not fail");
        // Who is alive, as the fuzzer likes.
        let bits = bytes.u8();
        if block.header.height.0 > 1 {
            let nodes = tip.previous_register.nodes.len();
            block.record.record.alive = (0..nodes).map(|i| bits >> (i % 8) & 1 == 1).collect();
        }
        rehash(&mut block);
        block
    }
}

fn execute(ledger: &mut Ledger<MemoryStore>, block: &Block) {
    ledger.check(block).expect("what was selected is valid");
    commit(ledger, block);
    let root = tree::root_of(ledger.store().entries(Column::State));
    assert_eq!(root, ledger.tip().app_hash, "the commitment is that of the state");
    let reopened = Ledger::open(ledger.store().clone(), &WORLD.genesis).expect("it opens");
    assert_eq!(reopened.tip(), ledger.tip(), "a restart finds the same");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let block = vec![0, 100, 255];
    let call = |org: u8, role: u8, call: &Call| {
        let call = codec::encode(call);
        let length = u16::try_from(call.len()).expect("short calls").to_be_bytes();
        [vec![2, org, role], length.to_vec(), call, vec![50]].concat()
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
    // A seat's holder signs twice, in block 1; then a standby, which has no seat.
    seeds.push([block.clone(), vec![1, 1, 1, 0], block.clone(), block.clone()].concat());
    seeds.push([block.clone(), vec![1, 1, 2, 0], block.clone(), vec![1, 1, 1, 0]].concat());
    // And one is dead for long.
    let ledger = WORLD.ledger();
    let mut nodes = ledger.tip().register.nodes.keys();
    let holder = nodes.position(|key| *key == WORLD.validator(1)).expect("a node");
    seeds.push([0, 99, !(1 << holder)].repeat(12));
    seeds.push(calls.iter().flat_map(|one| [call(2, 0, one), vec![0, 0, 0xfe]].concat()).collect());
    seeds
}
