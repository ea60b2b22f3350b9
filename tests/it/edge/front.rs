//! The door in front of the router answers as the router does.

use super::*;

/// Everything of an answer but when it was given.
async fn whole(answer: Response) -> (u16, Vec<(String, String)>, Bytes) {
    let status = answer.status().as_u16();
    let mut headers: Vec<(String, String)> = (answer.headers().iter())
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (status, headers, answer.bytes().await.unwrap())
}

#[tokio::test]
async fn an_append_is_answered_alike_through_either_door() {
    for token in [None, Some("secret".to_owned())] {
        let guarded = token.is_some();
        let settings = ServeArgs { root_mount: Some("/".into()), token, ..ServeArgs::default() };
        let served = Served::start(settings).await;
        let json = ("content-type", "application/json");
        for stream in ["front", "router"] {
            let created = served.ask("PUT", &format!("/v1/stream/{stream}")).header(json.0, json.1);
            let created = created.bearer_auth("secret").send().await.unwrap();
            assert_eq!(created.status(), 201);
        }
        let producer = [("producer-id", "p"), ("producer-epoch", "1"), ("producer-seq", "0")];
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[json], r#"{"n":1}"#),
            (&[json, producer[0], producer[1], producer[2]], r#"[{"n":2},{"n":3}]"#),
            (&[json, producer[0], producer[1], producer[2]], r#"[{"n":2},{"n":3}]"#),
            (&[json, producer[0]], "1"),
            (&[json], "{"),
            (&[json], ""),
            (&[("content-type", "text/plain")], "1"),
            (&[], "1"),
            (&[json, ("stream-closed", "true")], ""),
        ];
        for (headers, body) in cases {
            let ask = async |path: &str, bearer: bool, browser: bool| {
                let asked = served.ask("POST", path).body(body);
                let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(*name, *value));
                let asked = if bearer { asked.bearer_auth("secret") } else { asked };
                let asked = if browser { asked.header("origin", "https://page.example") } else { asked };
                whole(asked.send().await.unwrap()).await
            };
            for (bearer, browser) in [(false, false), (false, true), (true, true), (true, false)] {
                let through_front = ask("/v1/stream/front", bearer, browser).await;
                assert_eq!(through_front.0 == 401, guarded && !bearer);
                let mut through_router = ask("/router", bearer, browser).await;
                if !browser {
                    let for_browsers = |name: &str| name == "vary" || name.starts_with("access-control-");
                    through_router.1.retain(|(name, _)| !for_browsers(name));
                }
                assert_eq!(through_front, through_router, "{headers:?} {body} {bearer} {browser}");
            }
        }
    }
}

#[tokio::test]
async fn a_read_is_answered_alike_through_either_door() {
    let served = Served::start(ServeArgs::default()).await;
    served.send("PUT", "/v1/stream/a", json!([1, 2, 3])).await;
    let tag = served.get("/v1/stream/a").send().await.unwrap();
    let tag = header(&tag, "etag").to_owned();
    for (path, known) in [
        ("/v1/stream/a", ""),
        ("/v1/stream/a", tag.as_str()),
        ("/v1/stream/a?offset=now", ""),
        ("/v1/stream/a?offset=now&live=long-poll", ""),
        ("/v1/stream/a?offset=x", ""),
        ("/v1/stream/a?offset=ffffffffffffffff_0000000000000000", ""),
        ("/v1/stream/a?live=maybe", ""),
        ("/v1/stream/none", ""),
        ("/v1/stream/a%2Fb", ""),
        ("/v1/stream/__ds/none", ""),
        ("/v1/stream/", ""),
    ] {
        let ask = || served.get(path).header("if-none-match", known);
        let through_front = whole(ask().send().await.unwrap()).await;
        // Whoever asks for an encoding is answered by the router, which may compress.
        let through_router = whole(ask().header("accept-encoding", "identity").send().await.unwrap()).await;
        let without_cursor = |(status, mut headers, body): (u16, Vec<(String, String)>, Bytes)| {
            headers.retain(|(name, _)| name != "stream-cursor");
            (status, headers, body)
        };
        assert_eq!(without_cursor(through_front), without_cursor(through_router), "{path} {known}");
    }
    let asked = served.get("/v1/stream/a?offset=-1&live=sse");
    let (front, router) = (asked.try_clone().unwrap(), asked.header("accept-encoding", "identity"));
    let mut names = Vec::new();
    for ask in [front, router] {
        let answer = ask.send().await.unwrap();
        let mut heads: Vec<String> = answer.headers().keys().map(ToString::to_string).collect();
        heads.sort();
        names.push((answer.status(), heads));
    }
    assert_eq!(names[0], names[1]);
}
