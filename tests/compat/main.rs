//! The containment checker held against public, labelled pairs of schemas, against random ones, and against itself.

mod corpus;
mod evolution;
mod history;
mod property;
mod random;
mod time;

use corpus::{Pair, Tally};

#[test]
fn pairs_of_jsonsubschema_are_decided() {
    Tally::of(Pair::listed("jsonsubschema.json")).judge("jsonsubschema");
}

#[test]
fn pairs_of_the_containment_test_suite_are_decided() {
    Tally::of(Pair::listed("containment-testsuite.json")).judge("containment test suite");
}

#[test]
fn instances_of_the_test_suite_are_decided() {
    Tally::of(Pair::of_instances("test-suite.json")).judge("JSON Schema test suite");
}

#[test]
fn exclusions_of_the_test_suite_are_decided() {
    Tally::of(Pair::of_exclusions("test-suite.json")).judge("JSON Schema test suite, turned around");
}
