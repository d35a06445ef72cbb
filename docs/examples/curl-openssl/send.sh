#!/usr/bin/env bash
# Signs a call and sends it, with curl, openssl and jq alone.
#
#   send.sh URL KEY.pem CALL
set -euo pipefail
url=$1 pem=$2
. "$(dirname "$0")/call.sh"
bytes=$(mktemp)
trap 'rm -f "$bytes"' EXIT

# The node says what is to be signed, and what it means.
prepared=$(jq --arg sender "$(public_key | hex)" '{call: ., $sender}' <<< "$3" | call tx_prepare)
jq -c .body <<< "$prepared" | sed 's/^/signed /'

# The key signs here.
jq -r .sign_bytes <<< "$prepared" | openssl base64 -d -A > "$bytes"
assembled=$(jq --arg signature "$(sign "$bytes")" '{sign_bytes, $signature}' <<< "$prepared" | call tx_assemble)

receipt=$(jq '{tx}' <<< "$assembled" | call broadcast_tx_commit)
jq -r '
  (.check_tx, .tx_result) | select(.code != 0) | error("failed with code \(.code): \(.log)")
' <<< "$receipt"
jq -r '"transaction \(.hash) height \(.height)"' <<< "$receipt"
