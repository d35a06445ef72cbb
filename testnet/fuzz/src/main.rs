//! One program for all targets: `TARGET` in its environment names the one to run, and its arguments
//! are libFuzzer's. With `SEEDS` it writes that target's seeds to a folder instead, and with them the
//! inputs in the file `CORPUS`, one a line in hex digits.
//!
//! A target takes any bytes and must not panic, nor take more memory than its bound. What reads the
//! bytes is production code.

#![no_main]

// The node's files that read foreign bytes, under the paths by which they name each other. They are not
// taken from the crate `tandem-node`: with it comes RocksDB, which would be compiled anew with the
// fuzzer's flags, and most of them are private to it.
#[path = "../../../node/src/admission"]
#[allow(dead_code, reason = "a part of it is used")]
mod admission {
    pub mod frame;
}
#[path = "../../../node/src/client"]
#[allow(dead_code, reason = "a part of it is used")]
mod client {
    pub mod answers;
    pub mod plain;
}
#[path = "../../../node/src/decode"]
mod decode {
    pub mod cbor;
    pub mod content;
    pub mod terminal;
}
#[path = "../../../node/src/driver"]
mod driver {
    pub mod wire;
}
#[path = "../../../node/src/join"]
#[allow(dead_code, reason = "a part of it is used")]
mod join {
    pub mod token;
    pub mod wire;
}
#[path = "../../../node/src/network"]
#[allow(dead_code, unfulfilled_lint_expectations, reason = "a part of it is used")]
mod network {
    mod counters;
    mod error;
    pub mod frames;
    pub mod hello;
    pub mod limits;

    pub use hello::PROTOCOL_VERSION;

    /// Stands for the network's own: errors name it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Channel;

    impl std::fmt::Display for Channel {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("channel")
        }
    }
}
#[path = "../../../node/src/query/mod.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod query;
#[path = "../../../node/src/rpc"]
#[allow(dead_code, reason = "a part of it is used")]
mod rpc {
    pub mod error;
    pub mod params;
    pub mod path;
    pub mod request;
    pub mod shapes {
        pub mod tandem;
        pub mod text;
    }
}
#[path = "../../../node/src/snapshots"]
mod snapshots {
    mod named;
    pub mod pack;
    pub mod wire;

    pub use named::TrustedBlock;
}

// The tests' consortium with known keys, a node over it, sample values, and what holds of decoders.
#[path = "../../../chain/tests/it/decoded.rs"]
mod decoded;
#[path = "../../../consensus/tests/it/node.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod node;
#[path = "../../../chain/tests/it/samples.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod samples;
#[path = "../../../consensus/tests/it/world.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod world;

mod bytes;
mod seeds;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

use crate::targets::Target;

static TARGET: OnceLock<&'static Target> = OnceLock::new();

fn choose() {
    let name = std::env::var("TARGET").unwrap_or_default();
    let Some(target) = targets::ALL.iter().find(|target| target.name == name) else {
        targets::ALL.iter().for_each(|target| println!("{}", target.name));
        std::process::exit(if name.is_empty() { 0 } else { 2 });
    };
    if let Some(folder) = std::env::var_os("SEEDS") {
        let kept = std::env::var_os("CORPUS").and_then(|file| std::fs::read_to_string(file).ok());
        let kept = kept.unwrap_or_default();
        let kept = kept.lines().map(|line| hex::decode(line).expect("hex digits"));
        for (i, seed) in (target.seeds)().into_iter().chain(kept).enumerate() {
            let file = std::path::Path::new(&folder).join(format!("seed-{i}"));
            std::fs::write(file, seed).expect("the folder is there");
        }
        std::process::exit(0);
    }
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: choose(), |data: &[u8]| {
    let target = TARGET.get().expect("it has been chosen");
    let taken = allocation_counter::measure(|| (target.run)(data)).bytes_max;
    let max = target.memory.0 + target.memory.1 * data.len() as u64;
    assert!(taken <= max, "{taken} bytes of memory for {} bytes", data.len());
});
