#!/usr/bin/env bash
# Prints a key and its proof that it is to be of an organisation, as `tandem tx user add KEY --proof PROOF`
# takes them, with curl, openssl and jq alone. The bytes that are signed stand in docs/formats.md, section 2.
#
#   proof.sh URL KEY.pem ORGANISATION
set -euo pipefail
url=$1 pem=$2 org=$3
. "$(dirname "$0")/call.sh"
bytes=$(mktemp)
trap 'rm -f "$bytes"' EXIT

# A text of the codec: its length in eight bytes, low byte first, and itself. Names have less than 256 bytes.
text() { printf "\\x$(printf %02x "${#1}")\\0\\0\\0\\0\\0\\0\\0%s" "$1"; }

chain=$(jq -n '{}' | call status | jq -r .node_info.network)
{
  printf 'tandem/registration/1\0'
  text "$chain"
  text "$org"
  public_key
} > "$bytes"
echo "$(public_key | hex) $(sign "$bytes")"
