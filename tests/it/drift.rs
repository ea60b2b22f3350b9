//! What is published says what the program does: `openapi/`, `schemas/` and the tables in `docs/`.
//!
//! Each file is compared with what the code describes. With `KEYFOLD_GENERATE=1` (`just generate`) what differs is
//! written instead; prose around generated tables, and all of `docs/problems.md`, is written by hand and only checked.

use std::path::PathBuf;

use clap::Args;
use http_body_util::BodyExt;
use keyfold::api::problem::ProblemBody;
use keyfold::api::{Api, ApiSettings, ProblemType, openapi, router};
use keyfold::config::ServeArgs;
use keyfold::engine::{Engine, Settings};
use keyfold::model::Timestamp;
use keyfold::protocol::registry::BindingBody;
use keyfold::protocol::schema::{ChangeMessage, ControlMessage, DocumentBody};
use keyfold::runtime::Clock;
use keyfold::storage::MemoryStore;
use tower::ServiceExt;

const BEGIN: &str = "<!-- generated -->\n";
const END: &str = "<!-- end -->\n";

pub fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(path_of(name)).unwrap_or_default()
}

/// Compares a file with what it should hold, or writes it.
pub fn holds(name: &str, expected: &str) {
    let present = read(name);
    if present == expected {
        return;
    }
    if std::env::var_os("KEYFOLD_GENERATE").is_some() {
        std::fs::create_dir_all(path_of(name).parent().unwrap()).unwrap();
        std::fs::write(path_of(name), expected).unwrap();
        return;
    }
    let differs = present.lines().zip(expected.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(present.lines().count().min(expected.lines().count())) + 1;
    panic!("{name} differs from the code at line {line}; write it anew with `just generate`");
}

/// As [`holds`], for the part of a document between two markers.
pub fn holds_table(name: &str, table: &str) {
    let present = read(name);
    let (before, rest) = present.split_once(BEGIN).unwrap_or_else(|| panic!("{name} has no line {BEGIN:?}"));
    let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{name} has no line {END:?}"));
    holds(name, &format!("{before}{BEGIN}{table}{END}{after}"));
}

#[test]
fn the_api_is_described_as_it_is() {
    holds("openapi/keyfold.json", &openapi::description());
}

#[test]
fn the_schemas_are_those_of_the_types() {
    for (name, schema) in [
        ("change", schemars::schema_for!(ChangeMessage)),
        ("control", schemars::schema_for!(ControlMessage)),
        ("document", schemars::schema_for!(DocumentBody)),
        ("problem", schemars::schema_for!(ProblemBody)),
        ("binding", schemars::schema_for!(BindingBody)),
        ("config", schemars::schema_for!(ServeArgs)),
    ] {
        let text = serde_json::to_string_pretty(&schema).unwrap();
        holds(&format!("schemas/{name}.json"), &format!("{text}\n"));
    }
}

#[test]
fn the_schemas_accept_what_they_describe() {
    let accepts = |name: &str, instance: &serde_json::Value| {
        let schema = serde_json::from_str(&read(&format!("schemas/{name}.json"))).unwrap();
        jsonschema::validator_for(&schema).unwrap().is_valid(instance)
    };
    let change = serde_json::json!({ "type": "t", "key": "k", "value": 1, "headers": { "operation": "upsert" } });
    assert!(accepts("change", &change));
    assert!(!accepts("change", &serde_json::json!({ "type": "t", "key": "k" })));
    for subject in ["auth", "sagas", "sessions", "triggers", "workers"] {
        let document = serde_json::from_str(&read(&format!("schemas/documents/{subject}.json"))).unwrap();
        assert!(accepts("document", &document), "{subject}");
    }
    assert!(accepts("binding", &serde_json::json!({ "pattern": "a/**", "subject": "s", "version": "latest" })));
    assert!(!accepts("binding", &serde_json::json!({ "pattern": "a/**", "subject": "s", "valdation": "off" })));
    assert!(accepts("config", &serde_json::json!({ "port": 1, "store": "memory" })));
    assert!(!accepts("config", &serde_json::json!({ "prot": 1 })));
}

const PROSE: [&str; 11] = [
    "README.md",
    "docs/architecture.md",
    "docs/cli.md",
    "docs/configuration.md",
    "docs/durability.md",
    "docs/evolution.md",
    "docs/metrics.md",
    "docs/problems.md",
    "docs/protocol.md",
    "docs/subscriptions.md",
    "docs/deploy/README.md",
];

/// A guarantee whose test was renamed away is a guarantee that nothing holds.
#[test]
fn every_test_that_the_docs_name_exists() {
    let mut sources = String::new();
    for directory in ["src", "tests/crash", "tests/equation", "tests/it", "tests/simulation"] {
        append_sources(&path_of(directory), &mut sources);
    }
    let mut named = 0;
    for document in PROSE {
        let text = read(document);
        let is_test = |word: &&str| {
            word.matches('_').count() >= 3
                && word.bytes().all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        for word in text.split('`').skip(1).step_by(2).filter(is_test).filter(|word| !is_setting(word)) {
            named += 1;
            // Also as a line of a macro that lists its claims.
            let stands = [format!("fn {word}("), format!("    {word}: ")];
            assert!(stands.iter().any(|form| sources.contains(form)), "{document} names {word}, which is no test");
        }
    }
    assert!(named > 20, "only {named} tests are named");
}

fn is_setting(word: &str) -> bool {
    word.starts_with("keyfold_") || settings().iter().any(|setting| setting.key == word)
}

fn append_sources(directory: &std::path::Path, out: &mut String) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => append_sources(&path, out),
            false => out.push_str(&std::fs::read_to_string(&path).unwrap_or_default()),
        }
    }
}

#[test]
fn every_link_of_the_docs_leads_somewhere() {
    for document in PROSE {
        let text = read(document);
        assert!(!text.is_empty(), "{document} is missing");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let target = path_of(document).parent().unwrap().join(file);
            assert!(file.starts_with("https://") || target.exists(), "{document} links to {link}");
        }
    }
}

/// One row of the table of settings.
struct Setting {
    flag: String,
    env: String,
    /// Empty where the file cannot set it.
    key: String,
    default: String,
    meaning: String,
}

fn settings() -> Vec<Setting> {
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let row = |argument: &clap::Arg| {
        let help = argument.get_help().unwrap_or_else(|| panic!("{} has no meaning", argument.get_id())).to_string();
        let (meaning, default) = match help.split_once(" [default: ") {
            Some((meaning, default)) => (meaning.to_owned(), default.trim_end_matches(']').to_owned()),
            None => (help, String::new()),
        };
        let id = argument.get_id().as_str();
        Setting {
            flag: format!("--{}", argument.get_long().unwrap()),
            env: argument.get_env().unwrap().to_str().unwrap().to_owned(),
            key: if id == "config" { String::new() } else { id.to_owned() },
            default,
            meaning,
        }
    };
    shown.map(row).collect()
}

#[test]
fn the_settings_are_listed_with_their_defaults() {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let mut table = String::from("| flag | environment | in the file | default | meaning |\n|---|---|---|---|---|\n");
    for Setting { flag, env, key, default, meaning } in settings() {
        let default = if default == "none" { default } else { code(&default) };
        table += &format!("| {} | {} | {} | {default} | {meaning} |\n", code(&flag), code(&env), code(&key));
    }
    holds_table("docs/configuration.md", &table);
}

#[test]
fn the_defaults_that_are_told_are_those_that_apply() {
    let told: String = settings()
        .iter()
        .filter(|setting| !setting.key.is_empty() && setting.default != "none")
        .map(|Setting { key, default, .. }| match default.parse::<u64>() {
            Ok(number) => format!("{key} = {number}\n"),
            Err(_) if default.parse::<bool>().is_ok() => format!("{key} = {default}\n"),
            Err(_) => format!("{key} = \"{default}\"\n"),
        })
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keyfold.toml");
    std::fs::write(&file, &told).unwrap();
    let written = ServeArgs { config: Some(file), ..ServeArgs::default() }.settings().unwrap();
    let unset = ServeArgs::default().settings().unwrap();
    assert_eq!(format!("{written:?}"), format!("{unset:?}"), "{told}");
}

#[tokio::test]
async fn the_metrics_are_listed() {
    let clock = Clock::manual(Timestamp::from_millis(0));
    let engine = Engine::start(MemoryStore::new(clock.clone()), clock, Settings::default()).unwrap();
    let api = Api::new(ApiSettings::default());
    api.serve_from(engine);
    let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty()).unwrap();
    let reply = router(api).oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(reply.to_vec()).unwrap();
    let mut table = String::from("| metric | kind | meaning |\n|---|---|---|\n");
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        let (name, meaning) = line.split_once(' ').unwrap();
        let kind = text.lines().find_map(|line| line.strip_prefix(&format!("# TYPE {name} "))).unwrap();
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        let has_value = |line: &str| line.strip_prefix(&name).is_some_and(|rest| rest.starts_with([' ', '{']));
        assert!(text.lines().any(has_value), "{name} has no value:\n{text}");
        table += &format!("| `{name}` | {kind} | {meaning} |\n");
    }
    holds_table("docs/metrics.md", &table);
}

/// `docs/problems.md` has, per type and in the order of the code: a heading, status and title, and three answers.
#[test]
fn every_problem_has_its_page() {
    let text = read("docs/problems.md");
    let sections: Vec<(&str, &str)> =
        text.split("\n## ").skip(1).map(|part| part.split_once('\n').unwrap()).collect();
    let named: Vec<&str> = sections.iter().map(|(slug, _)| *slug).collect();
    let expected: Vec<&str> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
    assert_eq!(named, expected, "headings of docs/problems.md");
    for (kind, (slug, body)) in ProblemType::ALL.iter().zip(sections) {
        let first = format!("**{} {}.**", kind.status().as_u16(), kind.title());
        assert!(body.trim_start().starts_with(&first), "{slug} begins with {first:?}");
        for part in ["- *When:* ", "- *Written:* ", "- *Again:* "] {
            assert!(body.lines().any(|line| line.starts_with(part)), "{slug} lacks {part:?}");
        }
        let unknown = body.contains("- *Written:* unknown");
        let nothing = body.contains("- *Written:* nothing");
        let is_unknown = matches!(kind, ProblemType::WriteOutcomeUnknown | ProblemType::Internal);
        assert_eq!((unknown, nothing), (is_unknown, !is_unknown), "{slug} says whether anything was written");
    }
}
