//! Whole logs, read page by page by many at once: they share pages, which the kernel sends from files in memory.

use std::fmt::Write;

use super::*;

/// Messages of many lengths, and the array of all of them.
fn log(messages: usize) -> Vec<String> {
    (0..messages).map(|n| format!("{{\"n\":{n},\"text\":\"{}\"}}", "abcdefg".repeat(n * 7 % 90))).collect()
}

/// A server whose pages are of that size and which holds the log, appended in batches.
async fn served(page_bytes_max: usize, messages: &[String]) -> Served {
    let settings = ServeArgs { page_bytes_max: Some(page_bytes_max), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    let json = |request: RequestBuilder| request.header("content-type", "application/json");
    assert_eq!(json(served.ask("PUT", "/v1/stream/log")).send().await.unwrap().status(), 201);
    for batch in messages.chunks(97) {
        let body = format!("[{}]", batch.join(","));
        assert_eq!(json(served.ask("POST", "/v1/stream/log")).body(body).send().await.unwrap().status(), 204);
    }
    served
}

/// All that lies in the log, by plain requests one after another.
async fn read(served: &Served, pause: Duration) -> String {
    let (mut offset, mut all) = ("-1".to_owned(), String::new());
    loop {
        let answer = served.get(&format!("/v1/stream/log?offset={offset}")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let done = !header(&answer, "stream-up-to-date").is_empty();
        offset = header(&answer, "stream-next-offset").to_owned();
        let length = answer.content_length().unwrap();
        let page = answer.text().await.unwrap();
        assert_eq!(page.len() as u64, length);
        let inner = page.strip_prefix('[').and_then(|page| page.strip_suffix(']')).unwrap();
        let comma = if all.is_empty() || inner.is_empty() { "" } else { "," };
        write!(all, "{comma}{inner}").unwrap();
        if done {
            return all;
        }
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_of_a_whole_log_are_each_sent_all_of_it() {
    let messages = log(20_000);
    let expected = messages.join(",");
    // A page of several MiB is more than what stands for a file at once.
    for page_bytes_max in [16 << 10, 64 << 10, 3 << 20] {
        let served = Arc::new(served(page_bytes_max, &messages).await);
        let readers = (0..12u64).map(|n| {
            let (served, expected) = (served.clone(), expected.clone());
            tokio::spawn(async move {
                let pause = Duration::from_millis(if n == 0 { 15 } else { 0 });
                assert!(read(&served, pause).await == expected, "reader {n}, pages of {page_bytes_max}");
            })
        });
        // And some who go away in the middle of a page.
        for _ in 0..4 {
            let mut answer = served.get("/v1/stream/log?offset=-1").send().await.unwrap();
            answer.chunk().await.unwrap().unwrap();
        }
        for reader in futures_util::future::join_all(readers).await {
            reader.unwrap();
        }
    }
}
