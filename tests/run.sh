#!/usr/bin/env bash
# Builds Keyfold and runs every test there is. Needs Rust, Node and Python with their package registries; installs nothing
# outside the working copy and temporary directories.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf '\n== %s\n' "$*"; }

if cargo nextest --version >/dev/null 2>&1; then
    run_tests=(cargo nextest run --no-fail-fast)
else
    run_tests=(cargo test --no-fail-fast)
fi

step "build"
cargo build --bins --examples

step "tests (${run_tests[*]})"
"${run_tests[@]}"

step "examples, each of which asserts what it shows"
for example in worker_mirror saga_mirror dashboard_view topic_inspector; do
    echo "$example"
    cargo run --quiet --example "$example" >/dev/null
done

step "README, as pasted"
bash tests/readme.sh

step "published clients and the protocol's conformance suite"
bash tests/node.sh

step "the published Confluent client"
bash tests/confluent/run.sh

step "counterexamples, held against a second validator"
bash tests/compat.sh

# Last, because it builds the program with the bugs in it (off, unless a test turns one on).
step "deliberate bugs: the tests must catch each"
"${run_tests[@]}" --features mutants --test it --test simulation every_mutant_is_caught

step "all passed"
