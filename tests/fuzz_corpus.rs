//! Every fuzz target on stable Rust: all of its corpus, then seeded mutations of it.
//!
//! `KEYFOLD_FUZZ_ROUNDS` (mutations of each target) and `KEYFOLD_FUZZ_SEED` make a hunt of it; for a guided one see
//! `fuzz/README.md`. A failure names the input's file, to be kept in the corpus.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn number(name: &str, usual: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|_| panic!("{} is missing", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", directory.display());
    files.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

fn check(name: &str, target: targets::Target, source: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        let kept = std::env::temp_dir().join(format!("keyfold-fuzz-{name}"));
        std::fs::write(&kept, input).unwrap();
        panic!("{name} fails on {source}; the input is in {}", kept.display());
    }
}

/// Up to four changes of an input, parts of another one among them.
fn mutate(dice: &mut fastrand::Rng, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut out = input.to_vec();
    for _ in 0..dice.usize(1..=4) {
        let at = dice.usize(..=out.len());
        let until = (at + dice.usize(..=8)).min(out.len());
        match dice.u8(..7) {
            0 if at < out.len() => out[at] ^= 1 << dice.u8(..8),
            1 if at < out.len() => out[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'/', b',', b'\n'][dice.usize(..9)],
            2 => drop(out.drain(at..until)),
            3 => out.insert(at, dice.u8(..)),
            4 => {
                let copy = out[at..until].to_vec();
                out.splice(at..at, copy);
            }
            5 if !other.is_empty() => {
                let from = dice.usize(..other.len());
                let to = (from + dice.usize(..=32)).min(other.len());
                out.splice(at..until, other[from..to].iter().copied());
            }
            _ => out.truncate(at.max(1)),
        }
    }
    out
}

fn run(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let corpus = corpus(name);
    for (path, input) in &corpus {
        check(name, target, &path.display().to_string(), input);
    }
    let (rounds, seed) = (number("KEYFOLD_FUZZ_ROUNDS", 2_000), number("KEYFOLD_FUZZ_SEED", 1));
    let mut dice = fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        let [one, other] = [(); 2].map(|()| &corpus[dice.usize(..corpus.len())].1);
        let input = mutate(&mut dice, one, other);
        check(name, target, &format!("round {round} of seed {seed}"), &input);
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            let known: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, [$(stringify!($name)),*]);
        }
    };
}

targets!(record, recovery, catalogue, change, json, text, pattern, document, http);
