//! Whether a collection's schema is sound: every fault, each at its place.
//!
//! Three looks at one schema: the meta-schema of its draft (keyword values of the wrong kind), a walk over its
//! subschemas (references, regular expressions, `$schema`, cost) and, if nothing was found, compiling it. The members
//! that a collection relies on, its key and version field, are [`super::document`]'s.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use jsonschema::{Draft, PatternOptions, Registry, Retrieve, Uri, ValidationOptions, Validator};
use serde_json::{Map, Value};

pub(crate) use super::cost::Scope;
use super::cost::{APPLIED_MAX, Costs, NESTED_MAX};
use super::document::{DocumentFault, FaultCode};
use super::validate::message_of;

/// Largest compiled form of one regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
/// The base of schemas that do not name one; what the validator itself uses.
pub(super) const BASE: &str = "json-schema:///";

/// Where faults are put, and what remains of the budgets of the whole document.
pub(super) struct Findings {
    pub faults: Vec<DocumentFault>,
    /// Regular expressions that the document may still have.
    pub patterns_left: usize,
}

impl Findings {
    pub fn add(&mut self, pointer: impl Into<String>, code: FaultCode, message: impl Into<String>) {
        self.faults.push(DocumentFault { pointer: pointer.into(), code, message: message.into() });
    }
}

/// Checks and compiles the schema at `pointer`; `None` where it has faults, which are in `findings`.
pub(super) fn compile(schema: &Value, pointer: &str, findings: &mut Findings) -> Option<Validator> {
    let found_before = findings.faults.len();
    if !schema.is_object() && !schema.is_boolean() {
        findings.add(pointer, FaultCode::SchemaKind, "a schema is an object (or a boolean)");
        return None;
    }
    let draft = Draft::default().detect(schema);
    if draft != Draft::Unknown {
        check_keywords(schema, pointer, findings);
    }
    Walk::over(schema, draft, pointer, findings);
    if findings.faults.len() > found_before {
        return None;
    }
    match options(draft).build(schema) {
        Ok(validator) => Some(validator),
        Err(error) => {
            findings.add(pointer, FaultCode::SchemaInvalid, message_of(&error));
            None
        }
    }
}

pub(super) fn options(draft: Draft) -> ValidationOptions<'static> {
    jsonschema::options()
        .with_draft(draft)
        .offline()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        // The default engine backtracks: a client's pattern could stop a writer for seconds.
        .with_pattern_options(PatternOptions::regex().size_limit(REGEX_BYTES_MAX))
}

fn check_keywords(schema: &Value, pointer: &str, findings: &mut Findings) {
    let Ok(meta) = jsonschema::meta::validator_for(schema) else {
        findings.add(pointer, FaultCode::SchemaDialect, "`$schema` names no known draft of JSON Schema");
        return;
    };
    let mut seen = HashSet::new();
    for error in meta.iter_errors(schema) {
        let place = format!("{pointer}{}", error.instance_path().as_str());
        let message = match place.rsplit('/').next() {
            Some("type") => {
                "`type` is one of array, boolean, integer, null, number, object, string, or a list of them".to_owned()
            }
            _ => message_of(&error),
        };
        if seen.insert((place.clone(), message.clone())) {
            findings.add(place, FaultCode::SchemaKeyword, message);
        }
    }
}

/// Answers every request with an empty schema and remembers it, so that the walk can name each place that asked.
#[derive(Clone, Default)]
struct Remotes(Arc<Mutex<HashSet<String>>>);

impl Retrieve for Remotes {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.0.lock().map_err(|_| "another thread panicked")?.insert(uri.as_str().to_owned());
        Ok(Value::Bool(true))
    }
}

/// Keywords whose value is a schema, a list of schemas (or one), a map of schemas.
pub(super) const SCHEMA: &[&str] = &[
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
pub(super) const SCHEMAS: &[&str] = &["allOf", "anyOf", "items", "oneOf", "prefixItems"];
pub(super) const SCHEMA_MAP: &[&str] =
    &["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"];
const REFERENCES: &[&str] = &["$ref", "$dynamicRef"];

/// The walk of one schema.
struct Walk<'a> {
    draft: Draft,
    /// What the references asked to be fetched.
    remotes: HashSet<String>,
    /// `None` once the cost was found too high: everything around that place costs as much.
    costs: Option<Costs>,
    findings: &'a mut Findings,
}

impl<'a> Walk<'a> {
    fn over(schema: &Value, draft: Draft, pointer: &str, findings: &'a mut Findings) {
        let draft = if draft == Draft::Unknown { Draft::default() } else { draft };
        let remotes = Remotes::default();
        let prepared = Registry::new()
            .draft(draft)
            .retriever(remotes.clone())
            .add(BASE, schema)
            .and_then(|registry| registry.prepare());
        let remotes = remotes.0.lock().map(|seen| seen.clone()).unwrap_or_default();
        let before = findings.faults.len();
        let mut walk = Self { draft, remotes, costs: Some(Costs::default()), findings };
        match (&prepared, jsonschema::uri::from_str(BASE)) {
            (Ok(registry), Ok(base)) => {
                let scope = Scope { registry, base: Arc::new(base), draft };
                walk.visit(schema, pointer, Some(&scope));
            }
            _ => walk.visit(schema, pointer, None),
        }
        // Without its identifiers the schema was only looked through; name the cause if that found nothing.
        if let (Err(error), true) = (prepared, walk.findings.faults.len() == before) {
            walk.findings.add(pointer, FaultCode::SchemaInvalid, error.to_string());
        }
    }

    /// Recurses as deep as the document nests, which has been bounded before.
    fn visit(&mut self, schema: &Value, pointer: &str, scope: Option<&Scope<'_>>) {
        let Some(members) = schema.as_object() else {
            return;
        };
        if let (Some(scope), Some(costs)) = (scope, &mut self.costs)
            && costs.exceeds(schema, scope)
        {
            let message = format!(
                "a single value would be checked against more than {APPLIED_MAX} subschemas, or more than \
                 {NESTED_MAX} that refer to each other in a row; name shared definitions less often"
            );
            self.findings.add(pointer, FaultCode::TooCostly, message);
            self.costs = None;
        }
        let inner = scope.map(|scope| scope.inside(schema));
        let scope = inner.as_ref();
        for (name, value) in members {
            let place = child(pointer, name);
            match (name.as_str(), value) {
                ("$schema", Value::String(dialect)) => self.check_dialect(dialect, place),
                ("pattern", Value::String(regex)) => self.check_regex(regex, place),
                (name, Value::String(target)) if REFERENCES.contains(&name) => {
                    self.check_reference(target, place, scope);
                }
                (name, Value::Array(items)) if SCHEMAS.contains(&name) => {
                    for (index, item) in items.iter().enumerate() {
                        self.visit(item, &format!("{place}/{index}"), scope);
                    }
                }
                (name, Value::Object(_)) if SCHEMA.contains(&name) || name == "items" => {
                    self.visit(value, &place, scope);
                }
                (name, Value::Object(schemas)) if SCHEMA_MAP.contains(&name) => {
                    for (key, item) in schemas {
                        let place = child(&place, key);
                        if name == "patternProperties" {
                            self.check_regex(key, place.clone());
                        }
                        self.visit(item, &place, scope);
                    }
                }
                _ => {}
            }
        }
    }

    fn check_dialect(&mut self, dialect: &str, place: String) {
        if Draft::from_schema_uri(dialect) == Draft::Unknown {
            let known = "https://json-schema.org/draft/2020-12/schema, …/2019-09/schema, or draft-07, -06, -04";
            self.findings.add(place, FaultCode::SchemaDialect, format!("unknown draft; use one of {known}"));
        }
    }

    fn check_reference(&mut self, target: &str, place: String, scope: Option<&Scope<'_>>) {
        const REMOTE: &str =
            "refers to another document, and nothing is fetched; put it under `$defs` of this schema";
        let (uri, _) = target.split_once('#').unwrap_or((target, ""));
        let Some(scope @ Scope { registry, base, .. }) = scope else {
            if !uri.is_empty() {
                self.findings.add(place, FaultCode::RemoteReference, REMOTE);
            }
            return;
        };
        let asked = match uri {
            "" => Ok(base.clone()),
            uri => registry.resolve_uri(&base.borrow(), uri),
        };
        let known = |uri: &str| !self.remotes.contains(uri) && registry.contains_resource(uri);
        match asked {
            Ok(asked) if uri.is_empty() || known(asked.as_str()) => {
                if let Err(error) = scope.follow(target) {
                    let message = format!("leads to nothing in this schema: {error}");
                    self.findings.add(place, FaultCode::UnresolvedReference, message);
                }
            }
            Ok(_) => self.findings.add(place, FaultCode::RemoteReference, REMOTE),
            Err(error) => {
                let message = format!("is not a URI reference: {error}");
                self.findings.add(place, FaultCode::UnresolvedReference, message);
            }
        }
    }

    fn check_regex(&mut self, regex: &str, place: String) {
        if self.findings.patterns_left == 0 {
            return;
        }
        self.findings.patterns_left -= 1;
        if self.findings.patterns_left == 0 {
            self.findings.add(place, FaultCode::TooManyPatterns, "the document has too many regular expressions");
            return;
        }
        let mut probe = Map::new();
        probe.insert("pattern".to_owned(), Value::String(regex.to_owned()));
        if let Err(error) = options(self.draft).build(&Value::Object(probe)) {
            let backtracks = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|mark| regex.contains(mark));
            let message = match backtracks {
                true => {
                    "look-around is not supported, because patterns run on a linear-time engine; say it without, \
                         for example by `allOf` or `not`"
                        .to_owned()
                }
                false => format!("the regular expression does not compile: {}", message_of(&error)),
            };
            self.findings.add(place, FaultCode::Regex, message);
        }
    }
}

/// The pointer to a member. Source: RFC 6901.
pub(crate) fn child(pointer: &str, member: &str) -> String {
    format!("{pointer}/{}", member.replace('~', "~0").replace('/', "~1"))
}
