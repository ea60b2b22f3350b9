//! What a server tells about its streams.

use reqwest::Method;

use crate::protocol::inspection::StreamsReply;

use super::{Client, ClientError, url};

impl Client {
    /// One page of the streams whose path begins with `prefix`.
    pub async fn streams(&self, prefix: &str, cursor: Option<&str>) -> Result<StreamsReply, ClientError> {
        let path = url::with_query("/v1/state", [("prefix", Some(prefix)), ("cursor", cursor)]);
        self.call_json(self.request(Method::GET, &path)).await
    }
}
