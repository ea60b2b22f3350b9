//! Labelled pairs, and what became of them.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use keyfold::registry::compat::{Bounds, Containment, ContentModel, contained};
use serde_json::{Value, json};

pub struct Pair {
    pub origin: String,
    pub inner: Value,
    pub outer: Value,
    pub contained: bool,
}

fn read(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compat").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn dialect(draft: &str) -> &'static str {
    match draft {
        "draft4" => "http://json-schema.org/draft-04/schema#",
        "draft6" => "http://json-schema.org/draft-06/schema#",
        "draft7" => "http://json-schema.org/draft-07/schema#",
        "draft2019-09" => "https://json-schema.org/draft/2019-09/schema",
        _ => "https://json-schema.org/draft/2020-12/schema",
    }
}

fn under(draft: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.entry("$schema").or_insert(dialect(draft).into());
    }
    schema
}

impl Pair {
    pub fn listed(name: &str) -> Vec<Self> {
        let pairs = read(name).into_iter().map(|pair| {
            let draft = pair["draft"].as_str().unwrap();
            Self {
                origin: format!("{draft} {}", pair["origin"].as_str().unwrap()),
                inner: under(draft, &pair["inner"]),
                outer: under(draft, &pair["outer"]),
                contained: pair["contained"].as_bool().unwrap(),
            }
        });
        pairs.filter(Self::is_sound).collect()
    }

    /// "Exactly this value" is contained in a schema if the value is one of it.
    pub fn of_instances(name: &str) -> Vec<Self> {
        Self::of_tests(name, false, |only, schema| (only, schema))
    }

    /// A schema is contained in "anything but this value" if the value is none of it.
    pub fn of_exclusions(name: &str) -> Vec<Self> {
        Self::of_tests(name, true, |only, schema| {
            let dialect = only["$schema"].clone();
            (schema, json!({"$schema": dialect, "not": {"enum": only["enum"]}}))
        })
    }

    fn of_tests(name: &str, only_some: bool, turned: impl Fn(Value, Value) -> (Value, Value)) -> Vec<Self> {
        let mut pairs = Vec::new();
        for group in read(name) {
            let draft = group["draft"].as_str().unwrap();
            let schema = under(draft, &group["schema"]);
            let Ok(validator) = validator(&schema) else {
                continue;
            };
            for test in group["tests"].as_array().unwrap() {
                // Formats are asserted here and not in every test, and an integer may be written with a point: so the
                // validator decides what the label is.
                let pointed = test[0].as_i64().map(|number| json!(number as f64)).filter(|_| test[0].is_number());
                let writings: Vec<&Value> = [&test[0]].into_iter().chain(&pointed).collect();
                let valid = match only_some {
                    true => writings.iter().all(|value| !validator.is_valid(value)),
                    false => writings.iter().all(|value| validator.is_valid(value)),
                };
                let only = json!({"$schema": dialect(draft), "enum": [test[0]]});
                let (inner, outer) = turned(only, schema.clone());
                let origin = format!("{draft} {} {}", group["origin"].as_str().unwrap(), test[0]);
                pairs.push(Self { origin, inner, outer, contained: valid });
            }
        }
        pairs
    }

    /// Whether a document could hold both.
    fn is_sound(&self) -> bool {
        validator(&self.inner).is_ok() && validator(&self.outer).is_ok()
    }
}

pub fn validator(schema: &Value) -> Result<jsonschema::Validator, String> {
    let options = jsonschema::options().offline().should_validate_formats(true).should_ignore_unknown_formats(true);
    let options = options.with_pattern_options(jsonschema::PatternOptions::regex().size_limit(1 << 20));
    options.build(schema).map_err(|error| error.to_string())
}

/// What became of the pairs of one collection.
#[derive(Default)]
pub struct Tally {
    pairs: usize,
    undecided: Vec<String>,
    refuted: usize,
    unproven: Vec<String>,
    /// Said to be refuted where the label says contained: each has a counterexample, which is the proof.
    refuted_against: usize,
    /// Said to be contained where the label says not.
    contained_against: Vec<Pair>,
    slowest: (Duration, String),
    spent: Duration,
}

impl Tally {
    pub fn of(pairs: Vec<Pair>) -> Self {
        let mut tally = Self::default();
        pairs.into_iter().for_each(|pair| tally.add(pair));
        tally
    }

    fn add(&mut self, pair: Pair) {
        let began = Instant::now();
        let answer = contained(&pair.inner, &pair.outer, ContentModel::Open, &Bounds::default());
        let spent = began.elapsed();
        self.pairs += 1;
        self.spent += spent;
        if spent > self.slowest.0 {
            self.slowest = (spent, pair.to_string());
        }
        match answer {
            Containment::Contained if pair.contained => {}
            Containment::Contained => self.contained_against.push(pair),
            Containment::Undecided { reason, path } => self.undecided.push(format!("{reason} at {path}: {pair}")),
            Containment::Refuted(refutation) => {
                self.refuted += 1;
                self.refuted_against += usize::from(pair.contained);
                let shown = refutation.differences.iter().find_map(|difference| difference.counterexample.as_ref());
                match shown {
                    Some(value) => {
                        pair.dump(value);
                        assert!(validator(&pair.inner).unwrap().is_valid(value), "{value}: {pair}");
                        assert!(!validator(&pair.outer).unwrap().is_valid(value), "{value}: {pair}");
                    }
                    None => self.unproven.push(pair.to_string()),
                }
            }
        }
    }

    /// Prints the counts, and fails where too much is undecided or unproven, or a label is contradicted without proof.
    pub fn judge(&self, name: &str) {
        println!(
            "{name}: {} pairs, {} undecided; {} refuted, {} of them without counterexample; against the label {} refuted, \
             {} contained; {:?} in all, slowest {:?}: {}",
            self.pairs,
            self.undecided.len(),
            self.refuted,
            self.unproven.len(),
            self.refuted_against,
            self.contained_against.len(),
            self.spent,
            self.slowest.0,
            self.slowest.1.chars().take(200).collect::<String>(),
        );
        self.undecided.iter().for_each(|line| println!("undecided: {line}"));
        assert!(self.undecided.len() * 100 <= self.pairs * 2, "more than 2 % undecided");
        assert!(self.unproven.len() * 100 <= self.refuted * 5, "more than 5 % refuted without a counterexample");
        self.contained_against.iter().for_each(|pair| assert!(pair.is_shown(), "{pair}"));
    }
}

/// Pairs whose label is wrong in a way that no single instance shows; see ORIGIN.md.
const MISLABELLED: &[&str] = &["draft7 test_numeric.py::test_all_all_3"];

impl Pair {
    /// Whether a wrong label can be seen: the inner schema names all its instances, and the outer one takes them.
    fn is_shown(&self) -> bool {
        let constant = self.inner.get("const").map(std::slice::from_ref);
        let listed = self.inner.get("enum").and_then(Value::as_array).map(Vec::as_slice);
        let refuses = validator(&self.outer).unwrap();
        MISLABELLED.contains(&self.origin.as_str())
            || constant.or(listed).is_some_and(|values| values.iter().all(|value| refuses.is_valid(value)))
    }
}

impl Pair {
    /// Appends a counterexample to the file that KEYFOLD_COUNTEREXAMPLES names, for another validator to judge.
    fn dump(&self, value: &Value) {
        let Some(path) = std::env::var_os("KEYFOLD_COUNTEREXAMPLES") else {
            return;
        };
        let line = json!({"origin": self.origin, "inner": self.inner, "outer": self.outer, "value": value});
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} in {}", self.origin, self.inner, self.outer)
    }
}
