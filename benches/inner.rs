//! What the inner pieces cost, one at a time: `cargo bench --bench inner`, a name after it picks some.
//!
//! A change of about 200 bytes stands for all of them, as in the benches of the whole.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keyfold::fold::{ChangeFacts, Fold, Placing};
use keyfold::model::{Limits, Offset, StreamId, Timestamp};
use keyfold::protocol::change::{Change, Enrichment, StoredChange};
use keyfold::protocol::json::{self, Duplicates, Elements};
use keyfold::protocol::plain::{PlainReader, Stamp};
use keyfold::protocol::sse;
use keyfold::registry::{Document, DocumentLimits};
use keyfold::storage::codec::{Encoded, Header, Placement};
use keyfold::stream::{Body, Lengths, Record};
use serde_json::{Value, json};

const KEY: u32 = 7;
const PLACEMENT: Placement = Placement {
    position: 1 << 30,
    life: 3,
    term: 2,
    durable_to: 1 << 29,
    at: Timestamp::from_millis(1_700_000_000_000),
};

fn value(n: usize) -> Value {
    json!({"id": format!("item-{n:06}"), "n": n, "note": "0123456789".repeat(5)})
}

fn change(n: usize) -> String {
    let value = value(n);
    json!({"type": "item", "key": value["id"], "value": value, "headers": {"operation": "upsert"}}).to_string()
}

fn envelope(c: &mut Criterion) {
    let message = change(1);
    let enrichment = Enrichment { now: Timestamp::from_millis(1_700_000_000_000), trace: false };
    let mut group = c.benchmark_group("envelope");
    group.throughput(Throughput::Bytes(message.len() as u64));
    group.bench_function("split", |b| b.iter(|| json::messages(black_box(message.as_bytes()), 100).unwrap().len()));
    group.bench_function("parse", |b| b.iter(|| Change::parse(black_box(&message)).unwrap().operation));
    let parsed = Change::parse(&message).unwrap();
    let mut out = Vec::with_capacity(512);
    group.bench_function("store", |b| {
        b.iter(|| {
            out.clear();
            parsed.store(enrichment, &mut out);
            out.len()
        });
    });
    let stored = String::from_utf8(out).unwrap();
    group.bench_function("parse stored", |b| b.iter(|| StoredChange::parse(black_box(&stored)).is_some()));
    group.finish();
}

fn validation(c: &mut Criterion) {
    let schema = json!({
        "type": "object",
        "required": ["id", "n"],
        "properties": {"id": {"type": "string"}, "n": {"type": "integer"}, "note": {"type": "string"}},
    });
    let document = json!({"collections": {"items": {"type": "item", "primaryKey": "id", "schema": schema}}});
    let document = Document::parse(&document, &DocumentLimits::default()).unwrap();
    let collection = document.compiled().collection("item").unwrap();
    let text = value(1).to_string();
    let parsed = json::strict_value(&text, 128, Duplicates::Refuse).unwrap();
    let mut group = c.benchmark_group("validation");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("strict value", |b| {
        b.iter(|| json::strict_value(black_box(&text), 128, Duplicates::Refuse).unwrap().is_object());
    });
    group.bench_function("check", |b| b.iter(|| collection.check(black_box(&parsed), 8).len()));
    group.bench_function("key", |b| b.iter(|| collection.key_of(black_box(&parsed)).unwrap().len()));
    group.finish();

    // All of it at once, as nearly every change is written: envelope, value, key and stored form.
    let batch = format!("[{}]", (0..100).map(change).collect::<Vec<_>>().join(","));
    let mut group = c.benchmark_group("batch of 100");
    group.throughput(Throughput::Elements(100));
    let (mut out, limits) = (Vec::with_capacity(batch.len() * 2), Limits::default());
    let stamp = Stamp::new(Timestamp::from_millis(1_700_000_000_000));
    group.bench_function("read in one pass", |b| {
        b.iter(|| {
            out.clear();
            let mut reader = PlainReader::new(document.compiled(), &limits);
            let mut elements = Elements::of(black_box(&batch));
            while let Some(change) = elements.next(|scan| reader.read(scan)).expect("it is plain") {
                reader.store(&change, &stamp, &mut out);
            }
            out.len()
        });
    });
    group.bench_function("split", |b| b.iter(|| json::messages(black_box(batch.as_bytes()), 100).unwrap().len()));
    group.finish();
}

fn record(count: u64) -> Record {
    let message = change(1);
    let payload: Vec<u8> = (0..count).flat_map(|_| message.bytes().chain([b','])).collect();
    let lengths: Lengths = (0..count).map(|_| message.len() as u32).collect();
    let body = Body::Append { lengths, payload: Bytes::from(payload) };
    Record { count, body, ..Record::plain(StreamId(1), 0, Timestamp::from_millis(1_700_000_000_000)) }
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("record");
    for count in [1, 100] {
        let record = record(count);
        let mut out = Vec::new();
        Encoded::of(&record, false).write(KEY, &PLACEMENT, &mut out);
        group.throughput(Throughput::Bytes(out.len() as u64));
        group.bench_function(format!("encode {count}"), |b| {
            b.iter(|| {
                out.clear();
                Encoded::of(black_box(&record), false).write(KEY, &PLACEMENT, &mut out)
            });
        });
        let bytes = Bytes::from(out.clone());
        group.bench_function(format!("decode {count}"), |b| {
            b.iter(|| {
                let header = Header::parse(KEY, black_box(&bytes)).unwrap();
                header.verify_body(&bytes).unwrap();
                header.record(&bytes).unwrap().is_some()
            });
        });
    }
    group.finish();
}

fn facts(position: u64, key: &str) -> ChangeFacts<'_> {
    ChangeFacts {
        position,
        batch: position,
        entity_type: "item",
        key,
        deletes: false,
        placing: Placing::At(position * 200),
        length: 200,
        version: None,
    }
}

fn slots(c: &mut Criterion) {
    let keys: Vec<Arc<str>> = (0..100_000).map(|n| format!("item-{n:011}").into()).collect();
    let mut fold = Fold::new();
    let mut position = 0;
    for key in &keys {
        fold.apply(facts(position, key));
        position += 1;
    }
    let mut group = c.benchmark_group("fold of 100,000");
    group.bench_function("find", |b| {
        let mut n = 0;
        b.iter(|| {
            n = (n + 7_919) % keys.len();
            fold.latest("item", black_box(&keys[n])).is_some()
        });
    });
    group.bench_function("replace", |b| {
        let mut n = 0;
        b.iter(|| {
            n = (n + 7_919) % keys.len();
            fold.apply(facts(position, &keys[n]));
            position += 1;
            if fold.wants_squeeze() {
                fold.squeeze(position);
            }
        });
    });
    group.finish();
}

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("SSE");
    for count in [1, 100] {
        let page: Vec<String> = (0..count).map(change).collect();
        let page = format!("[{}]", page.join(","));
        group.throughput(Throughput::Bytes(page.len() as u64));
        let mut out = Vec::with_capacity(page.len() + 256);
        group.bench_function(format!("data event of {count}"), |b| {
            b.iter(|| {
                out.clear();
                sse::event(&mut out, Some("data"), None, black_box(page.as_bytes()));
                out.len()
            });
        });
    }
    group.bench_function("offset as text", |b| b.iter(|| black_box(Offset::at(123_456_789)).to_string()));
    group.finish();
}

criterion_group!(benches, envelope, validation, codec, slots, events);
criterion_main!(benches);
