#!/usr/bin/env bash
# Reads a record's value, with curl, openssl and jq alone.
#
#   read.sh URL SET KEY
set -euo pipefail
url=$1
. "$(dirname "$0")/call.sh"
jq -n --arg set "$2" --arg key "$3" '{path: "/records/\($set)/\($key | @uri)"}' | call abci_query |
  jq -r '.response | if .code == 0 then .value else error(.log) end' | openssl base64 -d -A
