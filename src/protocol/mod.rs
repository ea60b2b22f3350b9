//! Text and JSON forms of the rules' types: what is written to clients and read from them, byte for byte.
//!
//! Decides how things are spelled, not whether they are allowed. The stored form of a change is made here, once, when
//! it is written; reads send stored bytes.

pub mod change;
pub mod compatibility;
pub mod confluent;
pub mod control;
pub mod cursor;
pub mod inspection;
pub mod json;
pub mod migration;
pub mod plain;
pub mod registry;
pub mod schema;
pub mod sse;
pub mod subscription;
pub mod transfer;
