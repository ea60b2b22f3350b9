//! What is compressed, for whom, and that it reads back as it was.

use super::*;

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}

/// With `/v1/stream/t/a`, of several pages, and a stream of bytes at `/v1/stream/bytes`.
async fn with_much_to_read(pages_bytes_max: usize) -> Served {
    let settings = ServeArgs {
        root_mount: Some("/".into()),
        page_bytes_max: Some(60_000),
        pages_bytes_max: Some(pages_bytes_max),
        ..ServeArgs::default()
    };
    let served = Served::start(settings).await;
    served.bind("t/**", json!({})).await;
    for first in (0..2_000).step_by(100) {
        let batch: Vec<Value> = (first..first + 100).map(|n| session(&format!("s{n}"), "x")).collect();
        served.send("POST", "/v1/stream/t/a", json!(batch)).await;
    }
    let put = served.ask("PUT", "/v1/stream/bytes").header("content-type", "application/octet-stream");
    assert_eq!(put.body(vec![7_u8; 5_000]).send().await.unwrap().status(), 201);
    served
}

#[tokio::test]
async fn what_ends_is_compressed_for_those_who_ask_and_reads_back_as_it_was() {
    let served = with_much_to_read(16 << 20).await;
    for (path, accept) in [
        ("/v1/stream/t/a?offset=-1", "*/*"),
        ("/v1/stream/t/a?offset=-1&fold=true", "*/*"),
        ("/v1/stream/t/a?offset=-1&live=long-poll", "*/*"),
        ("/t/a", "application/json"),
        ("/v1/state/t/a/-/snapshot", "application/json"),
        ("/v1/state/t/a/-/snapshot", "application/x-ndjson"),
        ("/v1/state/t/a/-/entities/session", "*/*"),
        ("/v1/state/t/a/-/openapi.json", "*/*"),
        ("/openapi.json", "*/*"),
    ] {
        let plain = served.get(path).header("accept", accept).send().await.unwrap();
        assert_eq!((plain.status().as_u16(), header(&plain, "content-encoding")), (200, ""), "{path}");
        let (tag, cache) = (header(&plain, "etag").to_owned(), header(&plain, "cache-control").to_owned());
        let plain = plain.bytes().await.unwrap();
        let asked = served.get(path).header("accept", accept).header("accept-encoding", "br, gzip;q=0.8");
        let packed = asked.send().await.unwrap();
        assert_eq!(header(&packed, "content-encoding"), "gzip", "{path}");
        assert_eq!(header(&packed, "vary"), "Accept, Accept-Encoding, Origin", "{path}");
        assert_eq!(header(&packed, "cache-control"), cache, "{path}");
        assert_eq!(header(&packed, "content-length"), "", "{path}");
        let packed_tag = header(&packed, "etag").to_owned();
        assert_eq!(packed_tag, if tag.is_empty() { String::new() } else { format!("W/{tag}") }, "{path}");
        let packed = packed.bytes().await.unwrap();
        assert!(packed.len() * 2 < plain.len(), "{path}: {} of {}", packed.len(), plain.len());
        assert_eq!(gunzip(&packed), plain, "{path}");
        if tag.is_empty() || path.contains("live") {
            continue;
        }
        for (known, encoding, told) in
            [(&packed_tag, "gzip", &packed_tag), (&tag, "identity", &tag), (&packed_tag, "identity", &packed_tag)]
        {
            let again = served.get(path).header("if-none-match", known).header("accept-encoding", encoding);
            let again = again.send().await.unwrap();
            assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, told.as_str()), "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_small_live_refused_or_no_text_is_sent_as_it_is() {
    let served = with_much_to_read(16 << 20).await;
    served.send("PUT", "/v1/stream/small", json!([1])).await;
    let long = json!({ "id": "long", "state": "y".repeat(3_000) });
    served.send("PUT", "/v1/state/t/a/-/entities/session/long", long).await;
    for (path, encoding) in [
        ("/v1/stream/small?offset=-1", "gzip"),
        ("/v1/stream/bytes?offset=-1", "gzip"),
        ("/v1/stream/t/a?offset=-1", "gzip;q=0"),
        ("/v1/stream/t/a?offset=-1", "identity"),
        ("/v1/stream/t/a?offset=-1&live=sse", "gzip"),
        ("/v1/state/t/a/-/events", "gzip"),
        ("/v1/state/t/a/-/entities/session/long", "gzip"),
        ("/v1/stream/missing", "gzip"),
        ("/health", "gzip"),
    ] {
        let answer = served.get(path).header("accept-encoding", encoding).send().await.unwrap();
        assert_eq!(header(&answer, "content-encoding"), "", "{path} {encoding}");
    }
    let ingest = served.ask("POST", "/v1/state/t/a/-/changes").header("content-type", "application/x-ndjson");
    let lines: String = (0..100).map(|n| format!("{}\n", session(&format!("i{n}"), "x"))).collect();
    let acks = ingest.header("accept-encoding", "gzip").body(lines).send().await.unwrap();
    assert_eq!(header(&acks, "content-encoding"), "");
    assert_eq!(acks.text().await.unwrap().lines().count(), 100);
}

#[tokio::test]
async fn a_head_does_not_tell_a_length_that_a_get_would_not_have() {
    let served = Served::start(ServeArgs::default()).await;
    let head =
        |encoding: &'static str| served.ask("HEAD", "/openapi.json").header("accept-encoding", encoding).send();
    assert_ne!(header(&head("identity").await.unwrap(), "content-length"), "");
    assert_eq!(header(&head("gzip").await.unwrap(), "content-length"), "");
}

#[tokio::test]
async fn an_entitys_tag_is_a_precondition_whoever_weakened_it() {
    let served = Served::start(ServeArgs::default()).await;
    served.bind("t/**", json!({})).await;
    let path = "/v1/state/t/a/-/entities/session/a";
    served.send("PUT", path, json!({ "id": "a", "state": "z".repeat(3_000) })).await;
    let read = served.get(path).header("accept-encoding", "gzip").send().await.unwrap();
    let tag = header(&read, "etag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let put = |tag: String, status: u16| {
        let put = served.ask("PUT", path).header("if-match", tag).header("content-type", "application/json");
        let put = put.body(json!({ "id": "a" }).to_string()).send();
        async move { assert_eq!(put.await.unwrap().status(), status) }
    };
    put(format!("W/{tag}"), 200).await;
    put(format!("W/{tag}"), 412).await;
    put("W/x".to_owned(), 400).await;
}

#[tokio::test]
async fn compressed_pages_give_their_room_back() {
    let served = with_much_to_read(60_000).await;
    for _ in 0..5 {
        let asked = served.get("/v1/stream/t/a?offset=-1").header("accept-encoding", "gzip").send().await.unwrap();
        assert_eq!(header(&asked, "content-encoding"), "gzip");
        assert!(gunzip(&asked.bytes().await.unwrap()).len() > 10_000);
    }
    let whole = served.get("/v1/state/t/a/-/snapshot").header("accept-encoding", "gzip").send().await.unwrap();
    let whole: Value = serde_json::from_slice(&gunzip(&whole.bytes().await.unwrap())).unwrap();
    assert_eq!(whole["collections"]["authSession"].as_object().unwrap().len(), 2_000);
}
