//! A worker service that mirrors what it is doing, so that others can look.
//!
//! Its types are the schema: they are registered, the stream is bound to them, and a producer keeps the mirror current.
//! The service restarts in the middle, and a bug writes a status that nobody has heard of.
//!
//! `cargo run --example worker_mirror`

mod support;

use keyfold::client::{Binding, Document, Entity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const STREAM: &str = "acme/workers";

/// Every state that an execution can be in. The schema lists them, so nothing else can be written.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pending,
    Running,
    Completed,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Execution {
    id: String,
    job_id: String,
    status: Status,
    attempt: u32,
}

impl Entity for Execution {
    const TYPE: &str = "execution";
    const PRIMARY_KEY: &str = "id";

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Job {
    id: String,
    name: String,
}

impl Entity for Job {
    const TYPE: &str = "job";
    const PRIMARY_KEY: &str = "id";

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = support::start().await?;
    let client = server.client();

    // Once, when the service is deployed: what it writes, and where.
    let document = Document::new().collection::<Execution>("executions").collection::<Job>("jobs").into_json();
    let registered = client.register("acme-workers", &document).await?;
    println!("registered {} version {}", registered.subject, registered.version);
    let binding = Binding::new("acme/workers/**", "acme-workers").with("producers", "epoch_floor");
    client.bind("acme-workers", &binding).await?;

    // The service's life: a batch of changes goes out as soon as the one before is acknowledged.
    let stream = client.stream(STREAM);
    let jobs = stream.producer::<Job>("scheduler");
    jobs.upsert(&Job { id: "resize".into(), name: "Resize images".into() }).await?;
    jobs.close().await?;
    let mirror = stream.producer::<Execution>("worker-1");
    let mut execution = Execution { id: "ex-1".into(), job_id: "resize".into(), status: Status::Pending, attempt: 1 };
    for status in [Status::Pending, Status::Running, Status::Failed] {
        execution.status = status;
        mirror.upsert(&execution).await?;
    }
    mirror.close().await?;

    // A restart under the same name: nothing that it writes is taken for a repetition.
    let mirror = stream.producer::<Execution>("worker-1");
    execution = Execution { status: Status::Completed, attempt: 2, ..execution };
    mirror.upsert(&execution).await?;
    mirror.close().await?;

    let stored = stream.get_as::<Execution>("ex-1").await?.expect("it has just been acknowledged");
    println!("ex-1 is {:?} after {} attempts, at {}", stored.value.status, stored.value.attempt, stored.offset);
    assert_eq!(stored.value, execution);

    // A bug: the server refuses the value and says why; the mirror still holds what was true.
    let bug = serde_json::json!({"id": "ex-1", "jobId": "resize", "status": "sleeping", "attempt": 2});
    let refusal = stream.put("execution", "ex-1", &bug, &Default::default()).await.unwrap_err();
    println!("refused: {refusal}");
    let problem = refusal.problem().expect("the server has answered");
    assert_eq!((problem.status.as_u16(), problem.errors[0].pointer.as_str()), (422, "/status"));
    assert_eq!(stream.get_as::<Execution>("ex-1").await?.map(|stored| stored.value), Some(execution));

    server.stop().await
}
