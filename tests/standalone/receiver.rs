//! A receiver of webhooks, which answers what a test tells it to.

use crate::process::PATIENCE;
use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

pub(crate) const SECRET: &str = "the secret of webhooks, long enough";

pub(crate) struct Receiver {
    address: SocketAddr,
    deliveries: mpsc::Receiver<Delivery>,
    /// Ends with it.
    _runtime: Runtime,
}

/// A request, whose connection is cut where it is dropped before it is answered.
pub(crate) struct Delivery {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::on(|stream| std::future::ready(Ok(stream)))
    }

    /// Serves on what is made of a connection.
    pub(crate) fn on<S, F>(wrap: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>> + Send + 'static,
    {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, deliveries) = mpsc::channel();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (stream, sender) = (wrap(stream), sender.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(request, sender.clone()));
                    if let Ok(stream) = stream.await {
                        // A connection that is cut fails.
                        let connection = http1::Builder::new();
                        let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                    }
                });
            }
        });
        Self { address, deliveries, _runtime: runtime }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// The next request.
    pub(crate) fn next(&self) -> Delivery {
        self.deliveries.recv_timeout(PATIENCE).expect("a delivery")
    }

    /// Whether no request has come.
    pub(crate) fn is_silent(&self) -> bool {
        self.deliveries.try_recv().is_err()
    }
}

async fn take(
    request: Request<Incoming>,
    deliveries: mpsc::Sender<Delivery>,
) -> io::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    assert_eq!(head.method, "POST");
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let (answer, answered) = oneshot::channel();
    let delivery = Delivery { uri: head.uri, headers: head.headers, body, answer };
    deliveries.send(delivery).map_err(io::Error::other)?;
    answered.await.map_err(io::Error::other)
}

impl Delivery {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The body, once the signature is found to be right and fresh.
    pub(crate) fn json(&self) -> Value {
        let (time, signature) = self.header("fanfare-signature").split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(time.parse().unwrap()) < 300, "{time}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let signed = [time.as_bytes(), b".", &self.body].concat();
        hmac::verify(&key, &signed, &bytes_of_hex(signature)).unwrap();

        let json: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(json["delivery"], self.header("fanfare-delivery"));
        assert_eq!(json["dropped"].to_string(), self.header("fanfare-dropped"));
        json
    }

    pub(crate) fn answer(self, status: u16) {
        self.respond(Response::builder().status(status).body(Full::default()).unwrap());
    }

    pub(crate) fn respond(self, response: Response<Full<Bytes>>) {
        // The broker may have given up waiting, and posts it again then.
        let _ = self.answer.send(response);
    }
}

fn bytes_of_hex(text: &str) -> Vec<u8> {
    assert!(text.len() == 64 && text.bytes().all(|byte| !byte.is_ascii_uppercase()), "{text}");
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..64).step_by(2).map(byte).collect()
}
