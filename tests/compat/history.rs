//! Verdicts on a schema's history: how the table in docs/compatibility.md is made.
//!
//! `KEYFOLD_HISTORY=DIR cargo test --test compat -- --ignored --nocapture histories` compares the files of a directory,
//! sorted by name, each with the last one before it that is sound. Versions that are no JSON, or no schema, are named and passed over.

use std::time::Instant;

use keyfold::registry::compat::{Bounds, Containment, ContentModel, contained};
use serde_json::Value;

use crate::corpus::validator;

#[test]
#[ignore = "reads files that are not part of the project"]
fn histories_are_told() {
    let directory = std::env::var_os("KEYFOLD_HISTORY").expect("KEYFOLD_HISTORY names a directory");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let sound: Vec<(String, Value)> = files.iter().filter_map(|path| sound(path)).collect();
    println!("{} versions, {} of them sound", files.len(), sound.len());
    for pair in sound.windows(2) {
        let ((_, old), (name, new)) = (&pair[0], &pair[1]);
        for (direction, inner, outer) in [("backward", old, new), ("forward", new, old)] {
            for model in [ContentModel::OptionalFriendly, ContentModel::Open] {
                let began = Instant::now();
                let verdict = contained(inner, outer, model, &Bounds::default());
                let spent = began.elapsed();
                let model = model.as_str();
                match verdict {
                    Containment::Contained => println!("{name} {direction} {model}: compatible in {spent:?}"),
                    Containment::Undecided { reason, path } => {
                        println!("{name} {direction} {model}: undecided at {path}: {reason} in {spent:?}");
                    }
                    Containment::Refuted(refutation) => {
                        println!("{name} {direction} {model}: {} in {spent:?}", refutation.differences.len());
                        for difference in refutation.differences.iter().take(4) {
                            let shown = difference.counterexample.as_ref().map(Value::to_string).unwrap_or_default();
                            let shown: String = shown.chars().take(160).collect();
                            println!("    {} {} {shown}", difference.kind, difference.path);
                        }
                    }
                }
            }
        }
    }
}

/// The version in a file and its name, or nothing if it is no JSON or no schema.
fn sound(path: &std::path::Path) -> Option<(String, Value)> {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let read = serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).map_err(|error| error.to_string());
    match read.and_then(|schema| validator(&schema).map(|_| schema)) {
        Ok(schema) => Some((name, schema)),
        Err(error) => {
            println!("{name}: not sound: {}", error.chars().take(120).collect::<String>());
            None
        }
    }
}
