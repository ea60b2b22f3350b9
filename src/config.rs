//! Settings: a file, the environment and flags become checked values. Nothing else reads the environment.
//!
//! A flag wins over the environment, that over the file, that over the default. One struct describes all three, so
//! that the reference (`docs/configuration.md`, `schemas/config.json`) cannot say anything else than the program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::ApiSettings;
use crate::engine;
use crate::engine::subscriptions::SubscriptionSettings;
use crate::model::{Limits, StreamName};
use crate::storage::JournalOptions;
use crate::telemetry::LogFormat;

/// Run the server.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServeArgs {
    /// TOML file with these settings, named as the flags with `_` for `-`
    #[arg(long, value_name = "FILE", env = "KEYFOLD_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "KEYFOLD_HOST")]
    pub host: Option<IpAddr>,
    /// Port to listen on; 0 takes a free one; STREAMS_PORT works as well [default: 4437]
    #[arg(long, env = "PORT")]
    pub port: Option<u16>,
    #[arg(long, env = "STREAMS_PORT", hide = true)]
    #[serde(skip)]
    pub streams_port: Option<u16>,
    /// Directory of the data; made if it is missing [default: keyfold-data]
    #[arg(long, value_name = "DIR", env = "STREAMS_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the log is kept [default: journal]
    #[arg(long, env = "KEYFOLD_STORE")]
    pub store: Option<StoreKind>,
    /// Bearer token that guards everything but health; DURABLE_STREAMS_SECRET works as well [default: none]
    #[arg(long, env = "STREAMS_SECRET", hide_env_values = true)]
    pub token: Option<String>,
    #[arg(long, env = "DURABLE_STREAMS_SECRET", hide = true, hide_env_values = true)]
    #[serde(skip)]
    pub durable_streams_token: Option<String>,
    /// Size of a journal segment in bytes [default: 67108864]
    #[arg(long, env = "KEYFOLD_SEGMENT_BYTES")]
    pub segment_bytes: Option<u64>,
    /// Full segments that are clustered together, which sorts their records by stream; 0 for never [default: 4]
    #[arg(long, env = "KEYFOLD_CLUSTER_AFTER")]
    pub cluster_after: Option<usize>,
    /// How long a long-poll waits for data, in milliseconds [default: 20000]
    #[arg(long, env = "KEYFOLD_LONG_POLL_MS")]
    pub long_poll_ms: Option<u64>,
    /// Longest silence on a live connection, in milliseconds [default: 15000]
    #[arg(long, env = "KEYFOLD_HEARTBEAT_MS")]
    pub heartbeat_ms: Option<u64>,
    /// About how long a protocol SSE response lasts, in milliseconds [default: 60000]
    #[arg(long, env = "KEYFOLD_SSE_ROTATION_MS")]
    pub sse_rotation_ms: Option<u64>,
    /// How long a write to a connection may be stuck before it is closed, in milliseconds [default: 30000]
    #[arg(long, env = "KEYFOLD_WRITE_TIMEOUT_MS")]
    pub write_timeout_ms: Option<u64>,
    /// Streams neither read nor written for so long give their memory back, in milliseconds [default: 300000]
    #[arg(long, env = "KEYFOLD_STREAM_IDLE_MS")]
    pub stream_idle_ms: Option<u64>,
    /// Largest request body in bytes [default: 16777216]
    #[arg(long, env = "KEYFOLD_REQUEST_BYTES_MAX")]
    pub request_bytes_max: Option<usize>,
    /// Largest value of a typed change in bytes [default: 1048576]
    #[arg(long, env = "KEYFOLD_VALUE_BYTES_MAX")]
    pub value_bytes_max: Option<usize>,
    /// Largest page of a read in bytes [default: 524288]
    #[arg(long, env = "KEYFOLD_PAGE_BYTES_MAX")]
    pub page_bytes_max: Option<usize>,
    /// Largest registered document in bytes [default: 1048576]
    #[arg(long, env = "KEYFOLD_SCHEMA_BYTES_MAX")]
    pub schema_bytes_max: Option<usize>,
    /// Producers remembered per stream [default: 10000]
    #[arg(long, env = "KEYFOLD_PRODUCERS_MAX")]
    pub producers_max: Option<usize>,
    /// Bytes of one stream that may wait for the disk [default: 67108864]
    #[arg(long, env = "KEYFOLD_STREAM_IN_FLIGHT_BYTES_MAX")]
    pub stream_in_flight_bytes_max: Option<usize>,
    /// Bytes of all streams that may wait for the disk [default: 268435456]
    #[arg(long, env = "KEYFOLD_IN_FLIGHT_BYTES_MAX")]
    pub in_flight_bytes_max: Option<usize>,
    /// Bytes that all request bodies together may hold in memory [default: 268435456]
    #[arg(long, env = "KEYFOLD_BODIES_BYTES_MAX")]
    pub bodies_bytes_max: Option<usize>,
    /// Bytes that all pages on their way to readers may hold in memory [default: 536870912]
    #[arg(long, env = "KEYFOLD_PAGES_BYTES_MAX")]
    pub pages_bytes_max: Option<usize>,
    /// Open connections [default: 20000]
    #[arg(long, env = "KEYFOLD_CONNECTIONS_MAX")]
    pub connections_max: Option<usize>,
    /// Requests received and not answered yet, live reads apart [default: 10000]
    #[arg(long, env = "KEYFOLD_REQUESTS_MAX")]
    pub requests_max: Option<usize>,
    /// Open live reads, and snapshots on their way [default: 50000]
    #[arg(long, env = "KEYFOLD_LIVE_READERS_MAX")]
    pub live_readers_max: Option<usize>,
    /// Streams whose newest changes are read from the log at the same time [default: 4]
    #[arg(long, env = "KEYFOLD_FOLD_LOADS_MAX")]
    pub fold_loads_max: Option<usize>,
    /// Bytes that the newest changes of all streams may take before those of unused streams are dropped [default: 2147483648]
    #[arg(long, env = "KEYFOLD_FOLDS_BYTES_MAX")]
    pub folds_bytes_max: Option<usize>,
    /// Where workers reach the server, such as `https://streams.example`; the listening address if not given [default: none]
    #[arg(long, value_name = "URL", env = "KEYFOLD_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Subscriptions of the server [default: 10000]
    #[arg(long, env = "KEYFOLD_SUBSCRIPTIONS_MAX")]
    pub subscriptions_max: Option<usize>,
    /// Streams of one subscription [default: 10000]
    #[arg(long, env = "KEYFOLD_SUBSCRIPTION_STREAMS_MAX")]
    pub subscription_streams_max: Option<usize>,
    /// Webhook deliveries at the same time [default: 64]
    #[arg(long, env = "KEYFOLD_WEBHOOK_DELIVERIES_MAX")]
    pub webhook_deliveries_max: Option<usize>,
    /// How long a webhook may take to answer, in milliseconds [default: 10000]
    #[arg(long, env = "KEYFOLD_WEBHOOK_TIMEOUT_MS")]
    pub webhook_timeout_ms: Option<u64>,
    /// Whether webhooks may be on localhost and 127.0.0.x, without TLS; for development [default: false]
    #[arg(long, env = "KEYFOLD_WEBHOOK_ALLOW_LOCALHOST", num_args = 0..=1, default_missing_value = "true")]
    pub webhook_allow_localhost: Option<bool>,
    /// Serve streams at the root as well, those below PREFIX, as in `netscript/`; all of them without one [default: none]
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "/", env = "KEYFOLD_ROOT_MOUNT")]
    pub root_mount: Option<String>,
    /// What is logged, as a filter such as `info` or `keyfold=debug` [default: info]
    #[arg(long, env = "KEYFOLD_LOG")]
    pub log: Option<String>,
    /// How log lines look [default: text]
    #[arg(long, env = "KEYFOLD_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// More places than this are none that anybody waits for.
const PLACES_MAX: usize = 1_000_000;

/// Where the log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Files in the data directory; survives power loss.
    #[default]
    Journal,
    /// Memory only; gone with the process.
    Memory,
}

/// Checked settings of a server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub address: SocketAddr,
    pub data_dir: PathBuf,
    pub store: StoreKind,
    pub segment_bytes: u64,
    /// See [`crate::storage::JournalOptions::cluster_after`].
    pub cluster_after: usize,
    pub write_timeout: Duration,
    /// The listening address where it is `None`.
    pub public_url: Option<String>,
    pub webhook_timeout: Duration,
    pub api: ApiSettings,
    pub engine: engine::Settings,
    pub log: String,
    pub log_format: LogFormat,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}")]
    Parse { path: PathBuf, reason: String },
    #[error("{setting}: {reason}")]
    Value { setting: &'static str, reason: &'static str },
}

impl ServeArgs {
    /// Reads the file, if one is named, and checks everything.
    pub fn settings(self) -> Result<ServerSettings, ConfigError> {
        let file = match &self.config {
            Some(path) => read_file(path)?,
            None => Self::default(),
        };
        self.resolved().or(file).checked()
    }

    /// Flags and environment with their other names; an empty text is how shells unset a variable for one command.
    fn resolved(self) -> Self {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self {
            port: self.port.or(self.streams_port),
            token: given(self.token).or(given(self.durable_streams_token)),
            root_mount: given(self.root_mount),
            streams_port: None,
            durable_streams_token: None,
            ..self
        }
    }

    fn or(self, file: Self) -> Self {
        macro_rules! first_given {
            ($($field:ident),* $(,)?) => { Self { $($field: self.$field.or(file.$field)),* } };
        }
        first_given!(
            config,
            host,
            port,
            streams_port,
            data_dir,
            store,
            token,
            durable_streams_token,
            segment_bytes,
            cluster_after,
            long_poll_ms,
            heartbeat_ms,
            sse_rotation_ms,
            write_timeout_ms,
            stream_idle_ms,
            request_bytes_max,
            value_bytes_max,
            page_bytes_max,
            schema_bytes_max,
            producers_max,
            stream_in_flight_bytes_max,
            in_flight_bytes_max,
            bodies_bytes_max,
            pages_bytes_max,
            connections_max,
            requests_max,
            live_readers_max,
            fold_loads_max,
            folds_bytes_max,
            public_url,
            subscriptions_max,
            subscription_streams_max,
            webhook_deliveries_max,
            webhook_timeout_ms,
            webhook_allow_localhost,
            root_mount,
            log,
            log_format,
        )
    }

    fn checked(self) -> Result<ServerSettings, ConfigError> {
        let bad = |setting, reason| Err(ConfigError::Value { setting, reason });
        let segment_bytes = self.segment_bytes.unwrap_or(64 << 20);
        if !(65_536..=1 << 32).contains(&segment_bytes) {
            return bad("segment_bytes", "64 KiB to 4 GiB");
        }
        if self.heartbeat_ms.is_some_and(|millis| !(10..=15_000).contains(&millis)) {
            return bad("heartbeat_ms", "10 to 15000: consumers take a longer silence for a dead connection");
        }
        // A response lasts down to 0.9 of it, and a reader whose responses last less than a second gives SSE up.
        if self.sse_rotation_ms.is_some_and(|millis| millis < 2_000) {
            return bad(
                "sse_rotation_ms",
                "at least 2000: readers give SSE up where responses last less than a second",
            );
        }
        let root_mount = match self.root_mount.as_deref().map(root_prefix) {
            Some(None) => return bad("root_mount", "a stream path such as `netscript/`, or `/` for all streams"),
            Some(Some(prefix)) => Some(prefix),
            None => None,
        };
        if self.bodies_bytes_max.unwrap_or(256 << 20) < self.request_bytes_max.unwrap_or(16 << 20) {
            return bad("bodies_bytes_max", "at least request_bytes_max");
        }
        if self.pages_bytes_max.unwrap_or(512 << 20) < self.page_bytes_max.unwrap_or(512 << 10) {
            return bad("pages_bytes_max", "at least page_bytes_max");
        }
        if self.page_bytes_max == Some(0) || self.request_bytes_max == Some(0) || self.connections_max == Some(0) {
            return bad("page_bytes_max, request_bytes_max, connections_max", "at least 1");
        }
        if self.requests_max == Some(0) || self.live_readers_max == Some(0) || self.fold_loads_max == Some(0) {
            return bad("requests_max, live_readers_max, fold_loads_max", "at least 1");
        }
        if self.requests_max.max(self.fold_loads_max) > Some(PLACES_MAX) {
            return bad("requests_max, fold_loads_max", "at most 1000000");
        }
        if self.webhook_deliveries_max == Some(0) || self.webhook_timeout_ms == Some(0) {
            return bad("webhook_deliveries_max, webhook_timeout_ms", "at least 1");
        }
        let public_url = self.public_url.filter(|url| !url.is_empty());
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        let is_base = |text: &String| {
            let url = url::Url::parse(text);
            url.is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none()
            })
        };
        if public_url.as_ref().is_some_and(|url| !is_base(url)) {
            return bad("public_url", "an http or https URL without a query");
        }
        let default = Limits::default();
        let limits = Limits {
            request_bytes_max: self.request_bytes_max.unwrap_or(default.request_bytes_max),
            value_bytes_max: self.value_bytes_max.unwrap_or(default.value_bytes_max),
            page_bytes_max: self.page_bytes_max.unwrap_or(default.page_bytes_max),
            schema_bytes_max: self.schema_bytes_max.unwrap_or(default.schema_bytes_max),
            producers_max: self.producers_max.unwrap_or(default.producers_max),
            stream_in_flight_bytes_max: self.stream_in_flight_bytes_max.unwrap_or(default.stream_in_flight_bytes_max),
            in_flight_bytes_max: self.in_flight_bytes_max.unwrap_or(default.in_flight_bytes_max),
            connections_max: self.connections_max.unwrap_or(default.connections_max),
            requests_max: self.requests_max.unwrap_or(default.requests_max),
            live_readers_max: self.live_readers_max.unwrap_or(default.live_readers_max),
            fold_loads_max: self.fold_loads_max.unwrap_or(default.fold_loads_max),
            folds_bytes_max: self.folds_bytes_max.unwrap_or(default.folds_bytes_max),
            ..default
        };
        let millis = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_millis);
        let api = ApiSettings::default();
        let token = self.token.filter(|token| !token.is_empty());
        let engine = engine::Settings::default();
        let subscriptions = SubscriptionSettings {
            subscriptions_max: self.subscriptions_max.unwrap_or(engine.subscriptions.subscriptions_max),
            links_max: self.subscription_streams_max.unwrap_or(engine.subscriptions.links_max),
            deliveries_max: self.webhook_deliveries_max.unwrap_or(engine.subscriptions.deliveries_max),
            localhost_allowed: self.webhook_allow_localhost.unwrap_or(false),
            ..engine.subscriptions
        };
        Ok(ServerSettings {
            address: SocketAddr::new(self.host.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), self.port.unwrap_or(4437)),
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("keyfold-data")),
            store: self.store.unwrap_or_default(),
            segment_bytes,
            cluster_after: self.cluster_after.unwrap_or(JournalOptions::CLUSTER_AFTER),
            write_timeout: millis(self.write_timeout_ms, Duration::from_secs(30)),
            public_url,
            webhook_timeout: millis(self.webhook_timeout_ms, Duration::from_secs(10)),
            engine: engine::Settings {
                limits,
                stream_idle: millis(self.stream_idle_ms, engine.stream_idle),
                subscriptions,
                ..engine
            },
            api: ApiSettings {
                token,
                long_poll: millis(self.long_poll_ms, api.long_poll),
                heartbeat: millis(self.heartbeat_ms, api.heartbeat),
                bodies_bytes_max: self.bodies_bytes_max.unwrap_or(api.bodies_bytes_max),
                pages_bytes_max: self.pages_bytes_max.unwrap_or(api.pages_bytes_max),
                sse_rotation: millis(self.sse_rotation_ms, api.sse_rotation),
                root_mount,
                requests_max: self.requests_max.unwrap_or(default.requests_max),
                ..api
            },
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            log_format: self.log_format.unwrap_or_default(),
        })
    }
}

/// `a/b`, `/a/b` and `a/b/` are the prefix `a/b/`; `/` is the empty one. `None`: no stream can lie below it.
fn root_prefix(given: &str) -> Option<String> {
    match given.trim_matches('/') {
        "" => Some(String::new()),
        path => StreamName::parse(path).ok().filter(|name| !name.is_reserved()).map(|name| format!("{name}/")),
    }
}

fn read_file(path: &Path) -> Result<ServeArgs, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|e| ConfigError::Parse { path: path.to_owned(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_the_file_and_that_over_the_default() {
        let file: ServeArgs = toml::from_str("port = 1\nvalue_bytes_max = 2\nstore = \"memory\"").unwrap();
        let flags = ServeArgs { port: Some(9), ..ServeArgs::default() };
        let settings = flags.or(file).checked().unwrap();
        assert_eq!((settings.address.port(), settings.store), (9, StoreKind::Memory));
        assert_eq!(settings.engine.limits.value_bytes_max, 2);
        assert_eq!(settings.engine.limits.request_bytes_max, 16 << 20);
    }

    #[test]
    fn an_empty_secret_does_not_hide_the_other_one() {
        let flags =
            ServeArgs { token: Some(String::new()), durable_streams_token: Some("x".into()), ..ServeArgs::default() };
        assert_eq!(flags.settings().unwrap().api.token.as_deref(), Some("x"));
    }

    #[test]
    fn a_root_mount_is_a_prefix_of_streams() {
        let mount = |given: &str| {
            let args = ServeArgs { root_mount: Some(given.into()), ..ServeArgs::default() };
            args.settings().map(|settings| settings.api.root_mount)
        };
        for (given, prefix) in
            [("/", Some("")), ("netscript", Some("netscript/")), ("/a/b/", Some("a/b/")), ("", None)]
        {
            assert_eq!(mount(given).unwrap().as_deref(), prefix, "{given:?}");
        }
        for given in ["a//b", "a/../b", "__ds", "__ds/a"] {
            assert!(mount(given).is_err(), "{given:?}");
        }
    }

    #[test]
    fn a_rotation_never_looks_like_a_broken_connection() {
        let rotating = |millis| ServeArgs { sse_rotation_ms: Some(millis), ..ServeArgs::default() }.checked();
        assert!(rotating(2_000).is_ok());
        assert!(rotating(1_999).is_err());
    }

    #[test]
    fn a_public_url_is_what_others_begin_with() {
        let with = |url: &str| ServeArgs { public_url: Some(url.into()), ..ServeArgs::default() }.checked();
        assert_eq!(
            with("https://a.example/keyfold/").unwrap().public_url.as_deref(),
            Some("https://a.example/keyfold")
        );
        assert_eq!(with("").unwrap().public_url, None);
        for url in ["a.example", "ftp://a.example", "https://a.example/?x", "https://a.example/#x"] {
            assert!(with(url).is_err(), "{url}");
        }
        assert!(ServeArgs { webhook_timeout_ms: Some(0), ..ServeArgs::default() }.checked().is_err());
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        assert!(toml::from_str::<ServeArgs>("prot = 1").is_err());
    }

    #[test]
    fn a_segment_too_small_is_refused() {
        assert!(ServeArgs { segment_bytes: Some(1), ..ServeArgs::default() }.checked().is_err());
    }
}
