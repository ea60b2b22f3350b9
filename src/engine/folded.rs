//! Folded reads: for every key changed after a place, only its newest change. One structure serves snapshots, resumed
//! readers, slow readers and entity look-ups; this module keeps it loaded and turns its walks into bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::fold::{ChangeFacts, Filter, Fold, Placing, Seen, Walk, WalkItem, WalkLimit};
use crate::model::{Offset, Position};
use crate::protocol::change::StoredChange;
use crate::protocol::json;
use crate::registry::Compiled;
use crate::storage::{Place, ReadError, Run, Wanted};
use crate::stream::Refusal;

use super::handle::{Core, Handle, PublishedStream};
use super::{Engine, Fault, Shed};

/// Which entities a folded reader wants; all where nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selection {
    pub types: Vec<String>,
    pub key: Option<String>,
    pub key_prefix: Option<String>,
    /// What the reader says of defaults that its entities lack; nothing leaves it to the binding.
    pub defaults: Option<bool>,
    /// Most entities of one page, where that is less than a page of bytes.
    pub limit: Option<usize>,
}

/// Where a folded reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub position: Position,
    /// The mark at which a walk from the beginning began; `None` for a reader that resumes and so needs deletions.
    pub walk_mark: Option<Position>,
}

/// One entity's newest change.
#[derive(Clone, Debug)]
pub struct FoldedItem {
    pub position: Position,
    pub entity_type: String,
    pub key: String,
    pub deletes: bool,
    /// The change as it is stored.
    pub change: Bytes,
    /// Where a reader resumes that has seen everything up to and with this change.
    pub resume: Offset,
}

/// A part of a folded read.
#[derive(Debug)]
pub struct FoldedPage {
    pub items: Vec<FoldedItem>,
    pub next: Start,
    /// Whether `next` is a mark: everything durable was delivered.
    pub done: bool,
}

/// A mark that is held: what a reader at it sees stays there until this is dropped, or the fold is read again.
pub struct Pin {
    handle: Arc<Handle>,
    pub mark: Position,
    /// The fold that holds it; another one knows nothing of it.
    fold_generation: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut core = self.handle.lock();
        if core.fold_generation == self.fold_generation
            && let Some(fold) = core.fold_mut()
        {
            fold.unpin(self.mark);
        }
    }
}

/// A collection, as it is described to others.
#[derive(Debug)]
pub struct CollectionSchema {
    pub name: String,
    pub entity_type: String,
    pub schema: serde_json::Value,
}

impl CollectionSchema {
    /// Those of a registered version, by name.
    pub fn all(compiled: &Compiled) -> Vec<Self> {
        let describe = |c: &crate::registry::CompiledCollection| Self {
            name: c.name.clone(),
            entity_type: c.entity_type.to_string(),
            schema: c.schema.clone(),
        };
        compiled.collections().map(describe).collect()
    }
}

/// Most entities of one page: bounds what is remembered of each while their bytes are fetched.
const ITEMS_MAX: usize = 65_536;

/// Times that a reader begins again because something came in between, before it is told to come back: whatever happens
/// under it, no request goes round for ever.
pub(super) const ROUNDS: usize = 64;

pub(super) fn again_later() -> Fault {
    Fault::Busy { retry_after: Duration::from_secs(1) }
}

impl Start {
    /// Reads an offset that a folded reader gave. `start` is where the stream's positions begin.
    pub fn from_offset(offset: Offset, start: Position) -> Self {
        match offset {
            Offset { position, .. } if position <= start => Self::beginning(),
            Offset { position, walk_mark: 0 } => Self { position, walk_mark: None },
            Offset { position, walk_mark } => Self { position, walk_mark: Some(walk_mark) },
        }
    }

    pub const fn beginning() -> Self {
        Self { position: 0, walk_mark: Some(0) }
    }

    /// The text of an unfinished walk carries its mark; a finished one is an ordinary place.
    pub fn offset(self, done: bool) -> Offset {
        match self.walk_mark {
            Some(walk_mark) if !done => Offset { position: self.position, walk_mark },
            _ => Offset::at(self.position),
        }
    }
}

impl Engine {
    /// One page of a folded read, up to the durable tail of now or a mark that is held.
    pub async fn folded_page(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        at: Start,
        selection: &Selection,
        pinned: Option<&Pin>,
    ) -> Result<FoldedPage, Fault> {
        for _ in 0..ROUNDS {
            self.check_kept(stream, Offset { position: at.position, walk_mark: at.walk_mark.unwrap_or(0) })?;
            if let Some(page) = self.try_folded_page(handle, stream, at, selection, pinned).await? {
                // What was read may have been let go since it was asked for.
                let reached = page.next.walk_mark.or(at.walk_mark).filter(|mark| *mark > 0);
                let walk_mark = reached.or_else(|| at.walk_mark.map(|_| stream.tail)).unwrap_or(0);
                self.check_kept(stream, Offset { position: at.position, walk_mark })?;
                return Ok(page);
            }
            if pinned.is_some() {
                return Err(Fault::Contended);
            }
        }
        Err(again_later())
    }

    /// As [`Engine::folded_page`]; `None` where a change that was to be told of is not kept any more.
    async fn try_folded_page(
        &self,
        handle: &Arc<Handle>,
        stream: &PublishedStream,
        mut at: Start,
        selection: &Selection,
        pinned: Option<&Pin>,
    ) -> Result<Option<FoldedPage>, Fault> {
        let filter = selection.filter();
        let (mut found, mut bytes) = (Vec::new(), 0);
        let bytes_max = self.limits().page_bytes_max as u64;
        let items_max = selection.limit.unwrap_or(ITEMS_MAX).clamp(1, ITEMS_MAX);
        let mut rounds = 0;
        let done = loop {
            self.ensure_fold(handle).await?;
            let walked = {
                let core = handle.lock();
                let mark = match handle.stream() {
                    Some(now) if now.id == stream.id => pinned.map_or(now.tail, |pin| pin.mark),
                    _ => return Err(Fault::NoStream(handle.name.clone())),
                };
                if pinned.is_some_and(|pin| pin.fold_generation != core.fold_generation) {
                    return Err(Fault::Contended);
                }
                // A walk from the beginning remembers where it began: what was deleted before, its reader never saw.
                at.walk_mark = at.walk_mark.map(|begun| if begun == 0 { mark } else { begun });
                core.fold().map(|fold| {
                    let skip_tombstones_below = at.walk_mark.unwrap_or(0);
                    let walk = Walk { from: at.position, mark, skip_tombstones_below, filter: &filter };
                    // A whole page's limit for each walk: what is left of one would split a batch that fits a page.
                    let page = fold.walk(&walk, WalkLimit::new(items_max - found.len(), bytes_max));
                    bytes += page.items.iter().map(|item| u64::from(item.length) + 1).sum::<u64>();
                    found.extend(page.items.into_iter().map(|item| Found::new(fold, item)));
                    (page.next, page.done)
                })
            };
            let Some((next, done)) = walked else {
                // Staged to be deleted: once that is durable the stream is gone for readers too.
                handle.quiet().await;
                rounds += 1;
                if rounds > ROUNDS {
                    return Err(again_later());
                }
                continue;
            };
            at.position = next;
            if done || bytes >= bytes_max / 2 || found.len() >= items_max {
                break done;
            }
            // A long walk that finds little must not keep others waiting.
            tokio::task::yield_now().await;
        };
        let walk_mark = at.walk_mark;
        let Some(changes) = self.fetch(handle, found.iter().map(|found| wanted(&found.item)).collect()).await? else {
            return Ok(None);
        };
        let items = found
            .into_iter()
            .zip(changes)
            .map(|(found, change)| FoldedItem {
                position: found.item.position,
                resume: Offset { position: found.item.position + 1, walk_mark: walk_mark.unwrap_or(0) },
                deletes: found.item.deletes,
                entity_type: found.entity_type,
                key: found.key,
                change,
            })
            .collect();
        let next = Start { position: at.position, walk_mark: if done { None } else { walk_mark } };
        Ok(Some(FoldedPage { items, next, done }))
    }

    /// Holds the durable tail of now, for a read of several walks that must agree.
    pub async fn pin(&self, handle: &Arc<Handle>) -> Result<Option<Pin>, Fault> {
        for _ in 0..ROUNDS {
            self.ensure_fold(handle).await?;
            {
                let mut core = handle.lock();
                let Some(mark) = handle.stream().map(|stream| stream.tail) else { return Ok(None) };
                let fold_generation = core.fold_generation;
                if let Some(fold) = core.fold_mut() {
                    fold.pin(mark);
                    return Ok(Some(Pin { handle: handle.clone(), mark, fold_generation }));
                }
            }
            handle.quiet().await;
        }
        Err(again_later())
    }

    /// Collections of a typed stream: name and entity type, by name.
    pub fn collection_names(&self, handle: &Handle) -> Result<Vec<(String, String)>, Fault> {
        let compiled = self.compiled(&self.schema_of(handle)?)?;
        Ok(compiled.collections().map(|c| (c.name.clone(), c.entity_type.to_string())).collect())
    }

    /// Collections of a typed stream with their schemas, by name.
    pub fn collection_schemas(&self, handle: &Handle) -> Result<Vec<CollectionSchema>, Fault> {
        Ok(CollectionSchema::all(&*self.compiled(&self.schema_of(handle)?)?))
    }

    /// Entity types of a typed stream.
    pub fn collections(&self, handle: &Handle) -> Result<Vec<String>, Fault> {
        Ok(self.collection_names(handle)?.into_iter().map(|(_, entity_type)| entity_type).collect())
    }

    /// Live entities per collection, staged ones included.
    pub async fn live_counts(&self, handle: &Arc<Handle>) -> Result<Vec<(String, u64)>, Fault> {
        handle.quiet().await;
        self.ensure_fold(handle).await?;
        let core = handle.lock();
        Ok(core
            .fold()
            .map(|fold| fold.types().map(|(name, live)| (name.to_owned(), live)).collect())
            .unwrap_or_default())
    }

    /// Changes of the stream that stands under a name; `None` where one is not kept any more. Then the fold, which knew
    /// of it, is read again at its next use.
    pub(super) async fn fetch(&self, handle: &Arc<Handle>, wanted: Vec<Wanted>) -> Result<Option<Vec<Bytes>>, Fault> {
        let Some(stream) = handle.stream() else { return Err(Refusal::Gone.into()) };
        let generation = handle.lock().fold_generation;
        let (store, id) = (self.store.clone(), stream.id);
        let fetched = match wanted.len() {
            ..=16 => store.fetch(id, &wanted),
            _ => {
                let _turn = self.page_turn().await?;
                let wanted = wanted.clone();
                let fetched = tokio::task::spawn_blocking(move || store.fetch(id, &wanted)).await;
                fetched.map_err(|e| Fault::Storage(e.to_string()))?
            }
        };
        let same = |core: &Core| core.fold_generation == generation;
        match fetched {
            Ok(fetched) => {
                let moved: Vec<(Position, Place)> = wanted
                    .iter()
                    .zip(&fetched)
                    .filter(|(wanted, fetched)| wanted.place != fetched.place)
                    .map(|(wanted, fetched)| (wanted.position, fetched.place))
                    .collect();
                if !moved.is_empty() {
                    let mut core = handle.lock();
                    if let Some(fold) = core.fold_mut() {
                        moved.into_iter().for_each(|(position, place)| fold.move_place(position, place.0));
                    }
                }
                Ok(Some(fetched.into_iter().map(|fetched| fetched.message).collect()))
            }
            Err(ReadError::NotFound) if handle.stream().is_some_and(|now| now.id == id) => {
                let mut core = handle.lock();
                if same(&core) {
                    core.take_fold();
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The durable entity, if it exists.
    pub(super) async fn entity_at(
        &self,
        handle: &Arc<Handle>,
        entity_type: &str,
        key: &str,
    ) -> Result<Option<Seen>, Fault> {
        for _ in 0..ROUNDS {
            self.ensure_fold(handle).await?;
            {
                let core = handle.lock();
                let Some(stream) = handle.stream() else { return Ok(None) };
                if let Some(fold) = core.fold() {
                    return Ok(fold.at(stream.tail, entity_type, key).filter(|entity| !entity.deletes));
                }
            }
            handle.quiet().await;
        }
        Err(again_later())
    }

    /// Reads the fold from the log if nobody has yet. Typed writers wait for it, so none is missed.
    pub(super) async fn ensure_fold(&self, handle: &Arc<Handle>) -> Result<(), Fault> {
        match has_fold(handle, self)? {
            true => Ok(()),
            // Boxed, since it is seldom: every typed write would carry its room along.
            false => Box::pin(self.load_fold(handle)).await,
        }
    }

    async fn load_fold(&self, handle: &Arc<Handle>) -> Result<(), Fault> {
        let deadline = tokio::time::Instant::now() + self.settings.fold_patience;
        for _ in 0..ROUNDS {
            if has_fold(handle, self)? {
                return Ok(());
            }
            let _loading = handle.loading.lock().await;
            if has_fold(handle, self)? {
                return Ok(());
            }
            let _place = self.fold_load(deadline).await?;
            // Typed writes need the fold, so what is staged now is all there will be while this is held.
            handle.quiet().await;
            let Some(stream) = handle.stream() else { continue };
            let versions = self.version_fields(&stream)?;
            let engine = self.clone();
            let fold = {
                let stream = stream.clone();
                tokio::task::spawn_blocking(move || engine.read_fold(&stream, stream.tail, 0, &versions)).await
            };
            let fold = fold.map_err(|e| Fault::Storage(e.to_string()))??;
            let mut core = handle.lock();
            let same = |state: &crate::stream::StreamState| {
                state.id == stream.id && state.tail == stream.tail && state.schema == stream.schema
            };
            if core.state.as_ref().is_some_and(same) {
                core.set_fold(Some(fold));
            }
        }
        Err(again_later())
    }

    /// A place among those who read newest changes from the log. Busy where none is free in time.
    async fn fold_load(&self, deadline: tokio::time::Instant) -> Result<tokio::sync::SemaphorePermit<'_>, Fault> {
        match tokio::time::timeout_at(deadline, self.fold_loads.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => {
                self.counters.sheds.count(Shed::FoldLoads);
                Err(Fault::Busy { retry_after: Duration::from_secs(1) })
            }
        }
    }

    /// The newest change per key of a source up to `to`, as a fork that shifts it sees it.
    pub(super) async fn fold_of_range(
        &self,
        source: &PublishedStream,
        to: Position,
        shift: u64,
    ) -> Result<Fold, Fault> {
        let _place = self.fold_load(tokio::time::Instant::now() + self.settings.fold_patience).await?;
        let versions = self.version_fields(source)?;
        let (engine, source) = (self.clone(), source.clone());
        let read = move || engine.read_fold(&source, to, shift, &versions);
        tokio::task::spawn_blocking(read).await.map_err(|e| Fault::Storage(e.to_string()))?
    }

    /// Up to `to`; `shift` is added to every position.
    pub(super) fn read_fold(
        &self,
        stream: &PublishedStream,
        to: Position,
        shift: u64,
        versions: &VersionFields,
    ) -> Result<Fold, Fault> {
        let mut fold = Fold::new();
        let mut from = stream.creation.start;
        while from < to {
            let runs = self.store.read(stream.id, from, to, self.limits().page_bytes_max)?;
            // What is left ends here.
            let Some(last) = runs.last() else { break };
            from = last.first + last.count;
            runs.iter().for_each(|run| fold_run(&mut fold, run, shift, versions));
            // Nobody reads at a mark before the end of this, so what was superseded need not be kept.
            if fold.wants_squeeze() {
                fold.squeeze(from + shift);
            }
        }
        Ok(fold)
    }

    pub(super) fn version_fields(&self, stream: &PublishedStream) -> Result<VersionFields, Fault> {
        let compiled = stream.schema.as_ref().map(|schema| self.compiled(schema)).transpose()?;
        Ok(VersionFields { compiled, depth_max: self.limits().json_depth_max })
    }
}

/// Which types carry a version, and in which member.
pub(super) struct VersionFields {
    compiled: Option<Arc<Compiled>>,
    depth_max: usize,
}

impl VersionFields {
    fn of(&self, change: &StoredChange<'_>) -> Option<i128> {
        let collection = self.compiled.as_ref()?.collection(&change.entity_type)?;
        collection.version_field.as_ref()?;
        let value = json::strict_value(change.value?, self.depth_max, json::Duplicates::Keep).ok()?;
        collection.version_of(&value)
    }
}

/// What is to be fetched of an item.
pub(super) fn wanted(item: &WalkItem) -> Wanted {
    Wanted { position: item.position, place: Place(item.place), length: item.length }
}

struct Found {
    item: WalkItem,
    entity_type: String,
    key: String,
}

impl Found {
    fn new(fold: &Fold, item: WalkItem) -> Self {
        let (entity_type, key) = (fold.entity_type(item.entity), fold.key(item.entity));
        Self { entity_type: entity_type.to_owned(), key: key.to_owned(), item }
    }
}

impl Selection {
    /// Whether an entity of that name is wanted.
    pub fn wants(&self, entity_type: &str, key: &str) -> bool {
        self.filter().accepts(entity_type, key)
    }

    /// Whether it leaves out nothing.
    pub fn is_everything(&self) -> bool {
        self.types.is_empty() && self.key.is_none() && self.key_prefix.is_none()
    }

    fn filter(&self) -> Filter {
        Filter {
            types: (!self.types.is_empty()).then(|| self.types.clone()),
            key: self.key.clone(),
            key_prefix: self.key_prefix.clone(),
        }
    }
}

/// Whether the fold is there, or not needed because no stream is staged to exist.
fn has_fold(handle: &Handle, engine: &Engine) -> Result<bool, Fault> {
    let core = handle.lock_fresh(&*engine.store)?;
    Ok(core.fold().is_some() || core.state.as_ref().is_none_or(|state| state.soft_deleted))
}

fn fold_run(fold: &mut Fold, run: &Run, shift: u64, versions: &VersionFields) {
    let mut at = 0;
    for (nth, length) in run.lengths.iter().enumerate() {
        let bytes = run.payload.get(at..at + length as usize).unwrap_or_default();
        let change = std::str::from_utf8(bytes).ok().and_then(StoredChange::parse);
        if let Some(change) = change {
            fold.apply(ChangeFacts {
                position: run.first + nth as u64 + shift,
                batch: run.record.start + shift,
                entity_type: &change.entity_type,
                key: &change.key,
                deletes: change.deletes,
                placing: Placing::At(run.place.0 + at as u64),
                length,
                version: versions.of(&change),
            });
        }
        at += length as usize + 1;
    }
}
