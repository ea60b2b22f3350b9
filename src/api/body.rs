//! Bodies that are made as they are sent: a state, and a step that gives the next bytes.
//!
//! A step runs only when the connection takes more, so a slow reader holds one step's bytes and no queue.

use std::future::Future;

use axum::body::{Body, Bytes};
use futures_util::stream;

/// What a step gives: bytes to send and the state to go on from, or the end.
pub type Next<S> = Option<(Bytes, S)>;

/// The body cannot go on. The connection is broken off, so that what was sent is not taken for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut short")]
pub struct CutShort;

/// A body that ends when `step` gives `None`.
pub fn stepwise<S, F, R>(state: S, step: F) -> Body
where
    S: Send + 'static,
    F: Fn(S) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Next<S>, CutShort>> + Send + 'static,
{
    Body::from_stream(stream::try_unfold(state, move |state| {
        let step = step.clone();
        async move { step(state).await }
    }))
}
