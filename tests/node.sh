#!/usr/bin/env bash
# Every suite that runs on node, against the binary that `cargo build` made (or the one that KEYFOLD_BIN names).
#
# Needs node 20 or newer. Ends with the first suite that fails.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

for folder in tests/conformance tests/conformance/state-protocol tests/clients examples/node; do
  say "$folder: installing what package-lock.json names"
  npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error
done

say "published clients, and the example"
(cd tests/clients && node node_modules/vitest/vitest.mjs run)

say "the public Durable Streams server suite, on each store"
node tests/conformance/run.mjs

say "the State Protocol suite, on untyped and on bound streams, on each store"
node tests/conformance/state.mjs

say "the State Protocol suite against servers that are broken on purpose"
(cd tests/conformance/state-protocol && node node_modules/vitest/vitest.mjs run)
