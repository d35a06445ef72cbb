#!/usr/bin/env bash
# Has a real Prometheus watch a network of four organisations: promtool checks metrics and rules, every
# query of the dashboard returns data, no rule fails, and the alerts that a dead standby and a seat that is
# down should raise are raised. Status 0 only if all of it held.
#
#   testnet/monitoring/run.sh
#
# Needs Debian's prometheus (with promtool) and python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
docs=$(cd "$here/../../docs/operations" && pwd)
bin=${CARGO_TARGET_DIR:-$HOME/.cache/tandem/target}/release
work=$(mktemp -d "${TMPDIR:-/tmp}/tandem-monitoring.XXXXXX")
export DIR=$work/net TESTNET=$bin/tandem-testnet DOCS=$docs
prometheus=
end() {
  [ -z "$prometheus" ] || kill "$prometheus" 2> /dev/null || true
  "$TESTNET" down --wipe --dir "$DIR" > /dev/null 2>&1 || true
  rm -rf "$work"
}
trap end EXIT
promtool check rules "$docs/alerts.yml"
(cd "$docs" && promtool test rules alerts.test.yml)
"$TESTNET" up --dir "$DIR" --observers 1
"$TESTNET" load --dir "$DIR" --rate 50 --secs 5 > /dev/null
export PORT
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
python3 "$here/watch.py" metrics > "$work/prometheus.yml"
prometheus --config.file "$work/prometheus.yml" --storage.tsdb.path "$work/tsdb" \
  --web.listen-address "127.0.0.1:$PORT" --log.level warn > "$work/prometheus.log" 2>&1 &
prometheus=$!
"$TESTNET" load --dir "$DIR" --rate 50 --secs 30 > /dev/null
timeout 300 python3 "$here/watch.py" dashboard
"$TESTNET" kill alpha-b --dir "$DIR" > /dev/null
timeout 300 python3 "$here/watch.py" alert TandemStandbyNotEligible alpha
"$TESTNET" kill alpha-a --dir "$DIR" > /dev/null
timeout 300 python3 "$here/watch.py" alert TandemSeatDown alpha
