//! Carrying a stream's entities over to another version of its schema.

use reqwest::Method;

use crate::protocol::migration::{
    CancelledReply, DryRunReply, MigrationBody, MigrationRequest, MigrationsReply, SchemaAtReply,
};

use super::{ClientError, StreamHandle, url};

impl StreamHandle {
    /// What a migration would do. Writes nothing.
    pub async fn try_migration(&self, request: &MigrationRequest) -> Result<DryRunReply, ClientError> {
        let path = self.resource("migrations?dry_run=true")?;
        self.client().long_json(self.client().request(Method::POST, &path).json(request)).await
    }

    /// Binds the stream to the new version and has its entities follow. With `check`, refused where some cannot.
    pub async fn migrate(&self, request: &MigrationRequest, check: bool) -> Result<MigrationBody, ClientError> {
        let path = self.resource(if check { "migrations" } else { "migrations?check=false" })?;
        self.client().long_json(self.client().request(Method::POST, &path).json(request)).await
    }

    /// All migrations of the stream, oldest first.
    pub async fn migrations(&self) -> Result<Vec<MigrationBody>, ClientError> {
        let path = self.resource("migrations")?;
        let reply: MigrationsReply = self.client().call_json(self.client().request(Method::GET, &path)).await?;
        Ok(reply.migrations)
    }

    /// How far a migration has come.
    pub async fn migration(&self, id: u32) -> Result<MigrationBody, ClientError> {
        let path = self.resource(&format!("migrations/{id}"))?;
        self.client().call_json(self.client().request(Method::GET, &path)).await
    }

    /// Lets a migration go on that has failed.
    pub async fn continue_migration(&self, id: u32) -> Result<MigrationBody, ClientError> {
        let path = self.resource(&format!("migrations/{id}/continue"))?;
        self.client().call_json(self.client().request(Method::POST, &path)).await
    }

    /// Gives a migration up that is not over.
    pub async fn cancel_migration(&self, id: u32) -> Result<CancelledReply, ClientError> {
        let path = self.resource(&format!("migrations/{id}"))?;
        self.client().long_json(self.client().request(Method::DELETE, &path)).await
    }

    /// The schema that holds from an offset on; the present one if none is given.
    pub async fn schema_at(&self, offset: Option<&str>) -> Result<SchemaAtReply, ClientError> {
        let path = url::with_query(&self.resource("schema")?, [("offset", offset)]);
        self.client().call_json(self.client().request(Method::GET, &path)).await
    }
}
