//! Most schemas, checked over the text of a value while it is read.
//!
//! A [`Plan`] is made of a schema that uses only the keywords listed here, in their usual forms. It says *yes* or nothing:
//! where it says nothing, the value may be refused, or only be unusual (`1.0` for an integer, an escaped name), and the
//! validator, which alone words refusals, is asked about the parsed value. So a plan need not be complete, and must never
//! be wrong: its invariant is that what it says yes to, the validator accepts, and the strict parser reads.

use jsonschema::{Draft, Validator};
use serde_json::{Map, Number, Value};

use crate::model::is_rfc_3339;
use crate::model::scan::{DEPTH_MAX, Digits, Scan, Strictness, Text, distinct};

use super::schema::options;

/// How a schema is checked over text.
#[derive(Debug)]
pub struct Plan {
    nodes: Vec<Node>,
    root: usize,
    /// Where the root's properties have the key and the version.
    key: usize,
    version: Option<usize>,
}

/// What a plan read of a value that it says yes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The key's member as it was written.
    pub key: &'a str,
    /// The version's, where there is one.
    pub version: Option<&'a str>,
}

/// Room to work in, which is kept from one value to the next.
#[derive(Debug, Default)]
pub struct Room<'a> {
    names: Vec<&'a str>,
    /// Bytes of this value that may still be read once more, for another subschema.
    again: usize,
}

/// Most nodes of a plan; larger schemas are left to the validator.
const NODES_MAX: usize = 4_096;
/// Most properties of one object: they are counted off in the bits of a word.
const PROPERTIES_MAX: usize = 128;
/// Most bytes of one value that are read once more; where its schema asks for more, the validator does it at less cost.
const AGAIN_MAX: usize = 64 << 10;
/// Most nodes that are applied one inside the other, references and alternatives counted.
const NESTED_MAX: usize = 2 * DEPTH_MAX;

mod kind {
    pub const NULL: u8 = 1;
    pub const BOOLEAN: u8 = 2;
    pub const INTEGER: u8 = 4;
    /// Those that are no integers.
    pub const FRACTION: u8 = 8;
    pub const STRING: u8 = 16;
    pub const ARRAY: u8 = 32;
    pub const OBJECT: u8 = 64;
    pub const NUMBER: u8 = INTEGER | FRACTION;
    pub const ALL: u8 = 127;
}

/// One subschema.
#[derive(Debug)]
struct Node {
    /// Kinds of values that it allows.
    kinds: u8,
    properties: Vec<Property>,
    /// Which properties must be there, one bit each.
    required: u128,
    additional: Additional,
    members: Bounds,
    items: Option<usize>,
    length: Bounds,
    characters: Bounds,
    texts: Vec<TextRule>,
    numbers: Vec<NumberRule>,
    /// Scalars as they are written, if it must be one of them.
    choices: Option<Vec<Box<str>>>,
    /// Whether those are all that it may be, however written.
    choices_are_all: bool,
    /// What holds of the same value.
    also: Vec<usize>,
    /// Of each list, one holds of the same value.
    one_of_each: Vec<Vec<usize>>,
}

#[derive(Debug)]
struct Property {
    name: Box<str>,
    node: usize,
}

/// What members without a property of their own must be.
#[derive(Clone, Copy, Debug)]
enum Additional {
    Any,
    None,
    Node(usize),
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    const NONE: Self = Self { least: 0, most: u64::MAX };

    fn hold(self, count: usize) -> Option<()> {
        (self.least..=self.most).contains(&(count as u64)).then_some(())
    }
}

#[derive(Debug)]
enum TextRule {
    Uuid,
    Moment,
    /// Whatever else is asked of a text, asked by the validator.
    Asked(Box<Validator>),
}

#[derive(Clone, Copy, Debug)]
enum NumberRule {
    Least(Limit),
    Above(Limit),
    Most(Limit),
    Below(Limit),
    MultipleOf(i64),
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Integer(i64),
    Double(f64),
}

impl Plan {
    /// A plan of a schema that is sound; `None` where it uses what plans do not know.
    pub fn of(schema: &Value, primary_key: &str, version_field: Option<&str>) -> Option<Self> {
        let draft = Draft::default().detect(schema);
        // Of draft 4, keywords of later drafts say nothing.
        if matches!(draft, Draft::Unknown | Draft::Draft4) || has_inner_base(schema) {
            return None;
        }
        let mut planner = Planner { whole: schema, draft, nodes: Vec::new(), known: Vec::new(), nesting: 0 };
        let root = planner.node(schema, true)?;
        let nodes = planner.nodes.into_iter().collect::<Option<Vec<_>>>()?;
        let place = |name: &str| nodes[root].properties.iter().position(|property| *property.name == *name);
        let (key, version) = (place(primary_key)?, version_field.map(place));
        if nodes[root].required & (1 << key) == 0 || version == Some(None) {
            return None;
        }
        Some(Self { root, key, version: version.flatten(), nodes })
    }

    /// Reads a value, which is nested at most `depth` deep: what it is, where it belongs to the schema, and `None` where
    /// that is not certain.
    pub fn read<'a>(&self, scan: &mut Scan<'a>, depth: usize, room: &mut Room<'a>) -> Option<Facts<'a>> {
        if scan.peek()? != b'{' {
            return None;
        }
        room.names.clear();
        room.again = AGAIN_MAX;
        let mut found = [None, None];
        let nesting = Nesting { depth: depth.min(DEPTH_MAX), applied: NESTED_MAX };
        self.apply(self.root, scan, nesting, room, Some(&mut found))?;
        Some(Facts { key: found[0]?, version: found[1] })
    }

    fn apply<'a>(
        &self,
        node: usize,
        scan: &mut Scan<'a>,
        nesting: Nesting,
        room: &mut Room<'a>,
        found: Option<&mut [Option<&'a str>; 2]>,
    ) -> Option<()> {
        let node = &self.nodes[node];
        let inner = Nesting { applied: nesting.applied.checked_sub(1)?, ..nesting };
        let first = scan.peek()?;
        let start = scan.at();
        match first {
            b'"' => node.text(scan.string()?)?,
            b'{' => self.object(node, scan, inner.deeper()?, room, found)?,
            b'[' => self.array(node, scan, inner.deeper()?, room)?,
            b't' => scan.word("true").filter(|()| node.kinds & kind::BOOLEAN != 0)?,
            b'f' => scan.word("false").filter(|()| node.kinds & kind::BOOLEAN != 0)?,
            b'n' => scan.word("null").filter(|()| node.kinds & kind::NULL != 0)?,
            _ => node.number(scan.number()?)?,
        }
        if let Some(choices) = &node.choices {
            let written = scan.since(start);
            choices.iter().find(|choice| ***choice == *written)?;
        }
        let length = scan.at() - start;
        for also in &node.also {
            room.again = room.again.checked_sub(length)?;
            self.apply(*also, &mut Scan::starting(scan.text(), start), inner, room, None)?;
        }
        for alternatives in &node.one_of_each {
            let before = room.names.len();
            alternatives.iter().find(|node| {
                let Some(again) = room.again.checked_sub(length) else { return false };
                room.again = again;
                room.names.truncate(before);
                self.apply(**node, &mut Scan::starting(scan.text(), start), inner, room, None).is_some()
            })?;
        }
        Some(())
    }

    fn object<'a>(
        &self,
        node: &Node,
        scan: &mut Scan<'a>,
        nesting: Nesting,
        room: &mut Room<'a>,
        mut found: Option<&mut [Option<&'a str>; 2]>,
    ) -> Option<()> {
        if node.kinds & kind::OBJECT == 0 {
            return None;
        }
        scan.eat(b'{')?;
        let (mut seen, mut count, others) = (0u128, 0, room.names.len());
        let mut more = scan.peek()? != b'}';
        if !more {
            scan.eat(b'}')?;
        }
        while more {
            let name = scan.name()?;
            count += 1;
            match node.properties.iter().position(|property| *property.name == *name) {
                Some(at) => {
                    if seen & (1 << at) != 0 {
                        return None;
                    }
                    seen |= 1 << at;
                    scan.peek()?;
                    let start = scan.at();
                    self.apply(node.properties[at].node, scan, nesting, room, None)?;
                    if let Some(found) = &mut found {
                        if at == self.key {
                            found[0] = Some(scan.since(start));
                        }
                        if Some(at) == self.version {
                            found[1] = Some(scan.since(start));
                        }
                    }
                }
                None => {
                    room.names.push(name);
                    match node.additional {
                        Additional::None => return None,
                        Additional::Any => scan.skip(nesting.depth, Strictness::Strict, &mut room.names)?,
                        Additional::Node(node) => self.apply(node, scan, nesting, room, None)?,
                    }
                }
            }
            more = scan.goes_on(b'}')?;
        }
        distinct(&mut room.names[others..])?;
        room.names.truncate(others);
        node.members.hold(count)?;
        (node.required & !seen == 0).then_some(())
    }

    fn array<'a>(&self, node: &Node, scan: &mut Scan<'a>, nesting: Nesting, room: &mut Room<'a>) -> Option<()> {
        if node.kinds & kind::ARRAY == 0 {
            return None;
        }
        scan.eat(b'[')?;
        let mut count = 0;
        let mut more = scan.peek()? != b']';
        if !more {
            scan.eat(b']')?;
        }
        while more {
            count += 1;
            match node.items {
                Some(items) => self.apply(items, scan, nesting, room, None)?,
                None => scan.skip(nesting.depth, Strictness::Strict, &mut room.names)?,
            }
            more = scan.goes_on(b']')?;
        }
        node.length.hold(count)
    }
}

/// How much deeper it may go.
#[derive(Clone, Copy)]
struct Nesting {
    /// Of the value.
    depth: usize,
    /// Of nodes.
    applied: usize,
}

impl Nesting {
    fn deeper(self) -> Option<Self> {
        Some(Self { depth: self.depth.checked_sub(1)?, ..self })
    }
}

impl Node {
    fn any() -> Self {
        Self {
            kinds: kind::ALL,
            properties: Vec::new(),
            required: 0,
            additional: Additional::Any,
            members: Bounds::NONE,
            items: None,
            length: Bounds::NONE,
            characters: Bounds::NONE,
            texts: Vec::new(),
            numbers: Vec::new(),
            choices: None,
            choices_are_all: false,
            also: Vec::new(),
            one_of_each: Vec::new(),
        }
    }

    fn text(&self, text: Text<'_>) -> Option<()> {
        if self.kinds & kind::STRING == 0 {
            return None;
        }
        if self.characters.least > 0 || self.characters.most < u64::MAX {
            let plain = text.plain()?;
            self.characters.hold(match plain.is_ascii() {
                true => plain.len(),
                false => plain.chars().count(),
            })?;
        }
        self.texts.iter().try_for_each(|rule| rule.holds(text.plain()?))
    }

    fn number(&self, digits: Digits<'_>) -> Option<()> {
        let kind = if digits.integer().is_some() { kind::INTEGER } else { kind::FRACTION };
        // What may be an integer in the validator's eyes and is not plainly one counts as neither.
        if self.kinds & kind == 0 || (kind == kind::FRACTION && self.kinds & kind::NUMBER != kind::NUMBER) {
            return None;
        }
        self.numbers.iter().try_for_each(|rule| rule.holds(digits))
    }
}

impl TextRule {
    fn holds(&self, text: &str) -> Option<()> {
        match self {
            Self::Uuid => is_uuid(text),
            Self::Moment => is_moment(text),
            Self::Asked(validator) => validator.is_valid(&Value::from(text)),
        }
        .then_some(())
    }
}

fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether it is a moment in the usual form: capital letters, no leap second.
fn is_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let usual = bytes.len() <= 35 && bytes.get(10) == Some(&b'T') && bytes.get(17).is_some_and(|ten| *ten < b'6');
    usual && !text.contains('z') && is_rfc_3339(text)
}

/// Integers up to here are doubles as well.
const EXACT_MAX: u64 = 1 << 53;

impl NumberRule {
    fn holds(self, digits: Digits<'_>) -> Option<()> {
        let (limit, allowed): (_, fn(std::cmp::Ordering) -> bool) = match self {
            Self::Least(limit) => (limit, std::cmp::Ordering::is_ge),
            Self::Above(limit) => (limit, std::cmp::Ordering::is_gt),
            Self::Most(limit) => (limit, std::cmp::Ordering::is_le),
            Self::Below(limit) => (limit, std::cmp::Ordering::is_lt),
            Self::MultipleOf(of) => {
                // The validator divides doubles.
                let integer = digits.integer().filter(|integer| integer.unsigned_abs() <= EXACT_MAX)?;
                return (integer % of == 0).then_some(());
            }
        };
        // The validator compares integers exactly that are too long to be one here.
        if digits.whole && digits.integer().is_none() && digits.raw != "-0" {
            return None;
        }
        let ordering = match (digits.integer(), limit) {
            (Some(integer), Limit::Integer(limit)) => integer.cmp(&limit),
            (None, limit) => double(digits)?.partial_cmp(&limit.double()?)?,
            (Some(integer), Limit::Double(limit)) => Limit::Integer(integer).double()?.partial_cmp(&limit)?,
        };
        allowed(ordering).then_some(())
    }
}

impl Limit {
    fn of(number: &Number) -> Option<Self> {
        let integer = number.as_i64().map(Self::Integer);
        integer.or_else(|| number.as_f64().filter(|_| number.is_f64()).map(Self::Double))
    }

    fn double(self) -> Option<f64> {
        match self {
            Self::Integer(integer) => (integer.unsigned_abs() <= EXACT_MAX).then_some(integer as f64),
            Self::Double(double) => Some(double),
        }
    }
}

/// A number as the parser reads it: not always as the nearest double.
fn double(digits: Digits<'_>) -> Option<f64> {
    serde_json::from_str(digits.raw).ok()
}

/// Makes the nodes of one schema.
struct Planner<'s> {
    whole: &'s Value,
    draft: Draft,
    /// `None` while it is being made.
    nodes: Vec<Option<Node>>,
    /// Which schema became which node, by where it lies in memory.
    known: Vec<(&'s Value, usize)>,
    /// Nodes that are being made, one inside the other.
    nesting: usize,
}

/// Most of those: schemas that refer to each other in a long chain are left to the validator.
const MADE_INSIDE_MAX: usize = 64;

/// Whether a part of a schema has an identifier or a draft of its own: references that pass it lead elsewhere.
fn has_inner_base(schema: &Value) -> bool {
    let mut parts: Vec<&Value> = children(schema);
    while let Some(part) = parts.pop() {
        if ["$id", "$schema"].iter().any(|name| part.get(name).is_some_and(Value::is_string)) {
            return true;
        }
        parts.extend(children(part));
    }
    false
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    }
}

/// Keywords that say nothing about what is valid.
const ANNOTATIONS: &[&str] =
    &["title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"];
/// Where schemas are kept for references.
const DEFINITIONS: &[&str] = &["$defs", "definitions"];

/// References that only refer to the next one.
const REFERENCES_MAX: usize = 16;

/// What a schema refers to that says nothing else.
fn only_reference(schema: &Value) -> Option<&str> {
    let members = schema.as_object()?;
    let reference = members.get("$ref")?.as_str()?;
    members.keys().all(|name| name == "$ref" || ANNOTATIONS.contains(&name.as_str())).then_some(reference)
}

impl<'s> Planner<'s> {
    fn node(&mut self, mut schema: &'s Value, is_root: bool) -> Option<usize> {
        // A reference and nothing else is what it refers to, unless it goes in circles.
        for _ in 0..REFERENCES_MAX {
            match only_reference(schema) {
                Some(reference) => schema = self.target(reference)?,
                None => break,
            }
        }
        if let Some((_, node)) = self.known.iter().find(|(known, _)| std::ptr::eq(*known, schema)) {
            return Some(*node);
        }
        let index = self.nodes.len();
        if index == NODES_MAX || self.nesting == MADE_INSIDE_MAX {
            return None;
        }
        self.nesting += 1;
        self.nodes.push(None);
        self.known.push((schema, index));
        let node = match schema {
            Value::Bool(true) => Node::any(),
            Value::Bool(false) => Node { kinds: 0, ..Node::any() },
            Value::Object(members) => self.keywords(members, is_root)?,
            _ => return None,
        };
        self.nesting -= 1;
        self.nodes[index] = Some(node);
        Some(index)
    }

    fn keywords(&mut self, members: &'s Map<String, Value>, is_root: bool) -> Option<Node> {
        let mut node = Node::any();
        for (keyword, value) in members {
            match keyword.as_str() {
                "type" => node.kinds &= kinds(value)?,
                "properties" => {
                    for (name, schema) in value.as_object()? {
                        let schema = self.node(schema, false)?;
                        let at = node.property(name)?;
                        node.properties[at].node = schema;
                    }
                }
                "required" => {
                    for name in value.as_array()? {
                        let at = node.property(name.as_str()?)?;
                        node.required |= 1 << at;
                    }
                }
                "additionalProperties" => {
                    node.additional = match value {
                        Value::Bool(true) => Additional::Any,
                        Value::Bool(false) => Additional::None,
                        schema => Additional::Node(self.node(schema, false)?),
                    };
                }
                "items" if !value.is_array() => node.items = Some(self.node(value, false)?),
                "minProperties" => node.members.least = value.as_u64()?,
                "maxProperties" => node.members.most = value.as_u64()?,
                "minItems" => node.length.least = value.as_u64()?,
                "maxItems" => node.length.most = value.as_u64()?,
                "minLength" => node.characters.least = value.as_u64()?,
                "maxLength" => node.characters.most = value.as_u64()?,
                "minimum" => node.numbers.push(NumberRule::Least(limit(value)?)),
                "exclusiveMinimum" => node.numbers.push(NumberRule::Above(limit(value)?)),
                "maximum" => node.numbers.push(NumberRule::Most(limit(value)?)),
                "exclusiveMaximum" => node.numbers.push(NumberRule::Below(limit(value)?)),
                "multipleOf" => node.numbers.push(NumberRule::MultipleOf(divisor(value)?)),
                "enum" => node.choose(value.as_array()?),
                "const" => node.choose(std::slice::from_ref(value)),
                "pattern" => node.texts.push(self.asked(keyword, value)?),
                "format" => match value.as_str()? {
                    "uuid" => node.texts.push(TextRule::Uuid),
                    "date-time" => node.texts.push(TextRule::Moment),
                    _ => node.texts.push(self.asked(keyword, value)?),
                },
                // Up to draft 7, what stands beside a reference says nothing.
                "$ref" if matches!(self.draft, Draft::Draft6 | Draft::Draft7) => return None,
                "$ref" => {
                    let target = self.target(value.as_str()?)?;
                    node.also.push(self.node(target, false)?);
                }
                "allOf" => {
                    for schema in value.as_array()? {
                        node.also.push(self.node(schema, false)?);
                    }
                }
                "anyOf" => {
                    let schemas = value.as_array()?.iter();
                    let alternatives = schemas.map(|schema| self.node(schema, false)).collect::<Option<_>>()?;
                    node.one_of_each.push(alternatives);
                }
                "oneOf" => {
                    let schemas = value.as_array()?.iter();
                    let alternatives: Vec<usize> =
                        schemas.map(|schema| self.node(schema, false)).collect::<Option<_>>()?;
                    let mut pairs = (0..alternatives.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
                    if !pairs.all(|(one, other)| self.are_apart(alternatives[one], alternatives[other])) {
                        return None;
                    }
                    node.one_of_each.push(alternatives);
                }
                "uniqueItems" if *value == Value::Bool(false) => {}
                "$schema" if is_root => {}
                // What an identifier of its own would make of references is not followed.
                "$id" if is_root && !value.as_str()?.contains('#') => {}
                // They matter where they are referred to.
                keyword if DEFINITIONS.contains(&keyword) => {}
                keyword if ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") => {}
                _ => return None,
            }
        }
        // Members that are only required are there for that alone: to what they must be, they are additional.
        if let Additional::None | Additional::Node(_) = node.additional {
            let declared = members.get("properties").and_then(Value::as_object);
            let only_required =
                |property: &Property| declared.is_none_or(|names| !names.contains_key(&*property.name));
            if node.properties.iter().any(only_required) {
                return None;
            }
        }
        let any = self.any(&node)?;
        node.properties.iter_mut().filter(|property| property.node == UNKNOWN).for_each(|p| p.node = any);
        Some(node)
    }

    /// Whether no value can be both: they allow other kinds, or require a member that tells them apart.
    fn are_apart(&self, one: usize, other: usize) -> bool {
        let (Some(one), Some(other)) = (&self.nodes[one], &self.nodes[other]) else { return false };
        let choices = |node: &Node, name: &str| -> Option<Vec<Box<str>>> {
            let at = node.properties.iter().position(|property| *property.name == *name)?;
            let member = self.nodes.get(node.properties[at].node)?.as_ref()?;
            let told = node.required & (1 << at) != 0 && member.choices_are_all;
            member.choices.clone().filter(|_| told)
        };
        let apart = |name: &str| {
            let both = choices(one, name).zip(choices(other, name));
            both.is_some_and(|(one, other)| one.iter().all(|choice| !other.contains(choice)))
        };
        let objects = one.kinds & other.kinds == kind::OBJECT;
        one.kinds & other.kinds == 0 || (objects && one.properties.iter().any(|property| apart(&property.name)))
    }

    /// A node for members of which nothing is said, where one is needed.
    fn any(&mut self, node: &Node) -> Option<usize> {
        if node.properties.iter().all(|property| property.node != UNKNOWN) {
            return Some(UNKNOWN);
        }
        if self.nodes.len() == NODES_MAX {
            return None;
        }
        self.nodes.push(Some(Node::any()));
        Some(self.nodes.len() - 1)
    }

    /// What a reference within the schema leads to.
    fn target(&self, reference: &str) -> Option<&'s Value> {
        let pointer = reference.strip_prefix('#')?;
        let plain = pointer.is_empty() || (pointer.starts_with('/') && !pointer.contains('%'));
        plain.then(|| self.whole.pointer(pointer)).flatten()
    }

    /// One keyword for texts, as the validator checks it.
    fn asked(&self, keyword: &str, value: &Value) -> Option<TextRule> {
        let schema = Value::Object(Map::from_iter([(keyword.to_owned(), value.clone())]));
        let validator = options(self.draft).build(&schema).ok()?;
        Some(TextRule::Asked(Box::new(validator)))
    }
}

/// No node yet.
const UNKNOWN: usize = usize::MAX;

impl Node {
    /// Where a property is, which it then has.
    fn property(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.properties.iter().position(|property| *property.name == *name) {
            return Some(at);
        }
        self.properties.push(Property { name: name.into(), node: UNKNOWN });
        (self.properties.len() <= PROPERTIES_MAX).then(|| self.properties.len() - 1)
    }

    /// Those of the values that can be told by how they are written; others are left to the validator.
    fn choose(&mut self, values: &[Value]) {
        let written = |value: &Value| match value {
            Value::Null | Value::Bool(_) => Some(value.to_string().into()),
            Value::Number(number) => {
                let text: Box<str> = number.to_string().into();
                Scan::new(&text).number().and_then(Digits::integer).map(|_| text.clone())
            }
            Value::String(_) => Some(value.to_string().into()),
            Value::Array(_) | Value::Object(_) => None,
        };
        let choices: Vec<Box<str>> = values.iter().filter_map(written).collect();
        let all_before = self.choices.is_none() || self.choices_are_all;
        self.choices_are_all = all_before && choices.len() == values.len();
        self.choices = Some(match self.choices.take() {
            None => choices,
            Some(before) => before.into_iter().filter(|choice| choices.contains(choice)).collect(),
        });
    }
}

fn divisor(value: &Value) -> Option<i64> {
    value.as_i64().filter(|of| *of > 0 && of.unsigned_abs() <= EXACT_MAX)
}

fn limit(value: &Value) -> Option<Limit> {
    value.as_number().and_then(Limit::of)
}

fn kinds(value: &Value) -> Option<u8> {
    let kind = |name: &Value| {
        Some(match name.as_str()? {
            "null" => kind::NULL,
            "boolean" => kind::BOOLEAN,
            "integer" => kind::INTEGER,
            "number" => kind::NUMBER,
            "string" => kind::STRING,
            "array" => kind::ARRAY,
            "object" => kind::OBJECT,
            _ => return None,
        })
    };
    match value {
        Value::Array(names) => names.iter().try_fold(0, |all, name| Some(all | kind(name)?)),
        name => kind(name),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::protocol::json::{Duplicates, strict_value};
    use crate::registry::testing::{document_value, parse};
    use crate::registry::{Compiled, CompiledCollection};
    use proptest::prelude::*;
    use serde_json::json;

    const DEPTH: usize = 12;

    /// Whether the plan says yes to a value; the validator must then, and find the same key and version.
    fn says_yes(collection: &CompiledCollection, text: &str) -> bool {
        let Some(plan) = collection.plan() else { return false };
        let (mut scan, mut room) = (Scan::new(text), Room::default());
        let Some(facts) = plan.read(&mut scan, DEPTH, &mut room) else { return false };
        if scan.peek().is_some() {
            return false;
        }
        let about = || format!("{text} under {}", collection.schema);
        let value = strict_value(text, DEPTH, Duplicates::Refuse).unwrap_or_else(|e| panic!("{e}: {}", about()));
        assert!(collection.is_valid(&value), "{}", about());
        let member = |name: &str| value.as_object().and_then(|members| members.get(name)).cloned();
        let read = |written: &str| serde_json::from_str::<Value>(written).unwrap();
        assert_eq!(member(&collection.primary_key), Some(read(facts.key)), "{}", about());
        let field = collection.version_field.as_deref();
        assert_eq!(field.and_then(member), facts.version.map(read), "{}", about());
        true
    }

    fn compiled(v: &Value) -> Option<std::sync::Arc<Compiled>> {
        parse(&document_value(json!({"v": v}))).ok().map(|document| document.compiled().clone())
    }

    /// Whether the plan says yes to an entity whose member `v` is this.
    fn takes(schema: &Value, v: &str) -> bool {
        let compiled = compiled(schema).unwrap();
        says_yes(compiled.collection("t").unwrap(), &format!(r#"{{"id":"k","v":{v}}}"#))
    }

    #[test]
    fn usual_schemas_have_a_plan_that_takes_usual_values() {
        for (schema, value) in [
            (json!({"type": "string", "minLength": 2, "maxLength": 3}), r#""äöü""#),
            (json!({"type": ["integer", "null"], "minimum": -3, "exclusiveMaximum": 10}), "-3"),
            (json!({"type": ["integer", "null"]}), "null"),
            (json!({"type": "number", "minimum": 0.5, "maximum": 1}), "0.5"),
            (json!({"type": "number", "multipleOf": 5}), "-15"),
            (json!({"type": "number"}), "1.5e-3"),
            (json!({"enum": ["a", 1, null, {}]}), "1"),
            (json!({"const": "a\"b"}), r#""a\"b""#),
            (json!({"type": "boolean"}), "true"),
            (json!({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}), "[1, 2 ,3]"),
            (
                json!({"type": "object", "required": ["a"], "additionalProperties": {"type": "string"},
                "properties": {"a": {"type": "object", "additionalProperties": false, "properties": {"b": {}}}}}),
                r#"{ "a" : { "b" : [1.0, {"x": []}] } , "c" : "d\n" }"#,
            ),
            (json!({"type": "object", "minProperties": 1, "maxProperties": 2}), r#"{"a":1,"b":2}"#),
            (json!({"type": "string", "pattern": "^[a-z]+$"}), r#""abc""#),
            (json!({"type": "string", "format": "uuid"}), r#""123e4567-e89b-12d3-a456-426614174000""#),
            (json!({"type": "string", "format": "date-time"}), r#""2026-02-28T23:59:59.123456+01:00""#),
            (json!({"type": "string", "format": "date"}), r#""2026-02-28""#),
            (json!({"type": "string", "format": "email"}), r#""a@example.com""#),
            (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), "null"),
            (json!({"oneOf": [{"type": "string"}, {"type": "null"}]}), "null"),
            (
                json!({"oneOf": [
                {"type": "object", "required": ["k"], "properties": {"k": {"const": "a"}}},
                {"type": "object", "required": ["k"], "properties": {"k": {"enum": ["b", 7]}}}]}),
                r#"{"k":7}"#,
            ),
            (json!({"allOf": [{"type": "integer"}, {"minimum": 3}], "title": "three", "x-unit": "m"}), "3"),
            (json!({"$ref": "#/properties/id"}), r#""x""#),
            (json!({"$ref": "#/properties/id", "maxLength": 3}), r#""x""#),
            (
                json!({"type": "object", "properties": {"next": {"$ref": "#/properties/v"}}}),
                r#"{"next":{"next":{}}}"#,
            ),
            (json!(true), r#"{"a":[{"b":"\ud83d\ude00"}]}"#),
        ] {
            assert!(takes(&schema, value), "{value} under {schema}");
        }
    }

    #[test]
    fn what_is_wrong_or_unusual_is_left_to_the_validator() {
        for (schema, value) in [
            (json!({"type": "integer"}), "1.0"),
            (json!({"type": "integer"}), "1e2"),
            (json!({"type": "integer"}), "-0"),
            (json!({"type": "integer"}), "18446744073709551616"),
            (json!({"type": "number"}), "1e400"),
            (json!({"maxLength": 3}), r#""\u0061""#),
            (json!({"maxLength": 2}), r#""äöü""#),
            (json!({"type": "object"}), r#"{"a":1,"a":1}"#),
            (json!({"type": "object", "properties": {"a": {}}}), r#"{"a":1,"a":1}"#),
            (json!({"type": "object", "properties": {"a": {"type": "string"}}}), r#"{"\u0061":1}"#),
            (json!({}), r#"{"x":{"a":1,"b":2,"a":3}}"#),
            (json!({}), r#""\ud800""#),
            (json!({}), &("[".repeat(DEPTH) + &"]".repeat(DEPTH))),
            (json!({"enum": [1.5]}), "1.5"),
            (json!({"const": 1}), "1.0"),
            (json!({"format": "date-time"}), r#""2026-02-29T00:00:00Z""#),
            (json!({"format": "date-time"}), r#""2026-12-31T23:59:60Z""#),
            (json!({"format": "uuid"}), r#""123e4567-e89b-12d3-a456-42661417400g""#),
            (json!({"additionalProperties": false}), r#"{"a":1}"#),
            (json!({"required": ["a"]}), r#"{"b":1}"#),
            (json!({"items": {"type": "null"}}), "[null,1]"),
            (json!({"minItems": 1}), "[]"),
            (json!({"multipleOf": 2}), "3"),
            // Compared as doubles they would fit, and divided as integers.
            (json!({"type": "number", "maximum": 1e18}), "1000000000000000001"),
            (json!({"minimum": 2e18}), "1999999999999999999"),
            (json!({"minimum": -1e18}), "-1000000000000000001"),
            (json!({"multipleOf": 3}), "9007199254740993"),
            (json!({"allOf": [{}, {"minimum": 3}]}), "2"),
            (json!({"anyOf": [{"type": "string"}, false]}), "1"),
            (json!(false), "1"),
        ] {
            assert!(!takes(&schema, value), "{value} under {schema}");
        }
        for schema in [
            json!({"not": {}}),
            json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}),
            json!({"oneOf": [{"required": ["k"]}, {"required": ["l"]}]}),
            json!({"if": {}, "then": {}}),
            json!({"patternProperties": {}}),
            json!({"prefixItems": [{}]}),
            json!({"dependentRequired": {}}),
            json!({"$id": "http://x/y", "type": "string"}),
            json!({"unevaluatedProperties": false}),
            json!({"multipleOf": 0.5}),
            json!({"multipleOf": 9_007_199_254_740_993_i64}),
            json!({"oneOf": [
                {"type": "object", "required": ["k"], "properties": {"k": {"const": 1.0, "enum": [1]}}},
                {"type": "object", "required": ["k"], "properties": {"k": {"const": 1}}}]}),
            json!({"anyOf": [{"type": "string", "$schema": "https://json-schema.org/draft/2020-12/schema"}]}),
            json!({"nonsense": 1}),
        ] {
            assert!(compiled(&schema).unwrap().collection("t").unwrap().plan().is_none(), "{schema}");
        }
    }

    #[test]
    fn a_chain_of_schemas_without_end_is_left_to_the_validator() {
        let link = |n: usize| {
            let schema = json!({"properties": {"n": {"$ref": format!("#/$defs/d{}", n + 1)}}});
            (format!("d{n}"), if n < 3_000 { schema } else { json!({}) })
        };
        let definitions: Map<String, Value> = (0..=3_000).map(link).collect();
        let schema = json!({"type": "object", "required": ["id"], "$defs": definitions,
            "properties": {"id": {"type": "string"}, "v": {"$ref": "#/$defs/d0"}}});
        // On as much stack as a thread of the runtime has, in a build that is not optimised.
        let planned = std::thread::Builder::new().stack_size(2 << 20);
        let planned = planned.spawn(move || Plan::of(&schema, "id", None).is_some()).unwrap();
        assert!(!planned.join().unwrap());
    }

    #[test]
    fn a_reference_through_another_schemas_base_is_left_to_the_validator() {
        let schema = |inner: Value| {
            json!({"type": "object", "required": ["id"],
                "properties": {"id": {"type": "string"}, "c": {}, "v": {"$ref": "#/$defs/a/properties/b"}},
                "$defs": {"a": inner}})
        };
        let properties = json!({"b": {"$ref": "#/properties/c"}, "c": {"type": "string"}});
        assert!(Plan::of(&schema(json!({"properties": properties})), "id", None).is_some());
        assert!(Plan::of(&schema(json!({"$id": "http://x/y", "properties": properties})), "id", None).is_none());
    }

    #[test]
    fn circles_and_alternatives_without_end_are_given_up() {
        let circle = json!({"allOf": [{"anyOf": [{"$ref": "#/properties/v"}, {"type": "string"}]}]});
        assert!(!takes(&circle, "1"));
        let twice = json!({"anyOf": [
            {"type": "object", "properties": {"a": {"$ref": "#/properties/v"}}, "required": ["b"]},
            {"type": "object", "properties": {"a": {"$ref": "#/properties/v"}}, "required": ["c"]},
            {"type": "object", "properties": {"a": {"$ref": "#/properties/v"}}, "required": ["d"]}]});
        let deep = (0..10).fold("1".to_owned(), |inner, _| format!(r#"{{"a":{inner},"d":1}}"#));
        assert!(!takes(&twice, &deep));
    }

    #[test]
    fn integer_keys_and_versions_are_found() {
        let document = json!({"collections": {"c": {"type": "t", "primaryKey": "n", "versionField": "v", "schema": {
            "type": "object", "required": ["n"],
            "properties": {"n": {"type": "integer"}, "v": {"type": ["integer", "null"]}}}}}});
        let document = parse(&document).unwrap();
        let collection = document.compiled().collection("t").unwrap();
        for text in [r#"{"n":1,"v":2}"#, r#"{"v":null,"n":-7}"#, r#" { "n" : 0 } "#] {
            assert!(says_yes(collection, text), "{text}");
        }
        assert!(!says_yes(collection, r#"{"v":1}"#));
    }

    /// The suite's schemas as a member of an entity, in every draft, with all of its instances.
    #[test]
    fn no_schema_of_the_suite_is_answered_otherwise() {
        let mut asked = [0; 3];
        for draft in ["draft4", "draft6", "draft7", "draft2019-09", "draft2020-12"] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/json-schema-test-suite");
            let text = std::fs::read_to_string(format!("{folder}/{draft}.ndjson")).unwrap();
            let dialect = match draft {
                "draft4" => "http://json-schema.org/draft-04/schema#",
                "draft6" => "http://json-schema.org/draft-06/schema#",
                "draft7" => "http://json-schema.org/draft-07/schema#",
                "draft2019-09" => "https://json-schema.org/draft/2019-09/schema",
                _ => "https://json-schema.org/draft/2020-12/schema",
            };
            for line in text.lines() {
                let group: Value = serde_json::from_str(line).unwrap();
                let mut v = group["schema"].clone();
                if let Some(members) = v.as_object_mut() {
                    members.remove("$schema");
                }
                let mut document = document_value(json!({"v": v}));
                document["collections"]["c"]["schema"]["$schema"] = json!(dialect);
                let Ok(document) = parse(&document) else { continue };
                let collection = document.compiled().collection("t").unwrap();
                for case in group["tests"].as_array().unwrap() {
                    let text = format!(r#"{{"id":"k","v":{}}}"#, case["data"]);
                    let value = strict_value(&text, DEPTH, Duplicates::Refuse);
                    let valid = value.is_ok_and(|value| collection.is_valid(&value));
                    asked[0] += 1;
                    asked[1] += usize::from(valid && collection.plan().is_some());
                    asked[2] += usize::from(says_yes(collection, &text));
                }
            }
        }
        let [all, could, did] = asked;
        assert!(all > 5_000 && could > 1_000 && did * 10 > could * 8, "{all} {could} {did}");
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        let number =
            prop_oneof![(-3i64..6).prop_map(Value::from), (-6i32..12).prop_map(|n| json!(f64::from(n) / 2.0))];
        let scalar = prop_oneof![Just(json!(null)), any::<bool>().prop_map(Value::from), number.clone(), word()];
        let kinds = prop::sample::subsequence(
            vec!["null", "boolean", "integer", "number", "string", "array", "object"],
            1..4,
        );
        let leaf = prop_oneof![
            Just(json!({})),
            any::<bool>().prop_map(Value::from),
            kinds.prop_map(|kinds| json!({"type": kinds})),
            prop::collection::vec(scalar.clone(), 1..4).prop_map(|values| json!({"enum": values})),
            scalar.prop_map(|value| json!({"const": value})),
            (number.clone(), number).prop_map(|(low, high)| json!({"minimum": low, "exclusiveMaximum": high})),
            (1u64..4).prop_map(|of| json!({"multipleOf": of})),
            (0u64..3, 0u64..4).prop_map(|(low, high)| json!({"minLength": low, "maxLength": high})),
            Just(json!({"pattern": "^a"})),
            prop::sample::select(vec!["date-time", "uuid", "date", "email", "our-own"])
                .prop_map(|f| json!({"format": f})),
            prop::sample::select(vec!["#", "#/properties/v", "#/properties/id"]).prop_map(|r| json!({"$ref": r})),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let some = prop::collection::vec(inner.clone(), 1..4);
            let names = prop::sample::subsequence(vec!["a", "b", "ä"], 0..3);
            let counts = (0u64..2, 1u64..4);
            prop_oneof![
                (some.clone(), names, inner.clone()).prop_map(|(schemas, names, other)| {
                    let properties: Map<String, Value> =
                        ["a", "b", "c"].into_iter().map(str::to_owned).zip(schemas).collect();
                    json!({"properties": properties, "required": names, "additionalProperties": other})
                }),
                (inner.clone(), counts.clone())
                    .prop_map(|(items, (low, high))| { json!({"items": items, "minItems": low, "maxItems": high}) }),
                (inner.clone(), counts).prop_map(|(schema, (low, high))| {
                    json!({"allOf": [schema], "minProperties": low, "maxProperties": high})
                }),
                some.clone().prop_map(|schemas| json!({"anyOf": schemas})),
                some.clone().prop_map(|schemas| json!({"oneOf": schemas})),
                some.prop_map(|schemas| json!({"allOf": schemas})),
            ]
        })
    }

    fn word() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![
            "",
            "a",
            "ä",
            "ab\n",
            "a😀",
            "2026-01-31T00:00:00Z",
            "2026-01-31",
            "x@example.com",
            "123e4567-e89b-12d3-a456-426614174000",
        ])
        .prop_map(Value::from)
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (-3i64..6).prop_map(Value::from),
            (-6i32..12).prop_map(|n| json!(f64::from(n) / 2.0)),
            word(),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c", "ä"]), inner, 0..4)
                    .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    /// A value as text, not always as anybody would write it.
    fn write(value: &Value, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
        let choice = choices.next().unwrap_or(200);
        if choice < 20 {
            out.push_str(" \n");
        }
        match value {
            Value::Object(members) => {
                out.push('{');
                for (nth, (name, value)) in members.iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    write(&json!(name), choices, out);
                    out.push(':');
                    write(value, choices, out);
                    // Now and then twice.
                    if choices.next() == Some(7) {
                        write!(out, ",{}:{value}", json!(name)).unwrap();
                    }
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (nth, item) in items.iter().enumerate() {
                    if nth > 0 {
                        out.push(',');
                    }
                    write(item, choices, out);
                }
                out.push(']');
            }
            Value::String(text) if choice < 40 => {
                out.push('"');
                text.encode_utf16().for_each(|unit| write!(out, "\\u{unit:04x}").unwrap());
                out.push('"');
            }
            Value::Number(number) if choice < 60 => write!(out, "{number}e0").unwrap(),
            Value::Number(number) if choice < 70 => write!(out, "{}", number.as_f64().unwrap() * 1e20).unwrap(),
            value => write!(out, "{value}").unwrap(),
        }
    }

    #[test]
    fn a_plan_never_says_yes_where_the_validator_says_no() {
        use proptest::strategy::ValueTree;
        use proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let (mut planned, mut valid, mut yes) = (0, 0, 0);
        for _ in 0..1_500 {
            let schema = any_schema().new_tree(&mut runner).unwrap().current();
            let Some(compiled) = compiled(&schema) else { continue };
            let collection = compiled.collection("t").unwrap();
            if collection.plan().is_none() {
                continue;
            }
            planned += 1;
            for _ in 0..40 {
                let (value, choices) = (any_value(), prop::collection::vec(any::<u8>(), 0..12));
                let (value, choices) = (value, choices).new_tree(&mut runner).unwrap().current();
                let mut text = r#"{"id":"k","v":"#.to_owned();
                write(&value, &mut choices.into_iter(), &mut text);
                text.push('}');
                let read = strict_value(&text, DEPTH, Duplicates::Refuse);
                valid += usize::from(read.is_ok_and(|value| collection.is_valid(&value)));
                yes += usize::from(says_yes(collection, &text));
            }
        }
        // It is used, and is a plan for most of what it is for.
        assert!(planned > 800 && valid > 5_000 && yes * 10 > valid * 6, "{planned} {valid} {yes}");
    }
}
