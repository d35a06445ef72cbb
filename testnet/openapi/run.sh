#!/usr/bin/env bash
# Holds a real node to its OpenAPI document: starts a network of four organisations, writes records, validates
# the document, and has schemathesis ask every route with good and bad requests. Status 0 only if there was no
# server error, no answer that the document does not have, and no bad request that was taken for a good one.
#
#   testnet/openapi/run.sh [EXAMPLES]      requests of each kind for each route at most (50)
#
# Needs python3 with venv. SEED=… for other requests than those of seed 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/release
examples=${1:-50}
work=$(mktemp -d "${TMPDIR:-/tmp}/tandem-openapi.XXXXXX")
export DIR=$work/net TESTNET=$bin/tandem-testnet TANDEM=$bin/tandem
end() { "$TESTNET" down --wipe --dir "$DIR" > /dev/null 2>&1 || true; rm -rf "$work"; }
trap end EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
"$TESTNET" up --dir "$DIR" --observers 1
"$TESTNET" load --dir "$DIR" --rate 20 --secs 5 > /dev/null
"$work/venv/bin/python" "$here/node.py" document > "$work/openapi.json"
"$work/venv/bin/openapi-spec-validator" "$work/openapi.json"
before=$("$work/venv/bin/python" "$here/node.py" height)
url=$("$work/venv/bin/python" "$here/node.py" url)
ask() {
  # In its folder, since it writes there what it remembers.
  (cd "$work" && SCHEMATHESIS_HOOKS=$here/checks.py timeout 3000 "$work/venv/bin/schemathesis" \
    --config-file "$here/schemathesis.toml" run openapi.json --url "$url" --seed "${SEED:-1}" "$@")
}
ask --exclude-operation-id post-root --max-examples "$examples"
# One route for all methods: it has no end of edges, and gets more of the others.
ask --include-operation-id post-root --phases examples,fuzzing --max-examples $((20 * examples))
"$work/venv/bin/python" "$here/node.py" well "$before"
