#!/usr/bin/env bash
# Pastes the curl lines of README and of docs/evolution.md against a server of its own, and looks at what they answer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

binary="${KEYFOLD_BIN:-${CARGO_TARGET_DIR:-target}/debug/keyfold}"
scratch="$(mktemp -d)"
env -u STREAMS_SECRET -u DURABLE_STREAMS_SECRET "$binary" serve --port 0 --data-dir "$scratch/data" >"$scratch/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

url=""
for _ in $(seq 100); do
    url="$(grep -o 'http://127\.0\.0\.1:[0-9]*' "$scratch/log" | head -n 1 || true)"
    [ -n "$url" ] && break
    sleep 0.1
done
[ -n "$url" ] || { echo "the server did not start:"; cat "$scratch/log"; exit 1; }

# The block between the two markers; only the address differs. The live read is cut off once it has had time to answer.
lines() {
    sed -n '/<!-- curl -->/,/<!-- end -->/p' "$1" | grep -v -e '^<!--' -e '^```' \
        | sed -e "s#http://127.0.0.1:4437#$url#" -e 's#^curl -N#timeout 2 curl -N#'
}
lines README.md >"$scratch/paste"
grep -q '^timeout 2 curl -N' "$scratch/paste"
# `timeout` ends the live read with 124; every other line must end well.
bash -c "set -u; $(cat "$scratch/paste")" >"$scratch/answers" 2>"$scratch/errors" || [ $? -eq 124 ]

fail() { echo "README's lines did not answer as it says: $1"; cat "$scratch/answers" "$scratch/errors"; exit 1; }
grep -q '"version":1' "$scratch/answers" || fail "the document was not registered"
grep -q '"pattern":"shop/\*\*"' "$scratch/answers" || fail "the binding was not made"
grep -q '"status":422' "$scratch/answers" || fail "the bad value was not refused"
grep -q '"orders":{"42":{"id":"42","status":"paid"}}' "$scratch/answers" || fail "the snapshot is not as written"
grep -q '^event: ready' "$scratch/answers" || fail "the live read did not become ready"
echo "README's lines answer as it says"

lines docs/evolution.md >"$scratch/paste"
bash -c "set -u; $(cat "$scratch/paste")" >"$scratch/answers" 2>"$scratch/errors"
fail() { echo "the lines of docs/evolution.md did not answer as it says: $1"; cat "$scratch/answers" "$scratch/errors"; exit 1; }
grep -q '"would_rewrite":1' "$scratch/answers" || fail "the dry run found nothing to do"
grep -q '"state":"done"' "$scratch/answers" || fail "the migration did not end"
grep -q '"42":{"id":"42","priority":0,"state":"open"}' "$scratch/answers" || fail "the order was not carried over"
echo "the lines of docs/evolution.md answer as it says"
