#!/usr/bin/env bash
# Builds Keyfold and runs every test there is. Needs Rust and Node; installs nothing outside the working copy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() { printf '\n== %s\n' "$*"; }

if cargo nextest --version >/dev/null 2>&1; then
    run_tests=(cargo nextest run)
else
    run_tests=(cargo test)
fi

step "build"
cargo build --bins --examples

step "tests (${run_tests[*]})"
"${run_tests[@]}"

step "deliberate bugs: the tests must catch each"
"${run_tests[@]}" --features mutants --test it every_mutant_is_caught
if [ -f tests/mutants.rs ]; then
    "${run_tests[@]}" --features mutants --test mutants
fi

step "README, as pasted"
bash tests/readme.sh

if [ -f tests/node.sh ]; then
    step "published clients and the protocol's conformance suite"
    bash tests/node.sh
fi

step "all passed"
