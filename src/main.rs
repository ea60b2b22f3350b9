//! Arguments in, exit code out.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    keyfold::cli::run(std::env::args_os()).await
}
