//! The broker inside a bare hyper server: mounted under `/realtime`, beside a route that publishes.
//!
//!     TOKEN_SECRET=$(openssl rand -hex 32) cargo run --example embed_hyper
//!     curl -X POST http://127.0.0.1:3000/deploy

use fanfare::{Algorithm, Body, Broker, BrokerService, Message, RedbStorage, VerifyingKey};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let secret = std::env::var("TOKEN_SECRET")?;
    let broker = Broker::builder()
        .verifying_key(VerifyingKey::hmac(Algorithm::HS256, secret.as_bytes())?)
        .storage(RedbStorage::open("./deploy-data")?)
        .build()
        .await?;
    let realtime = broker.service().nested_at("/realtime");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tokio::signal::ctrl_c() => break,
        };
        let Ok((stream, _)) = accepted else {
            // The client is gone already, or too many files are open, which passes.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let (broker, realtime) = (broker.clone(), realtime.clone());
        let service = service_fn(move |request| answer(broker.clone(), realtime.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // The upgrades to WebSockets need this.
        tokio::spawn(connection.with_upgrades());
    }
    Ok(broker.shutdown().await?)
}

async fn answer(
    broker: Broker,
    realtime: BrokerService,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if (request.method(), request.uri().path()) != (&Method::POST, "/deploy") {
        return realtime.call(request).await;
    }
    let message = Message::new("deployments", "started").store_forever();
    let mut response = Response::new(Body::default());
    if broker.publish(message).await.is_err() {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
