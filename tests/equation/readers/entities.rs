//! The entities list, page by page. A listing is no mark while writers write, but whoever is not touched must be in it
//! once; at rest it holds the fold.

use std::collections::BTreeMap;

use super::{Reader, settled};
use crate::oracle::State;
use crate::writers::UNTOUCHED;

pub async fn follow(mut reader: Reader) -> Result<(), String> {
    let mut listings = 0;
    while !reader.is_done() {
        let tail = reader.end.borrow().clone();
        let mut state = State::new();
        for entity_type in ["job", "count", "note", "lock"] {
            let (seen, values) = listing(&mut reader, entity_type, "").await?;
            if entity_type == "job" {
                once(&seen)?;
            }
            if tail.is_some() && seen.values().any(|times| *times > 1) {
                return Err(format!("at rest, listed twice: {seen:?}"));
            }
            state.extend(values.into_iter().map(|(key, number)| ((entity_type.to_owned(), key), number)));
        }
        prefixed(&mut reader, &state, tail.is_some()).await?;
        listings += 1;
        if let Some(tail) = tail {
            reader.state = state;
            reader.mark(&tail)?;
        }
    }
    (listings > 0).then_some(()).ok_or_else(|| "nothing was listed".to_owned())
}

/// A prefix selects from the same list.
async fn prefixed(reader: &mut Reader, state: &State, at_rest: bool) -> Result<(), String> {
    let (_, values) = listing(reader, "job", "&prefix=a-").await?;
    let wanted = state.iter().filter(|((t, k), _)| t == "job" && k.starts_with("a-"));
    let wanted: BTreeMap<String, u64> = wanted.map(|((_, key), number)| (key.clone(), *number)).collect();
    match (at_rest && values != wanted) || values.keys().any(|key| !key.starts_with("a-")) {
        true => Err(format!("prefix a- lists {values:?}, not {wanted:?}")),
        false => Ok(()),
    }
}

fn once(seen: &BTreeMap<String, usize>) -> Result<(), String> {
    for nth in 0..UNTOUCHED {
        let key = format!("keep-{nth}");
        match seen.get(&key) {
            Some(1) => {}
            times => return Err(format!("{key}, which nobody touches, is listed {times:?} times")),
        }
    }
    Ok(())
}

pub type Listing = (BTreeMap<String, usize>, BTreeMap<String, u64>);

/// All pages of one listing, tried again page by page where a connection breaks.
pub async fn listing(reader: &mut Reader, entity_type: &str, more: &str) -> Result<Listing, String> {
    let (mut seen, mut values) = (BTreeMap::new(), BTreeMap::new());
    let mut cursor = String::new();
    for _ in 0..20_000 {
        let limit = reader.rng.usize(1..12);
        let query = format!("entities/{entity_type}?limit={limit}{more}{cursor}");
        let temper = reader.temper();
        let answer = reader.server.resource("GET", &query).answer_to(temper).await;
        let Some(answer) = settled(answer).map_err(|e| format!("{query}: {e}"))? else {
            reader.rest().await;
            continue;
        };
        let body = answer.json()?;
        for entity in body["entities"].as_array().ok_or_else(|| format!("no entities: {body}"))? {
            let (Some(key), Some(number)) = (entity["key"].as_str(), entity["value"]["n"].as_u64()) else {
                return Err(format!("not an entity: {entity}"));
            };
            *seen.entry(key.to_owned()).or_insert(0) += 1;
            values.insert(key.to_owned(), number);
        }
        match body["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok((seen, values)),
        }
    }
    Err(format!("the listing of {entity_type} does not end"))
}
