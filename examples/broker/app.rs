//! What the standalone broker answers to HTTP requests: its own few routes, and around them the
//! broker's.

use crate::demo::Demo;
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
use std::sync::Arc;
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
}

impl App {
    pub(crate) fn new(broker: Broker, demo: Option<Demo>, webhook: Option<&Webhook>) -> Self {
        Self {
            service: broker.service(),
            broker,
            demo: demo.map(Arc::new),
            webhook: webhook.map(|webhook| Arc::clone(webhook.queue())),
        }
    }

    pub(crate) async fn respond(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let reply = match request.uri().path() {
            "/healthz" => get(request.method(), reply::text(StatusCode::OK, "ok\n")),
            "/readyz" => get(request.method(), readiness(&self.broker).await),
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
        reply::body(StatusCode::OK, MEDIA_TYPE, text)
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
