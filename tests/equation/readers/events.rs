//! `/-/events`, followed as an EventSource does it: `Last-Event-ID` after every cut.

use serde_json::Value;

use super::sse::{Event, Parser};
use super::{Mishap, Reader};

pub async fn follow(mut reader: Reader) -> Result<(), String> {
    let mut last_id: Option<String> = None;
    while !reader.is_done() {
        if last_id.is_none() {
            reader.forget();
        }
        connection(&mut reader, &mut last_id).await?;
        reader.rest().await;
        match reader.mishap().await {
            Mishap::None => {}
            Mishap::BackTo(older) => last_id = Some(older),
            Mishap::LostAll => last_id = None,
        }
    }
    Ok(())
}

async fn connection(reader: &mut Reader, last_id: &mut Option<String>) -> Result<(), String> {
    let (owed, temper) = (reader.owed(), reader.temper());
    // Both doors to the same view.
    let call = match reader.rng.bool() {
        true => reader.server.resource("GET", &format!("events?{}", reader.filter.query())),
        false => reader.server.stream("GET", &format!("?{}", reader.filter.query())),
    };
    let mut call = call.header("Accept", "text/event-stream");
    if let Some(id) = last_id {
        call = call.header("Last-Event-ID", id);
    }
    let Ok(mut incoming) = call.open(temper).await else { return Ok(()) };
    match incoming.status {
        200 => {}
        404 | 503 => return Ok(()),
        status => return Err(format!("{status} after {last_id:?}")),
    }
    let asked_at_rest = reader.end.borrow().is_some();
    let mut parser = Parser::default();
    while let Ok(Some(part)) = incoming.part().await {
        for event in parser.feed(&part) {
            take(reader, &event, &owed)?;
            *last_id = event.id.or(last_id.take());
        }
        if reader.is_done() || (reader.has_heard_all() && !asked_at_rest) {
            return Ok(());
        }
    }
    Ok(())
}

fn take(reader: &mut Reader, event: &Event, owed: &str) -> Result<(), String> {
    let data: Value = serde_json::from_str(&event.data).map_err(|e| format!("{e}: {event:?}"))?;
    match event.name.as_str() {
        "" | "message" => {
            if event.id.is_none() {
                return Err(format!("a change without id: {event:?}"));
            }
            reader.take(&data).map(drop)
        }
        "ready" => {
            let offset = data["offset"].as_str().ok_or_else(|| format!("no offset: {event:?}"))?;
            if event.id.as_deref() != Some(offset) {
                return Err(format!("ready says two offsets: {event:?}"));
            }
            reader.mark_owing(offset, owed)
        }
        "reset" => {
            reader.forget();
            Ok(())
        }
        other => Err(format!("unknown event {other:?}")),
    }
}
