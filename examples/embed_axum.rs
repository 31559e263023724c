//! The broker inside an axum server: mounted under `/realtime`, with a route that gives out tokens
//! and one that publishes.
//!
//!     TOKEN_SECRET=$(openssl rand -hex 32) cargo run --example embed_axum
//!     curl http://127.0.0.1:3000/token/jim
//!     curl -X POST http://127.0.0.1:3000/orders/7/shipped

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use fanfare::{
    Algorithm, Broker, ChannelClaims, Claims, Message, RedbStorage, SigningKey, Timestamp,
};
use serde_json::json;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

struct Shop {
    broker: Broker,
    key: SigningKey,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let secret = std::env::var("TOKEN_SECRET")?;
    let key = SigningKey::hmac(Algorithm::HS256, secret.as_bytes())?;
    let broker = Broker::builder()
        .verifying_key(key.verifying_key())
        .storage(RedbStorage::open("./shop-data")?)
        .build()
        .await?;
    let app = Router::new()
        .route("/token/{user}", get(token))
        .route("/orders/{id}/shipped", post(shipped))
        .with_state(Arc::new(Shop { broker: broker.clone(), key }))
        .nest_service("/realtime", broker.service());

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let ctrl_c = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(ctrl_c).await?;
    Ok(broker.shutdown().await?)
}

/// A token to read the orders with. A real shop first asks who wants it.
async fn token(State(shop): State<Arc<Shop>>, Path(user): Path<String>) -> Result<String, String> {
    let claims = Claims::connect().expires_in(Duration::from_secs(300)).uid(user);
    let orders = ChannelClaims::new().subscribe(true).history_start(Timestamp::EPOCH);
    claims.channel("orders", orders).sign(&shop.key).map_err(|error| error.to_string())
}

async fn shipped(State(shop): State<Arc<Shop>>, Path(id): Path<u64>) -> StatusCode {
    let message = Message::new("orders", "shipped").data(&json!({ "id": id })).store_forever();
    match shop.broker.publish(message).await {
        Ok(_) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
