//! `keyfold serve`: a server in the foreground until it is told to stop.

use crate::config::{ServeArgs, StoreKind};
use crate::server::{self, ServerError};
use crate::telemetry;

use super::failure::Failure;

pub async fn run(args: ServeArgs) -> Result<(), Failure> {
    let settings = args.settings().map_err(|e| Failure::Usage(e.to_string()))?;
    telemetry::init(&settings.log, settings.log_format).map_err(Failure::Usage)?;
    let store = settings.store;
    let data_dir = (store == StoreKind::Journal).then(|| settings.data_dir.display().to_string());
    let guarded = settings.api.token.is_some();
    if !guarded && !settings.address.ip().is_loopback() {
        tracing::warn!(
            address = %settings.address,
            "anyone who reaches this address can read and write: set a token, or listen on 127.0.0.1"
        );
    }
    let running = server::start(settings).await.map_err(|e| Failure::Failed(advice(&e)))?;
    tracing::info!(
        url = running.url(),
        store = ?store,
        data_dir,
        guarded,
        "keyfold serves"
    );
    let failed = tokio::select! {
        () = stop_signal() => false,
        () = running.failed() => true,
    };
    tracing::info!("stopping");
    running.stop().await.map_err(|e| Failure::Failed(e.to_string()))?;
    match failed {
        true => Err(Failure::Failed(ServerError::BarrierFailed.to_string())),
        false => Ok(()),
    }
}

/// Resolves when the process is asked to end.
pub async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    // Without a handler the signal ends the process at once, which the log survives as well.
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn advice(error: &ServerError) -> String {
    match error {
        ServerError::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
            format!("{address} is in use: stop what listens there, or choose another with --port")
        }
        error => error.to_string(),
    }
}
