#!/usr/bin/env bash
# Tests the tests: changes the replica and the switch module in one place at a time, in a scratch copy
# (cargo-mutants), and the tests of the crate must notice each change. Prints the changes that they did
# not notice and that accepted.txt does not list with the reason why nothing can notice them; fails
# when there is one, or when accepted.txt lists a change that cannot be made any more.
#
#   testnet/mutants/run.sh [OPTION OF cargo mutants...]    e.g. -f consensus/src/votes.rs, --shard 0/4
#
# Its tool: cargo install --locked cargo-mutants --version 27.1.0
set -euo pipefail
cd "$(dirname "$0")/../.."
accepted=$PWD/testnet/mutants/accepted.txt
target=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/mutants
scratch=$target/source
if ! command -v cargo-mutants > /dev/null; then
    echo "cargo-mutants is missing: cargo install --locked cargo-mutants --version 27.1.0" >&2
    exit 1
fi
mkdir -p "$target"
exec 9> "$target/lock"
flock -n 9 || { echo "another run works in $target" >&2; exit 1; }

# A workspace of the pure crates, and the page that a test executes, whose dependencies alone are
# optimised: each change is compiled once and mostly runs for seconds.
rm -rf "$scratch"
mkdir "$scratch"
cp -r chain consensus docs Cargo.toml Cargo.lock "$scratch"
sed -i -e 's/^members = .*/members = ["chain", "consensus"]/' -e '/^\[profile/,$d' "$scratch/Cargo.toml"
cat >> "$scratch/Cargo.toml" <<'TOML'
[profile.dev]
debug = false
[profile.dev.package."*"]
opt-level = 3
TOML
mkdir "$scratch/.cargo"

# The crate that is changed, the optimisation of chain; then what `cargo mutants` is given. The last
# option is unstable, hence RUSTC_BOOTSTRAP: a change is mostly noticed by the first tests, and the
# others need not be waited for. What does not end takes four times as long as all tests, or more memory
# than it is given.
change() {
    local package=$1 level=$2
    shift 2
    printf '[profile.dev.package.tandem-chain]\nopt-level = %s\n' "$level" > "$scratch/.cargo/config.toml"
    mkdir -p "$target/$package"
    rm -rf "$target/$package/mutants.out"
    local status=0
    (ulimit -v 12000000 && cd "$scratch" && CARGO_TARGET_DIR=$target RUSTC_BOOTSTRAP=1 RUST_BACKTRACE=0 cargo mutants \
        --in-place --no-shuffle --timeout-multiplier 4 --build-timeout 600 -o "$target/$package" -p "$package" \
        "$@" -Zunstable-options --fail-fast) || status=$?
    # 2 and 3: there were some that were not noticed, or whose tests did not end.
    case $status in 0 | 2 | 3) ;; *) exit "$status" ;; esac
}

# The switch module, unless files are named.
standby=(-f 'chain/src/modules/standby/*.rs')
for option in "$@"; do
    case $option in -f* | --file*) standby=() ;; esac
done
# Every order of events, every change of a byte and every short history take minutes unoptimised. The
# tests of the switch module are those that are named after it, and those of who joins and leaves.
change tandem-consensus 2 "$@" -- --lib --tests -- --skip orders --skip a_changed_byte_or_length
change tandem-chain 0 "${standby[@]}" "$@" -- --lib -- standby consortium --skip oracle

# Names of changes, without the line and column where they are made.
names() { sed -E 's/^([^:]+):[0-9]+:[0-9]+: /\1: /'; }
listed() { grep -Ev '^(#|$)' "$accepted"; }
possible() { (cd "$scratch" && cargo mutants --list --line-col=false); }
missed=$(find "$target"/tandem-*/mutants.out -name missed.txt -exec cat {} +)
failed=0
while read -r change; do
    if [ -n "$change" ] && ! names <<< "$change" | grep -Fxq -f <(listed); then
        echo "not noticed: $change"
        failed=1
    fi
done <<< "$missed"
while read -r name; do
    echo "not possible any more, though $accepted lists it: $name"
    failed=1
done < <(listed | grep -Fxv -f <(possible))
exit "$failed"
