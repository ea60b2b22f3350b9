//! A dashboard's back end: the latest value of every entity, kept current in memory, while others write.
//!
//! The view is a snapshot and then the changes; it equals the server's own fold whenever it has caught up.
//!
//! `cargo run --example dashboard_view`

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use keyfold::client::{Binding, Client, ClientError, Entity, document_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const STREAM: &str = "acme/machines";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Machine {
    name: String,
    load: u32,
}

impl Entity for Machine {
    const TYPE: &str = "machine";
    const PRIMARY_KEY: &str = "name";

    fn key(&self) -> String {
        self.name.clone()
    }
}

/// Twenty machines that report, one after the other; every fifth is switched off in the end.
async fn report(client: Client) -> Result<(), ClientError> {
    let machines = client.stream(STREAM).producer::<Machine>("reporter");
    for round in 0..50 {
        for number in 0..20 {
            let machine = Machine { name: format!("m{number:02}"), load: (number * 7 + round * 13) % 100 };
            machines.upsert(&machine).await?;
        }
    }
    for number in (0..20).step_by(5) {
        machines.delete(&format!("m{number:02}")).await?;
    }
    machines.close().await
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = support::start().await?;
    let client = server.client();
    client.register("acme-machines", &document_of::<Machine>("machines")).await?;
    client.bind("acme-machines", &Binding::new(STREAM, "acme-machines")).await?;

    let mut view = client.stream(STREAM).view::<Machine>();
    view.ready().await?;
    assert!(view.is_empty(), "a bound stream that nobody has written is empty, not missing");

    let writer = tokio::spawn(report(client.clone()));
    let mut wakes = 0;
    while !writer.is_finished() {
        if tokio::time::timeout(Duration::from_millis(100), view.changed()).await.is_ok() {
            wakes += 1;
        }
    }
    writer.await??;
    let switched_off = |view: &keyfold::client::EntityView<Machine>| view.len() == 16 && view.get("m15").is_none();
    tokio::time::timeout(Duration::from_secs(10), view.wait_until(switched_off)).await??;
    println!("1,004 changes were seen in {wakes} wake-ups; {} machines are left", view.len());

    let snapshot = client.stream(STREAM).snapshot().await?;
    let shown: BTreeMap<_, _> = view.iter().map(|(key, machine)| (key, serde_json::json!(*machine))).collect();
    assert_eq!(snapshot.collections["machines"], shown);
    for (name, machine) in view.iter().take(3) {
        println!("{name}: load {}", machine.load);
    }

    // A dashboard that opens now pays for the machines there are, not for their history.
    let mut late = client.stream(STREAM).view::<Machine>();
    late.ready().await?;
    assert_eq!(late.iter().collect::<Vec<_>>(), view.iter().collect::<Vec<_>>());

    server.stop().await
}
