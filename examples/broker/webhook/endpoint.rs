//! The receiver, and one request to it.

use super::backoff;
use super::batch::Batch;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use std::error::Error as _;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// From the connecting to the end of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer is read, so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

pub(super) struct Endpoint {
    uri: Uri,
    /// What the URL had before its `@`.
    authorization: Option<HeaderValue>,
    client: HttpClient,
}

enum HttpClient {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

/// Why a batch was not accepted.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    /// What the receiver asked for.
    pub(super) retry_after: Option<Duration>,
}

impl Endpoint {
    /// # Errors
    ///
    /// Fails where the scheme is https, and the system has no certificates to trust.
    pub(super) fn new(uri: Uri, authorization: Option<HeaderValue>) -> io::Result<Self> {
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_max_idle_per_host(1);
        let client = if uri.scheme_str() == Some("https") {
            let connector = HttpsConnectorBuilder::new().with_native_roots()?;
            HttpClient::Tls(builder.build(connector.https_only().enable_http1().build()))
        } else {
            HttpClient::Plain(builder.build_http())
        };
        Ok(Self { uri, authorization, client })
    }

    /// Posts a batch once. Only 2xx accepts; redirects are not followed.
    pub(super) async fn post(&self, batch: &Batch, signature: &str) -> Result<(), Refusal> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let request = self.request(batch, signature)?;
        let response = timeout_at(deadline, self.send(request))
            .await
            .map_err(|_| Refusal::new(format!("no answer in {REQUEST_TIMEOUT:?}")))??;
        let verdict = verdict(&response);
        // Too much of it, or a failure, only costs the connection.
        let answer = Limited::new(response.into_body(), MAX_ANSWER).collect();
        let _ = timeout_at(deadline, answer).await;
        verdict
    }

    fn request(&self, batch: &Batch, signature: &str) -> Result<Request<Full<Bytes>>, Refusal> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.uri)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("fanfare/", env!("CARGO_PKG_VERSION")))
            .header("fanfare-signature", signature)
            .header("fanfare-delivery", &batch.delivery)
            .header("fanfare-dropped", batch.dropped);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let request = request.body(Full::new(batch.body.clone()));
        request.map_err(|error| Refusal::new(error.to_string()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        match &self.client {
            HttpClient::Plain(client) => client.request(request).await,
            HttpClient::Tls(client) => client.request(request).await,
        }
    }
}

fn verdict(response: &Response<Incoming>) -> Result<(), Refusal> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Err(Refusal {
        reason: format!("the answer is {status}"),
        retry_after: asked.and_then(|value| backoff::retry_after(value, Timestamp::now())),
    })
}

/// Where it is, without what may be secret: the path, the query, and what is before the `@`.
impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (self.uri.scheme_str(), self.uri.authority());
        write!(f, "{}://{}", scheme.unwrap_or_default(), authority.map_or("", |a| a.as_str()))
    }
}

impl Refusal {
    fn new(reason: String) -> Self {
        Self { reason, retry_after: None }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::queue::Queue;
    use tokio::net::TcpListener;

    /// The clock of this test runs ahead whenever nothing happens.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_has_not_accepted() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", silent.local_addr().unwrap()).parse().unwrap();
        let queue = Queue::new(100);
        assert!(queue.push("1".to_owned()));
        let batch = queue.next().await.unwrap();
        let refusal = Endpoint::new(uri, None).unwrap().post(&batch, "t=1,v1=").await.unwrap_err();
        assert_eq!(refusal.reason, "no answer in 10s");
    }
}
