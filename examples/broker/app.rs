//! What the standalone broker answers to HTTP requests: its own few routes, and around them the
//! broker's.

use crate::demo::Demo;
use crate::machine;
use crate::pages;
use crate::reply::{self, Reply};
use crate::webhook::{self, Webhook};
use bytes::Bytes;
use fanfare::{Broker, BrokerService};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper::{Method, Request, Response, StatusCode};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long the storage may take to say that it works.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) type Body = Either<Full<Bytes>, fanfare::Body>;

/// Cheap to clone: once for each request.
#[derive(Clone)]
pub(crate) struct App {
    broker: Broker,
    service: BrokerService,
    demo: Option<Arc<Demo>>,
    /// For its numbers.
    webhook: Option<Arc<webhook::Queue>>,
    accept_failures: Arc<AtomicU64>,
    leaving: Arc<AtomicBool>,
}

impl App {
    pub(crate) fn new(broker: Broker, demo: Option<Demo>, webhook: Option<&Webhook>) -> Self {
        Self {
            service: broker.service(),
            broker,
            demo: demo.map(Arc::new),
            webhook: webhook.map(|webhook| Arc::clone(webhook.queue())),
            accept_failures: Arc::default(),
            leaving: Arc::default(),
        }
    }

    /// How often a connection could not be accepted, for whoever accepts.
    pub(crate) fn accept_failures(&self) -> &Arc<AtomicU64> {
        &self.accept_failures
    }

    /// Once it is true, the broker is not ready any more: it goes on, but only for a while.
    pub(crate) fn leaving(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.leaving)
    }

    pub(crate) async fn respond(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let reply = match request.uri().path() {
            "/healthz" => get(request.method(), reply::text(StatusCode::OK, "ok\n")),
            "/readyz" => get(request.method(), self.readiness().await),
            "/metrics" => get(request.method(), self.metrics().await),
            path => match &self.demo {
                Some(demo) if path == "/demo/token" => demo.token(request).await,
                demo if let Some(page) = pages::find(path, demo.is_some()) => {
                    get(request.method(), page.reply())
                }
                _ => return Ok(self.service.call(request).await?.map(Either::Right)),
            },
        };
        Ok(reply.map(Either::Left))
    }

    /// What Prometheus collects. Numbers only, so that it asks for no key, as other probes don't.
    async fn metrics(&self) -> Reply {
        const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
        let mut text = self.broker.stats().await.to_prometheus();
        if let Some(queue) = &self.webhook {
            text += &queue.stats().to_prometheus();
        }
        let failures = self.accept_failures.load(Ordering::Relaxed);
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "# HELP fanfare_accept_failures_total Connections that could not be accepted, by tries.\n\
             # TYPE fanfare_accept_failures_total counter\nfanfare_accept_failures_total {failures}\n"
        );
        text += &tokio::task::spawn_blocking(machine::to_prometheus).await.unwrap_or_default();
        reply::body(StatusCode::OK, MEDIA_TYPE, text)
    }

    async fn readiness(&self) -> Reply {
        if self.leaving.load(Ordering::Relaxed) {
            return reply::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        readiness(&self.broker).await
    }
}

/// Not ready while the storage fails, or the broker shuts down.
async fn readiness(broker: &Broker) -> Reply {
    match tokio::time::timeout(CHECK_TIMEOUT, broker.check()).await {
        Ok(Ok(())) => reply::text(StatusCode::OK, "ready\n"),
        Ok(Err(_)) | Err(_) => reply::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// The reply to GET, which hyper shortens for HEAD; a refusal of other methods.
fn get(method: &Method, reply: Reply) -> Reply {
    match *method {
        Method::GET | Method::HEAD => reply,
        _ => reply::method_not_allowed("GET, HEAD"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::{Algorithm, MemoryStorage, VerifyingKey};

    #[tokio::test]
    async fn a_broker_that_has_ended_is_not_ready() {
        let key = VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
        let broker = Broker::builder().verifying_key(key).storage(MemoryStorage::new());
        let broker = broker.build().await.unwrap();
        assert_eq!(readiness(&broker).await.status(), 200);
        broker.shutdown().await.unwrap();
        assert_eq!(readiness(&broker).await.status(), 503);
    }
}
