//! HTTP/2 by prior knowledge: many readers share one connection, and none can hold it.

use super::*;

pub(super) type Requests = h2::client::SendRequest<Bytes>;

/// One connection; whatever is asked of it shares its socket.
pub(super) async fn connect(served: &Served) -> Requests {
    let socket = tokio::net::TcpStream::connect(served.running.address).await.unwrap();
    // As browsers do, it takes any number of small frames.
    let builder = h2::client::Builder::new().data_frame_budget(64 << 20).to_owned();
    let (requests, connection) = builder.handshake(socket).await.unwrap();
    tokio::spawn(connection);
    requests.ready().await.unwrap()
}

/// Asks over a shared connection; the answer's body is still to be read.
pub(super) async fn over(
    requests: &Requests,
    served: &Served,
    method: &str,
    path: &str,
    body: &str,
) -> h2::RecvStream {
    let mut requests = requests.clone().ready().await.unwrap();
    let request = axum::http::Request::builder().method(method).uri(format!("{}{path}", served.url));
    let request = request.header("content-type", "application/json").body(()).unwrap();
    let (answer, mut sends) = requests.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        sends.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }
    let answer = answer.await.unwrap();
    assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    answer.into_body()
}

async fn next(body: &mut h2::RecvStream) -> Option<Result<Bytes, h2::Error>> {
    let bytes = tokio::time::timeout(Duration::from_secs(20), body.data()).await.expect("nothing came for long")?;
    if let Ok(bytes) = &bytes {
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    Some(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_live_readers_and_their_writer_share_one_connection() {
    const READERS: usize = 300;
    let served = Served::start(ServeArgs::default()).await;
    served.send("PUT", "/v1/stream/a", json!([0])).await;
    let requests = connect(&served).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut body = over(&requests, &served, "GET", "/v1/stream/a?offset=-1&live=sse", "").await;
        let first = next(&mut body).await.unwrap().unwrap();
        assert!(first.starts_with(b"event: data"), "{first:?}");
        readers.push(tokio::spawn(async move {
            let mut text = String::new();
            while !text.contains("\"last\"") {
                text.push_str(std::str::from_utf8(&next(&mut body).await.unwrap().unwrap()).unwrap());
            }
            for n in 1..20 {
                assert!(text.contains(&format!("\"m{n}\"")), "{text}");
            }
        }));
    }
    for n in 1..20 {
        let _ = over(&requests, &served, "POST", "/v1/stream/a", &format!("[\"m{n}\"]")).await;
    }
    let _ = over(&requests, &served, "POST", "/v1/stream/a", "[\"last\"]").await;
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_created_over_http_2_is_told_its_whole_location() {
    let served = Served::start(ServeArgs::default()).await;
    let mut requests = connect(&served).await;
    let request = axum::http::Request::put(format!("{}/v1/stream/a", served.url)).body(()).unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["location"], format!("{}/v1/stream/a", served.url));
}

#[tokio::test]
async fn a_stream_that_is_not_read_gives_its_page_back_and_leaves_the_connection() {
    const PAGE: usize = 1 << 20;
    let settings = ServeArgs {
        page_bytes_max: Some(PAGE),
        pages_bytes_max: Some(PAGE),
        write_timeout_ms: Some(700),
        ..ServeArgs::default()
    };
    let served = Served::start(settings).await;
    let put = served.ask("PUT", "/v1/stream/a").header("content-type", "text/plain");
    assert_eq!(put.body("x".repeat(PAGE - 2_000)).send().await.unwrap().status(), 201);
    let requests = connect(&served).await;
    let mut unread = over(&requests, &served, "GET", "/v1/stream/a?offset=-1", "").await;
    let began = Instant::now();
    // There is room for one page, which the stuck stream has.
    let page = served.get("/v1/stream/a?offset=-1").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.bytes().await.unwrap().len()), (200, PAGE - 2_000));
    let waited = began.elapsed();
    assert!((Duration::from_millis(400)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    let mut came = 0;
    let reset = loop {
        match next(&mut unread).await.expect("it must not look whole") {
            Ok(bytes) => came += bytes.len(),
            Err(reset) => break reset,
        }
    };
    assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    assert!(came < PAGE / 2, "{came}");
    // Its neighbours go on; also one that is slow, but reads.
    let mut slow = over(&requests, &served, "GET", "/v1/stream/a?offset=-1", "").await;
    let (mut came, began) = (0, Instant::now());
    while let Some(bytes) = next(&mut slow).await {
        let before = came;
        came += bytes.unwrap().len();
        if before >> 15 < came >> 15 {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
    assert_eq!(came, PAGE - 2_000);
    assert!(began.elapsed() > Duration::from_millis(1_400), "it was to take longer than a stuck write may");
}

#[tokio::test]
async fn a_live_reader_that_stops_reading_a_shared_connection_is_ended() {
    let settings = ServeArgs { write_timeout_ms: Some(500), heartbeat_ms: Some(10), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    served.send("PUT", "/v1/stream/a", json!(["x".repeat(100_000)])).await;
    let requests = connect(&served).await;
    let unread = over(&requests, &served, "GET", "/v1/stream/a?offset=-1&live=sse", "").await;
    let readers = async || {
        let metrics = served.get("/metrics").send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with("keyfold_live_readers ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{metrics}"))
    };
    assert!(readers().await.ends_with(" 1"));
    let began = Instant::now();
    while !readers().await.ends_with(" 0") {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(unread);
}
