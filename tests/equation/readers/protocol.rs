//! The Durable Streams protocol: pages, long-poll and SSE; every change, or folded.

use serde_json::Value;

use super::sse::Parser;
use super::{Mishap, Path, Reader, Received, settled};
use crate::oracle::{Change, position_of};
use crate::writers::next_offset;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Pages,
    LongPoll,
    Sse,
}

struct Follower {
    reader: Reader,
    /// Whether it asks for `fold=true`.
    asks_fold: bool,
    /// Whether every change is owed, one by one.
    received: Option<Vec<Change>>,
    offset: String,
}

pub async fn follow(path: Path, mut reader: Reader) -> Result<Received, String> {
    let raw = matches!(path, Path::RawPages | Path::RawLongPoll | Path::RawSse);
    let asks_fold = matches!(path, Path::FoldedPages | Path::FoldedLongPoll | Path::FoldedSse);
    let any = [Transport::Pages, Transport::LongPoll, Transport::Sse];
    let of_binding = any[reader.rng.usize(..3)];
    let received = (raw && reader.filter.is_all()).then(Vec::new);
    let mut follower = Follower { reader, asks_fold, received, offset: "-1".to_owned() };
    while !follower.reader.is_done() {
        let transport = match path {
            Path::RawPages | Path::FoldedPages => Transport::Pages,
            Path::RawLongPoll | Path::FoldedLongPoll => Transport::LongPoll,
            Path::RawSse | Path::FoldedSse => Transport::Sse,
            _ => of_binding,
        };
        if follower.offset == "-1" {
            follower.reader.forget();
        }
        match transport {
            Transport::Sse => follower.stream().await?,
            polled => follower.poll(polled).await?,
        }
        follower.reader.rest().await;
        follower.mishap().await;
    }
    let name = follower.reader.name.clone();
    Ok(follower.received.map(|changes| (name, changes)))
}

impl Follower {
    async fn mishap(&mut self) {
        match self.reader.mishap().await {
            Mishap::None => {}
            Mishap::BackTo(older) => {
                if let Some(received) = &mut self.received {
                    let count = position_of(&older).unwrap_or_default() - self.reader.first;
                    received.truncate(count as usize);
                }
                self.offset = older;
            }
            Mishap::LostAll => {
                self.offset = "-1".to_owned();
                self.received.iter_mut().for_each(Vec::clear);
            }
        }
    }

    fn query(&self, live: &str) -> String {
        let fold = if self.asks_fold { "&fold=true" } else { "" };
        format!("?offset={}{live}{fold}{}", self.offset, self.reader.filter.query())
    }

    /// One page, whole or not at all.
    async fn poll(&mut self, transport: Transport) -> Result<(), String> {
        let live = if transport == Transport::LongPoll { "&live=long-poll" } else { "" };
        let (query, temper, owed) = (self.query(live), self.reader.temper(), self.reader.owed());
        let answer = self.reader.server.stream("GET", &query).answer_to(temper).await;
        let Some(answer) = settled(answer).map_err(|e| format!("{query}: {e}"))? else { return Ok(()) };
        let next = next_offset(&answer)?;
        if answer.status == 200 {
            let messages = answer.json()?;
            self.page(messages.as_array().ok_or_else(|| format!("no array: {messages}"))?)?;
        }
        self.advance(&next)?;
        if answer.header("stream-up-to-date") == Some("true") {
            self.reader.mark_owing(&next, &owed)?;
        }
        Ok(())
    }

    /// A response of events, to its end or a cut. Some hold data back until its control event, as a reader that wants
    /// each change once must; some fold it at once, and get it again.
    async fn stream(&mut self) -> Result<(), String> {
        let (query, temper, owed) = (self.query("&live=sse"), self.reader.temper(), self.reader.owed());
        let Ok(mut incoming) = self.reader.server.stream("GET", &query).open(temper).await else { return Ok(()) };
        match incoming.status {
            200 => {}
            404 | 503 => return Ok(()),
            status => return Err(format!("{query}: {status}")),
        }
        let at_once = self.received.is_none() && self.reader.rng.bool();
        let (mut parser, mut held) = (Parser::default(), Vec::new());
        while let Ok(Some(part)) = incoming.part().await {
            for event in parser.feed(&part) {
                let data: Value = serde_json::from_str(&event.data).map_err(|e| format!("{e}: {event:?}"))?;
                match event.name.as_str() {
                    "data" => {
                        let messages = data.as_array().ok_or_else(|| format!("no array: {data}"))?;
                        match at_once {
                            true => self.page(messages)?,
                            false => held.extend(messages.iter().cloned()),
                        }
                    }
                    "control" => {
                        self.page(&std::mem::take(&mut held))?;
                        let next = data["streamNextOffset"].as_str().ok_or("a control event without offset")?;
                        self.advance(next)?;
                        if data["upToDate"] == true {
                            self.reader.mark_owing(next, &owed)?;
                        }
                    }
                    other => return Err(format!("unknown event {other:?}")),
                }
            }
            if self.reader.is_done() {
                return Ok(());
            }
        }
        if held.is_empty() || temper.cut_after.is_some() {
            return Ok(());
        }
        Err("a response ended between data and control".to_owned())
    }

    fn page(&mut self, messages: &[Value]) -> Result<(), String> {
        for message in messages {
            let change = self.reader.take(message)?;
            if let (Some(change), Some(received)) = (change, &mut self.received) {
                received.push(change);
            }
        }
        Ok(())
    }

    /// Where to go on; an unfolded reader's place counts what it received.
    fn advance(&mut self, next: &str) -> Result<(), String> {
        if let Some(received) = &self.received {
            let wanted = self.reader.first + received.len() as u64;
            if position_of(next)? != wanted {
                return Err(format!("{next} after {} changes from {}", received.len(), self.reader.first));
            }
        }
        if self.offset != "-1" && *next < *self.offset {
            return Err(format!("offsets go back from {} to {next}", self.offset));
        }
        self.offset = next.to_owned();
        Ok(())
    }
}
