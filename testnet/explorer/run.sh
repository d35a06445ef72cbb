#!/usr/bin/env bash
# Plays the explorer in a real Chromium: starts a network of four organisations, writes records, makes a
# motion, kills a validator while a page is open, and ends it. Status 0 only if every step held.
#
#   testnet/explorer/run.sh [SHOTS]      pictures of each page go to the folder SHOTS
#
# Needs Debian's chromium, nodejs and npm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/release
work=$(mktemp -d "${TMPDIR:-/tmp}/tandem-pages.XXXXXX")
export DIR=$work/net TESTNET=$bin/tandem-testnet TANDEM=$bin/tandem SHOTS=${1:+$(realpath -m "$1")}
end() { "$TESTNET" down --wipe --dir "$DIR" > /dev/null 2>&1 || true; rm -rf "$work"; }
trap end EXIT
cp "$here"/package.json "$here"/package-lock.json "$here"/pages.mjs "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --silent)
"$TESTNET" up --dir "$DIR" --observers 1
"$TESTNET" load --dir "$DIR" --rate 20 --secs 5 > /dev/null
(cd "$work" && timeout 300 node pages.mjs)
