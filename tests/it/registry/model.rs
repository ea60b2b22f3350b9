//! Random lives of a registry, against a model: what is needed is never forgotten, and the log gives the same registry.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{World, widened};

#[derive(Clone, Debug)]
enum Act {
    Register {
        subject: usize,
        nth: usize,
    },
    /// A schema of another subject that refers to a version.
    Refer {
        from: usize,
        to: usize,
        version: u64,
    },
    Bind {
        subject: usize,
    },
    Write {
        stream: usize,
    },
    DeleteStream {
        stream: usize,
    },
    State {
        subject: usize,
        version: u64,
        state: usize,
    },
    Delete {
        subject: usize,
        version: Option<u64>,
        permanent: bool,
    },
    Configure {
        subject: usize,
        mode: usize,
    },
    Restart,
}

const SUBJECTS: [&str; 3] = ["a", "b", "c"];
const STATES: [&str; 3] = ["enabled", "deprecated", "disabled"];
const MODES: [&str; 3] = ["NONE", "BACKWARD", "FULL_TRANSITIVE"];

fn act() -> impl Strategy<Value = Act> {
    let (subject, version) = (0..SUBJECTS.len(), 1..5u64);
    prop_oneof![
        6 => (subject.clone(), 0..5usize).prop_map(|(subject, nth)| Act::Register { subject, nth }),
        3 => (subject.clone(), subject.clone(), version.clone())
            .prop_map(|(from, to, version)| Act::Refer { from, to, version }),
        3 => subject.clone().prop_map(|subject| Act::Bind { subject }),
        6 => (0..4usize).prop_map(|stream| Act::Write { stream }),
        2 => (0..4usize).prop_map(|stream| Act::DeleteStream { stream }),
        3 => (subject.clone(), version.clone(), 0..STATES.len())
            .prop_map(|(subject, version, state)| Act::State { subject, version, state }),
        8 => (subject.clone(), prop::option::of(version), any::<bool>())
            .prop_map(|(subject, version, permanent)| Act::Delete { subject, version, permanent }),
        1 => (subject, 0..MODES.len()).prop_map(|(subject, mode)| Act::Configure { subject, mode }),
        1 => Just(Act::Restart),
    ]
}

type Version = (String, u64);

/// What must not be lost, as the model sees it.
#[derive(Default)]
struct Needs {
    /// Versions that a stream's changes were checked against, by stream.
    written: BTreeMap<String, BTreeSet<Version>>,
    /// What each registered version refers to.
    references: BTreeMap<Version, Version>,
}

async fn act_on(world: &mut World, needs: &mut Needs, act: &Act) {
    let path = |subject: usize, rest: &str| format!("/v1/schemas/{}{rest}", SUBJECTS[subject]);
    match act {
        Act::Register { subject, nth } => {
            world.register(SUBJECTS[*subject], widened(*nth)).await;
        }
        Act::Refer { from, to, version } => {
            let reference = json!([{ "name": "x", "subject": SUBJECTS[*to], "version": version }]);
            let mut body = widened(1);
            body["collections"]["c"]["schema"]["properties"]["p0"] = json!({ "$ref": "x#/collections/c/schema" });
            body["references"] = reference;
            let path = path(*from, "/versions?compatibility=none");
            let reply = world.send("POST", &path, body).await;
            if matches!(reply.status, 200 | 201) {
                let registered = (SUBJECTS[*from].to_owned(), reply.json()["version"].as_u64().unwrap());
                needs.references.insert(registered, (SUBJECTS[*to].to_owned(), *version));
            }
        }
        Act::Bind { subject } => {
            let body = json!({ "pattern": "b/**", "subject": SUBJECTS[*subject] });
            world.send("PUT", "/v1/bindings/b", body).await;
        }
        Act::Write { stream } => {
            let stream = format!("b/{stream}");
            if world.put(&stream, json!({ "id": "x" })).await.status == 200 {
                let schema = world.get(&format!("/v1/state/{stream}")).await.json()["schema"].clone();
                let version = (schema["subject"].as_str().unwrap().to_owned(), schema["version"].as_u64().unwrap());
                needs.written.entry(stream).or_default().insert(version);
            }
        }
        Act::DeleteStream { stream } => {
            // Bound, it loses its entities and keeps its changes.
            world.send("DELETE", &format!("/v1/stream/b/{stream}"), Value::Null).await;
        }
        Act::State { subject, version, state } => {
            let path = path(*subject, &format!("/versions/{version}/state"));
            world.send("PUT", &path, json!({ "state": STATES[*state] })).await;
        }
        Act::Delete { subject, version, permanent } => {
            let version = version.map_or(String::new(), |version| format!("/versions/{version}"));
            let reply =
                world.send("DELETE", &path(*subject, &format!("{version}?permanent={permanent}")), Value::Null).await;
            if reply.status == 200 && *permanent {
                for version in reply.json()["versions"].as_array().unwrap() {
                    needs.references.remove(&(SUBJECTS[*subject].to_owned(), version.as_u64().unwrap()));
                }
            }
        }
        Act::Configure { subject, mode } => {
            world.send("PUT", &path(*subject, "/config"), json!({ "compatibility": MODES[*mode] })).await;
        }
        Act::Restart => world.restart(),
    }
}

/// Everything that the registry says.
async fn told(world: &World) -> Vec<Value> {
    let mut told = vec![
        world.get("/v1/schemas?deleted=true").await.json(),
        world.get("/v1/confluent/schemas?deleted=true").await.json(),
        world.get("/v1/bindings").await.json(),
        world.get("/v1/schema-config").await.json(),
    ];
    for subject in SUBJECTS {
        told.push(world.get(&format!("/v1/schemas/{subject}/versions?deleted=true")).await.json());
        told.push(world.get(&format!("/v1/schemas/{subject}/config")).await.json());
    }
    told
}

async fn live(acts: Vec<Act>) {
    let (mut world, mut needs) = (World::new(), Needs::default());
    for act in &acts {
        act_on(&mut world, &mut needs, act).await;
        for (subject, version) in needs.written.values().flatten().chain(needs.references.values()) {
            let path = format!("/v1/schemas/{subject}/versions/{version}?deleted=true");
            assert_eq!(world.get(&path).await.status, 200, "{act:?} lost {subject}@{version}");
        }
        for stream in needs.written.keys() {
            assert_eq!(
                world.get(&format!("/v1/state/{stream}/-/snapshot")).await.status,
                200,
                "{act:?} lost {stream}"
            );
        }
    }
    let before = told(&world).await;
    world.restart();
    assert_eq!(told(&world).await, before, "the log gives the same registry");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn what_is_needed_is_never_forgotten_and_the_log_gives_the_same_registry(
        acts in prop::collection::vec(act(), 1..40)
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(acts));
    }
}
