//! `/-/snapshot`, again and again: each one whole is a mark by itself.

use super::{Reader, settled};
use crate::http::Answer;
use crate::oracle;
use crate::writers::next_offset;

/// Collections of the schema, and the type of each.
const COLLECTIONS: [(&str, &str); 4] = [("counts", "count"), ("jobs", "job"), ("locks", "lock"), ("notes", "note")];

pub async fn document(mut reader: Reader) -> Result<(), String> {
    while !reader.is_done() {
        let owed = reader.owed();
        let Some(answer) = ask(&mut reader, "application/json").await? else { continue };
        let (body, offset) = (answer.json()?, next_offset(&answer)?);
        if body["offset"] != *offset {
            return Err(format!("the header says {offset}, the document {}", body["offset"]));
        }
        let collections = body["collections"].as_object().ok_or("no collections")?;
        if !collections.keys().eq(COLLECTIONS.iter().map(|(name, _)| name)) {
            return Err(format!("collections {:?}", collections.keys()));
        }
        reader.forget();
        for (name, entity_type) in COLLECTIONS {
            for (key, value) in collections[name].as_object().ok_or("no object")? {
                let number = value["n"].as_u64().ok_or_else(|| format!("no number: {value}"))?;
                reader.state.insert((entity_type.to_owned(), key.clone()), number);
            }
        }
        reader.mark_owing(&offset, &owed)?;
    }
    Ok(())
}

pub async fn lines(mut reader: Reader) -> Result<(), String> {
    while !reader.is_done() {
        let owed = reader.owed();
        let Some(answer) = ask(&mut reader, "application/x-ndjson").await? else { continue };
        reader.forget();
        for line in String::from_utf8_lossy(&answer.body).lines() {
            let message = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
            let change = oracle::parse(&message)?;
            if change.deletes || reader.state.contains_key(&(change.entity_type.clone(), change.key.clone())) {
                return Err(format!("a snapshot has a delete, or an entity twice: {line}"));
            }
            oracle::apply(&mut reader.state, &change);
        }
        reader.mark_owing(&next_offset(&answer)?, &owed)?;
    }
    Ok(())
}

async fn ask(reader: &mut Reader, accept: &str) -> Result<Option<Answer>, String> {
    reader.rest().await;
    let temper = reader.temper();
    settled(reader.server.resource("GET", "snapshot").header("Accept", accept).answer_to(temper).await)
}
