//! The equation: `fold(what a reader received) == fold(log up to the mark)` at every mark, on every way of reading,
//! across cuts, restarts, concurrent writers, slow readers and refusals.
//!
//! The oracle is what the writers were told, folded by code of this directory alone (`oracle.rs`). Each test runs some
//! seeds; `KEYFOLD_CASES` says how many, `KEYFOLD_SEED` repeats one, `KEYFOLD_SHOW` tells how much was checked.

mod case;
mod http;
mod oracle;
mod readers;
mod refusals;
mod renewed;
mod server;
mod writers;

use case::{equation_holds, for_seeds};
use readers::Path;

/// Cases per way of reading, unless `KEYFOLD_CASES` says otherwise.
const CASES: u64 = 2;

macro_rules! equation {
    ($($claim:ident: $path:ident;)*) => {
        $(#[test]
        fn $claim() {
            for_seeds(stringify!($claim), CASES, |seed| equation_holds(Path::$path, seed));
        })*
    };
}

equation! {
    pages_of_every_change_hold_the_fold_at_their_marks: RawPages;
    long_polls_of_every_change_hold_the_fold_at_their_marks: RawLongPoll;
    protocol_sse_of_every_change_holds_the_fold_at_its_marks: RawSse;
    folded_pages_hold_the_fold_at_their_marks: FoldedPages;
    folded_long_polls_hold_the_fold_at_their_marks: FoldedLongPoll;
    folded_protocol_sse_holds_the_fold_at_its_marks: FoldedSse;
    plain_reads_that_a_binding_folds_hold_the_fold_at_their_marks: FoldedByBinding;
    events_hold_the_fold_when_they_say_ready: Events;
    filtered_events_hold_the_filtered_fold_when_they_say_ready: FilteredEvents;
    a_snapshot_document_is_the_fold_at_its_offset: Snapshot;
    snapshot_lines_are_the_fold_at_their_offset: SnapshotLines;
    a_paged_list_omits_and_repeats_nothing_that_is_not_touched: Entities;
    a_client_watch_holds_the_fold_when_it_says_ready: ClientWatch;
    a_client_view_comes_to_hold_the_fold: ClientView;
}

#[test]
fn refusals_change_nothing_not_even_the_tail() {
    for_seeds("refusals_change_nothing_not_even_the_tail", CASES, refusals::change_nothing);
}

#[test]
fn a_deletion_keeps_the_version_it_deletes_across_restarts() {
    let test = "a_deletion_keeps_the_version_it_deletes_across_restarts";
    for_seeds(test, CASES, refusals::deletion_keeps_its_version);
}

#[test]
fn retried_tuples_are_stored_once_across_restarts() {
    for_seeds("retried_tuples_are_stored_once_across_restarts", CASES, refusals::tuples_are_stored_once);
}

#[test]
fn a_name_made_again_makes_folded_readers_forget() {
    for_seeds("a_name_made_again_makes_folded_readers_forget", CASES, renewed::name_is_told);
}
