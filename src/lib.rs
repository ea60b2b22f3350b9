//! Keyfold: a typed entity change-log service.
//!
//! Producers register the shape of their collections, then upsert and delete entities; every write is checked and
//! becomes one change in an append-only stream; consumers get a snapshot and then the changes, over plain HTTP, and
//! hold the latest value per key. **The log is the truth; everything else is a fold of it.**
//!
//! Six layers; each uses only those above it (`tests/it/layers.rs` holds the direction):
//!
//! | layer | modules | what it is about |
//! |---|---|---|
//! | rules | [`model`] [`stream`] [`registry`] [`subscription`] [`fold`] [`codegen`] | what is true and what is allowed |
//! | wire | [`protocol`] | text and JSON forms of the rules' types |
//! | durability | [`storage`] | bytes that survive a crash |
//! | motion | [`engine`] | order, ownership, fan-out, shutdown |
//! | edge | [`api`] [`client`] [`console`] [`webhook`] | translating requests and replies |
//! | program | [`cli`] [`server`] [`config`] [`telemetry`] | putting the parts together |

pub mod api;
pub mod cli;
pub mod client;
pub mod codegen;
pub mod config;
pub mod console;
pub mod engine;
pub mod fold;
pub mod model;
pub mod protocol;
pub mod registry;
pub mod runtime;
pub mod server;
pub mod storage;
pub mod stream;
pub mod subscription;
pub mod telemetry;
pub mod webhook;
