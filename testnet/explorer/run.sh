#!/usr/bin/env bash
# Plays the explorer in a real Chromium: starts a network of four organisations, writes records, makes a
# motion, kills a validator while a page is open, and ends it. Status 0 only if every step held.
#
#   testnet/explorer/run.sh [--shots]      --shots makes the pictures in docs/screenshots anew
#
# Needs Debian's chromium, and Node.js from 18 on with npm; for pictures Debian's webp.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
shots=$here/../../docs/screenshots
bin=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/release
work=$(mktemp -d "${TMPDIR:-/tmp}/tandem-pages.XXXXXX")
export DIR=$work/net TESTNET=$bin/tandem-testnet TANDEM=$bin/tandem SHOTS=
case "${1:-}" in
  '') ;;
  --shots)
    command -v cwebp > /dev/null || { echo "$0 --shots needs Debian's package webp" >&2; exit 2; }
    SHOTS=$work/shots ;;
  *) echo "usage: $0 [--shots]" >&2; exit 2 ;;
esac
end() { "$TESTNET" down --wipe --dir "$DIR" > /dev/null 2>&1 || true; rm -rf "$work"; }
trap end EXIT
cp "$here"/package.json "$here"/package-lock.json "$here"/*.mjs "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --silent)
"$TESTNET" up --dir "$DIR" --observers 1 > /dev/null
"$TESTNET" load --dir "$DIR" --rate 20 --secs 5 > /dev/null
(cd "$work" && timeout 900 node pages.mjs)
[ -n "$SHOTS" ] || exit 0
# Every page on a desktop in light, and a few in the other looks.
rm -rf "$shots"
mkdir "$shots"
for shot in "$SHOTS"/*.light.png "$SHOTS"/{overview,pairs,block}.dark.png "$SHOTS"/{overview,pairs}.phone.png \
  "$SHOTS"/pairs.{failing,switched}.png; do
  name=${shot##*/}
  case $name in *.phone.png) width=0 ;; *) width=960 ;; esac
  cwebp -quiet -preset text -q 40 -resize $width 0 "$shot" -o "$shots/${name%.png}.webp"
done
du -sh "$shots"
