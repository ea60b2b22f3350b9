//! What leaves the machine when a webhook is delivered, shown against sockets that listen.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use keyfold::engine::subscriptions::Courier;
use keyfold::model::Timestamp;
use keyfold::subscription::WebhookUrl;
use keyfold::webhook::{Hired, Lookup, Postman, SigningKey};
use ring::signature::{ED25519, UnparsedPublicKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A listener that answers every request with the same bytes, and counts connections.
struct Door {
    address: SocketAddr,
    knocks: Arc<AtomicUsize>,
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
}

async fn door(answer: &'static str) -> Door {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let knocks = Arc::new(AtomicUsize::new(0));
    let (tell, heard) = tokio::sync::mpsc::unbounded_channel();
    let count = knocks.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut part = [0; 4096];
                while let Ok(read @ 1..) = socket.read(&mut part).await {
                    request.extend_from_slice(&part[..read]);
                    if request.ends_with(b"{}") {
                        break;
                    }
                }
                let _ = tell.send(String::from_utf8_lossy(&request).into_owned());
                let _ = socket.write_all(answer.as_bytes()).await;
                // Left open: whoever waits for more waits until its own time is over.
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
        }
    });
    Door { address, knocks, heard }
}

fn postman() -> Postman {
    Postman { timeout: Duration::from_millis(500), localhost_allowed: true, ..Postman::default() }
}

fn hired(postman: Postman) -> Hired {
    postman.employ(SigningKey::generate().unwrap()).unwrap()
}

async fn deliver(sender: &Hired, url: &str) -> Result<bool, String> {
    let url = WebhookUrl::parse(url, true).unwrap();
    sender.deliver(&url, Bytes::from_static(b"{}"), AT).await.map_err(|fault| fault.to_string())
}

fn at(door: &Door) -> String {
    format!("http://127.0.0.1:{}/hook?secret=1", door.address.port())
}

#[tokio::test]
async fn a_delivery_is_signed_with_the_published_key() {
    let mut door = door("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"done\":true}").await;
    let sender = hired(postman());
    assert_eq!(deliver(&sender, &at(&door)).await, Ok(true));
    let request = door.heard.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hook?secret=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let header = head.lines().find_map(|line| line.strip_prefix("webhook-signature: ")).unwrap();
    let parts: Vec<&str> = header.split(',').collect();
    let [time, kid, signature] = parts[..] else { panic!("{header}") };
    assert_eq!((time, body), ("t=1800000000", "{}"));
    assert_eq!(kid.strip_prefix("kid="), Some(sender.key().kid.as_str()));
    let signature = URL_SAFE_NO_PAD.decode(signature.strip_prefix("ed25519=").unwrap()).unwrap();
    let key = UnparsedPublicKey::new(&ED25519, sender.key().bytes);
    key.verify(b"1800000000.{}", &signature).unwrap();
}

#[tokio::test]
async fn only_a_whole_short_answer_says_that_all_is_done() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(false)),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok(false)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"done\":false}", Ok(false)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html></h", Ok(false)),
        ("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"done\":\"true\"}", Ok(false)),
        // It breaks off.
        ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"done\":true}", Ok(false)),
        ("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", Err("the webhook answered 500")),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Err("the webhook answered 404")),
    ] {
        let door = door(answer).await;
        let outcome = deliver(&hired(postman()), &at(&door)).await;
        assert_eq!(outcome, expected.map_err(str::to_owned), "{answer}");
    }
    let long = Postman { answer_bytes_max: 12, ..postman() };
    let door = door("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"done\":true}").await;
    assert_eq!(deliver(&hired(long), &at(&door)).await, Ok(false));
}

#[tokio::test]
async fn a_redirect_is_a_failed_delivery_and_is_not_followed() {
    let inner = door("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"done\":true}").await;
    let answers = [301, 302, 303, 307, 308].map(|status| {
        format!("HTTP/1.1 {status} X\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", inner.address)
    });
    for answer in answers {
        let outer = door(answer.leak()).await;
        let outcome = deliver(&hired(postman()), &at(&outer)).await;
        assert!(outcome.as_ref().is_err_and(|reason| reason.contains("redirects are not followed")), "{outcome:?}");
    }
    assert_eq!(inner.knocks.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_silent_webhook_is_not_waited_for() {
    let door = door("").await;
    let began = tokio::time::Instant::now();
    let outcome = deliver(&hired(postman()), &at(&door)).await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(outcome.map_err(|reason| reason.contains("no answer in time")), Err(true));
}

#[tokio::test]
async fn a_reason_does_not_tell_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let reason = deliver(&hired(postman()), &format!("http://127.0.0.1:{port}/?secret=1")).await.unwrap_err();
    assert!(!reason.contains("secret"), "{reason}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_knocked_at() {
    let door = door("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = door.address.port();
    for (localhost_allowed, address) in [(false, "127.0.0.1"), (true, "127.0.0.1"), (true, "::ffff:127.0.0.1")] {
        let address: IpAddr = address.parse().unwrap();
        let lookup: Lookup = Arc::new(move |_| Box::pin(async move { Ok(vec![address]) }));
        let sender = hired(Postman { lookup, localhost_allowed, ..postman() });
        let reason = deliver(&sender, &format!("https://worker.example:{port}/")).await.unwrap_err();
        assert!(reason.contains("no public address"), "{reason}");
    }
    // What was allowed when the subscription was made is asked again.
    let sender = hired(Postman { localhost_allowed: false, ..postman() });
    for host in ["127.0.0.1", "localhost"] {
        let reason = deliver(&sender, &format!("http://{host}:{port}/")).await.unwrap_err();
        assert!(reason.contains("must not name this host"), "{reason}");
    }
    assert_eq!(door.knocks.load(Ordering::SeqCst), 0);
    let outcome = deliver(&hired(postman()), &format!("http://localhost:{port}/")).await;
    assert_eq!((outcome, door.knocks.load(Ordering::SeqCst)), (Ok(false), 1));
}
