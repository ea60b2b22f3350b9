//! Whether a document fits the versions of its subject: which of them it is compared with, and when the answer holds.
//!
//! The comparison itself is a rule ([`crate::registry::compat`]); here it is given a turn and a thread, so that no
//! number of registrations keeps writers from theirs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::registry::compat::{Bounds, Violation, check_documents};
use crate::registry::{
    Compatibility, ContentModel, Document, Fingerprint, Mode, Registration, Registry, SubjectName,
};

use super::registry::RegistryFault;
use super::{Engine, Fault, Shed};

/// Comparisons made at the same time.
pub(super) const CHECKS_AT_ONCE: usize = 2;
/// How long one waits for a turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// Comparisons with further versions begin only until then; those that do not are told as undecided.
const TRANSITIVE_MAX: Duration = Duration::from_secs(10);
/// Violations that one verdict tells.
const VIOLATIONS_MAX: usize = 100;

/// What a candidate is to be compared with; what is left out is as the subject is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Comparison {
    pub mode: Option<Mode>,
    pub content_model: Option<ContentModel>,
    /// One version, instead of those that the mode asks for.
    pub version: Option<u32>,
}

/// Whether a document fits.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub compatible: bool,
    pub compatibility: Compatibility,
    /// The versions it was compared with, newest first.
    pub compared: Vec<u32>,
    /// None where compatible, at most 100 of them.
    pub violations: Vec<Violation>,
}

/// A verdict, and what it was reached on.
pub(super) struct Judged {
    pub verdict: Verdict,
    seen: Vec<(u32, Fingerprint)>,
    compatibility: Compatibility,
}

impl Judged {
    /// Whether it would be the same there.
    pub fn holds_in(&self, registry: &Registry, subject: &SubjectName) -> bool {
        self.compatibility == registry.compatibility(subject) && self.seen == seen(registry, subject)
    }
}

fn seen(registry: &Registry, subject: &SubjectName) -> Vec<(u32, Fingerprint)> {
    registry.versions(subject).map(|registered| (registered.version, registered.fingerprint)).collect()
}

impl Engine {
    /// Whether a document fits the versions that its subject has now.
    pub(super) async fn judge_version(
        &self,
        subject: &SubjectName,
        document: &Arc<Document>,
    ) -> Result<Judged, Fault> {
        let registry = self.registry();
        let (compatibility, seen) = (registry.compatibility(subject), seen(&registry, subject));
        let known = matches!(registry.register(subject, document, self.limits()), Ok(Registration::Existing { .. }));
        let verdict = match known {
            // It is one of them already.
            true => Verdict { compatible: true, compatibility, compared: Vec::new(), violations: Vec::new() },
            false => self.compare(registry, subject, document.clone(), Comparison::default()).await?,
        };
        Ok(Judged { verdict, seen, compatibility })
    }

    /// Whether a candidate would fit; registers nothing. A subject that has no versions accepts every document.
    pub async fn would_fit(
        &self,
        subject: &SubjectName,
        candidate: Value,
        comparison: Comparison,
    ) -> Result<(Arc<Document>, Verdict), Fault> {
        let candidate = self.parse_document(Arc::new(candidate)).await?;
        let verdict = self.compare(self.registry(), subject, candidate.clone(), comparison).await?;
        Ok((candidate, verdict))
    }

    async fn compare(
        &self,
        registry: Arc<Registry>,
        subject: &SubjectName,
        candidate: Arc<Document>,
        comparison: Comparison,
    ) -> Result<Verdict, Fault> {
        let mut compatibility = registry.compatibility(subject);
        compatibility.mode = comparison.mode.unwrap_or(compatibility.mode);
        compatibility.content_model = comparison.content_model.unwrap_or(compatibility.content_model);
        let earlier: Vec<(u32, Arc<Document>)> = match comparison.version {
            Some(version) => {
                let unknown = || RegistryFault::UnknownVersion { subject: subject.to_string(), version };
                let found = registry.get(subject, version).filter(|found| !found.deleted).ok_or_else(unknown)?;
                vec![(version, found.document.clone())]
            }
            None => {
                let all = registry.versions(subject).rev().map(|known| (known.version, known.document.clone()));
                all.take(if compatibility.mode.is_transitive() { usize::MAX } else { 1 }).collect()
            }
        };
        if compatibility.mode == Mode::None || earlier.is_empty() {
            return Ok(Verdict { compatible: true, compatibility, compared: Vec::new(), violations: Vec::new() });
        }
        let turn = tokio::time::timeout(PATIENCE, self.schema_checks.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            self.counters.sheds.count(Shed::SchemaChecks);
            return Err(Fault::Busy { retry_after: Duration::from_secs(1) });
        };
        let compare = move || compare_all(&candidate, &earlier, compatibility);
        tokio::task::spawn_blocking(compare).await.map_err(|e| Fault::Storage(e.to_string()))
    }
}

/// One version after the other, so that many of them cannot take for ever.
fn compare_all(candidate: &Document, earlier: &[(u32, Arc<Document>)], compatibility: Compatibility) -> Verdict {
    let Compatibility { mode, content_model } = compatibility;
    let (began, bounds) = (Instant::now(), Bounds::default());
    let (mut compared, mut violations) = (Vec::new(), Vec::new());
    for (version, document) in earlier {
        if violations.len() >= VIOLATIONS_MAX {
            break;
        }
        compared.push(*version);
        if began.elapsed() > TRANSITIVE_MAX {
            violations.push(Violation {
                collection: String::new(),
                version: *version,
                backward: mode.is_backward(),
                kind: "undecided",
                path: String::new(),
                message: format!(
                    "there are more versions than can be compared in time; {version} and older are left"
                ),
                counterexample: None,
            });
            break;
        }
        violations
            .extend(check_documents(candidate, &[(*version, document)], mode, content_model, &bounds).violations);
    }
    violations.truncate(VIOLATIONS_MAX);
    Verdict { compatible: violations.is_empty(), compatibility, compared, violations }
}
