//! The fold against a list of every change and the plainest reading of its rules, which share nothing with it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const TYPES: [&str; 3] = ["task", "saga", "worker"];
const KEYS: [&str; 6] = ["a", "a1", "a12", "b", "b1", "ä"];

#[derive(Clone, Copy, Debug)]
struct Logged {
    position: u64,
    batch: u64,
    entity: (&'static str, &'static str),
    deletes: bool,
    place: u64,
    length: u32,
    version: Option<i128>,
}

/// A stream: its log, its fold, and how far it is durable.
#[derive(Default)]
struct World {
    log: Vec<Logged>,
    fold: Fold,
    tail: u64,
    /// Staged batches: positions, and where their bytes will lie.
    staged: VecDeque<(Range<u64>, u64)>,
    /// Every durable tail there has been.
    marks: Vec<u64>,
    pins: Vec<u64>,
    bytes: u64,
}

#[derive(Clone, Debug)]
enum Step {
    /// Messages of one batch: a change, or `None` for one that is no change.
    Stage(Vec<Option<(usize, usize, bool, u32)>>),
    Commit(usize),
    Squeeze(Index),
    Pin,
    Unpin(Index),
    Read(usize, Page),
}

/// How a reader reads once: the page's limit, and after how many items its connection breaks, if it does.
#[derive(Clone, Copy, Debug)]
struct Page {
    limit: WalkLimit,
    cut: Option<Index>,
}

impl World {
    fn new() -> Self {
        Self { marks: vec![0], ..Self::default() }
    }

    fn mark(&self) -> u64 {
        self.marks[self.marks.len() - 1]
    }

    fn stage(&mut self, messages: &[Option<(usize, usize, bool, u32)>]) {
        let (batch, base) = (self.tail, self.bytes);
        for message in messages {
            let position = self.tail;
            self.tail += 1;
            let Some((kind, key, deletes, length)) = *message else {
                continue;
            };
            let version = (length % 3 == 0).then(|| i128::from(length) - 5);
            let entity = (TYPES[kind], KEYS[key]);
            let before = self.log.iter().rev().find(|change| change.entity == entity);
            let left = version.or(before.and_then(|change| change.version));
            self.log.push(Logged { position, batch, entity, deletes, place: self.bytes, length, version: left });
            self.fold.apply(ChangeFacts {
                position,
                batch,
                entity_type: entity.0,
                key: entity.1,
                deletes,
                placing: Placing::InBatch(self.bytes - base),
                length,
                version,
            });
            self.bytes += u64::from(length);
        }
        self.staged.push_back((batch..self.tail, base));
    }

    fn commit(&mut self, batches: usize) {
        for (positions, base) in self.staged.drain(..batches.min(self.staged.len())) {
            self.fold.place_batch(positions.start, base);
            self.marks.push(positions.end);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Stage(messages) => self.stage(messages),
            Step::Commit(batches) => self.commit(*batches),
            Step::Squeeze(mark) => self.fold.squeeze(*mark.get(&self.marks)),
            Step::Pin => {
                self.pins.push(self.mark());
                self.fold.pin(self.mark());
            }
            Step::Unpin(which) if !self.pins.is_empty() => {
                let mark = self.pins.swap_remove(which.index(self.pins.len()));
                self.fold.unpin(mark);
            }
            Step::Unpin(_) | Step::Read(..) => {}
        }
    }

    /// Marks at which the fold owes an answer.
    fn answerable(&self) -> Vec<u64> {
        let owed = |mark: &u64| *mark >= self.fold.squeezed_below() || self.pins.contains(mark);
        self.marks.iter().copied().filter(owed).collect()
    }

    /// What is seen of each entity at `mark`.
    fn seen(&self, mark: u64) -> BTreeMap<(&'static str, &'static str), Logged> {
        self.log.iter().filter(|change| change.position < mark).map(|change| (change.entity, *change)).collect()
    }

    /// The log up to `mark`, folded: position of the change that gave each entity its value.
    fn folded(&self, mark: u64, filter: &Filter) -> View<u64> {
        let mut view = View::new();
        for change in self.seen(mark).values().filter(|change| !change.deletes) {
            if filter.accepts(change.entity.0, change.entity.1) {
                view.insert(change.entity.0, change.entity.1, change.position);
            }
        }
        view
    }

    fn folded_read(&self, walk: &Walk<'_>) -> Vec<Logged> {
        let mut changes: Vec<Logged> = self.seen(walk.mark).into_values().collect();
        changes.retain(|change| {
            change.position >= walk.from
                && !(change.deletes && change.position < walk.skip_tombstones_below)
                && walk.filter.accepts(change.entity.0, change.entity.1)
        });
        changes.sort_by_key(|change| change.position);
        changes
    }
}

/// A consumer: what it holds and the offset it would resume from, nothing else.
struct Reader {
    view: View<u64>,
    next: u64,
    walk_mark: u64,
    filter: Filter,
}

impl Reader {
    fn resuming(world: &World, mark: u64, filter: Filter) -> Self {
        Self { view: world.folded(mark, &filter), next: mark, walk_mark: 0, filter }
    }

    /// Reads a page at the current mark; whether it got to that mark.
    fn read(&mut self, world: &World, page: Page) -> bool {
        let mark = world.mark();
        let skip_tombstones_below = if (self.next, self.walk_mark) == (0, 0) { mark } else { self.walk_mark };
        let walk = Walk { from: self.next, mark, skip_tombstones_below, filter: &self.filter };
        let got = world.fold.walk(&walk, page.limit);
        let cut = page.cut.map(|cut| cut.index(got.items.len() + 1));
        for item in &got.items[..cut.unwrap_or(got.items.len())] {
            assert!(item.position >= self.next && item.position < mark, "{item:?} is not of this walk");
            let (kind, key) = (world.fold.entity_type(item.entity), world.fold.key(item.entity));
            match item.deletes {
                true => self.view.remove(kind, key),
                false => self.view.insert(kind, key, item.position),
            };
            (self.next, self.walk_mark) = (item.position + 1, skip_tombstones_below);
        }
        if cut.is_some() {
            return false;
        }
        assert!(got.done || got.next > walk.from, "a page gets somewhere");
        (self.next, self.walk_mark) = (got.next, if got.done { 0 } else { skip_tombstones_below });
        if got.done {
            assert_eq!(got.next, mark);
            assert_eq!(self.view, world.folded(mark, &self.filter), "at mark {mark}");
        }
        got.done
    }

    fn finish(&mut self, world: &World) {
        let limit = WalkLimit { items: 3, bytes: 40, visits: 5 };
        while !self.read(world, Page { limit, cut: None }) {}
        assert_eq!(self.view, world.folded(world.mark(), &self.filter));
    }
}

fn filters() -> impl Strategy<Value = Filter> {
    let types = prop::option::of(prop::collection::vec(prop::sample::select(vec!["task", "saga", "none"]), 0..3));
    let key = prop::option::weighted(0.2, prop::sample::select(&KEYS[..]));
    let prefix = prop::option::weighted(0.3, prop::sample::select(vec!["a", "a1", "b", "z"]));
    (types, key, prefix).prop_map(|(types, key, prefix)| Filter {
        types: types.map(|types| types.into_iter().map(str::to_owned).collect()),
        key: key.map(str::to_owned),
        key_prefix: prefix.map(str::to_owned),
    })
}

fn limits() -> impl Strategy<Value = WalkLimit> {
    (0usize..8, 0u64..60, 0usize..12).prop_map(|(items, bytes, visits)| WalkLimit { items, bytes, visits })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let message = prop::option::weighted(0.9, (0..TYPES.len(), 0..KEYS.len(), prop::bool::weighted(0.3), 1u32..20));
    let page = (limits(), prop::option::weighted(0.4, any::<Index>())).prop_map(|(limit, cut)| Page { limit, cut });
    let step = prop_oneof![
        6 => prop::collection::vec(message, 0..8).prop_map(Step::Stage),
        4 => (1usize..4).prop_map(Step::Commit),
        1 => any::<Index>().prop_map(Step::Squeeze),
        1 => Just(Step::Pin),
        1 => any::<Index>().prop_map(Step::Unpin),
        8 => (0usize..3, page).prop_map(|(reader, page)| Step::Read(reader, page)),
    ];
    prop::collection::vec(step, 0..80)
}

/// Walks to the end at one mark, holding every page to its bounds.
fn walk_all(world: &World, walk: Walk<'_>, limit: WalkLimit) -> Vec<WalkItem> {
    let (mut all, mut walk): (Vec<WalkItem>, _) = (Vec::new(), walk);
    let mut last_page: Vec<WalkItem> = Vec::new();
    loop {
        let page = world.fold.walk(&walk, limit);
        let bytes = |items: &[WalkItem]| items.iter().map(|item| u64::from(item.length)).sum::<u64>();
        assert!(page.items.len() <= limit.items.max(1));
        assert!(bytes(&page.items) <= limit.bytes || page.items.len() == 1);
        if let (Some(first), Some(last)) = (page.items.first(), last_page.last())
            && first.batch == last.batch
        {
            assert!(last_page.iter().all(|item| item.batch == last.batch), "a batch was split behind another");
            let fits = last_page.len() < limit.items && bytes(&last_page) + u64::from(first.length) <= limit.bytes;
            assert!(!fits, "a batch was split that did not fill its page");
        }
        if !page.items.is_empty() {
            last_page.clone_from(&page.items);
        }
        all.extend(page.items);
        if page.done {
            assert_eq!(page.next, walk.mark.max(walk.from));
            return all;
        }
        assert!(page.next > walk.from, "a page gets somewhere");
        walk.from = page.next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_add_up_to_the_naive_folded_read(
        steps in steps(), at: Index, from: Index, skip: Index, filter in filters(), limit in limits(),
    ) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        let mark = *at.get(&world.answerable());
        let [from, skip] = [from, skip].map(|index| index.index(world.tail as usize + 1) as u64);
        let walk = Walk { from, mark, skip_tombstones_below: skip, filter: &filter };
        let told: Vec<_> = walk_all(&world, walk, limit)
            .iter()
            .map(|item| {
                let entity = (world.fold.entity_type(item.entity), world.fold.key(item.entity));
                (item.position, item.batch, item.place, item.length, item.deletes, entity)
            })
            .collect();
        let expected: Vec<_> = world
            .folded_read(&walk)
            .iter()
            .map(|c| (c.position, c.batch, c.place, c.length, c.deletes, c.entity))
            .collect();
        prop_assert_eq!(told, expected);
    }

    /// The equation, for fresh readers while changes arrive, connections break and replaced changes are dropped.
    #[test]
    fn what_readers_received_folds_to_the_log_at_every_mark(steps in steps(), filters in [filters(), filters()]) {
        let mut world = World::new();
        let filters = filters.into_iter().chain([Filter::default()]);
        let mut readers: Vec<Reader> = filters.map(|filter| Reader::resuming(&world, 0, filter)).collect();
        for step in &steps {
            world.step(step);
            if let Step::Read(reader, page) = step {
                readers[*reader].read(&world, *page);
            }
        }
        readers.iter_mut().for_each(|reader| reader.finish(&world));
        world.commit(usize::MAX);
        readers.iter_mut().for_each(|reader| reader.finish(&world));
    }

    #[test]
    fn readers_resume_from_any_mark_there_ever_was(steps in steps(), filter in filters()) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.step(step));
        for mark in world.marks.clone() {
            Reader::resuming(&world, mark, filter.clone()).finish(&world);
        }
    }

    #[test]
    fn single_entities_are_seen_as_the_log_has_them(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            let staged = world.seen(u64::MAX);
            for entity in TYPES.iter().flat_map(|kind| KEYS.map(|key| (*kind, key))) {
                let latest = world.fold.latest(entity.0, entity.1);
                let expected = staged.get(&entity);
                prop_assert_eq!(latest.map(|l| (l.seen.position, l.seen.deletes, l.version)),
                    expected.map(|c| (c.position, c.deletes, c.version)));
            }
            for kind in TYPES {
                let live = staged.values().filter(|change| change.entity.0 == kind && !change.deletes).count();
                prop_assert_eq!(world.fold.live(kind), live as u64);
            }
        }
        for mark in world.answerable() {
            let seen = world.seen(mark);
            for entity in TYPES.iter().flat_map(|kind| KEYS.map(|key| (*kind, key))) {
                let at = world.fold.at(mark, entity.0, entity.1);
                let expected = seen.get(&entity);
                prop_assert_eq!(at.map(|s| (s.position, s.batch, s.place, s.length, s.deletes)),
                    expected.map(|c| (c.position, c.batch, Some(c.place), c.length, c.deletes)));
            }
        }
        let live = world.fold.live_entities().count() as u64;
        prop_assert_eq!(live, world.fold.types().map(|(_, live)| live).sum::<u64>());
    }

    #[test]
    fn squeezing_keeps_exactly_what_some_mark_sees(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
            let replaced_at = |index: usize| {
                let later = &world.log[index + 1..];
                later.iter().find(|change| change.entity == world.log[index].entity).map(|change| change.position)
            };
            let dropped = |index: &usize| replaced_at(*index).is_some_and(|p| p < world.fold.squeezed_below());
            let kept = (0..world.log.len()).filter(|index| !dropped(index)).count();
            prop_assert_eq!(world.fold.slots(), kept);
        }
    }
}

fn change(position: u64, key: &str) -> ChangeFacts<'_> {
    let placing = Placing::At(position * 200);
    ChangeFacts {
        position,
        batch: position,
        entity_type: "task",
        key,
        deletes: false,
        placing,
        length: 200,
        version: None,
    }
}

fn all() -> Filter {
    Filter::default()
}

#[test]
fn a_million_entities_cost_at_most_150_bytes_each() {
    const ENTITIES: u64 = 1_000_000;
    let mut fold = Fold::new();
    for position in 0..ENTITIES {
        fold.apply(change(position, &format!("{position:016x}")));
    }
    let per_entity = |fold: &Fold| fold.memory_bytes() as u64 / ENTITIES;
    assert!(per_entity(&fold) <= 100, "{} bytes", per_entity(&fold));

    let mut most = 0;
    let mut squeezed = 0;
    for position in ENTITIES..ENTITIES * 9 / 4 {
        fold.apply(change(position, &format!("{:016x}", position * 7919 % ENTITIES)));
        if fold.wants_squeeze() {
            most = most.max(per_entity(&fold));
            fold.squeeze(position + 1);
            squeezed += 1;
        }
    }
    assert_eq!((squeezed, fold.live("task")), (1, ENTITIES));
    assert!(most <= 150, "{most} bytes when half is replaced");
}

#[test]
fn a_million_changes_of_a_thousand_keys_cost_a_thousand_entities() {
    let mut fold = Fold::new();
    let mut squeezed = 0;
    for position in 0..1_000_000 {
        fold.apply(change(position, &format!("{:016x}", position % 1000)));
        if fold.wants_squeeze() {
            fold.squeeze(position + 1);
            squeezed += 1;
        }
    }
    assert!(fold.slots() <= 2001 && squeezed <= 1000, "{} slots, {squeezed} squeezes", fold.slots());
    assert!(fold.memory_bytes() < 400_000, "{} bytes", fold.memory_bytes());
    let walk = Walk { from: 0, mark: 1_000_000, skip_tombstones_below: 1_000_000, filter: &all() };
    let page = fold.walk(&walk, WalkLimit::new(10_000, 4 << 20));
    assert_eq!((page.items.len(), page.done), (1000, true));
}

#[test]
fn a_pinned_mark_does_not_make_squeezing_dear() {
    let mut fold = Fold::new();
    fold.pin(1);
    let mut squeezed = 0;
    for position in 0..100_000 {
        fold.apply(change(position, "k"));
        if fold.wants_squeeze() {
            fold.squeeze(position + 1);
            squeezed += 1;
        }
    }
    assert!(squeezed < 30, "{squeezed} squeezes");
    assert_eq!(fold.at(1, "task", "k").map(|seen| seen.position), Some(0));
    fold.unpin(1);
    fold.squeeze(100_000);
    assert_eq!(fold.slots(), 1);
}

#[test]
fn a_page_looks_at_some_thousand_slots_and_no_more() {
    let mut fold = Fold::new();
    for position in 0..10_000 {
        fold.apply(change(position, "k"));
    }
    let mut walk = Walk { from: 0, mark: 10_000, skip_tombstones_below: 0, filter: &all() };
    let page = fold.walk(&walk, WalkLimit::new(100, 1 << 20));
    assert_eq!(page, WalkPage { items: vec![], next: WalkLimit::VISITS as u64, done: false });
    walk.from = 8_000;
    let page = fold.walk(&walk, WalkLimit::new(100, 1 << 20));
    assert_eq!((page.items.len(), page.next, page.done), (1, 10_000, true));
}

#[test]
fn bytes_that_are_not_placed_are_waited_for() {
    let mut fold = Fold::new();
    fold.apply(change(0, "a"));
    fold.apply(ChangeFacts { placing: Placing::InBatch(7), ..change(1, "b") });
    let walk = Walk { from: 0, mark: 2, skip_tombstones_below: 2, filter: &all() };
    let page = fold.walk(&walk, WalkLimit::new(100, 1 << 20));
    assert_eq!((page.items.len(), page.next, page.done), (1, 1, false));
    assert_eq!(fold.latest("task", "b").unwrap().seen.place, None);
    fold.place_batch(1, 1000);
    fold.place_batch(1, 5000);
    fold.place_batch(9, 5000);
    assert_eq!(fold.walk(&walk, WalkLimit::new(100, 1 << 20)).items[1].place, 1007);
}

#[test]
fn a_log_may_be_replayed_over_its_fold() {
    let mut fold = Fold::new();
    for position in [0, 3, 5, 3, 5, 6] {
        fold.apply(change(position, "k"));
    }
    assert_eq!((fold.slots(), fold.live("task")), (4, 1));
}
