//! Tests of the replica with the production ledger, in one binary.

mod catchup;
mod decoders;
mod early;
mod fetched;
mod follow;
mod golden;
mod lacks;
mod light;
mod locking;
mod lost_key;
mod messages;
mod network;
mod node;
mod orders;
mod resend;
mod restart;
mod rounds;
mod scenarios;
mod shown;
mod solo;
mod standing;
mod sync;
mod turns;
mod validate;
mod verify;
mod votes;
mod world;

// Checks of decoders that the chain's tests make too.
#[path = "../../../chain/tests/it/decoded.rs"]
mod decoded;
#[path = "../../../chain/tests/it/kinds.rs"]
mod kinds;
