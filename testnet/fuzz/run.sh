#!/usr/bin/env bash
# Builds the fuzzer and runs its targets, several at a time. Prints for each target how many inputs it
# was given, how much of the program they reached (as edges and as libFuzzer's features, which tell how
# often an edge was taken too), how many of them are kept for that, and what was found. Ends with
# status 1 when something was.
#
#   testnet/fuzz/run.sh [TARGET...]          SECS=60 for each target, JOBS at a time (one a core)
#   testnet/fuzz/run.sh minimise [TARGET...] writes what runs have found to reach more into corpus/
#
# What libFuzzer needs of the compiler are flags of LLVM, which a stable toolchain takes.
set -euo pipefail
cd "$(dirname "$0")"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/fuzz
export SECS=${SECS:-60}
export WORK=$CARGO_TARGET_DIR/work
jobs=${JOBS:-$(nproc)}
host=$(rustc -vV | sed -n 's/^host: //p')
export FUZZ=$CARGO_TARGET_DIR/$host/release/tandem-fuzz

flags=(-Cpasses=sancov-module -Ccodegen-units=1)
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=("-Cllvm-args=-sanitizer-coverage-$flag")
done
# Where a host is named, the flags are not for what runs while building.
RUSTFLAGS="${flags[*]}" cargo build --locked --release -q --target "$host"

# The last number behind a word in a target's log.
number() { sed -n "s/.*$1:* *\([0-9]*\).*/\1/p" "$2" | tail -n 1; }

# Runs a target; what an earlier run has found is tried again.
run() {
    local dir=$WORK/$1 found=nothing
    "$FUZZ" -max_total_time="$SECS" -timeout=120 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$dir/found/" "$dir/corpus" "$dir/seeds" "$dir/found" > "$dir/log" 2>&1 \
        || found="SOMETHING, see $dir/log and $dir/found"
    printf '%-10s %10s inputs, %6s edges of %s, %6s features, %5s kept: found %s\n' "$1" \
        "$(number stat::number_of_executed_units "$dir/log")" "$(number ' cov' "$dir/log")" \
        "$(number 'modules  *(' "$dir/log")" "$(number ' ft' "$dir/log")" \
        "$(number ' corp' "$dir/log")" "$found"
    [ "$found" = nothing ]
}

# Writes 60 inputs of all lengths up to 1 KiB that reach what the seeds do not, as hex digits. A merge
# begins with the seeds, without what was written before, and they are left out of what is written.
minimise() {
    local dir=$WORK/$1
    rm -rf "$dir/least"
    mkdir "$dir/least"
    SEEDS=$dir/least "$FUZZ" 2> "$dir/log"
    "$FUZZ" -merge=1 "$dir/least" "$dir/seeds" "$dir/corpus" 2> "$dir/log"
    find "$dir/least" -type f ! -name 'seed-*' -size -1025c -printf '%s %p\n' | sort -n \
        | awk '{ line[NR] = $0 } END { for (i = NR; i >= 1; i -= NR > 60 ? NR / 60 : 1) print line[int(i)] }' \
        | while read -r _ file; do od -An -v -tx1 "$file" | tr -d ' \n'; echo; done \
        | sort -u > "corpus/$1.hex"
}

one() {
    local dir=$WORK/$1
    export TARGET=$1
    mkdir -p "$dir/corpus" "$dir/found" corpus
    rm -rf "$dir/seeds"
    mkdir "$dir/seeds"
    SEEDS=$dir/seeds CORPUS=corpus/$1.hex "$FUZZ" 2> "$dir/log"
    "$DO" "$1"
}

export DO=run
if [ "${1:-}" = minimise ]; then
    DO=minimise
    shift
fi
[ $# -gt 0 ] || mapfile -t targets < <(TARGET='' "$FUZZ" 2> /dev/null)
[ $# -eq 0 ] || targets=("$@")
export -f number run minimise one
printf '%s\n' "${targets[@]}" | xargs -P "$jobs" -I{} bash -euo pipefail -c 'one {}' \
    || { echo "not every target ended well" >&2; exit 1; }
