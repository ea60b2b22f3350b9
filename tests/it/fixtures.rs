//! Data that former versions wrote opens, and says what it said.

use std::path::Path;
use std::sync::Arc;

use keyfold::engine::{Engine, Settings};
use keyfold::model::{ReadFrom, StreamName};
use keyfold::runtime::Clock;
use keyfold::storage::{Journal, JournalOptions, Store};
use keyfold::stream::Lifetime;

fn journal(fixture: &str) -> (tempfile::TempDir, Arc<Journal>) {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture);
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), journal.join(file.file_name())).unwrap();
    }
    let options = JournalOptions { segment_bytes: 65_536, ..JournalOptions::new(Clock::system()) };
    let store = Journal::open_dir(dir.path(), options).unwrap();
    (dir, store)
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).unwrap()
}

#[tokio::test]
async fn a_journal_of_0_1_0_opens() {
    let (_dir, store) = journal("journal-0.1.0");
    let engine = Engine::start(store, Clock::system(), Settings::default()).unwrap();
    let registry = engine.registry();
    assert_eq!(registry.subjects().map(ToString::to_string).collect::<Vec<_>>(), ["workers"]);
    assert_eq!(registry.bindings().count(), 1);
    // What its entries do not say is what holds without a choice.
    let workers = keyfold::registry::SubjectName::parse("workers").unwrap();
    let newest = registry.latest(&workers).unwrap();
    assert_eq!((newest.id, newest.deleted, newest.state), (1, false, keyfold::registry::VersionState::Enabled));
    assert_eq!(registry.compatibility(&workers), keyfold::registry::Compatibility::default());

    let inspection = engine.inspect(&name("workers/a")).await.unwrap();
    assert_eq!((inspection.length, inspection.quarantined), (5, 1));
    let live: Vec<(&str, u64)> = inspection.collections.iter().map(|c| (c.name.as_str(), c.live)).collect();
    assert_eq!(live, [("execution", 0), ("job", 3)]);
    let producer = &inspection.producers[0];
    assert_eq!((producer.id.as_str(), producer.epoch.get(), producer.last_seq.get()), ("p", 3, 0));
    let kept = engine.quarantine_page(&name("workers/a"), ReadFrom::Beginning).await.unwrap();
    assert!(kept.entries[0].get().contains("\"key\":\"j5\""));

    let (_, bytes) = engine.peek(&name("bytes")).await.unwrap();
    let bytes = bytes.unwrap();
    assert!(bytes.closed && matches!(bytes.creation.lifetime, Lifetime::Idle(_)));
    let page = engine.raw_page(&bytes, 0).await.unwrap();
    assert_eq!(&page.payload[..], b"hello world");

    assert!(engine.peek(&name("gone")).await.is_err());
    engine.close();
}

#[test]
fn what_was_gone_keeps_its_positions() {
    let (_dir, store) = journal("journal-0.1.0");
    assert_eq!(store.start_position(), 7, "the stream that is gone had 6 bytes");
    store.close();
}
