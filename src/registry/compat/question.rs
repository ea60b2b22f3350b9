//! One question: two schemas, taken together from reading them to the verdict.
//!
//! The outer schema is taken apart into what it asks for; each part that does not show to be met is searched for a value
//! that misses it. So every difference is found and not only the first, and each search is small. What was found is held
//! against the validator before it is told.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, Registry, ValidationError, Validator};
use serde_json::Value;

use super::compile::{BASE, Compiler, Source};
use super::node::*;
use super::search::{Answer, Search, no, yes};
use super::{Bounds, Containment, ContentModel, Difference, Refutation};
use crate::registry::schema;
use crate::registry::validate::message_of;

pub(super) struct Question<'a> {
    search: Search<'a>,
    bounds: &'a Bounds,
    inner: Id,
    outer: Id,
    /// The schemas as they are for writes.
    accepts: Validator,
    refuses: Validator,
    /// The outer schema is read as closed.
    closed: bool,
    inner_schema: &'a Value,
    differences: Vec<Difference>,
    undecided: Option<(String, String)>,
}

/// The search recurses as deep as schemas nest and choices follow each other; both are bounded, and this is enough.
const STACK_BYTES: usize = 32 << 20;

/// Reads the schemas and asks. `None` where one of them is not sound.
///
/// Runs on a stack of its own, because callers' stacks are small, and waits for it.
pub(super) fn ask<T: Send>(
    inner: &Value,
    outer: Option<&Value>,
    given: Option<&Value>,
    model: ContentModel,
    bounds: &Bounds,
    asked: impl FnOnce(&mut Question<'_>) -> T + Send,
) -> Option<T> {
    std::thread::scope(|scope| {
        let ask = || ask_here(inner, outer, given, model, bounds, asked);
        let builder = std::thread::Builder::new().name("compatibility".to_owned()).stack_size(STACK_BYTES);
        builder.spawn_scoped(scope, ask).ok()?.join().ok()?
    })
}

fn ask_here<T>(
    inner: &Value,
    outer: Option<&Value>,
    given: Option<&Value>,
    model: ContentModel,
    bounds: &Bounds,
    asked: impl FnOnce(&mut Question<'_>) -> T,
) -> Option<T> {
    let anything = Value::Bool(true);
    let schemas = [inner, inner, given.unwrap_or(&anything), outer.unwrap_or(&anything)];
    let drafts = schemas.map(|schema| match Draft::default().detect(schema) {
        Draft::Unknown => Draft::default(),
        draft => draft,
    });
    let prepare = |index: usize| {
        Registry::new().draft(drafts[index]).add(BASE, schemas[index]).and_then(|registry| registry.prepare()).ok()
    };
    let registries = [prepare(0)?, prepare(1)?, prepare(2)?, prepare(3)?];
    let closed = [model != ContentModel::Open, false, false, model == ContentModel::Closed];
    let sources = (0..schemas.len()).map(|index| Source {
        schema: schemas[index],
        registry: &registries[index],
        draft: drafts[index],
        closed: closed[index],
    });
    let mut compiler = Compiler::new(sources.collect());
    let read = compiler.source(0)?;
    // Forbidding undeclared members narrows what is said, but for `oneOf`: there less can be more.
    let literal = if closed[0] && mentions_one_of(inner) { compiler.source(1)? } else { TRUE };
    let given = compiler.source(2)?;
    let outer_node = compiler.source(3)?;
    let inner_node = compiler.arena.and([read, literal, given]);
    let build = |index: usize| schema::options(drafts[index]).build(schemas[index]).ok();
    let mut question = Question {
        search: Search::new(compiler, bounds.steps, bounds.depth),
        bounds,
        inner: inner_node,
        outer: outer_node,
        accepts: build(0)?,
        refuses: build(3)?,
        closed: closed[3],
        inner_schema: inner,
        differences: Vec::new(),
        undecided: None,
    };
    Some(asked(&mut question))
}

fn mentions_one_of(schema: &Value) -> bool {
    match schema {
        Value::Array(items) => items.iter().any(mentions_one_of),
        Value::Object(members) => {
            ["oneOf", "not", "if"].iter().any(|name| members.contains_key(*name))
                || members.values().any(mentions_one_of)
        }
        _ => false,
    }
}

/// How deep the outer schema is taken apart.
const PARTS_DEPTH: usize = 12;

/// Errors of one value that are looked through.
const ERRORS_MAX: usize = 50;

impl Question<'_> {
    pub fn instance(&mut self) -> Option<Value> {
        match self.search.solve([yes(self.inner)]) {
            Answer::Found(value) if self.accepts.is_valid(&value) => Some(value),
            _ => None,
        }
    }

    pub fn contained(&mut self) -> Containment {
        let (outer, place) = (self.outer, String::new());
        self.compare(outer, place, 0);
        match (self.differences.is_empty(), self.undecided.take()) {
            (false, undecided) => {
                let mut differences = std::mem::take(&mut self.differences);
                if let Some((reason, path)) = undecided {
                    let message = format!("beside this, something was not decided: {reason}");
                    differences.push(Difference { kind: "undecided", path, message, counterexample: None });
                }
                Containment::Refuted(Refutation { differences })
            }
            (true, Some((reason, path))) => Containment::Undecided { reason, path },
            (true, None) => Containment::Contained,
        }
    }

    /// Compares the inner schema with a part of the outer one, found at `place`.
    fn compare(&mut self, part: Id, place: String, depth: usize) {
        if self.differences.len() >= self.bounds.violations.max(1) || self.search.is_contained(self.inner, part) {
            return;
        }
        let place = self.search.compiler.places.get(&part).cloned().unwrap_or(place);
        let parts = if depth < PARTS_DEPTH { self.parts(part) } else { Vec::new() };
        if parts.len() > 1 || parts.first().is_some_and(|only| *only != part) {
            for part in parts {
                self.compare(part, place.clone(), depth + 1);
            }
            return;
        }
        self.decide(part, place);
    }

    /// Nodes that together are the same as `part`; itself where it cannot be taken apart.
    fn parts(&mut self, part: Id) -> Vec<Id> {
        match self.search.node(part) {
            Node::And(parts) => parts.to_vec(),
            Node::Ref(_) => vec![self.search.behind(part)],
            Node::Member(name, inner) => self.spread(inner, |inner| Node::Member(name.clone(), inner)),
            Node::Members(names, inner) => self.spread(inner, |inner| Node::Members(names.clone(), inner)),
            Node::Item(index, inner) => self.spread(inner, |inner| Node::Item(index, inner)),
            Node::Rest(from, inner) => self.spread(inner, |inner| Node::Rest(from, inner)),
            _ => Vec::new(),
        }
    }

    /// A member that is all of several things is each of them.
    fn spread(&mut self, inner: Id, of: impl Fn(Id) -> Node) -> Vec<Id> {
        let parts = self.parts(inner);
        let mut spread = Vec::with_capacity(parts.len());
        for part in parts {
            let node = self.search.compiler.arena.add(of(part));
            if let Some(place) = self.search.compiler.places.get(&part).cloned() {
                self.search.compiler.places.entry(node).or_insert(place);
            }
            spread.push(node);
        }
        spread
    }

    /// Searches for a value of the inner schema that misses `part`.
    fn decide(&mut self, part: Id, place: String) {
        // No one part may use up what the others need.
        let reserve = self.search.steps / 2;
        self.search.steps -= reserve;
        let answer = self.search.solve([yes(self.inner), no(part)]);
        self.search.steps += reserve;
        let reason = match answer {
            Answer::Nothing => return,
            Answer::Found(value) => match self.is_verified(&value) {
                true => return self.tell(value, place),
                false => "a counterexample was found that the validator does not confirm",
            },
            Answer::Unknown(reason) => reason,
        };
        // Some value at hand may do all the same.
        if let Answer::Found(value) = self.search.solve([yes(self.inner)])
            && self.is_verified(&value)
        {
            return self.tell(value, place);
        }
        self.undecided.get_or_insert((reason.to_owned(), place));
    }

    fn is_verified(&mut self, value: &Value) -> bool {
        let refused =
            !self.refuses.is_valid(value) || (self.closed && self.search.admits(self.outer, value) == Some(false));
        refused && self.accepts.is_valid(value) && self.search.admits(self.inner, value) != Some(false)
    }

    fn tell(&mut self, value: Value, place: String) {
        let mut told: Vec<(&'static str, String, String)> = self
            .refuses
            .iter_errors(&value)
            .take(ERRORS_MAX)
            .map(|error| (self.kind_of(&error), error.schema_path().as_str().to_owned(), message_of(&error)))
            .collect();
        if told.is_empty() {
            let message = "a member that the other side declares is not declared here".to_owned();
            told.push(("property_removed", place.clone(), message));
        }
        // A value can miss more than what it was searched for; that is told with a value of its own.
        let is_known = |(kind, path, _): &(&str, String, String)| {
            self.differences.iter().any(|known| known.kind == *kind && known.path == *path)
        };
        told.sort_by_key(|one| (is_known(one), !one.1.starts_with(&place)));
        if is_known(&told[0]) {
            return;
        }
        let (kind, path, message) = told.swap_remove(0);
        self.differences.push(Difference { kind, path, message, counterexample: Some(value) });
    }

    fn kind_of(&self, error: &ValidationError<'_>) -> &'static str {
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                match unexpected.iter().any(|name| declares(self.inner_schema, name)) {
                    true => "property_removed",
                    false => "content_closed",
                }
            }
            kind => kind_of(kind.keyword()),
        }
    }
}

/// Whether some `properties` of a schema has this name.
fn declares(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Array(items) => items.iter().any(|item| declares(item, name)),
        Value::Object(members) => {
            members.get("properties").and_then(|properties| properties.get(name)).is_some()
                || members.values().any(|member| declares(member, name))
        }
        _ => false,
    }
}

/// What it is called when a keyword refuses what was accepted.
fn kind_of(keyword: &str) -> &'static str {
    match keyword {
        "type" => "type_narrowed",
        "enum" => "enum_narrowed",
        "const" => "const_changed",
        "required" => "required_added",
        "dependentRequired" | "dependencies" | "dependentSchemas" => "dependency_added",
        "propertyNames" => "property_names_narrowed",
        "minProperties" => "min_properties_raised",
        "maxProperties" => "max_properties_lowered",
        "minimum" | "exclusiveMinimum" => "minimum_raised",
        "maximum" | "exclusiveMaximum" => "maximum_lowered",
        "multipleOf" => "multiple_of_changed",
        "minLength" => "min_length_raised",
        "maxLength" => "max_length_lowered",
        "pattern" => "pattern_changed",
        "format" => "format_changed",
        "contentEncoding" | "contentMediaType" => "content_changed",
        "minItems" => "min_items_raised",
        "maxItems" => "max_items_lowered",
        "uniqueItems" => "unique_items_added",
        "contains" | "minContains" | "maxContains" => "contains_changed",
        "additionalItems" | "unevaluatedItems" => "items_closed",
        "anyOf" => "any_of_narrowed",
        "oneOf" => "one_of_changed",
        "not" => "not_widened",
        _ => "forbidden",
    }
}
