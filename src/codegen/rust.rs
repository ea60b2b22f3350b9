//! A Rust module: serde types that read every value of their schema, and write it as it was.
//!
//! An object that may have members beyond those declared keeps them in a member of its own, so that what another
//! producer wrote is still there when the value is written again. Unions whose alternatives each say which one they
//! are become tagged enums, others untagged ones, whose alternatives are tried in order.
//!
//! Numbers are read as `i64`, `u64` or `f64`: an integer written `1.0`, or beyond 64 bits, is refused although its
//! schema admits it.

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::Value;

use super::names::{Names, pascal, snake};
use super::shape::{Member, Object, Outline, Shape, Tuple};
use super::{Generated, one_line};
use crate::registry::schema::child;
use crate::registry::{CompiledCollection, Document};

/// Names that mean something in the module already.
const RESERVED: &[&str] = &[
    "Box",
    "Clone",
    "Copy",
    "Debug",
    "Deserialize",
    "Deserializer",
    "Eq",
    "Err",
    "Hash",
    "None",
    "Ok",
    "Option",
    "PartialEq",
    "Result",
    "Self",
    "Serialize",
    "Some",
    "String",
    "Vec",
];
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
/// Keywords that cannot be written as `r#…`.
const UNWRITABLE: &[&str] = &["crate", "self", "super"];

const ANY: &str = "serde_json::Value";

pub(super) fn module(document: &Document, origin: &str) -> Generated {
    let mut names = Names::without(RESERVED);
    let (mut code, mut notes, mut helped) = (String::new(), Vec::new(), false);
    for collection in document.compiled().collections() {
        let pointer = child(&child("/collections", &collection.name), "schema");
        let mut outline = Outline::of(&collection.schema, &collection.name, &pointer);
        notes.append(&mut outline.notes);
        let mut writer = Writer::of(&outline, &mut names);
        for (index, definition) in outline.definitions.iter().enumerate() {
            let name = writer.defined[index].clone();
            writer.declare(&name, &definition.shape, &definition.doc, true);
        }
        writer.constants(collection);
        helped |= writer.helped;
        code.push_str(&writer.code);
    }
    let mut head = format!(
        "//! Made by `keyfold codegen rust` from {}: change the document, not this file.\n",
        one_line(origin)
    );
    for note in &notes {
        let _ = writeln!(head, "//!\n//! Note: `{}`: {}", one_line(&note.pointer), one_line(&note.message));
    }
    head.push_str("\nuse serde::{Deserialize, Serialize};\n\n");
    if helped {
        code.push_str(PRESENT);
    }
    Generated { code: format!("{head}{}\n", code.trim_end()), notes }
}

const PRESENT: &str = "\
/// Tells a member that is there and null from one that is not there.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
";

/// Writes the types of one outline.
struct Writer<'o, 'n> {
    outline: &'o Outline,
    names: &'n mut Names,
    /// Of the outline's definitions.
    defined: Vec<String>,
    /// Definitions that hold themselves by value, without an array or a map between.
    boxed: HashSet<usize>,
    code: String,
    helped: bool,
}

impl<'o, 'n> Writer<'o, 'n> {
    fn of(outline: &'o Outline, names: &'n mut Names) -> Self {
        let defined = outline.definitions.iter().map(|definition| names.take(pascal(&definition.hint, "Type")));
        let defined = defined.collect();
        let boxed = (0..outline.definitions.len()).filter(|index| reaches(outline, *index, false)).collect();
        Self { outline, names, defined, boxed, code: String::new(), helped: false }
    }

    fn constants(&mut self, collection: &CompiledCollection) {
        // A schema that no stream can hold has neither.
        if collection.primary_key.is_empty() {
            return;
        }
        let _ = write!(
            self.code,
            "impl {} {{\n    /// The entity type, `type` of a change.\n    pub const TYPE: &'static str = {:?};\n    \
             /// The member that holds the key.\n    pub const PRIMARY_KEY: &'static str = {:?};\n}}\n\n",
            self.defined[0],
            collection.entity_type.as_str(),
            collection.primary_key,
        );
    }

    /// Declares a type of this name. A definition that is only another name for something may still hold itself.
    fn declare(&mut self, name: &str, shape: &Shape, doc: &str, is_definition: bool) {
        match shape {
            Shape::Object(object) if !is_map(object) => self.declare_struct(name, object, doc, None),
            Shape::Values(values) if texts(values).is_some() => self.declare_texts(name, values, doc),
            Shape::Union(shapes) if without_null(shapes).len() > 1 && !is_nullable(shapes) => {
                self.declare_union(name, shapes, doc);
            }
            shape => {
                let text = self.text(shape, name, false);
                comment(&mut self.code, doc, 0);
                let index = self.defined.iter().position(|defined| defined == name).filter(|_| is_definition);
                // An alias cannot lead back to itself, and has no constants of its own.
                if index.is_some_and(|index| index == 0 || reaches(self.outline, index, true)) {
                    let _ = write!(
                        self.code,
                        "#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n#[serde(transparent)]\n\
                         pub struct {name}(pub {text});\n\n"
                    );
                } else {
                    let _ = write!(self.code, "pub type {name} = {text};\n\n");
                }
            }
        }
    }

    /// The type of a shape. Types that it needs are declared under names that begin with `name`; `indirect` where an
    /// array or a map holds it.
    fn text(&mut self, shape: &Shape, name: &str, indirect: bool) -> String {
        match shape {
            Shape::Any | Shape::Never => ANY.to_owned(),
            Shape::Null => "()".to_owned(),
            Shape::Boolean => "bool".to_owned(),
            Shape::Integer(true) => "u64".to_owned(),
            Shape::Integer(false) => "i64".to_owned(),
            Shape::Number => "f64".to_owned(),
            Shape::Text => "String".to_owned(),
            Shape::Values(values) if texts(values).is_some() => self.nested(name, shape),
            Shape::Values(values) => self.values(values, name),
            Shape::Array(items) => format!("Vec<{}>", self.text(items, &format!("{name}Item"), true)),
            Shape::Tuple(tuple) => self.tuple(tuple, name),
            Shape::Object(object) if is_map(object) => match &*object.others {
                Shape::Any => "serde_json::Map<String, serde_json::Value>".to_owned(),
                others => {
                    let text = self.text(others, &format!("{name}Value"), true);
                    format!("std::collections::BTreeMap<String, {text}>")
                }
            },
            Shape::Object(_) => self.nested(name, shape),
            Shape::Union(shapes) if is_nullable(shapes) => {
                let others = super::shape::union(without_null(shapes));
                format!("Option<{}>", self.text(&others, name, indirect))
            }
            Shape::Union(_) => self.nested(name, shape),
            Shape::Reference(index) => {
                let name = self.defined[*index].clone();
                if !indirect && self.boxed.contains(index) { format!("Box<{name}>") } else { name }
            }
        }
    }

    fn nested(&mut self, name: &str, shape: &Shape) -> String {
        let name = self.names.take(name.to_owned());
        self.declare(&name, shape, "", false);
        name
    }

    /// Values that are no texts: what they have in common.
    fn values(&mut self, values: &[Value], name: &str) -> String {
        let all = |holds: fn(&Value) -> bool| values.iter().all(holds);
        if values.iter().any(Value::is_null) && values.len() > 1 {
            let others = values.iter().filter(|value| !value.is_null()).cloned().collect();
            return format!("Option<{}>", self.text(&Shape::Values(others), name, false));
        }
        if all(Value::is_null) {
            "()".to_owned()
        } else if all(Value::is_boolean) {
            "bool".to_owned()
        } else if all(Value::is_i64) {
            "i64".to_owned()
        } else if all(Value::is_number) {
            "f64".to_owned()
        } else {
            ANY.to_owned()
        }
    }

    /// A tuple where the length is known; else an array of what its items have in common.
    fn tuple(&mut self, tuple: &Tuple, name: &str) -> String {
        let all = tuple.items.iter().chain(std::iter::once(&*tuple.rest).filter(|rest| **rest != Shape::Never));
        let common = super::shape::union(all.cloned().collect());
        // What follows is only left out where nothing may follow; serde tells tuples of up to 16 apart.
        let fixed = tuple.least == tuple.items.len() && *tuple.rest == Shape::Never && tuple.items.len() <= 16;
        match (fixed, &common) {
            (true, _) => {
                let mut items = String::new();
                for (index, item) in tuple.items.iter().enumerate() {
                    let _ = write!(items, "{}, ", self.text(item, &format!("{name}Item{index}"), false));
                }
                let items = items.trim_end();
                format!("({})", if tuple.items.len() == 1 { items } else { items.trim_end_matches(',') })
            }
            (false, common) => format!("Vec<{}>", self.text(common, &format!("{name}Item"), true)),
        }
    }

    /// `tag` is a member that the enum around it writes.
    fn declare_struct(&mut self, name: &str, object: &Object, doc: &str, tag: Option<&str>) {
        let mut fields = Names::without(&[]);
        let mut body = String::new();
        for member in object.members.iter().filter(|member| Some(member.name.as_str()) != tag) {
            if member.shape == Shape::Never {
                continue;
            }
            self.field(&mut body, name, member, &mut fields);
        }
        let open = *object.others != Shape::Never;
        if open {
            let field = fields.take("other".to_owned());
            let map = match &*object.others {
                Shape::Any => "serde_json::Map<String, serde_json::Value>".to_owned(),
                others => {
                    let text = self.text(others, &format!("{name}Other"), true);
                    format!("std::collections::BTreeMap<String, {text}>")
                }
            };
            let _ = writeln!(
                body,
                "    /// Members that the schema does not name.\n    #[serde(flatten)]\n    pub {field}: {map},"
            );
        }
        comment(&mut self.code, doc, 0);
        self.code.push_str("#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n");
        if !open {
            self.code.push_str("#[serde(deny_unknown_fields)]\n");
        }
        let _ = match body.is_empty() {
            true => write!(self.code, "pub struct {name} {{}}\n\n"),
            false => write!(self.code, "pub struct {name} {{\n{body}}}\n\n"),
        };
    }

    fn field(&mut self, body: &mut String, parent: &str, member: &Member, fields: &mut Names) {
        let mut plain = snake(&member.name, "field");
        if UNWRITABLE.contains(&plain.as_str()) {
            plain.push('_');
        }
        let plain = fields.take(plain);
        let text = self.text(&member.shape, &format!("{parent}{}", pascal(&member.name, "Field")), false);
        comment(body, &member.doc, 1);
        let mut settings = Vec::new();
        if plain != member.name {
            settings.push(format!("rename = {:?}", member.name));
        }
        let text = match member.required {
            true if text.starts_with("Option<") => {
                // Without this, a member that is not there would be taken for null.
                settings.push("deserialize_with = \"Option::deserialize\"".to_owned());
                text
            }
            true => text,
            false => {
                self.helped = true;
                settings.push("default".to_owned());
                settings.push("deserialize_with = \"present\"".to_owned());
                settings.push("skip_serializing_if = \"Option::is_none\"".to_owned());
                format!("Option<{text}>")
            }
        };
        if !settings.is_empty() {
            let _ = writeln!(body, "    #[serde({})]", settings.join(", "));
        }
        let escaped = if KEYWORDS.contains(&plain.as_str()) { format!("r#{plain}") } else { plain };
        let _ = writeln!(body, "    pub {escaped}: {text},");
    }

    fn declare_texts(&mut self, name: &str, values: &[Value], doc: &str) {
        let mut variants = Names::without(&["Self"]);
        let mut body = String::new();
        for text in texts(values).unwrap_or_default() {
            let variant = variants.take(pascal(text, "Value"));
            if variant != *text {
                let _ = writeln!(body, "    #[serde(rename = {text:?})]");
            }
            let _ = writeln!(body, "    {variant},");
        }
        comment(&mut self.code, doc, 0);
        let _ = write!(
            self.code,
            "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]\npub enum {name} {{\n{body}}}\n\n"
        );
    }

    fn declare_union(&mut self, name: &str, shapes: &[Shape], doc: &str) {
        let objects: Option<Vec<(&Object, Option<usize>)>> =
            shapes.iter().map(|shape| self.object_of(shape)).collect();
        if let Some(objects) = objects
            && let Some((tag, values)) = tag_of(&objects)
        {
            return self.declare_tagged(name, &objects, &tag, &values, doc);
        }
        let mut variants = Names::without(&["Self"]);
        let mut body = String::new();
        for shape in shapes {
            let variant = variants.take(self.variant_of(shape));
            let text = self.text(shape, &format!("{name}{variant}"), false);
            let _ = writeln!(body, "    {variant}({text}),");
        }
        comment(&mut self.code, doc, 0);
        let _ = write!(
            self.code,
            "#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n#[serde(untagged)]\npub enum {name} {{\n{body}}}\n\n"
        );
    }

    fn declare_tagged(
        &mut self,
        name: &str,
        objects: &[(&Object, Option<usize>)],
        tag: &str,
        values: &[String],
        doc: &str,
    ) {
        let mut variants = Names::without(&["Self"]);
        let mut body = String::new();
        for ((object, definition), value) in objects.iter().zip(values) {
            let variant = variants.take(pascal(value, "Value"));
            let inner = self.names.take(format!("{name}{variant}"));
            let doc = definition.map_or("", |index| self.outline.definitions[index].doc.as_str());
            self.declare_struct(&inner, object, doc, Some(tag));
            if variant != *value {
                let _ = writeln!(body, "    #[serde(rename = {value:?})]");
            }
            let _ = writeln!(body, "    {variant}({inner}),");
        }
        comment(&mut self.code, doc, 0);
        let _ = write!(
            self.code,
            "#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]\n#[serde(tag = {tag:?})]\npub enum {name} {{\n{body}}}\n\n"
        );
    }

    /// The object that a shape is, references followed.
    fn object_of<'a>(&self, shape: &'a Shape) -> Option<(&'a Object, Option<usize>)>
    where
        'o: 'a,
    {
        let mut found = (shape, None);
        for _ in 0..=self.outline.definitions.len() {
            match found.0 {
                Shape::Object(object) if !is_map(object) => return Some((object, found.1)),
                Shape::Reference(index) => found = (&self.outline.definitions[*index].shape, Some(*index)),
                _ => return None,
            }
        }
        None
    }

    fn variant_of(&self, shape: &Shape) -> String {
        match shape {
            Shape::Any | Shape::Never => "Value".to_owned(),
            Shape::Null => "Null".to_owned(),
            Shape::Boolean => "Boolean".to_owned(),
            Shape::Integer(_) => "Integer".to_owned(),
            Shape::Number => "Number".to_owned(),
            Shape::Text => "Text".to_owned(),
            Shape::Values(_) => "Value".to_owned(),
            Shape::Array(_) | Shape::Tuple(_) => "List".to_owned(),
            Shape::Object(_) => "Object".to_owned(),
            Shape::Union(_) => "Union".to_owned(),
            Shape::Reference(index) => pascal(&self.outline.definitions[*index].hint, "Type"),
        }
    }
}

/// Whether a definition holds itself: by value, or `through_lists` and maps as well.
fn reaches(outline: &Outline, start: usize, through_lists: bool) -> bool {
    let (mut open, mut seen) = (vec![&outline.definitions[start].shape], HashSet::new());
    while let Some(shape) = open.pop() {
        match shape {
            Shape::Reference(index) if *index == start => return true,
            Shape::Reference(index) if seen.insert(*index) => open.push(&outline.definitions[*index].shape),
            Shape::Union(shapes) => open.extend(shapes),
            Shape::Tuple(tuple) => {
                open.extend(&tuple.items);
                open.push(&tuple.rest);
            }
            Shape::Array(items) if through_lists => open.push(items),
            Shape::Object(object) => {
                open.extend(object.members.iter().map(|member| &member.shape));
                if through_lists {
                    open.push(&object.others);
                }
            }
            _ => {}
        }
    }
    false
}

/// A member that every one of the objects has, with a different text in each; and these texts.
fn tag_of(objects: &[(&Object, Option<usize>)]) -> Option<(String, Vec<String>)> {
    let text_of = |object: &Object, name: &str| {
        let member = object.members.iter().find(|member| member.name == name && member.required)?;
        match &member.shape {
            Shape::Values(values) => match values.as_slice() {
                [Value::String(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        }
    };
    objects.first()?.0.members.iter().find_map(|member| {
        let texts: Vec<String> =
            objects.iter().map(|(object, _)| text_of(object, &member.name)).collect::<Option<_>>()?;
        let distinct: HashSet<&String> = texts.iter().collect();
        (distinct.len() == texts.len()).then(|| (member.name.clone(), texts))
    })
}

fn is_map(object: &Object) -> bool {
    object.members.is_empty() && *object.others != Shape::Never
}

fn texts(values: &[Value]) -> Option<Vec<&str>> {
    values.iter().map(Value::as_str).collect()
}

fn is_nullable(shapes: &[Shape]) -> bool {
    shapes.iter().any(|shape| match shape {
        Shape::Values(values) => values.iter().any(Value::is_null),
        shape => *shape == Shape::Null,
    })
}

fn without_null(shapes: &[Shape]) -> Vec<Shape> {
    let kept = shapes.iter().filter_map(|shape| match shape {
        Shape::Null => None,
        Shape::Values(values) => {
            let values: Vec<Value> = values.iter().filter(|value| !value.is_null()).cloned().collect();
            (!values.is_empty()).then_some(Shape::Values(values))
        }
        other => Some(other.clone()),
    });
    kept.collect()
}

fn comment(code: &mut String, doc: &str, depth: usize) {
    let indent = "    ".repeat(depth);
    for line in doc.lines() {
        let _ = writeln!(code, "{}", format!("{indent}/// {}", one_line(line)).trim_end());
    }
}
