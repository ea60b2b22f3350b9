//! References between subjects: what a document names of others, and one schema that holds all of it.
//!
//! A document lists versions of other subjects under names of its own; `$ref: "<name>"` in its schemas leads there, and
//! `<name>#/…` to a place inside. What is referenced is copied into the schema that names it, under `$defs`, and every
//! reference is rewritten to where the copy lies: so whoever looks at the schema afterwards (the validator, the
//! compatibility check, OpenAPI, generated code) finds it whole, and nothing is ever fetched.
//!
//! Only versions that exist can be named, and versions never change, so references cannot form a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jsonschema::Draft;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use url::Url;

use super::document::{Document, FaultCode};
use super::schema::{Findings, SCHEMA, SCHEMA_MAP, SCHEMAS, child};
use super::{SubjectName, canonical_json};

/// References that one document may list.
pub const REFERENCES_MAX: usize = 64;
/// How many documents may refer to each other in a row.
pub const REFERENCE_DEPTH_MAX: usize = 16;
/// Longest name of a reference, in bytes.
pub const REFERENCE_NAME_BYTES_MAX: usize = 1_024;

/// A version of another subject, and what its schemas call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What `$ref` says in front of `#`.
    pub name: String,
    pub subject: SubjectName,
    pub version: u32,
}

/// Gives the document of a version that may be referenced; `None` where there is none.
pub type Resolve<'r> = &'r dyn Fn(&SubjectName, u32) -> Option<Arc<Document>>;

/// A reference with what it leads to.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub reference: Reference,
    pub document: Arc<Document>,
}

/// Reads the member `references` of a document and looks each up.
pub(super) fn resolve(listed: &Value, resolve: Resolve<'_>, findings: &mut Findings) -> Vec<Resolved> {
    let Some(items) = listed.as_array() else {
        let message = "`references` is a list of {\"name\", \"subject\", \"version\"}";
        findings.add("/references", FaultCode::References, message);
        return Vec::new();
    };
    if items.len() > REFERENCES_MAX {
        let message = format!("a document refers to at most {REFERENCES_MAX} versions");
        findings.add("/references", FaultCode::References, message);
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut resolved = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let place = format!("/references/{index}");
        let Some(reference) = read(item) else {
            let message = "a reference has a name of 1 to 1,024 bytes without `#`, a subject, and a version from 1";
            findings.add(place, FaultCode::References, message);
            continue;
        };
        if !names.insert(reference.name.clone()) {
            findings.add(place, FaultCode::References, "another reference has this name");
            continue;
        }
        match resolve(&reference.subject, reference.version) {
            None => {
                let message = format!(
                    "version {} of {} is not there to refer to: register it first, or enable it",
                    reference.version, reference.subject
                );
                findings.add(place, FaultCode::UnknownReference, message);
            }
            Some(document) if document.reference_depth() >= REFERENCE_DEPTH_MAX => {
                let message = format!("more than {REFERENCE_DEPTH_MAX} documents would refer to each other in a row");
                findings.add(place, FaultCode::References, message);
            }
            Some(document) => resolved.push(Resolved { reference, document }),
        }
    }
    resolved
}

fn read(item: &Value) -> Option<Reference> {
    let members = item.as_object()?;
    if members.keys().any(|name| !matches!(name.as_str(), "name" | "subject" | "version")) {
        return None;
    }
    let name = members.get("name")?.as_str()?;
    let sound = (1..=REFERENCE_NAME_BYTES_MAX).contains(&name.len()) && !name.contains('#');
    let version = members.get("version")?.as_u64().and_then(|version| u32::try_from(version).ok())?;
    let subject = SubjectName::parse(members.get("subject")?.as_str()?)?;
    (sound && version > 0).then(|| Reference { name: name.to_owned(), subject, version })
}

/// A schema with all that it refers to, or `None` where that could not be put together; why is in `findings`.
pub(super) fn bundle(
    schema: &Value,
    references: &[Resolved],
    pointer: &str,
    bytes_max: usize,
    findings: &mut Findings,
) -> Option<Value> {
    if references.is_empty() || !schema.is_object() {
        return Some(schema.clone());
    }
    let found_before = findings.faults.len();
    let draft = Draft::default().detect(schema);
    let taken = schema.get("$defs").and_then(Value::as_object).map(|defs| defs.keys().cloned().collect());
    let mut bundler = Bundler {
        draft,
        pointer,
        taken: taken.unwrap_or_default(),
        copies: BTreeMap::new(),
        bytes_left: bytes_max,
        findings,
    };
    let mut whole = schema.clone();
    bundler.rewrite(&mut whole, &Place { prefix: None, id: identifier(schema, draft), references }, true);
    let copies = bundler.copies;
    if findings.faults.len() > found_before {
        return None;
    }
    if !copies.is_empty()
        && let Some(members) = whole.as_object_mut()
    {
        let defs = members.entry("$defs").or_insert_with(|| Value::Object(Map::new()));
        // Anything else is a fault that compiling will name.
        defs.as_object_mut()?.extend(copies.into_values().map(|copy| (copy.key, copy.schema)));
    }
    Some(whole)
}

/// Which schema a reference leads to: a version, and which collection of it.
type Target = (SubjectName, u32, Option<String>);

struct Copy {
    key: String,
    schema: Value,
}

struct Bundler<'f> {
    draft: Draft,
    /// Where the schema stands in its document.
    pointer: &'f str,
    /// Names under `$defs` that are the schema's own.
    taken: BTreeSet<String>,
    copies: BTreeMap<Target, Copy>,
    bytes_left: usize,
    findings: &'f mut Findings,
}

/// The schema whose references are being rewritten.
struct Place<'p> {
    /// Where its copy lies, with `#`; `None` for the schema that everything is copied into.
    prefix: Option<String>,
    /// Its own identifier, which is left out of a copy.
    id: Option<String>,
    references: &'p [Resolved],
}

impl Bundler<'_> {
    fn fault(&mut self, code: FaultCode, message: String) {
        self.findings.add(self.pointer, code, message);
    }

    /// Rewrites every reference of a schema. Recurses as deep as the schema nests, which has been bounded before.
    fn rewrite(&mut self, schema: &mut Value, place: &Place<'_>, is_root: bool) {
        let own_base = !is_root && identifier(schema, self.draft).is_some();
        let Some(members) = schema.as_object_mut() else { return };
        // What lies below an identifier of its own resolves against that.
        if own_base {
            return;
        }
        for (name, value) in members.iter_mut() {
            match (name.as_str(), &mut *value) {
                ("$ref", Value::String(target)) => {
                    if let Some(rewritten) = self.target(target, place) {
                        *target = rewritten;
                    }
                }
                ("$anchor" | "$dynamicAnchor" | "$recursiveAnchor" | "$dynamicRef" | "$recursiveRef", _)
                    if place.prefix.is_some() =>
                {
                    let message = format!("a schema that is referred to from another subject cannot use `{name}`");
                    self.fault(FaultCode::ReferenceTarget, message);
                }
                (name, Value::Array(items)) if SCHEMAS.contains(&name) => {
                    items.iter_mut().for_each(|item| self.rewrite(item, place, false));
                }
                (name, Value::Object(_)) if SCHEMA.contains(&name) || name == "items" => {
                    self.rewrite(value, place, false);
                }
                (name, Value::Object(schemas)) if SCHEMA_MAP.contains(&name) => {
                    schemas.values_mut().for_each(|item| self.rewrite(item, place, false));
                }
                _ => {}
            }
        }
    }

    /// What a reference becomes; `None` where it stays.
    fn target(&mut self, target: &str, place: &Place<'_>) -> Option<String> {
        let (uri, fragment) = target.split_once('#').unwrap_or((target, ""));
        let base = place.id.as_deref().and_then(|id| Url::parse(id).ok());
        let same = |name: &str| match &base {
            _ if name == uri => true,
            Some(base) => base.join(name).is_ok_and(|name| base.join(uri).is_ok_and(|uri| uri == name)),
            None => false,
        };
        if uri.is_empty() || place.id.as_deref().is_some_and(|id| same(id.trim_end_matches('#'))) {
            let prefix = place.prefix.as_deref()?;
            return match fragment {
                "" => Some(prefix.to_owned()),
                pointer if pointer.starts_with('/') => Some(format!("{prefix}{pointer}")),
                // An anchor, which has been refused where it stands.
                _ => None,
            };
        }
        let found = place.references.iter().find(|resolved| same(&resolved.reference.name))?;
        self.place_of(found, fragment)
    }

    /// Where the copy of what is referenced lies, which is made where it is not there yet.
    fn place_of(&mut self, found: &Resolved, fragment: &str) -> Option<String> {
        let Reference { name, subject, version } = &found.reference;
        let Some((collection, schema, rest)) = found.document.schema_at(fragment) else {
            let message = format!(
                "`{name}` (version {version} of {subject}) has no schema at `#{fragment}`; a document's schemas lie \
                 at `#/collections/<name>/schema`"
            );
            self.fault(FaultCode::ReferenceTarget, message);
            return None;
        };
        let target: Target = (subject.clone(), *version, collection.map(str::to_owned));
        if let Some(copy) = self.copies.get(&target) {
            return Some(format!("{}{rest}", prefix_of(&copy.key)));
        }
        let draft = Draft::default().detect(schema);
        if draft != self.draft && schema.is_object() {
            let message =
                format!("`{name}` is written in another draft of JSON Schema ({draft:?}, not {:?})", self.draft);
            self.fault(FaultCode::ReferenceTarget, message);
            return None;
        }
        let size = canonical_json(schema).len();
        if size > self.bytes_left {
            self.fault(FaultCode::TooLarge, "the schema with all that it refers to is too large".to_owned());
            return None;
        }
        self.bytes_left -= size;
        let mut key = match collection {
            Some(collection) => format!("{subject}@{version}/{collection}"),
            None => format!("{subject}@{version}"),
        };
        while !self.taken.insert(key.clone()) {
            key.push('_');
        }
        let prefix = prefix_of(&key);
        // Before what it refers to, so that what refers back to it finds it.
        self.copies.insert(target.clone(), Copy { key, schema: Value::Bool(true) });
        let mut copy = schema.clone();
        let id = identifier(&copy, self.draft);
        if let Some(members) = copy.as_object_mut() {
            members.remove("$schema");
            members.remove(identifier_keyword(self.draft));
        }
        let place = Place { prefix: Some(prefix.clone()), id, references: found.document.resolved() };
        self.rewrite(&mut copy, &place, true);
        if let Some(made) = self.copies.get_mut(&target) {
            made.schema = copy;
        }
        Some(format!("{prefix}{rest}"))
    }
}

fn identifier_keyword(draft: Draft) -> &'static str {
    if draft == Draft::Draft4 { "id" } else { "$id" }
}

fn identifier(schema: &Value, draft: Draft) -> Option<String> {
    schema.get(identifier_keyword(draft)).and_then(Value::as_str).map(str::to_owned)
}

/// What a fragment of a URI may hold as it is, beside letters and digits. Source: RFC 3986 §3.5.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-').remove(b'~').remove(b'@').remove(b'/').remove(b'$');

fn prefix_of(key: &str) -> String {
    format!("#{}", utf8_percent_encode(&child("/$defs", key), PLAIN))
}

/// The collection that a fragment names, and what of the fragment lies inside its schema.
pub(super) fn collection_of(fragment: &str) -> Option<(String, &str)> {
    let rest = fragment.strip_prefix("/collections/")?;
    let (name, rest) = rest.split_once('/')?;
    let inside = rest.strip_prefix("schema").filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    let name = percent_decode_str(name).decode_utf8().ok()?;
    Some((name.replace("~1", "/").replace("~0", "~"), inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{DocumentFault, DocumentLimits};
    use serde_json::json;

    /// The documents that the tests refer to, all as version 1 of subjects of these names.
    fn known(subject: &SubjectName, version: u32) -> Option<Arc<Document>> {
        let person = json!({"$id": "https://example.com/person.json", "type": "object", "required": ["name"],
            "properties": {"name": {"$ref": "#/$defs/name"}, "friend": {"$ref": "person.json"}},
            "$defs": {"name": {"type": "string", "minLength": 2}}});
        let key = json!({"type": "object", "required": ["id"], "properties": {
            "id": {"type": "string"}, "next": {"$ref": "#"}, "size": {"type": "integer"}}});
        let value = match subject.as_str() {
            "person" => json!({"schema": person}),
            "couple" => json!({"schema": {"properties": {"a": {"$ref": "p"}, "b": {"$ref": "p#/$defs/name"}}},
                "references": [{"name": "p", "subject": "person", "version": 1}]}),
            "things" => json!({"collections": {"a/b": {"type": "t", "primaryKey": "id", "schema": key}}}),
            "draft-07" => json!({"schema": {"$schema": "http://json-schema.org/draft-07/schema#"}}),
            "anchored" => json!({"schema": {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"}}),
            _ => return None,
        };
        (version == 1).then(|| Arc::new(parse(&value).unwrap_or_else(|faults| panic!("{faults:#?}"))))
    }

    fn parse(value: &Value) -> Result<Document, Vec<DocumentFault>> {
        Document::parse_with(value, &DocumentLimits::default(), &known)
    }

    fn referring(schema: Value, subjects: &[&str]) -> Value {
        let references: Vec<Value> = subjects
            .iter()
            .map(|subject| json!({"name": format!("{subject}.json"), "subject": subject, "version": 1}))
            .collect();
        json!({"schema": schema, "references": references})
    }

    #[track_caller]
    fn check(value: &Value, accepted: &[Value], refused: &[Value]) {
        let document = parse(value).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let collection = document.compiled().collections().next().unwrap();
        for value in accepted {
            assert!(collection.is_valid(value), "{value} {:?}", collection.check(value, 5));
        }
        refused.iter().for_each(|value| assert!(!collection.is_valid(value), "{value}"));
        let again = Document::read_back_with(document.canonical(), &known).unwrap();
        assert_eq!(again.fingerprint(), document.fingerprint());
    }

    #[test]
    fn a_reference_is_checked_as_what_it_leads_to() {
        check(
            &referring(json!({"properties": {"p": {"$ref": "person.json"}}}), &["person"]),
            &[json!({"p": {"name": "Jo", "friend": {"name": "Al"}}})],
            &[json!({"p": {"name": "J"}}), json!({"p": {"name": "Jo", "friend": {"name": "A"}}}), json!({"p": {}})],
        );
        let inside = referring(json!({"items": {"$ref": "person.json#/$defs/name"}}), &["person"]);
        check(&inside, &[json!(["Jo"])], &[json!(["J"])]);
        // Of one collection, with and without its name.
        for target in ["things.json", "things.json#/collections/a~1b/schema"] {
            let things = referring(json!({"items": {"$ref": target}}), &["things"]);
            check(&things, &[json!([{"id": "x", "next": {"id": "y"}}])], &[json!([{"id": "x", "next": {}}])]);
        }
        let size = referring(json!({"$ref": "things.json#/collections/a~1b/schema/properties/size"}), &["things"]);
        check(&size, &[json!(1)], &[json!("1")]);
    }

    #[test]
    fn what_is_referenced_brings_what_it_refers_to() {
        let couple = referring(json!({"$ref": "couple.json"}), &["couple"]);
        check(&couple, &[json!({"a": {"name": "Jo"}, "b": "Al"})], &[json!({"b": "A"}), json!({"a": {"name": "A"}})]);
    }

    #[test]
    fn names_are_read_against_the_identifier_of_the_schema() {
        let schema = json!({"$id": "https://example.com/a/root.json",
            "properties": {"p": {"$ref": "person.json"}, "q": {"$ref": "https://example.com/a/person.json"}}});
        let accepted = [json!({"p": {"name": "Jo"}, "q": {"name": "Jo"}})];
        check(&referring(schema, &["person"]), &accepted, &[json!({"p": {}}), json!({"q": {}})]);
    }

    #[test]
    fn references_of_a_document_are_of_all_its_collections() {
        let schema = json!({"type": "object", "required": ["id"],
            "properties": {"id": {"type": "string"}, "by": {"$ref": "person.json"}}});
        let value = json!({"collections": {"c": {"type": "t", "primaryKey": "id", "schema": schema}},
            "references": [{"name": "person.json", "subject": "person", "version": 1}]});
        check(&value, &[json!({"id": "1", "by": {"name": "Jo"}})], &[json!({"id": "1", "by": {}})]);
    }

    #[test]
    fn what_cannot_be_referenced_is_named() {
        let code = |value: &Value| parse(value).err().map(|faults| (faults[0].pointer.clone(), faults[0].code));
        let fault = |pointer: &str, code| Some((pointer.to_owned(), code));
        let named = |reference: Value| json!({"schema": {}, "references": [reference]});
        let reference = |name: &str, subject: &str, version: i64| {
            named(json!({"name": name, "subject": subject, "version": version}))
        };
        assert_eq!(code(&reference("a", "person", 1)), None);
        for value in [
            reference("", "person", 1),
            reference("a#b", "person", 1),
            reference("a", "person", 0),
            reference("a", "person", -1),
            reference("a", "a b", 1),
            named(json!("person")),
            named(json!({"name": "a", "subject": "person", "version": 1, "extra": 1})),
        ] {
            assert_eq!(code(&value), fault("/references/0", FaultCode::References), "{value}");
        }
        assert_eq!(code(&json!({"schema": {}, "references": {}})), fault("/references", FaultCode::References));
        assert_eq!(code(&reference("a", "person", 2)), fault("/references/0", FaultCode::UnknownReference));
        let target = |target: &str, subject: &str| code(&referring(json!({"$ref": target}), &[subject]));
        for (to, subject) in [
            ("things.json#/collections/none/schema", "things"),
            ("things.json#/nothing", "things"),
            ("person.json#name", "person"),
            ("draft-07.json", "draft-07"),
            ("anchored.json", "anchored"),
        ] {
            assert_eq!(target(to, subject), fault("/schema", FaultCode::ReferenceTarget), "{to}");
        }
        let missing = fault("/schema/$ref", FaultCode::UnresolvedReference);
        assert_eq!(target("person.json#/$defs/none", "person"), missing);
        assert_eq!(target("other.json", "person"), fault("/schema/$ref", FaultCode::RemoteReference));
    }

    #[test]
    fn references_are_bounded_in_number_and_depth() {
        let many: Vec<Value> = (0..=REFERENCES_MAX)
            .map(|nth| json!({"name": format!("n{nth}"), "subject": "person", "version": 1}))
            .collect();
        assert!(parse(&json!({"schema": {}, "references": many})).is_err());
        let mut document = Arc::new(parse(&json!({"schema": {"type": "string"}})).unwrap());
        let on_top = |of: &Arc<Document>, version: usize| {
            let value =
                json!({"schema": {"$ref": "a"}, "references": [{"name": "a", "subject": "s", "version": version}]});
            Document::parse_with(&value, &DocumentLimits::default(), &|_, _| Some(of.clone()))
        };
        for depth in 1..=REFERENCE_DEPTH_MAX {
            document = Arc::new(on_top(&document, depth).unwrap());
            assert!(!document.compiled().collections().next().unwrap().is_valid(&json!(1)));
        }
        let deeper = on_top(&document, REFERENCE_DEPTH_MAX + 1);
        assert_eq!(deeper.err().map(|faults| faults[0].code), Some(FaultCode::References));
    }
}
