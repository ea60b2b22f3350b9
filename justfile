# What one does here; `just` alone lists it. `just check` is what CI runs, and more.

default:
    @just --list

# Build and run every test, as README says
test:
    bash tests/run.sh

# Format, lints, documentation, dependencies, and every test
check: fmt lint doc deny test

fmt:
    cargo fmt --check

lint:
    cargo clippy --all-targets -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny:
    cargo deny check

# Write openapi/, schemas/ and the tables in docs/ anew from the code
generate:
    KEYFOLD_GENERATE=1 cargo test --test it drift::

# The same two commands, for those without just
demo *args:
    cargo run -- demo {{args}}
