//! A saga orchestrator that mirrors its instances, and a start-up that repeats an old state.
//!
//! Orchestrators write their sagas again when they start, from a store that may lag. The collection's `versionField`
//! makes that harmless: what is older than the mirror is dropped, and the writer is told.
//!
//! `cargo run --example saga_mirror`

mod support;

use keyfold::client::{Binding, Entity, ListQuery, Precondition, document_of};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Saga {
    instance_id: String,
    status: String,
    version: u64,
}

impl Entity for Saga {
    const TYPE: &str = "saga-instance";
    const PRIMARY_KEY: &str = "instanceId";
    const VERSION_FIELD: Option<&str> = Some("version");

    fn key(&self) -> String {
        self.instance_id.clone()
    }
}

fn order_42(version: u64, status: &str) -> Saga {
    Saga { instance_id: "checkout:order-42".into(), status: status.into(), version }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = support::start().await?;
    let client = server.client();
    client.register("acme-sagas", &document_of::<Saga>("sagas")).await?;
    client.bind("acme-sagas", &Binding::new("acme/sagas/**", "acme-sagas")).await?;
    let sagas = client.stream("acme/sagas");

    for saga in [order_42(1, "running"), order_42(2, "compensating"), order_42(3, "completed")] {
        let receipt = sagas.put_entity(&saga).await?;
        println!("version {} is {}: applied {}", saga.version, saga.status, receipt.applied);
        assert!(receipt.applied);
    }

    // The start-up mirror: an old version, once by itself and once through a producer.
    let receipt = sagas.put_entity(&order_42(1, "running")).await?;
    println!("version 1 again: applied {}", receipt.applied);
    assert!(!receipt.applied);
    let producer = sagas.producer::<Saga>("orchestrator");
    producer.upsert(&order_42(2, "compensating")).await?;
    producer.close().await?;
    let stored = sagas.get_as::<Saga>("checkout:order-42").await?.expect("written above");
    assert_eq!(stored.value, order_42(3, "completed"));

    // Two operators act on the same saga; the one who has not seen the other's write is told.
    let seen = Precondition::Unchanged(stored.offset);
    let cancelled = serde_json::to_value(order_42(4, "cancelled"))?;
    sagas.put("saga-instance", "checkout:order-42", &cancelled, &seen).await?;
    let refusal = sagas.delete("saga-instance", "checkout:order-42", &seen).await.unwrap_err();
    println!("the second operator: {refusal}");
    assert_eq!(refusal.status().map(|status| status.as_u16()), Some(412));

    let page = sagas.list("saga-instance", &ListQuery::default()).await?;
    assert_eq!(page.entities.len(), 1);
    println!("mirror: {}", page.entities[0].value);

    server.stop().await
}
