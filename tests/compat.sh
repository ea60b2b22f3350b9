#!/usr/bin/env bash
# Counterexamples to compatibility, held against a second validator: the Python package jsonschema.
#
# Needs python 3.9 or newer and a package index. What the package is, requirements.txt says.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

KEYFOLD_COUNTEREXAMPLES="$work/counterexamples" cargo test --test compat are_decided
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -r tests/compat/requirements.txt
"$work/venv/bin/python" tests/compat/second_validator.py "$work/counterexamples"
