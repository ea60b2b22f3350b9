//! Code from documents: types of a document's entities in other languages, and validators that agree with the server's.
//!
//! Pure: a sound [`Document`] goes in, text and notes come out. [`typescript`] gives a StreamDB state definition with
//! types and Standard Schema validators, which carry the whole schema and check all of it; [`rust()`] gives serde types.
//! `shape` decides what of a schema a type can say; `names` makes identifiers of whatever a document calls its
//! parts. Left to others: where documents come from and where the text goes (command line).
//!
//! Invariant: a value that the schema admits is of the generated type; what a type or a validator cannot say is in the
//! notes. Equal documents give equal text.

mod names;
mod rust;
mod shape;
mod ts;

use crate::registry::Document;

/// Generated code, and what its reader must know that it cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    pub code: String,
    pub notes: Vec<Note>,
}

/// Something in a document that the code does not hold its values to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// JSON pointer into the document.
    pub pointer: String,
    pub message: String,
}

/// A TypeScript module: a type per collection and definition, and `state`, made by `createStateSchema` of
/// `@durable-streams/state`. `origin` says in its first line what it was made from.
pub fn typescript(document: &Document, origin: &str) -> Generated {
    ts::module(document, origin)
}

/// A Rust module of serde types, which needs `serde` with `derive` and `serde_json`.
pub fn rust(document: &Document, origin: &str) -> Generated {
    rust::module(document, origin)
}

/// The text on one line, for comments: without what ends a line somewhere, or turns around what compilers show.
fn one_line(text: &str) -> String {
    let breaks = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.split(breaks).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::registry::DocumentLimits;

    /// Names that a language has a use for, that fall together, or that nobody expects.
    fn any_name() -> impl Strategy<Value = String> {
        let hostile = [
            "type",
            "self",
            "Self",
            "crate",
            "super",
            "async",
            "r#type",
            "other",
            "a-b",
            "a_b",
            "a b",
            "aB",
            "AB",
            "1",
            "",
            "_",
            "Vec",
            "Option",
            "String",
            "Json",
            "Array",
            "constructor",
            "__proto__",
            "*/",
            "\"",
            "'",
            "\\",
            "\n",
            "${x}",
            "日本",
            "é",
            "e\u{301}",
            "\u{2028}",
            "\u{202e}",
            "🦀",
        ];
        prop_oneof![prop::sample::select(hostile.to_vec()).prop_map(str::to_owned), ".{0,8}"]
    }

    fn document(collections: &[String], members: &[String], texts: &[String]) -> Option<Document> {
        let mut properties: Map<String, Value> = members
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let inner = json!({"type": "object", "properties": {name: {"type": "string"}}, "title": name});
                (name.clone(), if index % 2 == 0 { inner } else { json!({ "enum": texts, "description": name }) })
            })
            .collect();
        properties.insert("id".to_owned(), json!({"type": "string"}));
        let schema = json!({"type": "object", "required": ["id"], "properties": properties});
        let collections: Map<String, Value> = collections
            .iter()
            .enumerate()
            .map(|(index, name)| {
                (name.clone(), json!({"type": format!("t{index}"), "primaryKey": "id", "schema": schema}))
            })
            .collect();
        Document::parse(&json!({ "collections": collections }), &DocumentLimits::default()).ok()
    }

    /// The identifiers that follow one of these words, by the declaration they are in: types, then members of each.
    fn declared(code: &str) -> Vec<Vec<String>> {
        let name = |text: &str| -> String {
            let text = text.strip_prefix("r#").unwrap_or(text);
            text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        let (mut types, mut members) = (Vec::new(), Vec::new());
        for line in code.lines() {
            let declares = ["pub struct ", "pub enum ", "pub type "].iter().find_map(|word| line.strip_prefix(word));
            if let Some(rest) = declares {
                types.push(name(rest));
                members.push(Vec::new());
            }
            let member = line.strip_prefix("    ").filter(|rest| !rest.starts_with([' ', '#', '/']));
            if let (Some(rest), Some(last)) =
                (member.filter(|rest| !rest.starts_with("pub const")), members.last_mut())
            {
                last.push(name(rest.strip_prefix("pub ").unwrap_or(rest)));
            }
        }
        members.push(types);
        members
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn identifiers_are_valid_and_told_apart_whatever_a_document_calls_its_parts(
            collections in prop::collection::hash_set(any_name(), 1..6),
            members in prop::collection::hash_set(any_name(), 0..12),
            texts in prop::collection::hash_set(any_name(), 1..12),
        ) {
            let [collections, members, texts] =
                [collections, members, texts].map(|names| names.into_iter().collect::<Vec<_>>());
            let Some(document) = document(&collections, &members, &texts) else { return Ok(()) };
            // The helper below the types is none of them.
            let code = rust(&document, "test").code.replace("    T::deserialize", "");
            for scope in declared(&code) {
                for name in &scope {
                    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
                    prop_assert!(begins && name.is_ascii(), "{:?}\n{}", name, code);
                }
                prop_assert_eq!(scope.iter().collect::<HashSet<_>>().len(), scope.len(), "{:?}\n{}", scope, code);
            }
            let code = typescript(&document, "test").code;
            let types: Vec<&str> = code
                .lines()
                .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).strip_prefix("type "))
                .filter_map(|rest| rest.split(' ').next())
                .collect();
            prop_assert_eq!(types.iter().collect::<HashSet<_>>().len(), types.len(), "{:?}", types);
        }
    }

    #[test]
    fn no_type_hides_one_that_the_validator_declares() {
        let declared = include_str!("validator.ts").lines().filter_map(|line| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let rest = ["type ", "interface ", "class "].iter().find_map(|word| line.strip_prefix(word))?;
            rest.split(|c: char| !c.is_alphanumeric()).next()
        });
        for name in declared {
            assert!(ts::RESERVED.contains(&name), "{name}");
        }
    }
}
