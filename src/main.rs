//! Arguments in, exit code out.

use std::process::ExitCode;

/// Requests are many small allocations, made on one thread and often freed on another: see docs/performance.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    keyfold::cli::run(std::env::args_os()).await
}
