//! JSON-RPC 2.0 over HTTP: how clients, applications and people talk to a node.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::node::Event;

/// Largest request body; a relay's payload in hex, with its envelope.
const MAX_BODY: usize = 3 << 20;

/// A call that waits for its answer.
pub(crate) struct Call {
    pub method: String,
    pub params: Value,
    pub reply: oneshot::Sender<Result<Value, RpcError>>,
}

/// A payload that an application sends through a gateway.
pub(crate) struct GatewayRelay {
    pub application: String,
    pub chain: String,
    pub payload: Vec<u8>,
    pub reply: oneshot::Sender<Result<Vec<u8>, RpcError>>,
}

/// An error as JSON-RPC names it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RpcError {
    pub code: i64,
    pub message: String,
}

impl RpcError {
    pub(crate) fn params(reason: impl std::fmt::Display) -> Self {
        Self { code: -32602, message: format!("invalid params: {reason}") }
    }

    pub(crate) fn refused(reason: impl std::fmt::Display) -> Self {
        Self { code: -32000, message: reason.to_string() }
    }

    pub(crate) fn internal(reason: impl std::fmt::Display) -> Self {
        Self { code: -32603, message: format!("internal error: {reason}") }
    }

    pub(crate) fn no_method(method: &str) -> Self {
        Self { code: -32601, message: format!("there is no method {method:?}") }
    }
}

/// Answers calls until the node stops.
pub(crate) async fn serve(listener: TcpListener, events: mpsc::Sender<Event>) -> Result<()> {
    let router = Router::new()
        .route("/", post(call))
        .route("/relay/{application}/{chain}", post(relay))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(events);
    axum::serve(listener, router).await.context("serving JSON-RPC")
}

async fn call(State(events): State<mpsc::Sender<Event>>, body: Bytes) -> Response {
    let request: Value = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return answer(&Value::Null, Err(parse_error(error))),
    };
    let id = request.get("id").cloned().unwrap_or(Value::Null);
    let version = request.get("jsonrpc").and_then(Value::as_str);
    let Some(method) = request.get("method").and_then(Value::as_str) else {
        return answer(&id, Err(invalid_request("no method")));
    };
    if version != Some("2.0") {
        return answer(&id, Err(invalid_request("jsonrpc must be \"2.0\"")));
    }
    let params = request.get("params").cloned().unwrap_or(Value::Null);
    let (reply, answered) = oneshot::channel();
    let call = Call { method: method.to_owned(), params, reply };
    // A full queue answers at once: a client that floods must not slow consensus down.
    if events.try_send(Event::Call(call)).is_err() {
        return answer(&id, Err(RpcError::refused("the node is busy; try again later")));
    }
    let result = answered.await.unwrap_or_else(|_| Err(RpcError::internal("the node stopped")));
    answer(&id, result)
}

async fn relay(
    State(events): State<mpsc::Sender<Event>>,
    Path((application, chain)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let (reply, answered) = oneshot::channel();
    let relay = GatewayRelay { application, chain, payload: body.into(), reply };
    if events.try_send(Event::GatewayRelay(relay)).is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the gateway is busy").into_response();
    }
    match answered.await {
        Ok(Ok(payload)) => ([("content-type", "application/json")], payload).into_response(),
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, error.message).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the gateway stopped").into_response(),
    }
}

fn answer(id: &Value, result: Result<Value, RpcError>) -> Response {
    let body = match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    };
    axum::Json(body).into_response()
}

fn parse_error(error: serde_json::Error) -> RpcError {
    RpcError { code: -32700, message: format!("not JSON: {error}") }
}

fn invalid_request(reason: &str) -> RpcError {
    RpcError { code: -32600, message: format!("invalid request: {reason}") }
}

/// Calls another node.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(url: String) -> Result<Self> {
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build()?;
        Ok(Self { http, url })
    }

    /// The result of a call.
    pub(crate) async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let response = self.http.post(&self.url).json(&body).send().await;
        let mut answer: Value = response
            .with_context(|| format!("calling {}", self.url))?
            .json()
            .await
            .with_context(|| format!("reading the answer of {}", self.url))?;
        if let Some(error) = answer.get("error") {
            bail!("{method}: {}", error["message"].as_str().unwrap_or("unnamed error"));
        }
        let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
        serde_json::from_value(result).with_context(|| format!("{method} answered unexpectedly"))
    }

    /// Posts a payload as it is and returns the answer as it is.
    pub(crate) async fn post(&self, path: &str, payload: Vec<u8>) -> Result<Vec<u8>> {
        let url = format!("{}{path}", self.url);
        let request = self.http.post(&url).header("content-type", "application/json");
        let response =
            request.body(payload).send().await.with_context(|| format!("calling {url}"))?;
        let status = response.status();
        let body = response.bytes().await?;
        if !status.is_success() {
            bail!("{}", String::from_utf8_lossy(&body));
        }
        Ok(body.into())
    }
}
