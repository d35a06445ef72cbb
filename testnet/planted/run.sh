#!/usr/bin/env bash
# Checks the checker: applies each deliberate fault to a scratch copy, by itself, and has the simulator
# look for it; what it does not find in its seeds, the test that the patch names must. Prints a table;
# fails when a fault is found by neither.
#
#   testnet/planted/run.sh [PATCH...]        SEEDS=2000 (at most so many seeds for each)
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
seeds=${SEEDS:-2000}
target=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/planted
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ $# -gt 0 ] || set -- testnet/planted/*.patch

# A workspace of the crates that the simulator needs, without the node and its database.
cp -r chain consensus Cargo.toml Cargo.lock rustfmt.toml "$scratch"
mkdir -p "$scratch/sim/src"
cp -r testnet/src/sim "$scratch/sim/src/sim"
sed -i 's/^members = .*/members = ["chain", "consensus", "sim"]/' "$scratch/Cargo.toml"
# Each fault is compiled once and mostly runs for seconds: what compiles quickly is quicker.
sed -i '/^codegen-units = 1$/d' "$scratch/Cargo.toml"
cat > "$scratch/sim/Cargo.toml" <<'TOML'
[package]
name = "sim"
version.workspace = true
edition.workspace = true

[dependencies]
anyhow.workspace = true
clap.workspace = true
imbl.workspace = true
mimalloc.workspace = true
serde.workspace = true
serde_json.workspace = true
tandem-chain.workspace = true
tandem-consensus.workspace = true
TOML
cat > "$scratch/sim/src/main.rs" <<'RUST'
//! The simulator by itself.
pub mod sim;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
use clap::Parser as _;
#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    options: sim::Options,
}
fn main() {
    if let Err(error) = sim::run(&Cli::parse().options) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
RUST
cargo() { (cd "$scratch" && RUSTFLAGS="-A warnings" CARGO_TARGET_DIR=$target command cargo "$@"); }

failed=0
printf '| fault | found by | seeds | what it showed |\n|---|---|---|---|\n'
for patch in "$@"; do
    patch=$(realpath --relative-to="$root" "$patch")
    subject=$(sed -n 's/^Subject: //p' "$patch")
    test=$(sed -n 's/^Test: //p' "$patch")
    (cd "$scratch" && git apply "$root/$patch")
    cargo build --offline --release -q -p sim
    log=$scratch/log
    found=
    if timeout 1800 "$target/release/sim" --seeds "0..$seeds" --until-failure > "$log" 2>&1; then
        if [ -n "$test" ]; then
            # "PACKAGE NAME": a test of that package.
            read -r package name <<< "$test"
            if cargo test --offline --release -q -p "$package" "$name" > "$log" 2>&1; then
                found=
            elif grep -q "test result: FAILED" "$log"; then
                found="| test \`$name\` of $package | - |"
            fi
        fi
    elif grep -q "FAILED" "$log"; then
        count=$(sed -n 's/^\([0-9]*\) histories.*/\1/p' "$log" | head -1)
        what=$(sed -n -e 's/^seed [0-9]* FAILED: //p' -e 's/^coverage FAILED, //p' "$log" | head -1 | cut -c1-70)
        found="| simulator | ${count:-?} | ${what//|/,}"
    fi
    if [ -z "$found" ]; then
        failed=$((failed + 1))
        found="| NOT FOUND | $seeds |"
    fi
    printf '| %s %s |\n' "$subject" "$found"
    (cd "$scratch" && git apply -R "$root/$patch")
done
[ "$failed" = 0 ] || { echo "$failed faults were not found" >&2; exit 1; }
