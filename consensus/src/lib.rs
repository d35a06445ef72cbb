//! The Tandem replica: BFT rounds, liveness observations and standby switching as a pure state
//! machine.
//!
//! A [`Replica`] is one node's part in consensus. It has one entry, [`Replica::handle`], and one
//! deadline, [`Replica::next_wakeup`]; no thread, clock, randomness, socket or file. What happens
//! comes in as an [`Input`], what is to be done goes out as [`Effect`]s. The same code runs in a
//! node and in the simulator. Whether a seat is switched is decided by the ledger, in
//! `tandem_chain`; the replica supplies what the ledger judges by, and obeys the role table.
//!
//! # A height
//!
//! The rounds are those of Tendermint (arXiv 1807.04938, algorithm 1); numbers are its lines.
//!
//! ```text
//!   round 0                                                  round 1
//!   Propose ───────> Prevote ────────> Precommit ──────────> Propose ──> ...
//!      │ proposal 22    │ > 2/3 for a      │ > 2/3 for nil, or
//!      │ or timeout 57: │ block 36: lock,  │ > 2/3 of any and timeout 65
//!      │ prevote        │ precommit it     │        ^
//!      │                │ > 2/3 nil 44, or │        │ > 1/3 of the power in a later round 55
//!      │                │ timeout 61: nil  │        │ (from any step)
//!      v                v                  v
//!      └────────────────┴─────────┬────────┘
//!                                 │ > 2/3 precommits for a block, of any round 49:
//!                                 │ a certificate. Or a certified block is fetched.
//!                                 v
//!                          Effect::Commit ──> Input::Executed ──> next height, round 0
//! ```
//!
//! A new height begins at once when there is work, else after the idle interval. With a precommit
//! for a block goes the voter's observation of who follows the chain; the certificate's
//! observations make the next block's liveness record, and that record the proposers' schedule and
//! the switches.
//!
//! # The order of effects
//!
//! ```text
//!   input ─> handle ─> [ Persist(journal, valid) , Broadcast(vote) , ... , Commit(block) ]
//!                         │                          │                       │
//!                         └─ fsync ── durable ──────>└── leaves ────────────>└── runs
//! ```
//!
//! Effects run in order; no send, broadcast or commit starts until every earlier persist is
//! durable. The persists of one input are one write. So a vote that anyone has seen is on the disk
//! with the lock, the block and the prevotes that go with it, and after a crash the same bytes are
//! sent again.
//!
//! # Rules
//!
//! | paper | rule | where |
//! |---|---|---|
//! | 11-21 | begin a round; propose the valid value again, or a new block | `replica/rounds.rs` `start_round`; `replica/signing.rs` `propose_fresh`, `propose_again` |
//! | 22-27 | prevote a fresh proposal: valid, in time, and not against the lock | `replica/rounds.rs` `prevote_on_proposal` |
//! | 28-33 | prevote one proposed again, if its proof is as new as the lock | the same; the proof is checked in `replica/peers.rs` `judge_proposal` |
//! | 34-35, 47-48 | > 2/3 of any: start the timeout | `replica/rounds.rs` `arm_timers` |
//! | 36-43 | > 2/3 prevotes for a block: lock, precommit; valid value | `replica/rounds.rs` `precommit_on_quorum` |
//! | 44-46 | > 2/3 prevotes for nil: precommit nil | the same |
//! | 49-54 | > 2/3 precommits for a block, of any round: decide | `replica/commit.rs` `decide` |
//! | 55-56 | > 1/3 of the power in later rounds: go there | [`votes::HeightVotes::round_to_join`] |
//! | 57-67 | timeouts | `replica/rounds.rs` `fire_timers` |
//! | - | > 2/3 precommits for nil: the next round, at once while seats have not had their turn | `replica/rounds.rs` `leave_on_nil` |
//! | - | no round is left without votes in it | `replica/rounds.rs` `leave_for_round` |
//! | - | whose turn it is | [`proposer::proposer`] |
//! | - | every signature through one guard | [`journal::VoteGuard`] |
//! | - | what a block must be | [`validate`], then the ledger's `check` |
//! | - | what a message must be | [`verify`] |
//! | - | who has shown what, and who is fresh | [`liveness::Shown`] |
//! | - | who is far behind says nothing | `replica/peers.rs` `is_far_behind` |
//! | - | whether the own clock is off | [`clock::Clocks`] |
//! | - | a lost key | [`lost::Recovery`] |
//! | - | whom to ask for blocks | [`catchup::CatchUp`] |
//! | - | which header far away is to be trusted | [`light`] |
//! | - | every bound | [`limits`] |
//!
//! # Switches
//!
//! | case | what holds | where |
//! |---|---|---|
//! | holder dead, partner alive | the partner holds the seat after N blocks and `failover_min` | `tandem_chain::modules::standby` `rule`, `automatic` |
//! | both nodes of a pair dead | the seat keeps its holder | `rule`: the partner is not alive |
//! | partner behind, or with another state | it shows nothing, and counts as dead | [`liveness::Shown::follow`], [`liveness::Shown::voted`] |
//! | a holder that cannot sign | it sends no follow message, and counts as dead | `replica/peers.rs` `follow_message` |
//! | old holder returns | it reads the role table, and is the standby | `replica/mod.rs` `role_now` |
//! | old holder was cut off | it has no index in later tables: it signs nothing there, and nothing of it counts | `replica/signing.rs` `vote`, [`votes::is_holders`] |
//! | flapping network | a run begins anew after each change | `rule`: `effective` |
//! | no partner, or power above f | no automatic switch | `rule`: `power`, `partner_is_alive` |
//! | evidence against the holder | found here, judged by the ledger | `replica/commit.rs` `accuse`; `tandem_chain::modules::standby` `barred` |
//! | planned | by a transaction | `tandem_chain::modules::standby` `calls` |
//! | more than f power down | no certificate: rounds go on, with capped timeouts | `replica/rounds.rs` `timeout` |
//!
//! # Invariants
//!
//! 1. No two nodes commit different blocks at one height, and none leaves a height out.
//! 2. A certificate holds precommits of more than 2/3 of the power of its height's role table, each
//!    by the holder at its index.
//! 3. A key signs no two different things at one height, round and step, over any crash that keeps
//!    what was durable.
//! 4. No signature leaves before it is durable.
//! 5. While dead, lost and lying power is at most f, a node that reaches the others is recorded
//!    alive, and one that does not is recorded dead after the grace.
//! 6. What a peer sends changes nothing unless it is verified, takes bounded memory, and never
//!    panics: it is reported with a named [`verify::Fault`].
//! 7. After faults end (but for f power), heights are decided again.
//!
//! What a peer cannot cause is asserted. A replica that learns that it must not go on, because its
//! key runs twice or its state differs from what was certified, ends with [`Effect::Halt`].
//!
//! # Example
//!
//! One seat, whose vote alone is a certificate, through a height:
//!
//! ```
//! # use std::collections::VecDeque;
//! # use std::sync::Arc;
//! # use tandem_chain::block::Certificate;
//! # use tandem_chain::genesis::{Genesis, GenesisNode, GenesisOrg, GenesisRole};
//! # use tandem_chain::keys::SecretKey;
//! # use tandem_chain::ledger::Ledger;
//! # use tandem_chain::modules::consortium::Policy;
//! # use tandem_chain::modules::parameters::Parameters;
//! # use tandem_chain::store::MemoryStore;
//! # use tandem_chain::types::{Height, Power, Timestamp};
//! # use tandem_consensus::journal::{Durable, KeyState};
//! # use tandem_consensus::time::{Instant, Now};
//! # use tandem_consensus::{Effect, Input, Replica, Setup};
//! # fn main() -> Result<(), tandem_chain::Error> {
//! let key = SecretKey::from_seed(&[1; 32]);
//! # let (role, addresses) = (GenesisRole::Validator, Vec::new());
//! # let genesis = Genesis {
//! #     chain_id: "example-1".parse()?,
//! #     genesis_time: Timestamp::from_millis(1_700_000_000_000),
//! #     parameters: Parameters::lan(),
//! #     policy: Policy::default(),
//! #     organizations: vec![GenesisOrg {
//! #         name: "alpha".parse()?,
//! #         admin_key: SecretKey::from_seed(&[2; 32]).public(),
//! #         power: Power(1),
//! #         nodes: vec![GenesisNode { key: key.public(), role, addresses }],
//! #         users: Vec::new(),
//! #     }],
//! # };
//! let mut store = MemoryStore::default();
//! store.apply(&Ledger::<MemoryStore>::genesis(&genesis));
//! let mut ledger = Ledger::open(store, &genesis)?;
//! let mut replica = Replica::new(Setup {
//!     signer: Arc::new(key),
//!     tip: Arc::clone(ledger.tip()),
//!     certificate: Certificate::default(),
//!     durable: Durable::new(KeyState::Good),
//! });
//!
//! let now = Now { instant: Instant(0), wall: Timestamp::from_millis(1_700_000_000_500) };
//! let mut inputs = VecDeque::from([Input::Start, Input::Work(true)]);
//! while replica.tip().height < Height(1) {
//!     let input = inputs.pop_front().expect("something is under way");
//!     let mut effects = Vec::new();
//!     replica.handle(now, input, &mut effects);
//!     for effect in effects {
//!         match effect {
//!             Effect::Persist(_values) => {} // synced before anything behind it leaves
//!             Effect::Broadcast(_message) => {}
//!             Effect::Build { height, round } => {
//!                 let (txs, evidence) = (Vec::new(), Vec::new());
//!                 inputs.push_back(Input::Built { height, round, txs, evidence });
//!             }
//!             Effect::Commit(certified) => {
//!                 let execution = ledger.execute(&certified.block)?;
//!                 ledger.store_mut().apply(&execution.batch);
//!                 ledger.apply(execution.tip);
//!                 inputs.push_back(Input::Executed { tip: Arc::clone(ledger.tip()) });
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(replica.view().height, Height(2));
//! # Ok(())
//! # }
//! ```

pub mod catchup;
pub mod clock;
mod effect;
mod input;
pub mod journal;
pub mod light;
pub mod limits;
pub mod liveness;
pub mod lost;
pub mod message;
pub mod proposer;
mod replica;
pub mod time;
pub mod validate;
pub mod verify;
pub mod votes;

pub use effect::{Effect, Role};
pub use input::Input;
pub use replica::{Ballot, Replica, RoundStanding, Setup, Standing, Step, View};
