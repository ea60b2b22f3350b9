//! Many batches from one connection, in order, without waiting for each: the next is decided while the last becomes durable.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{Producer, StreamName};
use crate::protocol::json::{self, JsonFault};

use super::handle::Handle;
use super::typed::{Birth, DecidedTyped, Writer};
use super::{Appended, Engine, Fault};
use crate::stream::Lifetime;

/// One connection's ordered writes to a typed stream.
pub struct Ingest {
    engine: Engine,
    handle: Arc<Handle>,
}

/// Resolves once a line is durable.
pub type Acknowledgement = BoxFuture<'static, Result<Appended, Fault>>;

impl Engine {
    /// Opens a stream for ingest; it must be typed, or bound.
    pub async fn ingest(&self, name: &StreamName) -> Result<Ingest, Fault> {
        let (handle, _) = self.peek(name).await?;
        self.schema_of(&handle)?;
        Ok(Ingest { engine: self.clone(), handle })
    }
}

impl Ingest {
    /// Decides on one line: a change, or an array of changes that is written whole. Lines are decided in call order;
    /// a refusal is known at once or, where it rests on what is not durable yet, from the acknowledgement.
    pub async fn line(&self, line: &[u8], producer: Option<Producer>) -> Result<Acknowledgement, Fault> {
        let writer = Writer { producer, ..Writer::default() };
        if let Some(plain) = self.engine.plain_batch(&self.handle, line)
            && let Some(decided) = self.engine.decide_plain(&self.handle, plain, writer.clone()).await?
        {
            return Ok(self.acknowledgement(decided));
        }
        let messages = json::messages(line, self.engine.limits().batch_messages_max)?;
        if messages.is_empty() {
            return Err(JsonFault::EmptyArray.into());
        }
        loop {
            let schema = self.engine.schema_of(&self.handle)?;
            let batch = match self.engine.prepare(&self.handle, &schema, &messages) {
                Ok(batch) => batch,
                Err(fault) => {
                    return match self.engine.repeat(&self.handle, &writer).await? {
                        Some(repeat) => Ok(Box::pin(std::future::ready(Ok(repeat)))),
                        None => Err(self.engine.repeat_or(&self.handle, &writer, fault).await?),
                    };
                }
            };
            let birth = Birth { lifetime: Lifetime::Unlimited, schema, only: false, fork: None };
            if let Some(decided) = self.engine.decide_typed(&self.handle, batch, writer.clone(), Some(birth)).await? {
                return Ok(self.acknowledgement(decided));
            }
        }
    }

    fn acknowledgement(&self, decided: DecidedTyped) -> Acknowledgement {
        let (engine, handle) = (self.engine.clone(), self.handle.clone());
        Box::pin(async move { engine.conclude_typed(&handle, decided).await })
    }
}
