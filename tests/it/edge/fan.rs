//! Readers that are served together: each is told every message once and in order, however it comes, stays and goes.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::*;

/// A reader on a socket of its own, which takes what it wants when it wants.
struct Raw {
    socket: tokio::net::TcpStream,
    buffer: Vec<u8>,
    /// Taken out of their chunks.
    body: Vec<u8>,
    ended: bool,
}

impl Raw {
    /// Asks, and reads up to the end of the head.
    async fn get(served: &Served, path: &str) -> Self {
        let address = served.url.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // So that little is under way to a reader that does not read.
        socket.set_recv_buffer_size(4 << 10).unwrap();
        let mut raw = Self {
            socket: socket.connect(address).await.unwrap(),
            buffer: Vec::new(),
            body: Vec::new(),
            ended: false,
        };
        raw.ask(path).await;
        raw
    }

    async fn ask(&mut self, path: &str) {
        self.socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        self.head().await;
    }

    async fn head(&mut self) {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap().to_lowercase();
                assert!(head.starts_with("http/1.1 200"), "{head}");
                assert!(head.contains("transfer-encoding: chunked"), "{head}");
                (self.body, self.ended) = (Vec::new(), false);
                return;
            }
            assert!(self.more().await, "it ended within the head");
        }
    }

    async fn more(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        let read = tokio::time::timeout(Duration::from_secs(20), self.socket.read(&mut piece)).await;
        let read = read.expect("nothing came for long").unwrap();
        self.buffer.extend_from_slice(&piece[..read]);
        read > 0
    }

    /// Takes whole chunks off what was received.
    fn unchunk(&mut self) {
        while let Some(line) = memchr::memmem::find(&self.buffer, b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&self.buffer[..line]).unwrap(), 16).unwrap();
            let end = line + 2 + length;
            if self.buffer.len() < end + 2 {
                return;
            }
            assert_eq!(&self.buffer[end..end + 2], b"\r\n");
            self.body.extend_from_slice(&self.buffer[line + 2..end]);
            self.buffer.drain(..end + 2);
            if length == 0 {
                self.ended = true;
                return;
            }
        }
    }

    /// Reads until the body has said `text` and told where that ends, or is over.
    async fn until(&mut self, text: &str) {
        let mut seen = 0;
        loop {
            self.unchunk();
            let found = memchr::memmem::find(&self.body[seen..], text.as_bytes()).map(|at| seen + at);
            let told = found.and_then(|at| memchr::memmem::rfind(&self.body[at..], b"streamNextOffset"));
            if self.ended || told.is_some() {
                return;
            }
            seen = found.unwrap_or_else(|| self.body.len().saturating_sub(text.len()));
            assert!(self.more().await, "it broke off");
        }
    }

    /// The messages so far, and the last place; checks that every data event is followed by a control event.
    fn messages(&self) -> (Vec<Value>, String) {
        let text = std::str::from_utf8(&self.body).unwrap();
        let (mut messages, mut place, mut was_data) = (Vec::new(), String::new(), false);
        let mut last_cursor = 0;
        for event in text.split_terminator("\n\n") {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data:").unwrap()).unwrap();
            match name {
                "event: data" => {
                    assert!(!was_data, "a data event without its control event");
                    messages.extend(data.as_array().unwrap().iter().cloned());
                }
                "event: control" => {
                    place = data["streamNextOffset"].as_str().unwrap().to_owned();
                    if let Some(cursor) = data["streamCursor"].as_str() {
                        let cursor: u64 = cursor.parse().unwrap();
                        assert!(cursor >= last_cursor, "a cursor went back");
                        last_cursor = cursor;
                    }
                }
                other => panic!("{other}"),
            }
            was_data = name == "event: data";
        }
        assert!(!was_data);
        (messages, place)
    }
}

/// Appends `count` messages numbered from `first`, of about so many bytes each.
async fn append(served: &Served, path: &str, first: usize, count: usize, bytes: usize) {
    let messages = (first..first + count).map(|n| json!({ "n": n, "pad": "x".repeat(bytes) }));
    served.send("POST", path, messages.collect()).await;
}

fn numbers(messages: &[Value]) -> Vec<usize> {
    messages.iter().map(|message| message["n"].as_u64().unwrap() as usize).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reader_is_told_every_message_once_and_in_order() {
    const MESSAGES: usize = 600;
    let served = Served::start(ServeArgs::default()).await;
    served.send("PUT", "/v1/stream/a", json!([])).await;
    let read = async |reader: usize| {
        // They come at different times, some from the beginning, with cursors that are behind and ahead.
        tokio::time::sleep(Duration::from_millis(7 * (reader % 10) as u64)).await;
        let path = match reader % 3 {
            0 => "/v1/stream/a?offset=-1&live=sse".to_owned(),
            1 => "/v1/stream/a?offset=-1&live=sse&cursor=99999999".to_owned(),
            _ => format!("/v1/stream/a?offset=-1&live=sse&cursor={reader}"),
        };
        let mut raw = Raw::get(&served, &path).await;
        if reader.is_multiple_of(4) {
            // Its socket is full, and more than once.
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(150)).await;
                for _ in 0..100 {
                    raw.more().await;
                }
            }
        }
        if reader.is_multiple_of(5) {
            return;
        }
        raw.until(&format!("\"n\":{},", MESSAGES - 1)).await;
        let told = numbers(&raw.messages().0);
        let wrong = told.iter().enumerate().find(|(index, number)| index != *number);
        assert_eq!((told.len(), wrong), (MESSAGES, None), "{reader}");
    };
    let write = async {
        let mut first = 0;
        while first < MESSAGES {
            let count = (1 + first % 7).min(MESSAGES - first);
            // Small frames, such as are not copied, and such as are larger than what is kept.
            let bytes = [10, 200, 3_000, 40_000][first % 4];
            append(&served, "/v1/stream/a", first, count, bytes).await;
            first += count;
            if first % 5 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    };
    tokio::join!(futures_util::future::join_all((0..30).map(read)), write);
}

#[tokio::test]
async fn folded_readers_that_are_served_together_hold_what_the_log_folds_to() {
    let served = Served::start(ServeArgs::default()).await;
    served.bind("t/**", json!({})).await;
    served.send("POST", "/v1/stream/t/a", json!([session("a", "0")])).await;
    let readers = futures_util::future::join_all(
        ["fold=true", "fold=true", "fold=true&key_prefix=b", "x=1"]
            .map(async |view| Raw::get(&served, &format!("/v1/stream/t/a?offset=-1&live=sse&{view}")).await),
    );
    let mut readers = readers.await;
    for reader in &mut readers {
        reader.until("event: control").await;
    }
    let mut expected = BTreeMap::from([("a".to_owned(), "0".to_owned())]);
    for n in 0..200 {
        let key = format!("{}{}", ["a", "b", "c"][n % 3], n % 11);
        let change = match n % 5 {
            4 => {
                expected.remove(&key);
                gone(&key)
            }
            _ => {
                expected.insert(key.clone(), n.to_string());
                session(&key, &n.to_string())
            }
        };
        served.send("POST", "/v1/stream/t/a", json!([change])).await;
    }
    served.send("POST", "/v1/stream/t/a", json!([session("b-last", "last")])).await;
    expected.insert("b-last".into(), "last".into());
    for (index, reader) in readers.iter_mut().enumerate() {
        reader.until("b-last").await;
        let mut held = BTreeMap::new();
        for message in reader.messages().0 {
            let (Some(key), operation) = (message["key"].as_str(), &message["headers"]["operation"]) else {
                continue;
            };
            match operation == "delete" {
                true => held.remove(key),
                false => held.insert(key.to_owned(), message["value"]["state"].as_str().unwrap().to_owned()),
            };
        }
        let wanted = expected.iter().filter(|(key, _)| index != 2 || key.starts_with('b'));
        assert_eq!(held, wanted.map(|(key, state)| (key.clone(), state.clone())).collect(), "{index}");
    }
}

#[tokio::test]
async fn a_connection_whose_live_response_has_ended_serves_the_next_request() {
    let settings = ServeArgs { sse_rotation_ms: Some(2_000), heartbeat_ms: Some(100), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!([])).await;
    let mut raw = Raw::get(&served, "/v1/stream/a?offset=-1&live=sse").await;
    let (mut place, mut known) = ("-1".to_owned(), Vec::new());
    for turn in 0..3 {
        append(&served, "/v1/stream/a", turn, 1, 10).await;
        raw.until("that never comes").await;
        assert!(raw.ended);
        let (messages, next) = raw.messages();
        known.extend(numbers(&messages));
        place = next;
        if turn < 2 {
            raw.ask(&format!("/v1/stream/a?offset={place}&live=sse")).await;
        }
    }
    assert_eq!((known, place.is_empty()), (vec![0, 1, 2], false));
    // What is asked while a live response is under way is answered behind it.
    raw.ask(&format!("/v1/stream/a?offset={place}&live=sse")).await;
    let early = "GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nHost: a\r\n\r\n";
    raw.socket.write_all(early.as_bytes()).await.unwrap();
    raw.until("that never comes").await;
    raw.head().await;
    raw.until("\"n\":2").await;
    assert_eq!(numbers(&raw.messages().0), [0, 1, 2]);
    // The end of the stream ends them.
    served.ask("POST", "/v1/stream/a").header("stream-closed", "true").send().await.unwrap();
    raw.until("that never comes").await;
    assert!(raw.ended);
}

/// More than the HTTP library reads at once, with a body that a part of it cannot be told from.
#[tokio::test]
async fn what_a_client_sends_ahead_of_several_live_responses_is_kept_whole() {
    let settings = ServeArgs { sse_rotation_ms: Some(2_000), heartbeat_ms: Some(100), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!([])).await;
    let bytes = ("content-type", "application/octet-stream");
    served.ask("PUT", "/v1/stream/b").header(bytes.0, bytes.1).send().await.unwrap();
    let mut raw = Raw::get(&served, "/v1/stream/a?offset=-1&live=sse").await;
    let body: Vec<u8> = (0..30_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let live = "GET /v1/stream/a?offset=-1&live=sse HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = format!(
        "POST /v1/stream/b HTTP/1.1\r\nHost: a\r\n{}: {}\r\nContent-Length: {}\r\n\r\n",
        bytes.0,
        bytes.1,
        body.len()
    );
    raw.socket.write_all(&[live.as_bytes(), post.as_bytes(), &body, post.as_bytes(), &body].concat()).await.unwrap();
    raw.until("that never comes").await;
    raw.head().await;
    raw.until("that never comes").await;
    assert!(raw.ended);
    for _ in 0..2 {
        while !raw.buffer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert!(raw.more().await, "it ended before the answer");
        }
        assert!(raw.buffer.starts_with(b"HTTP/1.1 204"), "{}", String::from_utf8_lossy(&raw.buffer));
        let end = raw.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        raw.buffer.drain(..end + 4);
    }
    let stored = served.get("/v1/stream/b").send().await.unwrap().bytes().await.unwrap();
    assert!(stored[..] == [&body[..], &body[..]].concat());
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off_and_keeps_nobody_waiting() {
    let settings = ServeArgs { write_timeout_ms: Some(300), heartbeat_ms: Some(100), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!([])).await;
    let stuck = Raw::get(&served, "/v1/stream/a?offset=now&live=sse").await;
    let mut other = Raw::get(&served, "/v1/stream/a?offset=now&live=sse").await;
    let began = Instant::now();
    let mut first = 0;
    loop {
        append(&served, "/v1/stream/a", first, 10, 20_000).await;
        other.until(&format!("\"n\":{},", first + 9)).await;
        first += 10;
        other.body.clear();
        let metrics = served.get("/metrics").send().await.unwrap().text().await.unwrap();
        if metrics.lines().any(|line| line == "keyfold_live_readers 1") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it was never cut off");
    }
    drop(stuck);
    drop(other);
    for _ in 0..100 {
        let metrics = served.get("/metrics").send().await.unwrap().text().await.unwrap();
        if metrics.lines().any(|line| line == "keyfold_live_readers 0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("a reader that has gone is still counted");
}
