//! Event streams: at once, never silent, resumed, and ended properly.

use super::multiplex::{connect, over};
use super::*;

/// The three URLs of the EventSource view of a stream below a mount at `/`.
fn event_sources(served: &Served, stream: &str) -> [RequestBuilder; 3] {
    ["/v1/stream/{}", "/v1/state/{}/-/events", "/{}"]
        .map(|url| served.get(&url.replace("{}", stream)).header("accept", "text/event-stream"))
}

#[tokio::test]
async fn a_live_answer_begins_at_once() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("PUT", "/plain", json!([])).await;
    for stream in ["t/unwritten", "plain"] {
        let mut live = vec![served.get(&format!("/{stream}?offset=-1&live=sse"))];
        live.extend(event_sources(&served, stream));
        for request in live {
            // Asking for compression must not hold an event back.
            let began = Instant::now();
            let mut events = Events::of(request.header("accept-encoding", "gzip, br, zstd")).await;
            let first = events.next().await.unwrap();
            assert!(matches!(first.name.as_deref(), Some("control" | "ready")), "{first:?}");
            assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
            assert_eq!(header(&events.answer, "content-encoding"), "");
            assert_eq!(header(&events.answer, "cache-control"), "no-cache");
        }
    }
}

#[tokio::test]
async fn a_silent_stream_is_told_to_be_alive() {
    let settings = ServeArgs { root_mount: Some("/".into()), heartbeat_ms: Some(200), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.bind("t/**", json!({})).await;
    let mut protocol = Events::of(served.get("/t/a?offset=-1&live=sse")).await;
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(protocol.next().await.unwrap().name.as_deref(), Some("control"));
        assert!(began.elapsed() < Duration::from_millis(600));
    }
    for request in event_sources(&served, "t/a") {
        let mut source = Events::of(request).await;
        source.until("ready").await;
        assert_eq!(
            [source.next().await.unwrap(), source.next().await.unwrap()],
            [Event::default(), Event::default()]
        );
    }
}

#[tokio::test]
async fn a_protocol_response_is_rotated_after_a_control_event_and_not_early() {
    let settings = ServeArgs { sse_rotation_ms: Some(2_000), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!([1])).await;
    let began = Instant::now();
    let mut events = Events::of(served.get("/v1/stream/a?offset=-1&live=sse")).await;
    let mut last = None;
    while let Some(event) = events.next().await {
        last = Some(event);
    }
    assert_eq!(last.unwrap().name.as_deref(), Some("control"));
    let lasted = began.elapsed();
    assert!((Duration::from_millis(1_800)..Duration::from_millis(3_500)).contains(&lasted), "{lasted:?}");
}

#[tokio::test]
async fn an_event_source_goes_on_from_any_id_and_ends_where_a_closed_stream_does() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("PUT", "/plain", json!([1, 2, 3])).await;
    served.send("POST", "/t/a", json!([session("a", "1"), session("b", "1"), session("c", "1")])).await;
    for (stream, wanted) in [("plain", json!(3)), ("t/a", session("c", "1")["value"].clone())] {
        for door in 0..3 {
            let at = |id: &str| {
                let request = event_sources(&served, stream).into_iter().nth(door).unwrap();
                request.header("last-event-id", id)
            };
            let request = event_sources(&served, stream).into_iter().nth(door).unwrap();
            let mut source = Events::of(request).await;
            let mut ids = Vec::new();
            for _ in 0..3 {
                ids.push(source.message().await.0);
            }
            ids.push(source.until("ready").await.id.unwrap());
            let (_, again) = Events::of(at(&ids[1])).await.message().await;
            assert_eq!(*again.get("value").unwrap_or(&again), wanted, "{stream} {door}");
            for id in &ids[2..] {
                assert_eq!(Events::of(at(id)).await.next().await.unwrap().name.as_deref(), Some("ready"));
            }
            for bad in ["12", "", "-3"] {
                let status = at(bad).send().await.unwrap().status().as_u16();
                // An empty id is how an EventSource says that it has none.
                assert_eq!(status, if bad.is_empty() { 200 } else { 400 }, "{bad}");
            }
        }
    }
    for stream in ["plain", "t/a"] {
        let closed = served.ask("POST", &format!("/{stream}")).header("stream-closed", "true").send().await.unwrap();
        assert_eq!(header(&closed, "stream-closed"), "true");
        for door in 0..3 {
            let mut source = Events::of(event_sources(&served, stream).into_iter().nth(door).unwrap()).await;
            let end = source.until("ready").await.id.unwrap();
            assert_eq!(source.next().await, None);
            let request = event_sources(&served, stream).into_iter().nth(door).unwrap();
            let again = request.header("last-event-id", end).send().await.unwrap();
            assert_eq!(again.status(), 204, "{stream} {door}");
        }
    }
}

#[tokio::test]
async fn a_type_that_the_schema_does_not_have_is_refused_wherever_types_are_asked_for() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("POST", "/t/a", json!([session("a", "1")])).await;
    for (path, accept) in [
        ("/t/a", "text/event-stream"),
        ("/t/a", "application/json"),
        ("/v1/stream/t/a", "text/event-stream"),
        ("/v1/stream/t/a", "*/*"),
        ("/v1/stream/t/a?fold=true", "*/*"),
        ("/v1/stream/t/a?offset=-1&live=sse", "*/*"),
        ("/v1/stream/t/a?offset=-1&live=long-poll", "*/*"),
        ("/v1/state/t/a/-/events", "*/*"),
        ("/v1/state/t/a/-/snapshot", "*/*"),
    ] {
        let url = format!("{path}{}type=session,typo", if path.contains('?') { '&' } else { '?' });
        let refused = served.get(&url).header("accept", accept).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{path} {accept}");
        assert!(refused.text().await.unwrap().contains("typo"));
    }
    let view = served.get("/t/a?type=session").header("accept", "application/json").send().await.unwrap();
    let expected = json!({ "collections": { "authSession": [{ "id": "a", "state": "1" }] } });
    assert_eq!(view.json::<Value>().await.unwrap(), expected);
}

#[tokio::test]
async fn a_server_that_stops_ends_event_streams_properly_and_listens_no_more() {
    let served = Served::mounted("/").await;
    served.bind("t/**", json!({})).await;
    served.send("POST", "/t/a", json!([session("a", "1")])).await;
    let mut live = vec![Events::of(served.get("/t/a?offset=-1&live=sse")).await];
    for request in event_sources(&served, "t/a") {
        live.push(Events::of(request).await);
    }
    for events in &mut live {
        events.next().await.unwrap();
    }
    served.running.stop().await.unwrap();
    for mut events in live {
        // A response that breaks off, instead of ending with its last chunk, panics here.
        while events.next().await.is_some() {}
    }
    assert!(served.client.get(&served.url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_live_reader_outlasts_a_time_without_room_for_its_page() {
    const PAGE: usize = 1 << 20;
    let settings = ServeArgs {
        root_mount: Some("/".into()),
        page_bytes_max: Some(PAGE),
        pages_bytes_max: Some(PAGE),
        ..ServeArgs::default()
    };
    let served = Served::start(settings).await;
    served.send("PUT", "/a", json!(["x".repeat(PAGE - 3_000)])).await;
    let requests = connect(&served).await;
    let unread = over(&requests, &served, "GET", "/a?offset=-1", "").await;
    let mut live = Events::of(served.get("/a?offset=-1&live=sse")).await;
    let mut source = Events::of(served.get("/a").header("accept", "text/event-stream")).await;
    let waits: Value = serde_json::from_str(&live.until("control").await.data).unwrap();
    assert_ne!(waits["upToDate"], true, "{waits}");
    assert_eq!(source.next().await.unwrap(), Event::default());
    drop((unread, requests));
    assert_eq!(live.until("data").await.data.len(), PAGE - 3_000 + 4);
    assert_eq!(source.message().await.1.as_str().unwrap().len(), PAGE - 3_000);
}
