//! The whole JSON Schema Test Suite, through the door that writers use.
//!
//! Each group's schema becomes the schema of a collection's member `v`, each of its instances is posted as a change, and
//! the answer is 200 where the suite says valid and 422 where it says invalid. What Keyfold answers otherwise is
//! listed in `docs/json-schema.md`, each with its reason; the list is compared as a whole, so a difference that appears
//! or goes away fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::model::Timestamp;
use keyfold::runtime::Clock;
use keyfold::storage::MemoryStore;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::drift::holds_table;

/// Name in the suite, `$schema`, and the keyword by which a schema names itself.
pub const DRAFTS: [(&str, &str, &str); 5] = [
    ("draft4", "http://json-schema.org/draft-04/schema#", "id"),
    ("draft6", "http://json-schema.org/draft-06/schema#", "$id"),
    ("draft7", "http://json-schema.org/draft-07/schema#", "$id"),
    ("draft2019-09", "https://json-schema.org/draft/2019-09/schema", "$id"),
    ("draft2020-12", "https://json-schema.org/draft/2020-12/schema", "$id"),
];

#[derive(Deserialize)]
pub struct Group {
    pub file: String,
    description: String,
    schema: Value,
    pub tests: Vec<Case>,
}

#[derive(Deserialize)]
pub struct Case {
    description: String,
    /// As written: numbers beyond a double reach the server as they are.
    pub data: Box<RawValue>,
    pub valid: bool,
}

/// Where Keyfold does not answer as the suite does.
#[derive(Debug)]
struct Difference {
    file: String,
    group: String,
    /// Empty where the whole schema is refused.
    case: String,
    /// How many instances it is about.
    cases: usize,
    /// The fault's code, or `accepted`.
    answer: String,
}

#[derive(Default)]
struct Tally {
    groups: usize,
    cases: usize,
    as_the_suite: usize,
    /// Groups whose schema is refused.
    refused_groups: usize,
}

struct Service {
    router: Router,
}

impl Service {
    fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let engine = Engine::start(MemoryStore::new(clock.clone()), clock, Settings::default());
        let api = Api::new(ApiSettings::default());
        api.serve_from(engine.unwrap());
        Self { router: router(api) }
    }

    async fn send(&self, method: &str, path: &str, body: String) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let response = self.router.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

pub fn groups(draft: &str) -> Vec<Group> {
    let path = format!("tests/fixtures/json-schema-test-suite/{draft}.ndjson");
    let text = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The suite's schema as a resource of its own, so that its references lead where they led.
fn embedded(schema: &Value, id: &str) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let mut resource = members.clone();
    if !resource.contains_key(id) {
        resource.insert(id.to_owned(), json!("http://keyfold.example/suite"));
    }
    // Up to draft 7 whatever stands beside `$ref` is ignored, the identifier as well.
    let ignores_siblings = id == "id" || !members.get("$schema").is_some_and(is_newer);
    if ignores_siblings && let Some(target) = members.get("$ref") {
        resource.retain(|name, _| [id, "$schema", "definitions", "$defs"].contains(&name.as_str()));
        resource.insert("allOf".to_owned(), json!([{ "$ref": target }]));
    }
    Value::Object(resource)
}

fn is_newer(draft: &Value) -> bool {
    draft.as_str().is_some_and(|draft| draft.contains("/draft/20"))
}

/// A collection whose entities hold an instance in `v`.
pub fn collection(entity_type: &str, group: &Group, dialect: &str, id: &str) -> Value {
    let mut schema = group.schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.entry("$schema").or_insert(json!(dialect));
    }
    json!({"type": entity_type, "primaryKey": "id", "schema": {
        "$schema": dialect,
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string"}, "v": embedded(&schema, id)},
    }})
}

/// Why Keyfold answers otherwise. A difference without a reason here is a bug, and fails the test.
fn reason(difference: &Difference) -> Option<&'static str> {
    let whole = difference.case.is_empty();
    Some(match (difference.answer.as_str(), difference.file.as_str()) {
        ("remote-reference", _) if whole => "refers to another document: nothing is fetched",
        ("schema-dialect", "vocabulary" | "optional/format-assertion") if whole => {
            "`$schema` names a meta-schema of the suite's own: only the published drafts are known"
        }
        ("format", "format") => "refused, where the suite wants `format` to be an annotation: Keyfold asserts it",
        ("accepted", "optional/format/idn-hostname" | "optional/format/idn-email") => {
            "accepted: internationalized host names and mail addresses are not checked"
        }
        _ => return None,
    })
}

/// How many groups share a server: a registry is copied when it changes.
const GROUPS_PER_SERVER: usize = 50;

async fn differences(draft: (&'static str, &'static str, &'static str)) -> (Tally, Vec<Difference>) {
    let (mut tally, mut found) = (Tally::default(), Vec::new());
    let groups = groups(draft.0);
    for groups in groups.chunks(GROUPS_PER_SERVER) {
        let service = Service::new();
        for (number, group) in groups.iter().enumerate() {
            judge(&service, draft, &format!("g{number}"), group, &mut tally, &mut found).await;
        }
    }
    (tally, found)
}

/// Registers the group's schema, binds a stream to it, and posts every instance.
async fn judge(
    service: &Service,
    (draft, dialect, id): (&'static str, &str, &str),
    subject: &str,
    group: &Group,
    tally: &mut Tally,
    found: &mut Vec<Difference>,
) {
    tally.groups += 1;
    tally.cases += group.tests.len();
    let document = json!({"collections": {"c": collection("t", group, dialect, id)}});
    let difference = |case: &str, answer: &str| Difference {
        file: group.file.clone(),
        group: group.description.clone(),
        case: case.to_owned(),
        cases: if case.is_empty() { group.tests.len() } else { 1 },
        answer: answer.to_owned(),
    };
    let versions = format!("/v1/schemas/{subject}/versions");
    let (status, answer) = service.send("POST", &versions, document.to_string()).await;
    if status != 201 {
        assert_eq!(status, 422, "{draft} {} {}: {answer}", group.file, group.description);
        tally.refused_groups += 1;
        found.push(difference("", answer["errors"][0]["keyword"].as_str().unwrap()));
        return;
    }
    let binding = json!({"pattern": subject, "subject": subject}).to_string();
    let (status, answer) = service.send("PUT", &format!("/v1/bindings/{subject}"), binding).await;
    assert!(status < 300, "{answer}");
    for case in &group.tests {
        let change = format!(
            r#"[{{"type":"t","key":"k","value":{{"id":"k","v":{}}},"headers":{{"operation":"upsert"}}}}]"#,
            case.data.get()
        );
        let (status, answer) = service.send("POST", &format!("/v1/stream/{subject}"), change).await;
        match (status, case.valid) {
            (200..300, true) | (422, false) => tally.as_the_suite += 1,
            (200..300, false) => found.push(difference(&case.description, "accepted")),
            _ => found.push(difference(&case.description, answer["errors"][0]["keyword"].as_str().unwrap())),
        }
    }
}

/// The whole table: counts per draft, then every difference under its reason.
fn table(answers: &[(&str, Tally, Vec<Difference>)]) -> String {
    let mut text = String::from(
        "| draft | groups | instances | answered as the suite does | schemas refused | other differences |\n\
         |---|---|---|---|---|---|\n",
    );
    let mut by_reason = BTreeMap::<&str, BTreeMap<(&str, &str), (BTreeSet<&str>, usize)>>::new();
    let mut unexplained = Vec::new();
    for (draft, tally, found) in answers {
        let Tally { groups, cases, as_the_suite, refused_groups } = tally;
        let of_refused: usize = found.iter().filter(|d| d.case.is_empty()).map(|d| d.cases).sum();
        let others = found.iter().filter(|d| !d.case.is_empty()).count();
        assert_eq!(as_the_suite + of_refused + others, *cases, "every instance is counted once");
        writeln!(
            text,
            "| {draft} | {groups} | {cases} | {as_the_suite} | {refused_groups} ({of_refused} instances) | {others} |"
        )
        .unwrap();
        for difference in found {
            let Some(reason) = reason(difference) else {
                unexplained.push(format!("{draft} {difference:?}"));
                continue;
            };
            let at = (difference.file.as_str(), difference.group.as_str());
            let (drafts, count) = by_reason.entry(reason).or_default().entry(at).or_default();
            drafts.insert(draft);
            *count += difference.cases;
        }
    }
    assert!(unexplained.is_empty(), "the answers differ without a reason:\n{}", unexplained.join("\n"));
    for (reason, groups) in by_reason {
        let count: usize = groups.values().map(|(_, count)| count).sum();
        writeln!(text, "\n**{reason}** ({count} instances):\n").unwrap();
        for ((file, group), (drafts, count)) in groups {
            let drafts: Vec<_> = drafts.into_iter().collect();
            writeln!(text, "- `{file}`: {group} ({}; {count})", drafts.join(", ")).unwrap();
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_schema_test_suite_is_accepted_and_refused_by_the_write_path() {
    let running: Vec<_> = DRAFTS.map(|draft| (draft.0, tokio::spawn(differences(draft)))).into();
    let mut answers = Vec::new();
    for (draft, task) in running {
        let (tally, found) = task.await.unwrap();
        answers.push((draft, tally, found));
    }
    holds_table("docs/json-schema.md", &format!("\n{}\n", table(&answers)));
}
