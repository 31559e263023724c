//! The same service on every server that it promises to work under.

use crate::client::{Client, request};
use crate::server::{Server, builder};
use crate::token::chat;
use axum::extract::ConnectInfo;
use axum::middleware::{self, Next};
use fanfare::{Message, SourceIp};
use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::io::BufStream;
use tokio::net::TcpListener;

/// Connects, subscribes and gets a message.
async fn works(broker: &fanfare::Broker, base: &str) {
    let url = format!("ws://{base}/v1?token={}", chat("jim"));
    let mut client = Client::connect_to(&url).await;
    client.subscribe("c").await;
    broker.publish(Message::new("c", "e").data(&1)).await.unwrap();
    assert_eq!(client.next().await["data"], 1);
}

#[tokio::test]
async fn under_hyper_itself_also_below_a_path() {
    let broker = builder().build().await.unwrap();
    let service = broker.service().nested_at("/realtime/");
    let server = Server::serving(broker.clone(), service).await;
    works(&broker, &format!("{}/realtime", server.address)).await;
    let outside = Request::get("/v1").body(String::new()).unwrap();
    assert_eq!(request(server.address, outside).await.status, 404);
}

#[tokio::test]
async fn under_hyper_util_s_auto_server() {
    let broker = builder().build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = broker.service();
    tokio::spawn(async move {
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        while let Ok((socket, _)) = listener.accept().await {
            let (server, service) = (server.clone(), service.clone());
            tokio::spawn(async move {
                let _ = server.serve_connection_with_upgrades(TokioIo::new(socket), service).await;
            });
        }
    });
    works(&broker, &address.to_string()).await;
}

/// As TLS may, such a socket keeps what it was given until it is flushed.
#[tokio::test]
async fn on_a_socket_that_buffers() {
    let broker = builder().build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = broker.service();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let socket = TokioIo::new(BufStream::new(socket));
        let server = hyper::server::conn::http1::Builder::new();
        server.serve_connection(socket, service).with_upgrades().await
    });
    works(&broker, &address.to_string()).await;
}

#[tokio::test]
async fn section_12_axum_tells_where_clients_are() {
    let broker = builder().build().await.unwrap();
    let mut events = broker.events();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tell = async |ConnectInfo(peer): ConnectInfo<SocketAddr>,
                      mut request: axum::extract::Request,
                      next: Next| {
        request.extensions_mut().insert(SourceIp(peer.ip()));
        next.run(request).await
    };
    let app = axum::Router::new()
        .nest_service("/realtime", broker.service())
        .layer(middleware::from_fn(tell));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("ws://{address}/realtime/v1?token={}", chat("jim"));
    // What anybody can send is not believed.
    let _client = Client::connect_with(&url, "x-forwarded-for", "203.0.113.7").await;
    let connected = crate::events::next(&mut events).await;
    assert_eq!(connected["data"]["sourceIp"], "127.0.0.1");
}

#[tokio::test]
async fn under_axum() {
    let broker = builder().build().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new()
        .nest_service("/realtime", broker.service())
        .route("/", axum::routing::get(async || "the host's own"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    works(&broker, &format!("{address}/realtime")).await;
    let own = Request::get("/").body(String::new()).unwrap();
    assert_eq!(request(address, own).await.text, "the host's own");
}
