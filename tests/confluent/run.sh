#!/usr/bin/env bash
# The published Confluent client against the binary that `cargo build` made (or the one that KEYFOLD_BIN names).
#
# Needs Python 3.10 or newer with venv. Installs what requirements.txt names into .venv beside this file.
set -euo pipefail

cd "$(dirname "$0")"

stamp=.venv/installed
if ! cmp -s requirements.txt "$stamp"; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$stamp"
fi
.venv/bin/python -m unittest --verbose test_client
