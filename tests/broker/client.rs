//! Clients as they come from elsewhere: a WebSocket library and plain HTTP requests.

use crate::server::{API_KEY, Server};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// An open WebSocket.
pub struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub id: String,
    pub secret: String,
    /// When the connection ends, as it was told.
    pub expires_at: String,
}

impl Client {
    /// Connects and takes the welcome.
    pub async fn connect(server: &Server, token: &str) -> Self {
        Self::connect_to(&server.url(token)).await
    }

    pub async fn connect_to(url: &str) -> Self {
        Self::connect_as(url.into_client_request().unwrap()).await
    }

    /// Connects with a header of its own.
    pub async fn connect_with(url: &str, header: &'static str, value: &str) -> Self {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert(header, value.parse().unwrap());
        Self::connect_as(request).await
    }

    async fn connect_as(request: tungstenite::handshake::client::Request) -> Self {
        let connecting = tokio_tungstenite::connect_async(request);
        let connected = tokio::time::timeout(PATIENCE, connecting).await;
        let (socket, _) = connected.expect("no connection in 30 seconds").unwrap();
        let (id, secret, expires_at) = <(String, String, String)>::default();
        let mut client = Self { socket, id, secret, expires_at };
        let welcome = client.next().await;
        assert_eq!(welcome["event"], "hotsock.connected");
        let told = |field| welcome["data"][field].as_str().unwrap().to_owned();
        client.id = told("connectionId");
        client.secret = told("connectionSecret");
        client.expires_at = told("connectionExpiresAt");
        client
    }

    pub async fn subscribed(server: &Server, token: &str, channel: &str) -> Self {
        let mut client = Self::connect(server, token).await;
        client.subscribe(channel).await;
        client
    }

    pub async fn subscribe(&mut self, channel: &str) {
        self.send(&json!({"event": "hotsock.subscribe", "channel": channel})).await;
        let confirmation = self.next().await;
        assert_eq!(confirmation["event"], "hotsock.subscribed", "{confirmation}");
    }

    pub async fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_frame(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Writes bytes past the library, which would not let them through.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        use tokio::io::AsyncWriteExt;
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }

    /// Sends a message whose answer is an error, and returns its code.
    pub async fn error(&mut self, message: &Value) -> String {
        self.send(message).await;
        let answer = self.next().await;
        assert_eq!(answer["event"], "hotsock.error", "{answer}");
        answer["error"]["code"].as_str().unwrap().to_owned()
    }

    pub async fn publish(&mut self, channel: &str, event: &str, data: &Value) {
        self.send(&json!({"event": event, "channel": channel, "data": data})).await;
    }

    /// The next message as text.
    pub async fn next_text(&mut self) -> String {
        match self.next_frame().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    pub async fn next(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await).unwrap()
    }

    /// Proves that nothing came before the answer to a ping that is sent now.
    pub async fn assert_silent(&mut self) {
        self.send(&json!({"event": "hotsock.ping"})).await;
        assert_eq!(self.next().await["event"], "hotsock.pong");
    }

    /// Reads up to the close frame, answers it, and returns its code.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.next_frame().await {
                Some(Ok(Message::Close(Some(close)))) => {
                    // The library answers while it is asked for more.
                    while let Some(Ok(_)) = self.next_frame().await {}
                    return close.code.into();
                }
                Some(Ok(_)) => {}
                other => panic!("expected a close, got {other:?}"),
            }
        }
    }

    pub async fn next_frame(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        let next = self.socket.next();
        tokio::time::timeout(PATIENCE, next).await.expect("nothing came in 30 seconds")
    }

    /// A call of the client HTTP API.
    pub async fn call(&self, server: &Server, operation: &str, body: &Value) -> Answer {
        let path = format!(
            "/connection/{operation}?connectionId={}&connectionSecret={}",
            self.id, self.secret
        );
        post(server.address, &path, body).await
    }
}

/// An answer to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The code of an error, which must come with its status.
    pub fn code(&self) -> (u16, String) {
        let body = self.json();
        assert!(body["error"]["message"].is_string(), "{body}");
        (self.status.as_u16(), body["error"]["code"].as_str().unwrap().to_owned())
    }
}

pub async fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    request(address, Request::post(path).body(body.to_string()).unwrap()).await
}

/// A call of the server API.
pub async fn backend(server: &Server, method: Method, path: &str, body: &Value) -> Answer {
    let request_with_key = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {API_KEY}"))
        .body(if body.is_null() { String::new() } else { body.to_string() })
        .unwrap();
    request(server.address, request_with_key).await
}

pub async fn request(address: SocketAddr, request: Request<String>) -> Answer {
    let answer = tokio::time::timeout(PATIENCE, answer_to(address, request));
    answer.await.expect("no answer in 30 seconds")
}

async fn answer_to(address: SocketAddr, mut request: Request<String>) -> Answer {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    request.headers_mut().insert("host", "localhost".parse().unwrap());
    let request = request.map(|body| Full::new(Bytes::from(body)));
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let text = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(text.to_vec()).unwrap(),
    }
}
