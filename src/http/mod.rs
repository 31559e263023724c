//! The broker as an HTTP service (protocol section 1).

mod admin;
mod answer;
mod body;
mod client_api;
mod cors;
mod entries;
mod publish;
mod request;
mod router;
mod server_api;

pub use body::Body;

pub(crate) use request::{bearer, query_parameter};

use crate::broker::Core;
use bytes::Bytes;
use http::{Request, Response};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What errors of request bodies can be turned into.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The broker's routes as a [`hyper::service::Service`] and, with the feature `tower`, a
/// `tower_service::Service`; see [`Broker::service`](crate::Broker::service).
///
/// It answers every request and never fails. WebSocket upgrades work under hyper's HTTP/1 server
/// (`with_upgrades`), hyper-util's `auto` server (`serve_connection_with_upgrades`) and
/// `axum::serve`. TLS is the host's matter.
///
/// Paths are taken as they come, relative to the mount: frameworks that nest services strip the
/// prefix, and [`nested_at`](Self::nested_at) does so on a bare server.
///
/// The tasks of upgraded connections are spawned on the tokio runtime that serves the request.
#[derive(Clone, Debug)]
pub struct BrokerService {
    core: Arc<Core>,
    prefix: Arc<str>,
}

/// The answer to come.
pub type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send + 'static>>;

impl BrokerService {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core, prefix: "".into() }
    }

    /// The same service for requests whose paths start with `prefix`, such as `/realtime`; others
    /// are answered with 404.
    #[must_use]
    pub fn nested_at(mut self, prefix: &str) -> Self {
        self.prefix = prefix.trim_end_matches('/').into();
        self
    }

    fn respond<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (core, prefix) = (Arc::clone(&self.core), Arc::clone(&self.prefix));
        Box::pin(async move { Ok(router::answer(&core, &prefix, request).await) })
    }
}

impl<B> hyper::service::Service<Request<B>> for BrokerService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<B>) -> Self::Future {
        self.respond(request)
    }
}

#[cfg(feature = "tower")]
impl<B> tower_service::Service<Request<B>> for BrokerService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.respond(request)
    }
}
