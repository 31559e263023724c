//! A broker on a port of its own.

use crate::backend;
use crate::token::SECRET;
use fanfare::{Algorithm, Broker, BrokerBuilder, BrokerService, SourceIp, VerifyingKey};
use http::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub const API_KEY: &str = "an API key for tests";

pub struct Server {
    pub broker: Broker,
    pub address: SocketAddr,
    accepting: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

pub fn builder() -> BrokerBuilder {
    Broker::builder()
        .verifying_key(VerifyingKey::hmac(Algorithm::HS256, SECRET).unwrap())
        .api_key(API_KEY)
        .storage(backend::storage())
}

impl Server {
    pub async fn start() -> Self {
        Self::with(builder()).await
    }

    pub async fn with(builder: BrokerBuilder) -> Self {
        let broker = builder.build().await.unwrap();
        let service = broker.service();
        Self::serving(broker, service).await
    }

    /// Serves with nothing but hyper's own HTTP/1 server, and tells where clients are.
    pub async fn serving(broker: Broker, service: BrokerService) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (socket, peer) = listener.accept().await.unwrap();
                let service = service.clone();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(SourceIp(peer.ip()));
                    service.call(request)
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .with_upgrades();
                tokio::spawn(connection);
            }
        });
        Self { broker, address, accepting: accepting.abort_handle() }
    }

    pub fn url(&self, token: &str) -> String {
        format!("ws://{}/v1?token={token}", self.address)
    }
}

/// Waits until `condition` holds.
pub async fn until(mut condition: impl FnMut() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), met).await.expect("not met in a minute");
}
