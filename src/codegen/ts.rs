//! A TypeScript module: types, and a StreamDB state definition whose validators hold the whole schema.
//!
//! The validators are a small evaluator of JSON Schema (`validator.ts`, put into the module as it is) over the schema
//! itself, so that a keyword which no type can say is still checked. The module needs `@durable-streams/state` and
//! nothing else.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::names::{Names, pascal};
use super::shape::{Definition, Object, Outline, Shape, Tuple};
use super::{Generated, Note, one_line};
use crate::registry::schema::child;
use crate::registry::{CompiledCollection, Document};

const VALIDATOR: &str = include_str!("validator.ts");

/// Types that the module declares or uses itself.
pub(super) const RESERVED: &[&str] = &[
    "Apply",
    "Array",
    "Below",
    "Draft",
    "Fail",
    "Findings",
    "Get",
    "Issue",
    "Json",
    "Map",
    "Members",
    "Passes",
    "Place",
    "ReadonlyArray",
    "RegExp",
    "Resource",
    "Schema",
    "Scope",
    "Set",
    "Validator",
];
/// Names of collections that `createStateSchema` refuses, or loses.
const REFUSED: &[&str] = &["__proto__", "actions", "close", "collections", "preload", "utils"];

pub(super) fn module(document: &Document, origin: &str) -> Generated {
    let mut names = Names::without(RESERVED);
    let mut keys = Names::without(REFUSED);
    let (mut types, mut state, mut notes) = (String::new(), String::new(), Vec::new());
    for collection in document.compiled().collections() {
        let pointer = child(&child("/collections", &collection.name), "schema");
        let outline = Outline::of(&collection.schema, &collection.name, &pointer);
        notes.extend(outline.notes.iter().cloned());
        let writer = Types::of(&outline, &mut names);
        writer.declare(&outline, &mut types);
        let schema = checkable(&collection.schema, &pointer, &mut notes);
        let key = keys.take(collection.name.clone());
        if key != collection.name {
            let message = format!("StreamDB cannot have a collection of this name; it is `{key}` here");
            notes.push(Note { pointer: child("/collections", &collection.name), message });
        }
        define(&mut state, &key, collection, &writer.names[0], &schema);
    }
    let mut code =
        format!("// Made by `keyfold codegen ts` from {}: change the document, not this file.\n", one_line(origin));
    for note in &notes {
        let _ = writeln!(code, "// Note: {}: {}", one_line(&note.pointer), one_line(&note.message));
    }
    code.push_str("\nimport { createStateSchema } from '@durable-streams/state'\n\n");
    code.push_str(&types);
    code.push_str(VALIDATOR);
    let _ = write!(
        code,
        "\n/** The collections of a stream, for `createStreamDB`; `state.<collection>.schema` validates one's values. */\n\
         export const state = createStateSchema({{\n{state}}})\n"
    );
    Generated { code, notes }
}

fn define(state: &mut String, key: &str, collection: &CompiledCollection, type_name: &str, schema: &Value) {
    let _ = write!(
        state,
        "  {}: {{\n    type: {},\n    primaryKey: {},\n    schema: validator<{type_name}>({}),\n  }},\n",
        property(key),
        quoted(collection.entity_type.as_str()),
        quoted(&collection.primary_key),
        literal(schema, 2),
    );
}

/// The types of one outline.
struct Types {
    names: Vec<String>,
}

impl Types {
    fn of(outline: &Outline, names: &mut Names) -> Self {
        let take = |definition: &Definition| names.take(pascal(&definition.hint, "Type"));
        Self { names: outline.definitions.iter().map(take).collect() }
    }

    fn declare(&self, outline: &Outline, code: &mut String) {
        for (definition, name) in outline.definitions.iter().zip(&self.names) {
            comment(code, &definition.doc, 0);
            let _ = writeln!(code, "export type {name} = {}\n", self.text(&definition.shape, 0));
        }
    }

    fn text(&self, shape: &Shape, depth: usize) -> String {
        match shape {
            Shape::Any => "unknown".to_owned(),
            Shape::Never => "never".to_owned(),
            Shape::Null => "null".to_owned(),
            Shape::Boolean => "boolean".to_owned(),
            Shape::Integer(_) | Shape::Number => "number".to_owned(),
            Shape::Text => "string".to_owned(),
            Shape::Values(values) => values.iter().map(type_of).collect::<Vec<_>>().join(" | "),
            Shape::Array(items) => format!("Array<{}>", self.text(items, depth)),
            Shape::Tuple(tuple) => self.tuple(tuple, depth),
            Shape::Object(object) => self.object(object, depth),
            Shape::Union(shapes) => {
                shapes.iter().map(|shape| self.text(shape, depth)).collect::<Vec<_>>().join(" | ")
            }
            Shape::Reference(index) => self.names[*index].clone(),
        }
    }

    /// One tuple per length that there may be. Optional items, and a rest written `Array<…>`, would make the compiler
    /// look into a type that is not there yet where the tuple holds itself.
    fn tuple(&self, tuple: &Tuple, depth: usize) -> String {
        /// Lengths that are told apart.
        const LENGTHS_MAX: usize = 8;
        let items: Vec<String> = tuple.items.iter().map(|item| self.text(item, depth)).collect();
        let rest = (*tuple.rest != Shape::Never).then(|| self.text(&tuple.rest, depth));
        if items.len() - tuple.least >= LENGTHS_MAX {
            let all: Vec<String> = items.into_iter().chain(rest).collect();
            return format!("Array<{}>", all.join(" | "));
        }
        let tuples = (tuple.least..=items.len()).map(|length| {
            let rest = rest.iter().filter(|_| length == items.len()).map(|rest| format!("...({rest})[]"));
            format!("[{}]", items[..length].iter().cloned().chain(rest).collect::<Vec<_>>().join(", "))
        });
        tuples.collect::<Vec<_>>().join(" | ")
    }

    fn object(&self, object: &Object, depth: usize) -> String {
        if object.members.is_empty() {
            return format!("{{ [member: string]: {} }}", self.text(&object.others, depth));
        }
        let inside = "  ".repeat(depth + 1);
        let mut code = String::from("{\n");
        for member in &object.members {
            comment(&mut code, &member.doc, depth + 1);
            let mark = if member.required { "" } else { "?" };
            let text = self.text(&member.shape, depth + 1);
            let _ = writeln!(code, "{inside}{}{mark}: {text}", declared(&member.name));
        }
        if !matches!(*object.others, Shape::Any | Shape::Never) {
            // What an index says must hold for the declared members as well.
            let _ = writeln!(code, "{inside}[member: string]: unknown");
        }
        code + &"  ".repeat(depth) + "}"
    }
}

/// The type of one value. What is compound is checked, not typed.
fn type_of(value: &Value) -> String {
    match value {
        Value::Array(_) => "Array<unknown>".to_owned(),
        Value::Object(_) => "{ [member: string]: unknown }".to_owned(),
        scalar => literal(scalar, 0),
    }
}

fn comment(code: &mut String, doc: &str, depth: usize) {
    let lines: Vec<String> = doc.lines().map(|line| one_line(line).replace("*/", "*\\/")).collect();
    let indent = "  ".repeat(depth);
    let _ = match lines.as_slice() {
        [] => Ok(()),
        [line] => writeln!(code, "{indent}/** {line} */"),
        lines => {
            let text: String =
                lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n").collect();
            writeln!(code, "{indent}/**\n{text}{indent} */")
        }
    };
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

/// A member's name in a type.
fn declared(name: &str) -> String {
    if is_identifier(name) { name.to_owned() } else { quoted(name) }
}

/// A member's name in a literal, where a plain `__proto__` would be no member.
fn property(name: &str) -> String {
    if name == "__proto__" { "['__proto__']".to_owned() } else { declared(name) }
}

fn quoted(text: &str) -> String {
    let mut code = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => code.push_str("\\'"),
            '\\' => code.push_str("\\\\"),
            '\n' => code.push_str("\\n"),
            // Line separators end a line in some places of the language; what is invisible is better seen.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(code, "\\u{{{:x}}}", u32::from(c));
            }
            c => code.push(c),
        }
    }
    code + "'"
}

/// JSON as an expression. Short ones stay on their line.
fn literal(value: &Value, depth: usize) -> String {
    const SHORT: usize = 100;
    let (items, open, close): (Vec<String>, _, _) = match value {
        Value::String(text) => return quoted(text),
        Value::Array(items) => (items.iter().map(|item| literal(item, depth + 1)).collect(), "[", "]"),
        Value::Object(members) => {
            let member =
                |(name, value): (&String, &Value)| format!("{}: {}", property(name), literal(value, depth + 1));
            (members.iter().map(member).collect(), "{", "}")
        }
        scalar => return scalar.to_string(),
    };
    let blank = if open == "{" && !items.is_empty() { " " } else { "" };
    let line = format!("{open}{blank}{}{blank}{close}", items.join(", "));
    if line.len() <= SHORT && !line.contains('\n') {
        return line;
    }
    let inside = "  ".repeat(depth + 1);
    let lines: String = items.iter().map(|item| format!("{inside}{item},\n")).collect();
    format!("{open}\n{lines}{}{close}", "  ".repeat(depth))
}

/// The schema as the generated validator can check it; notes say what it does not check as the server does.
fn checkable(schema: &Value, pointer: &str, notes: &mut Vec<Note>) -> Value {
    let dialect =
        schema.get("$schema").and_then(Value::as_str).unwrap_or("https://json-schema.org/draft/2020-12/schema");
    let mut walk = Checkable { old: dialect.contains("draft-0"), draft4: dialect.contains("draft-04"), notes };
    walk.visit(schema, pointer)
}

struct Checkable<'a> {
    /// Whether contents are checked: up to draft 7.
    old: bool,
    draft4: bool,
    notes: &'a mut Vec<Note>,
}

impl Checkable<'_> {
    /// Data is not looked into.
    const DATA: &'static [&'static str] = &["const", "default", "enum", "examples"];
    const ENCODINGS: &'static [&'static str] = &["base64", "base64url"];

    fn visit(&mut self, node: &Value, pointer: &str) -> Value {
        match node {
            Value::Object(members) => {
                let mut kept = BTreeMap::new();
                for (name, value) in members {
                    let place = child(pointer, name);
                    if let Some(message) = self.unchecked(name, value) {
                        self.notes.push(Note { pointer: place.clone(), message });
                    }
                    match (name.as_str(), value.as_str()) {
                        ("$ref" | "$dynamicRef", Some(target)) if is_published(target) => {}
                        (data, _) if Self::DATA.contains(&data) => drop(kept.insert(name.clone(), value.clone())),
                        _ => drop(kept.insert(name.clone(), self.visit(value, &place))),
                    }
                }
                Value::Object(kept.into_iter().collect())
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                Value::Array(items.map(|(index, item)| self.visit(item, &format!("{pointer}/{index}"))).collect())
            }
            scalar => scalar.clone(),
        }
    }

    /// What the validator does not check as the server does.
    fn unchecked(&self, keyword: &str, value: &Value) -> Option<String> {
        let text = value.as_str();
        match (keyword, text?) {
            ("$ref" | "$dynamicRef", target) if is_published(target) => {
                Some("the reference to a meta-schema is not checked".to_owned())
            }
            ("format", format @ ("idn-email" | "idn-hostname")) => Some(format!("format `{format}` is not checked")),
            ("format", "hostname" | "email") if !self.draft4 => {
                Some("host names: labels that begin with `xn--` are checked by their form only".to_owned())
            }
            ("contentEncoding", encoding) if self.old && !self.draft4 && !Self::ENCODINGS.contains(&encoding) => {
                Some(format!("content encoding `{encoding}` is not checked"))
            }
            ("pattern", pattern)
                if ["(?P<", "(?i", "(?s", "(?x", "(?m", "(?U", "\\A", "\\z"]
                    .iter()
                    .any(|part| pattern.contains(part)) =>
            {
                Some(
                    "the pattern is not written as ECMA-262 has it; it may be refused when the module is loaded"
                        .to_owned(),
                )
            }
            ("type", "integer") if self.draft4 => {
                Some("draft-04 tells 1.0 from an integer, which JavaScript cannot".to_owned())
            }
            _ => None,
        }
    }
}

fn is_published(target: &str) -> bool {
    ["http://json-schema.org/draft-0", "https://json-schema.org/draft/"].iter().any(|base| target.starts_with(base))
}
