//! Verdicts on a schema's history: how the table in docs/compatibility.md is made.
//!
//! `KEYFOLD_HISTORY=DIR cargo test --test compat -- --ignored --nocapture histories` compares the files of a directory,
//! sorted by name, each with the one before.

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
    let read = |path: &std::path::PathBuf| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    for pair in files.windows(2) {
        let (old, new) = (read(&pair[0]), read(&pair[1]));
        let name = pair[1].file_stem().unwrap().to_string_lossy().into_owned();
        if let Some(error) = [&old, &new].iter().find_map(|schema| validator(schema).err()) {
            println!("{name}: not sound: {}", error.chars().take(120).collect::<String>());
            continue;
        }
        for (direction, inner, outer) in [("backward", &old, &new), ("forward", &new, &old)] {
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
