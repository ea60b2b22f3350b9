//! A tool that knows nothing of a service's types and still shows what its streams hold.
//!
//! It lists the streams, inspects one, follows part of it, is cut off and resumes, and looks at what was refused.
//!
//! `cargo run --example topic_inspector`

mod support;

use keyfold::client::{Binding, Change, ProducerOptions, StreamHandle, WatchEvent, WatchOptions};
use serde_json::json;

/// Follows until everything that is there has been told; gives the keys in order, and where to go on.
async fn catch_up(stream: &StreamHandle, after: Option<String>) -> anyhow::Result<(Vec<String>, Option<String>)> {
    let options = WatchOptions { key_prefix: Some("eu-".into()), after, ..WatchOptions::default() };
    let (mut watch, mut told) = (stream.watch(options), Vec::new());
    while let Some(event) = watch.next().await? {
        match event {
            WatchEvent::Change { change, .. } if change.is_delete() => told.push(format!("-{}", change.key)),
            WatchEvent::Change { change, .. } => told.push(change.key),
            WatchEvent::Ready { .. } => break,
            WatchEvent::Reset | WatchEvent::Disconnected { .. } => {}
        }
    }
    Ok((told, watch.resume_from().map(str::to_owned)))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let server = support::start().await?;
    let client = server.client();
    let schema = json!({
        "type": "object",
        "required": ["id", "on"],
        "properties": {"id": {"type": "string"}, "on": {"type": "boolean"}}
    });
    let document = json!({"collections": {"lamps": {"type": "lamp", "primaryKey": "id", "schema": schema}}});
    client.register("lamps", &document).await?;
    client.bind("lamps", &Binding::new("city/lamps/**", "lamps").with("validation", "quarantine")).await?;
    let lamps = client.stream("city/lamps/north");
    let lamp = |id: &str, on: serde_json::Value| Change::upsert("lamp", id, json!({"id": id, "on": on}));

    let producer = lamps.producer_with(ProducerOptions::new("gateway"));
    for id in ["eu-1", "eu-2", "us-1", "eu-3"] {
        producer.send(&lamp(id, true.into())).await?;
    }
    // Kept aside, not written, and no reason for the gateway to stop.
    producer.send(&lamp("eu-4", "flickering".into())).await?;
    producer.close().await?;

    let streams = client.streams("city/", None).await?;
    println!("streams: {:?}", streams.streams.iter().map(|stream| &stream.name).collect::<Vec<_>>());
    assert!(streams.streams.iter().any(|stream| stream.name == "city/lamps/north"));
    let known = lamps.inspect().await?;
    println!("{}: {} lamps live, {} changes kept aside", known.name, known.collections[0].live, known.quarantined);
    assert_eq!((known.collections[0].live, known.quarantined), (4, 1));

    let (told, offset) = catch_up(&lamps, None).await?;
    println!("live: {told:?}, up to {offset:?}");
    assert_eq!(told, ["eu-1", "eu-2", "eu-3"]);

    // While nobody looks: one lamp changes twice, one goes, one comes; each is told once, by its newest change.
    lamps.apply(&[lamp("eu-1", false.into()), lamp("us-2", true.into()), lamp("eu-1", true.into())]).await?;
    lamps.apply(&[Change::delete("lamp", "eu-2"), lamp("eu-5", true.into())]).await?;
    let (told, _) = catch_up(&lamps, offset).await?;
    println!("since then: {told:?}");
    assert_eq!(told, ["eu-1", "-eu-2", "eu-5"]);

    let kept = lamps.quarantine(None).await?;
    println!("kept aside: {} because {}", kept.entries[0].change["value"], kept.entries[0].errors[0].message);
    assert_eq!(kept.entries[0].change["key"], "eu-4");

    server.stop().await
}
