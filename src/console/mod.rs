//! Pages for people: the description of the API with a form to try it. Everything is in the binary; nothing is fetched.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::api::{Problem, ProblemType};

/// `/docs` and `/api/docs`, for any router.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/api/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page("index.html")))
        .route(
            "/docs/{file}",
            get(async |file: Result<Path<String>, PathRejection>| match file {
                Ok(Path(file)) => page(&file),
                Err(_) => missing(),
            }),
        )
}

const INITIALIZER: &str = include_str!("initializer.js");

fn page(file: &str) -> Response {
    if file == "swagger-initializer.js" {
        let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
        return ([(header::CONTENT_TYPE, kind)], INITIALIZER).into_response();
    }
    let config = Arc::new(Config::from("/openapi.json"));
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(found)) => {
            let mut response = found.bytes.into_response();
            let kind = HeaderValue::try_from(found.content_type);
            let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        _ => missing(),
    }
}

fn missing() -> Response {
    Problem::new(ProblemType::NotFound, "the page has no such file; it begins at /docs/").into_response()
}
