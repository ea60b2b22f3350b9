//! What has become of a stream's migrations so far: the fold of the events that their log holds.
//!
//! Decides which state a migration is in and how far it has come. Invariants: at most the last migration is open; what
//! lies below its cursor fits the new version; applying the same events in the same order gives the same ledger.

use std::sync::Arc;

use crate::model::{Position, Timestamp};
use crate::stream::SchemaRef;

use super::ValueFault;
use super::migration::Steps;

/// Number of a migration of one stream, from 1.
pub type MigrationId = u32;

/// One migration of one stream.
#[derive(Clone, Debug)]
pub struct Migration {
    pub id: MigrationId,
    pub from: SchemaRef,
    pub to: SchemaRef,
    pub steps: Arc<Steps>,
    /// Where the stream was bound to the new version: what was written from here on was checked under it.
    pub position: Position,
    /// Entities that lived when it began.
    pub total: u64,
    pub started_at: Timestamp,
    pub state: MigrationState,
    /// When it came to the state that it is in.
    pub since: Timestamp,
    /// Entities whose newest change lies below this and that are not in the new shape: none.
    pub cursor: Position,
    pub rewritten: u64,
    /// Entities that were in the new shape already.
    pub unchanged: u64,
    /// What keeps it from going on, where it has failed.
    pub failures: Vec<EntityFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    Running,
    /// It waits until what failed is repaired, or until it is given up.
    Failed,
    Done,
    /// The stream was bound to the former version again, from this position on.
    Cancelled {
        position: Position,
    },
}

/// An entity that the steps cannot carry over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityFailure {
    pub entity_type: String,
    pub key: String,
    /// Of its newest change.
    pub position: Position,
    pub faults: Vec<ValueFault>,
}

/// One step of a migration, as its log keeps it.
#[derive(Clone, Debug)]
pub enum Event {
    Started {
        id: MigrationId,
        from: SchemaRef,
        to: SchemaRef,
        steps: Arc<Steps>,
        position: Position,
        start: Position,
        total: u64,
        at: Timestamp,
    },
    /// More entities were looked at; those rewritten stand in the same step of the log.
    Advanced {
        cursor: Position,
        rewritten: u64,
        unchanged: u64,
    },
    Failed {
        failures: Vec<EntityFailure>,
        at: Timestamp,
    },
    Continued {
        at: Timestamp,
    },
    Done {
        at: Timestamp,
    },
    Cancelled {
        position: Position,
        at: Timestamp,
    },
}

/// The migrations of one stream, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    migrations: Vec<Migration>,
}

impl MigrationState {
    pub fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Failed)
    }
}

impl Ledger {
    /// Takes in the next event of the log. Total: what speaks of no open migration changes nothing.
    pub fn apply(&mut self, event: &Event) {
        if let Event::Started { id, from, to, steps, position, start, total, at } = event {
            self.migrations.push(Migration {
                id: *id,
                from: from.clone(),
                to: to.clone(),
                steps: steps.clone(),
                position: *position,
                total: *total,
                started_at: *at,
                state: MigrationState::Running,
                since: *at,
                cursor: *start,
                rewritten: 0,
                unchanged: 0,
                failures: Vec::new(),
            });
            return;
        }
        let Some(open) = self.migrations.last_mut().filter(|last| last.state.is_open()) else { return };
        match event {
            Event::Started { .. } => {}
            Event::Advanced { cursor, rewritten, unchanged } => {
                open.cursor = open.cursor.max(*cursor);
                open.rewritten += rewritten;
                open.unchanged += unchanged;
            }
            Event::Failed { failures, at } => {
                (open.state, open.since) = (MigrationState::Failed, *at);
                open.failures.clone_from(failures);
            }
            Event::Continued { at } => {
                (open.state, open.since) = (MigrationState::Running, *at);
                open.failures.clear();
            }
            Event::Done { at } => (open.state, open.since) = (MigrationState::Done, *at),
            Event::Cancelled { position, at } => {
                (open.state, open.since) = (MigrationState::Cancelled { position: *position }, *at);
            }
        }
    }

    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    pub fn get(&self, id: MigrationId) -> Option<&Migration> {
        self.migrations.iter().find(|migration| migration.id == id)
    }

    /// The one that is running or waits for a repair.
    pub fn open(&self) -> Option<&Migration> {
        self.migrations.last().filter(|last| last.state.is_open())
    }

    pub fn running(&self) -> Option<&Migration> {
        self.open().filter(|open| open.state == MigrationState::Running)
    }

    /// What the next one is called.
    pub fn next_id(&self) -> MigrationId {
        self.migrations.last().map_or(1, |last| last.id.saturating_add(1))
    }
}

impl Migration {
    /// The transaction that its changes belong to.
    pub fn txid(&self) -> String {
        format!("migration-{}", self.id)
    }
}
