#!/usr/bin/env bash
# Plays clients that are not ours against a network of four organisations: every call of cosmjs' Comet38Client over
# HTTP and over a WebSocket (calls.mjs), and the programs of docs/examples, in JavaScript and with curl and
# openssl. Status 0 only if all of it held.
#
#   testnet/clients/run.sh
#
# Needs Node.js from 18 on with npm, curl, openssl and jq.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../docs/examples
bin=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/release
work=$(mktemp -d "${TMPDIR:-/tmp}/tandem-clients.XXXXXX")
export DIR=$work/net
shower=
end() {
  [ -z "$shower" ] || kill "$shower" 2> /dev/null || true
  "$bin/tandem-testnet" down --wipe --dir "$DIR" > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap end EXIT
cp "$examples"/cosmjs/*.json "$examples"/cosmjs/*.mjs "$here"/calls.mjs "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --silent)
"$bin/tandem-testnet" up --dir "$DIR" > /dev/null
cd "$work"
timeout 120 node calls.mjs

program() { if [ "$1" = node ]; then echo "$2"; else echo "${1##*/}"; fi; }
# What a command prints must have a line that an extended regular expression matches.
prints() {
  local pattern=$1 out
  shift
  out=$(timeout 30 "$@") || { echo "failed: $*" >&2; exit 1; }
  grep -Eq -- "$pattern" <<< "$out" || { printf '%s prints no line with %s, but:\n%s\n' "$*" "$pattern" "$out" >&2; exit 1; }
  echo "ok  $(program "$@")"
}
# What a command is refused with.
refused() {
  local pattern=$1 out
  shift
  if out=$(timeout 30 "$@" 2>&1); then echo "not refused: $*" >&2; exit 1; fi
  grep -Eq -- "$pattern" <<< "$out" || { printf '%s is not refused with %s, but:\n%s\n' "$*" "$pattern" "$out" >&2; exit 1; }
  echo "ok  $(program "$@"), refused"
}
port=$(jq '.nodes[] | select(.name == "charlie-a").rpc_port' "$DIR/network.json")
chain=$(jq -r .chain_id "$DIR/network.json")
url=http://127.0.0.1:$port
create='{"Records": {"Create": {"data_set": "prices"}}}'
put='{"Records": {"Put": {"data_set": "prices", "key": {"text": "oil/1"}, "value": {"text": "81.20"}}}}'
signed='^signed .*"data_set":"prices'

prints "$signed" node send.mjs "$url" "$DIR/keys/alpha-user.json" "$create"
prints '^event record_put data_set=prices key=oil/1 version=1$' node send.mjs "$url" "$DIR/keys/alpha-user.json" "$put"
refused 'failed with code 11: .*prices exists already' node send.mjs "$url" "$DIR/keys/alpha-user.json" "$create"
prints '^81.20$' node query.mjs "$url" prices oil/1
prints "^chain $chain height [0-9]+$" node query.mjs "$url"
prints '^height [0-9]+ data_set=prices key=oil/1 version=1$' node search.mjs "$url" prices
prints '^block [0-9]+ of .* with 0$' node subscribe.mjs "$url" 3
# And while there are transactions.
timeout 600 node subscribe.mjs "$url" > shown &
shower=$!
# Waits for a line that the subscription shows.
shows() {
  timeout 120 grep -Eqm1 -- "$1" < <(tail -n +1 -f --pid="$shower" shown) || { echo "subscribe.mjs shows no $1" >&2; exit 1; }
}
shows '^block'

# A key that openssl makes becomes a user of charlie.
openssl genpkey -algorithm ed25519 -out user.pem
read -r key proof < <("$examples/curl-openssl/proof.sh" "$url" user.pem charlie)
"$bin/tandem" tx user add "$key" --proof "$proof" --role writer --key "$DIR/keys/charlie-admin.json" --node "$url" > /dev/null
prints "$signed" "$examples/curl-openssl/send.sh" "$url" user.pem "${create//prices/prices-2}"
prints '^transaction [0-9A-F]{64} height [0-9]+$' "$examples/curl-openssl/send.sh" "$url" user.pem "${put//prices/prices-2}"
prints '^81.20$' "$examples/curl-openssl/read.sh" "$url" prices-2 oil/1
refused 'failed with code 12: ' "$examples/curl-openssl/send.sh" "$url" user.pem "$put"
refused 'there is no kind Steal' "$examples/curl-openssl/send.sh" "$url" user.pem '{"Records": {"Steal": {}}}'
hash=$("$examples/curl-openssl/send.sh" "$url" user.pem "${put//prices/prices-2}" | sed -n 's/^transaction \(.*\) height .*/\1/p')
[ -n "$hash" ] || { echo 'send.sh tells no hash' >&2; exit 1; }
shows "^transaction $hash height [0-9]+ code 0$"
kill "$shower"
echo 'ok  subscribe.mjs, a transaction'
