//! Registrations and bindings.

use std::collections::BTreeMap;

use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Writer, document};
use crate::http::{Cut, Http};

/// Registers versions of some subjects, and binds and unbinds patterns.
#[derive(Default)]
pub struct Registry {
    known: Known,
    /// What the unanswered write would make of it.
    perhaps: Option<Known>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    /// Subject → how many versions.
    versions: BTreeMap<String, usize>,
    /// Binding → subject.
    bindings: BTreeMap<String, String>,
}

impl Registry {
    async fn write(&mut self, http: &Http, rng: &mut Rng) -> Result<(), Cut> {
        let mut then = self.known.clone();
        let subject = format!("reg-{}", rng.u8(..4));
        let binding = format!("reg-{}", rng.u8(..12));
        let registered = then.versions.contains_key(&subject);
        let (method, path, body, status) = match rng.u8(..) {
            // A version each time would soon be a document of a thousand members.
            0..8 => {
                let version = then.versions.entry(subject.clone()).or_default();
                *version += 1;
                ("POST", format!("/v1/schemas/{subject}/versions"), document(*version), 201)
            }
            8..150 if registered => {
                let replaced = then.bindings.insert(binding.clone(), subject.clone()).is_some();
                let body = json!({"pattern": format!("reg/{binding}/**"), "subject": subject});
                ("PUT", format!("/v1/bindings/{binding}"), body, if replaced { 200 } else { 201 })
            }
            _ if then.bindings.remove(&binding).is_some() => {
                ("DELETE", format!("/v1/bindings/{binding}"), Value::Null, 204)
            }
            _ => return Ok(()),
        };
        self.perhaps = Some(then);
        http.json(method, &path, &body).await?.expect(&[status]);
        self.known = self.perhaps.take().expect("it was just set");
        Ok(())
    }

    async fn compare(&mut self, http: &Http) {
        let mut found = Known::default();
        let mine = |name: &str| name.starts_with("reg-");
        for subject in http.get("/v1/schemas").await.expect(&[200]).json()["subjects"].as_array().expect("a list") {
            let name = subject["subject"].as_str().expect("a name");
            let versions = subject["versions"].as_array().expect("a list").len();
            for version in (1..=versions).filter(|_| mine(name)) {
                let path = format!("/v1/schemas/{name}/versions/{version}");
                assert_eq!(http.get(&path).await.expect(&[200]).json()["document"], document(version), "{path}");
            }
            found.versions.extend(mine(name).then(|| (name.to_owned(), versions)));
        }
        for binding in http.get("/v1/bindings").await.expect(&[200]).json()["bindings"].as_array().expect("a list") {
            let text = |member: &str| binding[member].as_str().expect("a text").to_owned();
            found.bindings.extend(mine(&text("name")).then(|| (text("name"), text("subject"))));
        }
        let allowed = found == self.known || self.perhaps.as_ref() == Some(&found);
        assert!(allowed, "{found:?}\ninstead of {:?}\nor perhaps {:?}", self.known, self.perhaps);
        (self.known, self.perhaps) = (found, None);
    }
}

impl Writer for Registry {
    fn step<'a>(&'a mut self, http: &'a Http, rng: &'a mut Rng) -> BoxFuture<'a, Result<(), Cut>> {
        self.write(http, rng).boxed()
    }

    fn check<'a>(&'a mut self, http: &'a Http, _: &'a mut Rng) -> BoxFuture<'a, ()> {
        self.compare(http).boxed()
    }
}
