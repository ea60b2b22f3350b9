//! OpenAPI 3.1: of the whole API, and of one stream with its real collections.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::engine::{CollectionSchema, Engine};
use crate::model::StreamName;

use super::extract::Query;
use super::problem::Problem;
use super::routes::{
    changes, compatibility, confluent, entities, history, inspect, life, migrations, registry, service, stream,
    subscriptions,
};
use super::{metrics, problem};

/// The description that `openapi/keyfold.json` holds.
#[derive(OpenApi)]
#[openapi(
    info(title = "Keyfold", description = "A typed entity change-log: validated changes in, folded snapshots and live changes out. Speaks the Durable Streams protocol.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    paths(
        stream::create, stream::append, stream::read, stream::metadata, stream::delete,
        inspect::list, inspect::stream, inspect::quarantine,
        entities::list, entities::get, entities::put, entities::patch, entities::delete,
        changes::post, super::snapshot::respond, super::events::respond, of_stream,
        history::schema, history::changes, migrations::start, migrations::list, migrations::get, migrations::go_on,
        migrations::cancel,
        registry::subjects, registry::subject, registry::register, registry::versions, registry::version,
        registry::bindings, registry::binding, registry::bind, registry::unbind,
        compatibility::judge, compatibility::config, compatibility::configure, compatibility::unconfigure,
        compatibility::global, compatibility::configure_all, compatibility::unconfigure_all,
        life::state, life::set_state, life::referenced_by, life::delete_subject, life::delete_version,
        confluent::subjects, confluent::look_up, confluent::delete_subject, confluent::versions, confluent::register,
        confluent::version_of, confluent::text_of, confluent::referenced_by, confluent::delete_version,
        confluent::schemas, confluent::by_id, confluent::text_by_id, confluent::subjects_by_id,
        confluent::versions_by_id, confluent::config, confluent::set_config, confluent::reset_config,
        confluent::subject_config, confluent::set_subject_config, confluent::reset_subject_config,
        confluent::compatible, confluent::mode, confluent::set_mode,
        subscriptions::create, subscriptions::read, subscriptions::delete, subscriptions::add_streams,
        subscriptions::remove_stream, subscriptions::callback, subscriptions::claim, subscriptions::ack,
        subscriptions::release, subscriptions::jwks,
        service::root, service::ready, service::live, metrics::scrape
    ),
    components(schemas(
        problem::ProblemBody, crate::protocol::schema::ChangeMessage, crate::protocol::schema::ControlMessage,
        crate::protocol::schema::DocumentBody, crate::protocol::subscription::WakeNotice,
        crate::protocol::subscription::WakeAnswer, crate::protocol::subscription::WakeEvent
    )),
    modifiers(&BearerToken),
    tags(
        (name = "streams", description = "The Durable Streams protocol"),
        (name = "entities", description = "Typed reads and writes"),
        (name = "inspection", description = "What there is"),
        (name = "registry", description = "Schemas and bindings"),
        (name = "confluent", description = "The Confluent Schema Registry's API over the same registry; also at the root where no streams are mounted"),
        (name = "subscriptions", description = "Waking workers when streams move"),
        (name = "operations", description = "Running it")
    )
)]
pub struct ApiDescription;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        if let Some(components) = &mut openapi.components {
            components.add_security_scheme("token", scheme);
        }
        openapi.security = Some(vec![
            utoipa::openapi::security::SecurityRequirement::default(),
            utoipa::openapi::security::SecurityRequirement::new("token", Vec::<String>::new()),
        ]);
    }
}

/// The description as text, the same on every machine.
pub fn description() -> String {
    let mut text = ApiDescription::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// `/openapi.json`
pub async fn whole() -> Response {
    json_text(description())
}

fn json_text(text: String) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// OpenAPI of one stream: its collections as components, its own addresses as paths.
#[utoipa::path(get, path = "/v1/state/{path}/-/openapi.json", tag = "inspection", params(("path" = String, Path),
        ("offset" = Option<String>, Query, description = "By the schema that held there; by the present one if left out")),
    responses((status = 200, body = serde_json::Value), (status = 404, body = problem::ProblemBody)))]
pub async fn of_stream(engine: Engine, name: StreamName, query: &Query) -> Result<Response, Problem> {
    let collections = match history::place(query)? {
        Some(offset) => CollectionSchema::all(&engine.schema_at(&name, Some(offset)).await?.registered.compiled),
        None => {
            let (handle, _) = engine.peek(&name).await?;
            engine.collection_schemas(&handle)?
        }
    };
    let path: String = name.as_str().split('/').map(encode).collect::<Vec<_>>().join("/");
    let whole: Value = serde_json::from_str(&description()).unwrap_or_default();
    let problem = whole["components"]["schemas"]["ProblemBody"].clone();
    let error = whole["components"]["schemas"]["ErrorBody"].clone();
    let written = whole["components"]["schemas"]["Written"].clone();
    let mut schemas = json!({ "ProblemBody": problem, "ErrorBody": error, "Written": written });
    let mut paths = json!({});
    let mut changes = Vec::new();
    let refusal = json!({ "description": "Refused; nothing was written", "content": {
        "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemBody" } } } });
    for collection in &collections {
        let component = component_name(&collection.name);
        let reference = json!({ "$ref": format!("#/components/schemas/{component}") });
        let key = json!({ "name": "key", "in": "path", "required": true, "schema": { "type": "string" } });
        let body = json!({ "required": true, "content": { "application/json": { "schema": reference } } });
        let found =
            json!({ "description": "The entity", "content": { "application/json": { "schema": reference } } });
        let merge = json!({ "required": true, "content": {
            "application/merge-patch+json": { "schema": { "type": "object" } } } });
        let done = json!({ "description": "Durable" });
        let one = format!("/v1/state/{path}/-/entities/{}/{{key}}", encode(&collection.entity_type));
        paths[one] = json!({
            "parameters": [key],
            "get": { "summary": format!("Get one of {}", collection.name), "responses": { "200": found, "404": refusal } },
            "put": { "summary": format!("Put one of {}", collection.name), "requestBody": body,
                "responses": { "200": done, "412": refusal, "422": refusal } },
            "patch": { "summary": format!("Patch one of {}", collection.name), "requestBody": merge,
                "responses": { "200": done, "404": refusal, "412": refusal, "422": refusal } },
            "delete": { "summary": format!("Delete one of {}", collection.name),
                "responses": { "200": done, "404": refusal, "412": refusal } },
        });
        let list = format!("/v1/state/{path}/-/entities/{}", encode(&collection.entity_type));
        let row = json!({ "type": "object", "required": ["key", "value", "offset"], "properties": {
            "key": { "type": "string" }, "value": reference, "offset": { "type": "string" } } });
        let page = json!({ "type": "object", "required": ["entities", "next"], "properties": {
            "entities": { "type": "array", "items": row }, "next": { "type": ["string", "null"] } } });
        paths[list] = json!({ "get": { "summary": format!("List {}", collection.name), "responses": { "200": {
            "description": "A page", "content": { "application/json": { "schema": page } } } } } });
        let change = format!("{component}Change");
        schemas[&change] = json!({ "type": "object", "required": ["type", "key", "headers"], "properties": {
            "type": { "const": collection.entity_type }, "key": { "type": "string" }, "value": reference,
            "headers": { "type": "object", "required": ["operation"], "properties": {
                "operation": { "enum": ["insert", "update", "upsert", "delete"] } } } } });
        changes.push(json!({ "$ref": format!("#/components/schemas/{change}") }));
        schemas[&component] = embedded(collection.schema.clone(), &component);
    }
    paths[format!("/v1/state/{path}/-/changes")] = json!({ "post": {
        "summary": "Write changes to any collection, all or none",
        "requestBody": { "required": true, "content": { "application/json": { "schema": {
            "type": "array", "minItems": 1, "items": { "oneOf": changes } } } } },
        "responses": { "200": { "description": "Durable" }, "422": refusal } } });
    paths[format!("/v1/stream/{path}")] = json!({
        "get": { "summary": "Read every change, or with fold=true the newest of each entity",
            "parameters": [
                { "name": "offset", "in": "query", "schema": { "type": "string" } },
                { "name": "fold", "in": "query", "schema": { "type": "boolean" } } ],
            "responses": { "200": { "description": "A page", "content": { "application/json": { "schema": {
                "type": "array", "items": { "oneOf": changes } } } } } } },
        "post": { "summary": "Append changes by the protocol",
            "requestBody": { "required": true, "content": { "application/json": { "schema": {
                "type": "array", "minItems": 1, "items": { "oneOf": changes } } } } },
            "responses": { "204": { "description": "Durable" }, "422": refusal } },
    });
    for (resource, summary, kind) in [
        ("snapshot", "The state at one mark", "application/json"),
        ("events", "A snapshot, then changes, for EventSource", "text/event-stream"),
    ] {
        paths[format!("/v1/state/{path}/-/{resource}")] = json!({ "get": { "summary": summary, "responses": { "200": {
            "description": summary, "content": { kind: { "schema": {} } } } } } });
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": name.as_str(), "version": env!("CARGO_PKG_VERSION"),
            "description": format!("The typed stream {name}: its collections and how to read and write them.") },
        "security": whole["security"].clone(),
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": whole["components"]["securitySchemes"].clone() },
    });
    Ok(Json(document).into_response())
}

/// A schema as a component: references to its own root point at where it stands now.
fn embedded(mut schema: Value, component: &str) -> Value {
    fn walk(value: &mut Value, root: &str) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get_mut("$ref")
                    && let Some(rest) = reference.strip_prefix('#')
                    && (rest.is_empty() || rest.starts_with('/'))
                {
                    *reference = format!("{root}{rest}");
                }
                members.values_mut().for_each(|member| walk(member, root));
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, root)),
            _ => {}
        }
    }
    // With an `$id` of its own its references resolve against that, wherever it stands.
    if schema.get("$id").is_none() {
        walk(&mut schema, &format!("#/components/schemas/{component}"));
    }
    schema
}

/// Component names are limited to a few characters. Source: OpenAPI 3.1 §4.8.7.
fn component_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect()
}

fn encode(segment: &str) -> String {
    percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
}
