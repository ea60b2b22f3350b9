//! `keyfold schema check`, as a job that gates a change runs it: what it says, its exit code, its reports.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keyfold::api::{Api, ApiSettings, router};
use keyfold::engine::{Engine, Settings};
use keyfold::runtime::Clock;
use keyfold::storage::MemoryStore;
use serde_json::{Value, json};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A document of jobs with these properties beside the key.
    fn jobs(&self, name: &str, properties: Value) {
        let mut all = json!({"id": {"type": "string"}});
        all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        let schema = json!({"type": "object", "required": ["id"], "properties": all});
        let document = json!({"collections": {"jobs": {"type": "job", "primaryKey": "id", "schema": schema}}});
        std::fs::write(self.path(name), document.to_string()).unwrap();
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyfold"));
        command.current_dir(self.0.path()).env_clear().args(["schema", "check"]).args(arguments);
        command.output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32) -> String {
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}\n{}", text(&output.stderr));
    said
}

#[test]
fn an_optional_property_fits_and_a_narrower_type_does_not() {
    let folder = Folder::new();
    folder.jobs("old.json", json!({"status": {"type": "string"}}));
    folder.jobs("more.json", json!({"status": {"type": "string"}, "note": {"type": "string"}}));
    folder.jobs("less.json", json!({"status": {"enum": ["running"]}}));
    let said = ends(&folder.check(&["more.json", "--against", "old.json"]), 0);
    assert_eq!(said, "more.json against old.json: compatible (BACKWARD, optional_friendly)\n");

    let said = ends(&folder.check(&["less.json", "--against", "old.json"]), 1);
    assert!(said.starts_with("less.json against old.json: incompatible"), "{said}");
    let example = said.lines().find_map(|line| line.split_once("version 1 accepts, this document refuses: "));
    let example: Value = serde_json::from_str(example.unwrap_or_else(|| panic!("{said}")).1).unwrap();
    assert!(example["status"].is_string() && example["status"] != "running", "{example}");

    // The other way around it is compatible.
    ends(&folder.check(&["less.json", "--against", "old.json", "--mode", "FORWARD"]), 0);
    ends(&folder.check(&["less.json", "--against", "old.json", "--mode", "none"]), 0);
    // To the letter of JSON Schema, an undeclared note could have been anything.
    ends(&folder.check(&["more.json", "--against", "old.json", "--content-model", "open"]), 1);
}

#[test]
fn what_cannot_be_judged_is_told_from_what_does_not_fit() {
    let folder = Folder::new();
    folder.jobs("jobs.json", json!({}));
    folder.jobs("unsound.json", json!({"status": {"type": "strnig"}}));
    std::fs::write(folder.path("text.json"), "{").unwrap();
    assert_eq!(ends(&folder.check(&["jobs.json"]), 0), "jobs.json: sound\n");
    let said = ends(&folder.check(&["unsound.json"]), 1);
    assert!(said.contains("/collections/jobs/schema/properties/status/type"), "{said}");
    for arguments in [
        &["missing.json"][..],
        &["text.json"],
        &["jobs.json", "--against", "unsound.json"],
        &["jobs.json", "--against", "jobs.json", "--mode", "SIDEWAYS"],
        &["jobs.json", "--against", "jobs.json", "--live"],
        &["jobs.json", "--live"],
        &["jobs.json", "--against", "jobs", "--url", "http://127.0.0.1:1"],
        &[],
    ] {
        ends(&folder.check(arguments), 2);
    }
}

#[test]
fn several_files_are_older_versions_in_their_order() {
    let folder = Folder::new();
    folder.jobs("1.json", json!({"n": {"type": "string"}}));
    folder.jobs("2.json", json!({"n": {"type": "integer"}}));
    folder.jobs("3.json", json!({"n": {"type": "number"}}));
    let against = ["3.json", "--against", "1.json", "--against", "2.json"];
    ends(&folder.check(&against), 0);
    let transitive = [&against[..], &["--mode", "BACKWARD_TRANSITIVE", "--json"]].concat();
    let answer: Value = serde_json::from_str(&ends(&folder.check(&transitive), 1)).unwrap();
    let compared = &answer["comparisons"][0];
    assert_eq!(compared["compared"], json!([2, 1]));
    assert_eq!(compared["violations"][0]["version"], 1, "{answer}");
    assert!(compared["violations"][0]["counterexample"]["n"].is_string(), "{answer}");
}

#[test]
fn each_document_can_have_a_counterpart_of_its_name() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("main")).unwrap();
    for name in ["a.json", "b.json"] {
        folder.jobs(&format!("main/{name}"), json!({"n": {"type": "integer"}}));
        folder.jobs(name, json!({"n": {"type": if name == "a.json" { "number" } else { "string" }}}));
    }
    let report = folder.path("report.xml");
    let arguments = ["a.json", "b.json", "--against", "main/{name}.json", "--junit", report.to_str().unwrap()];
    let said = ends(&folder.check(&arguments), 1);
    assert!(
        said.contains("a.json against main/a.json: compatible")
            && said.contains("b.json against main/b.json: incomp")
    );
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("<testsuites name=\"keyfold schema check\" tests=\"4\" failures=\"1\""), "{report}");
    assert!(
        report.contains("<testcase classname=\"b.json\" name=\"fits main/b.json version 1 (BACKWARD"),
        "{report}"
    );
}

/// A server in this process, with `old.json` registered as `jobs` and one job stored.
async fn server(folder: &Folder) -> String {
    let engine = Engine::start(MemoryStore::new(Clock::system()), Clock::system(), Settings::default()).unwrap();
    let api = Api::new(ApiSettings::default());
    api.serve_from(engine);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router(api)).await });
    let http = reqwest::Client::builder().tls_backend_preconfigured(keyfold::client::no_tls()).build().unwrap();
    let document: Value = serde_json::from_str(&std::fs::read_to_string(folder.path("old.json")).unwrap()).unwrap();
    let binding = json!({"pattern": "jobs/**", "subject": "jobs"});
    let value = json!({"id": "a", "status": "idle"});
    let job = json!([{"type": "job", "key": "a", "value": value, "headers": {"operation": "upsert"}}]);
    for (method, path, body) in [
        (reqwest::Method::POST, "/v1/schemas/jobs/versions", document),
        (reqwest::Method::PUT, "/v1/bindings/jobs", binding),
        (reqwest::Method::POST, "/v1/stream/jobs/a", job),
    ] {
        let answer = http.request(method, format!("{url}{path}")).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {:?}", answer.text().await);
    }
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_asked_of_its_server_and_stored_entities_with_it() {
    let folder = Folder::new();
    folder.jobs("old.json", json!({"status": {"type": "string"}}));
    folder.jobs("less.json", json!({"status": {"enum": ["running"]}}));
    folder.jobs("unsound.json", json!({"status": {"type": "strnig"}}));
    let url = server(&folder).await;
    let check = |arguments: &[&str]| folder.check(&[arguments, &["--url", &url]].concat());

    let said = ends(&check(&["old.json", "--against", "jobs"]), 0);
    assert_eq!(said, "old.json against jobs version 1: compatible (BACKWARD, optional_friendly)\n");
    assert!(ends(&check(&["less.json", "--against", "jobs@1"]), 1).contains("refuses"));
    assert!(ends(&check(&["unsound.json", "--against", "jobs"]), 1).contains("not a document"));
    let said = ends(&check(&["less.json", "--against", "nobody"]), 0);
    assert!(said.contains("nothing to compare with"), "{said}");

    let live = ends(&check(&["less.json", "--against", "jobs", "--mode", "NONE", "--live"]), 1);
    assert!(live.contains("1 of 1 stored entities would be refused") && live.contains("jobs/a job a"), "{live}");
    ends(&check(&["old.json", "--against", "jobs", "--live"]), 0);
    let same = folder.check(&["less.json", "--against", "{name}", "--url", &url, "--json"]);
    assert!(!Path::new("less").exists());
    ends(&same, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_does_not_fit_is_told_why() {
    let folder = Folder::new();
    folder.jobs("old.json", json!({"status": {"type": "string"}}));
    folder.jobs("less.json", json!({"status": {"enum": ["running"]}}));
    let url = server(&folder).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyfold"));
    command.current_dir(folder.0.path()).env_clear().args(["schema", "register", "jobs", "less.json", "--url", &url]);
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("409") && said.contains("version 1 accepts, this document refuses: {"), "{said}");
}

#[test]
fn a_format_that_newly_binds_does_not_fit() {
    let folder = Folder::new();
    folder.jobs("old.json", json!({"host": {"type": "string"}, "mail": {"type": "string"}}));
    for (name, format) in [("host", "idn-hostname"), ("mail", "idn-email")] {
        folder.jobs("new.json", json!({name: {"type": "string", "format": format}}));
        ends(&folder.check(&["new.json", "--against", "old.json"]), 1);
    }
}
