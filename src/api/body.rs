//! Bodies that are made as they are sent: a state, and a step that gives the next bytes.
//!
//! A step runs only when the connection takes more, so a slow reader holds one step's bytes and no queue.

use std::convert::Infallible;
use std::future::Future;

use axum::body::{Body, Bytes};
use futures_util::stream;

/// What a step gives: bytes to send and the state to go on from, or the end.
pub type Next<S> = Option<(Bytes, S)>;

/// A body that ends when `step` gives `None`.
pub fn stepwise<S, F, R>(state: S, step: F) -> Body
where
    S: Send + 'static,
    F: Fn(S) -> R + Clone + Send + 'static,
    R: Future<Output = Next<S>> + Send + 'static,
{
    Body::from_stream(stream::unfold(state, move |state| {
        let step = step.clone();
        async move { step(state).await.map(|(bytes, state)| (Ok::<_, Infallible>(bytes), state)) }
    }))
}
