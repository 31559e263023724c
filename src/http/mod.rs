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
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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
/// | route | for | protocol section |
/// | --- | --- | --- |
/// | `GET /v1` | clients, who open WebSockets with a token | [5](crate::wire_protocol) |
/// | `POST /connection/{operation}` | clients, with their connection's id and secret: `listMessages`, `listReactions`, `publishMessage`, `channelStorageGet`, `channelStorageSet`, `channelStorageList`, `getChannelInfo`, `umdUpdate` | 9 |
/// | `GET /fanfare.js` | browsers: [`CLIENT_MODULE`](crate::CLIENT_MODULE) | |
/// | `POST /publish` | backends | 10 |
/// | `GET /channels/{name}`, `GET /channels/{name}/storage` | backends | 10 |
/// | `DELETE /schedules/{id}` | backends | 11 |
/// | `GET` and `DELETE /connections`, `GET` and `DELETE /connections/{id}`, `DELETE /connections/{id}/subscriptions/{channel}`, `PUT /connections/{id}/permissions` | operators | 10.1 |
/// | `GET /channels`, `DELETE /channels/{name}/subscriptions` | operators | 10.1 |
/// | `GET` and `POST /revocations` | operators | 10.1 |
///
/// Those for backends and operators need an [API key](crate::BrokerBuilder::api_key), and refuse
/// everybody where there is none. A path that is none of these is answered with 404, and another
/// method with 405.
///
/// The tasks of upgraded connections are spawned on the tokio runtime that serves the request.
///
/// # Examples
///
/// Beside what else a bare hyper server does, with [`nested_at`](Self::nested_at):
///
/// ```
/// use fanfare::{Body, Broker};
/// use hyper::body::Incoming;
/// use hyper::server::conn::http1;
/// use hyper::service::{Service, service_fn};
/// use hyper::{Request, Response};
/// use hyper_util::rt::TokioIo;
///
/// async fn serve(broker: &Broker, stream: tokio::net::TcpStream) -> Result<(), hyper::Error> {
///     let realtime = broker.service().nested_at("/realtime");
///     let service = service_fn(move |request: Request<Incoming>| {
///         let realtime = realtime.clone();
///         async move {
///             match request.uri().path() {
///                 "/" => Ok(Response::new(Body::from("a page of the host's own"))),
///                 _ => realtime.call(request).await,
///             }
///         }
///     });
///     // Without `with_upgrades` no WebSocket opens.
///     http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
/// }
/// ```
///
/// # Where it is mounted, and what that costs
///
/// WebSockets are spoken over HTTP/1.1 alone. A server may speak HTTP/2 too, over which all other
/// routes work; browsers open their WebSockets over HTTP/1.1 then, unless the server says that it
/// knows extended CONNECT (RFC 8441): leave hyper's `enable_connect_protocol` off over TLS.
///
/// Where hyper serves a [`TokioIo`] of a [`TcpStream`], the broker takes the socket back from it, and
/// whoever publishes to a crowd writes to each socket at once, without waking a task for each. Under
/// hyper-util's `auto` server, which is that of `axum::serve`, this needs the feature `tower`. With
/// any other stream, as with TLS, all works too, but each connection's task does its own writing,
/// which takes more processor time.
///
/// [`TokioIo`]: https://docs.rs/hyper-util/0.1/hyper_util/rt/struct.TokioIo.html
/// [`TcpStream`]: https://docs.rs/tokio/1/tokio/net/struct.TcpStream.html
#[derive(Clone, Debug)]
pub struct BrokerService {
    core: Arc<Core>,
    prefix: Arc<str>,
}

/// The answer to come.
#[must_use = "a future does nothing until it is polled"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response<Body>> + Send>>);

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context).map(Ok)
    }
}

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
        ResponseFuture(Box::pin(async move { router::answer(&core, &prefix, request).await }))
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

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.respond(request)
    }
}
