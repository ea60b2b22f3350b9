//! What the simulated fleet writes: executions and sagas, and the moves of their lives.
//!
//! The moves are pure; when they happen is decided in [`super::fleet`]. The shapes are those of
//! `schemas/documents/workers.json` and `sagas.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Entity;
use crate::model::Timestamp;

/// One run of a job by a worker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    pub id: String,
    pub job_id: String,
    pub status: String,
    pub topic: String,
    pub attempt: u32,
    pub triggered_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
}

impl Entity for Execution {
    const TYPE: &str = "execution";
    const PRIMARY_KEY: &str = "id";

    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Execution {
    pub fn triggered(id: String, job: &Job, now: Timestamp) -> Self {
        Self {
            id,
            job_id: job.id.clone(),
            status: "pending".into(),
            topic: job.topic.clone(),
            attempt: 1,
            triggered_at: now.to_string(),
            started_at: None,
            completed_at: None,
            duration: None,
            exit_code: None,
            error: None,
            worker_id: None,
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "timeout" | "cancelled")
    }

    /// The next step of its life. `fate` in 0..1 decides how it ends; `since_started` how long it ran.
    pub fn advance(&mut self, worker: &str, fate: f64, now: Timestamp, since_started_ms: u64) {
        match self.status.as_str() {
            "pending" => self.status = "queued".into(),
            "queued" => {
                self.status = "running".into();
                self.worker_id = Some(worker.to_owned());
                self.started_at = Some(now.to_string());
            }
            "running" => self.end(fate, now, since_started_ms),
            // Tried again after a failure.
            _ => {
                let retried = Self { status: "queued".into(), attempt: self.attempt + 1, ..self.clone() };
                *self = Self {
                    started_at: None,
                    completed_at: None,
                    duration: None,
                    exit_code: None,
                    error: None,
                    worker_id: None,
                    ..retried
                };
            }
        }
    }

    fn end(&mut self, fate: f64, now: Timestamp, ran_ms: u64) {
        let (status, exit_code, error) = match fate {
            ..0.82 => ("completed", Some(0), None),
            ..0.92 => ("failed", Some(1), Some("upstream answered 502")),
            ..0.97 => ("timeout", None, Some("no heartbeat within the time allowed")),
            _ => ("cancelled", None, None),
        };
        self.status = status.into();
        self.exit_code = exit_code;
        self.error = error.map(str::to_owned);
        self.completed_at = Some(now.to_string());
        self.duration = Some(ran_ms);
    }
}

/// What can be run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    pub id: String,
    pub name: String,
    pub topic: String,
    pub enabled: bool,
}

impl Entity for Job {
    const TYPE: &str = "job";
    const PRIMARY_KEY: &str = "id";

    fn key(&self) -> String {
        self.id.clone()
    }
}

impl Job {
    pub fn all() -> Vec<Self> {
        let job = |id: &str, name: &str, topic: &str| Self {
            id: id.into(),
            name: name.into(),
            topic: topic.into(),
            enabled: true,
        };
        vec![
            job("resize-images", "Resize uploaded images", "media"),
            job("send-receipts", "Send receipts", "mail"),
            job("sync-inventory", "Copy stock from the warehouse", "catalogue"),
            job("nightly-report", "Nightly report", "reports"),
        ]
    }
}

/// One checkout: steps that are undone in reverse where one fails.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Saga {
    pub instance_id: String,
    pub saga_id: String,
    pub correlation_key: String,
    pub status: String,
    pub state: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub version: u64,
    pub message_count: u64,
    pub started_at: String,
    pub updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

impl Entity for Saga {
    const TYPE: &str = "saga-instance";
    const PRIMARY_KEY: &str = "instanceId";
    const VERSION_FIELD: Option<&str> = Some("version");

    fn key(&self) -> String {
        self.instance_id.clone()
    }
}

impl Saga {
    const STEPS: [&str; 4] = ["reserve-stock", "charge-card", "create-shipment", "send-receipt"];

    pub fn started(order: u64, now: Timestamp) -> Self {
        let correlation_key = format!("order-{order}");
        Self {
            instance_id: format!("checkout:{correlation_key}"),
            saga_id: "checkout".into(),
            correlation_key,
            status: "pending".into(),
            state: json!({"total": 10 + order * 7 % 190, "done": []}),
            current_step: None,
            error: None,
            version: 1,
            message_count: 0,
            started_at: now.to_string(),
            updated_at: now.to_string(),
            completed_at: None,
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }

    /// The next message: a step done, a step undone, or the step that fails. Every one is a version.
    pub fn advance(&mut self, fate: f64, now: Timestamp) {
        let mut done = self.done();
        match self.status.as_str() {
            "pending" => self.status = "running".into(),
            "running" if fate > 0.93 && !done.is_empty() => {
                self.status = "compensating".into();
                self.error = Some(format!("{} was declined", Self::STEPS[done.len().min(Self::STEPS.len() - 1)]));
            }
            "running" if done.len() < Self::STEPS.len() => done.push(Self::STEPS[done.len()].to_owned()),
            "running" => self.over("completed", now),
            "compensating" if done.pop().is_none() => self.over("failed", now),
            _ => {}
        }
        let next = Self::STEPS.get(done.len()).filter(|_| self.status == "running");
        let undone = done.last().filter(|_| self.status == "compensating");
        self.current_step = next.map(|step| (*step).to_owned()).or(undone.map(|step| format!("undo {step}")));
        self.state["done"] = done.into();
        self.version += 1;
        self.message_count += 1;
        self.updated_at = now.to_string();
    }

    fn done(&self) -> Vec<String> {
        let steps = self.state["done"].as_array().into_iter().flatten();
        steps.filter_map(|step| step.as_str().map(str::to_owned)).collect()
    }

    fn over(&mut self, status: &str, now: Timestamp) {
        self.status = status.into();
        self.completed_at = Some(now.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(document: &str, collection: &str, value: &Value) {
        let document: Value = serde_json::from_str(document).unwrap();
        let schema = &document["collections"][collection]["schema"];
        let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
        let faults: Vec<_> = validator.iter_errors(value).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{value}: {faults:?}");
    }

    #[test]
    fn every_execution_ends_and_fits_its_schema() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        for fate in [0.1, 0.85, 0.95, 0.99] {
            let id = "0190a5d2-7c1b-4e3a-9f00-000000000001".to_owned();
            let mut execution = Execution::triggered(id, &Job::all()[0], now);
            let mut steps = 0;
            while !execution.is_over() {
                accepts(super::super::WORKERS, "execution", &serde_json::to_value(&execution).unwrap());
                execution.advance("worker-1", fate, now, 12);
                steps += 1;
            }
            accepts(super::super::WORKERS, "execution", &serde_json::to_value(&execution).unwrap());
            assert_eq!(steps, 3);
        }
    }

    #[test]
    fn every_saga_ends_grows_in_version_and_fits_its_schema() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        for (order, fate, ends) in [(1, 0.5, "completed"), (2, 0.99, "failed")] {
            let mut saga = Saga::started(order, now);
            while !saga.is_over() {
                // A fate that always fails would never get past the first step, and so have nothing to undo.
                let before = saga.version;
                saga.advance(if saga.done().len() < 2 && saga.error.is_none() { 0.5 } else { fate }, now);
                assert_eq!(saga.version, before + 1);
                accepts(super::super::SAGAS, "sagaInstance", &serde_json::to_value(&saga).unwrap());
            }
            assert_eq!(saga.status, ends);
        }
    }

    #[test]
    fn jobs_fit_their_schema() {
        for job in Job::all() {
            accepts(super::super::WORKERS, "job", &serde_json::to_value(&job).unwrap());
        }
    }
}
