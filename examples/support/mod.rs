//! A server for one example: on a free port, with a data directory that is gone afterwards.

use keyfold::client::Client;
use keyfold::config::ServeArgs;
use keyfold::server::{self, Running};
use tempfile::TempDir;

pub struct Server {
    running: Running,
    client: Client,
    data_dir: TempDir,
}

pub async fn start() -> anyhow::Result<Server> {
    let data_dir = tempfile::tempdir()?;
    let args = ServeArgs { port: Some(0), data_dir: Some(data_dir.path().to_owned()), ..ServeArgs::default() };
    let running = server::start(args.settings()?).await?;
    let client = Client::new(&running.url())?;
    Ok(Server { running, client, data_dir })
}

impl Server {
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.running.stop().await?;
        Ok(self.data_dir.close()?)
    }
}
