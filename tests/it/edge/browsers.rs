//! What a browser needs to be told before it lets a page ask.

use super::*;

#[tokio::test]
async fn a_browser_is_let_in_before_it_shows_its_token_and_is_told_every_header() {
    let settings = ServeArgs { root_mount: Some("/".into()), token: Some("secret".into()), ..ServeArgs::default() };
    let served = Served::start(settings).await;
    let listed = |answer: &Response, name: &str| -> Vec<String> {
        header(answer, name).split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
    };
    for path in ["/v1/stream/a", "/v1/state/a/-/entities/b/c", "/v1/schemas/a/versions", "/a/b", "/openapi.json"] {
        let preflight = served.ask("OPTIONS", path).header("origin", "https://app.example");
        let preflight = preflight.header("access-control-request-method", "PATCH");
        let preflight = preflight.header("access-control-request-headers", "authorization,if-match");
        let answer = preflight.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "access-control-allow-origin")), (200, "*"), "{path}");
        let methods = listed(&answer, "access-control-allow-methods");
        for method in ["get", "head", "post", "put", "patch", "delete", "options"] {
            assert!(methods.iter().any(|known| known == method), "{path} {method}");
        }
        let headers = listed(&answer, "access-control-allow-headers");
        for name in [
            "content-type",
            "authorization",
            "if-match",
            "if-none-match",
            "last-event-id",
            "producer-id",
            "producer-epoch",
            "producer-seq",
            "stream-seq",
            "stream-closed",
            "stream-ttl",
            "stream-expires-at",
            "stream-schema",
            "stream-forked-from",
            "stream-fork-offset",
            "stream-fork-sub-offset",
        ] {
            assert!(headers.iter().any(|known| known == name), "{path} {name}");
        }
        let answer = served.get(path).header("origin", "https://app.example").send().await.unwrap();
        assert_eq!(answer.status(), 401, "{path}");
        let exposed = listed(&answer, "access-control-expose-headers");
        for name in [
            "stream-next-offset",
            "stream-cursor",
            "stream-up-to-date",
            "stream-closed",
            "stream-ttl",
            "stream-expires-at",
            "stream-sse-data-encoding",
            "producer-epoch",
            "producer-seq",
            "producer-expected-seq",
            "producer-received-seq",
            "etag",
            "location",
            "retry-after",
            "content-encoding",
        ] {
            assert!(exposed.iter().any(|known| known == name), "{path} {name}");
        }
    }
}
