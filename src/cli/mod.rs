//! The command line: one file per command, each a few calls of [`crate::client`] and a rendering of the answers.
//!
//! It decides how answers look and what to do next when one is a refusal. Its invariants: data goes to standard output
//! and everything else to standard error, so that every command can be piped; `--json` prints one JSON document per
//! line; the exit code is 0 when done, 1 when refused or failed, 2 when called wrongly or when nothing can be said; a
//! reader that has seen enough (a broken pipe) ends a command quietly.

mod backup;
mod bind;
mod check;
mod codegen;
mod completions;
mod delete;
pub mod demo;
mod failure;
mod fork;
mod get;
mod inspect;
mod junit;
mod list;
mod migrate;
mod output;
mod put;
mod schema;
mod serve;
mod snapshot;
mod table;
mod tail;
mod transfer;
mod verify;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::client::Client;
use failure::Failure;
use output::Out;

/// A typed entity change-log service: validated changes in, folded snapshots and live changes out.
#[derive(Parser)]
#[command(name = "keyfold", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(Box<crate::config::ServeArgs>),
    /// Run a server with a simulated fleet of workers and sagas, to look at and to try things on.
    Demo(demo::DemoArgs),
    /// Register document versions and look at them.
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Generate code from a document: types, and validators that agree with the server.
    #[command(subcommand)]
    Codegen(codegen::CodegenCommand),
    /// Bind streams to a subject, replacing a binding of that name as a whole; list and remove bindings.
    Bind(Remote<bind::BindArgs>),
    /// Write one entity: as a whole, or merged into what is there.
    Put(Remote<put::PutArgs>),
    /// Delete one entity.
    Delete(Remote<delete::DeleteArgs>),
    /// Print one entity.
    Get(Remote<get::GetArgs>),
    /// Print a collection's entities.
    List(Remote<list::ListArgs>),
    /// Show a collection as a table that follows its changes.
    Watch(Remote<watch::WatchArgs>),
    /// Print a stream's changes, one per line, and go on with new ones.
    Tail(Remote<tail::TailArgs>),
    /// Carry a stream's entities over to another version of its schema.
    Migrate(Remote<migrate::MigrateArgs>),
    /// Go on from a place in a stream, in a stream of its own.
    Fork(Remote<fork::ForkArgs>),
    /// Print all of a stream's live entities as of one offset.
    Snapshot(Remote<snapshot::SnapshotArgs>),
    /// Print what the server knows of a stream, or which streams there are.
    Inspect(Remote<inspect::InspectArgs>),
    /// Check a data directory that no server uses, and build its catalogue again where it is wrong.
    Verify(verify::VerifyArgs),
    /// Copy what is new of a data directory into a backup, while the server runs.
    Backup(backup::BackupArgs),
    /// Make a data directory of a backup, as of its end or of an earlier moment.
    Restore(backup::RestoreArgs),
    /// Write all of a data directory that no server uses as lines of JSON.
    Export(transfer::ExportArgs),
    /// Make a data directory of what `export` wrote.
    Import(transfer::ImportArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
}

/// A command that calls a server.
#[derive(Args)]
pub struct Remote<A: Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    connection: Connection,
}

/// Which server to call, and how to print what it answers.
#[derive(Args)]
pub struct Connection {
    /// The server's address [default: http://127.0.0.1:4437]
    #[arg(long, value_name = "URL", env = "KEYFOLD_URL", help_heading = "Server")]
    url: Option<String>,
    /// Other clients' name for the same setting.
    #[arg(long, env = "DURABLE_STREAMS_URL", hide = true)]
    durable_streams_url: Option<String>,
    /// The server's bearer token; DURABLE_STREAMS_SECRET works as well
    #[arg(long, value_name = "TOKEN", env = "STREAMS_SECRET", hide_env_values = true, help_heading = "Server")]
    token: Option<String>,
    #[arg(long, env = "DURABLE_STREAMS_SECRET", hide = true, hide_env_values = true)]
    durable_streams_token: Option<String>,
    /// Print one JSON document per line
    #[arg(long)]
    json: bool,
}

impl Connection {
    const DEFAULT_URL: &str = "http://127.0.0.1:4437";

    fn client(&self) -> Result<Client, Failure> {
        // An empty variable is how shells unset one for a single command.
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let url = given(&self.url).or(given(&self.durable_streams_url));
        let client = Client::new(url.as_deref().unwrap_or(Self::DEFAULT_URL))?;
        match given(&self.token).or(given(&self.durable_streams_token)) {
            Some(token) => Ok(client.token(&token)?),
            None => Ok(client),
        }
    }

    fn out(&self) -> Out {
        Out::stdout(self.json)
    }
}

/// Runs one command to its end. `args` begins with the program's name.
pub async fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => {
            // Nobody is left to tell where printing the usage fails.
            let _ = usage.print();
            return if usage.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl Command {
    async fn run(self) -> Result<(), Failure> {
        match self {
            Self::Serve(args) => serve::run(*args).await,
            Self::Demo(args) => demo::run(args).await,
            Self::Schema(command) => schema::run(command).await,
            Self::Codegen(command) => codegen::run(command).await,
            Self::Bind(remote) => bind::run(remote).await,
            Self::Put(remote) => put::run(remote).await,
            Self::Delete(remote) => delete::run(remote).await,
            Self::Get(remote) => get::run(remote).await,
            Self::List(remote) => list::run(remote).await,
            Self::Watch(remote) => watch::run(remote).await,
            Self::Tail(remote) => tail::run(remote).await,
            Self::Migrate(remote) => migrate::run(remote).await,
            Self::Fork(remote) => fork::run(remote).await,
            Self::Snapshot(remote) => snapshot::run(remote).await,
            Self::Inspect(remote) => inspect::run(remote).await,
            Self::Verify(args) => verify::run(args).await,
            Self::Backup(args) => backup::run_backup(args).await,
            Self::Restore(args) => backup::run_restore(args).await,
            Self::Export(args) => transfer::run_export(args).await,
            Self::Import(args) => transfer::run_import(args).await,
            Self::Completions(args) => completions::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
