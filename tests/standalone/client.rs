//! Just enough of an HTTP and a WebSocket client to talk to a broker in another process.

use crate::process::{PATIENCE, Running};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn error_code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request; `headers` are whole lines.
pub(crate) fn request(
    broker: &Running,
    method: &str,
    target: &str,
    headers: &[&str],
    body: &str,
) -> Response {
    let mut stream = connect(broker.address());
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head: head.to_owned(), body: body.to_owned() }
}

pub(crate) fn get(broker: &Running, target: &str) -> Response {
    request(broker, "GET", target, &[], "")
}

/// A number that `/metrics` tells, by its name and labels.
pub(crate) fn metric(broker: &Running, name: &str) -> u64 {
    let metrics = get(broker, "/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().unwrap()
}

/// Publishes as a backend does.
pub(crate) fn publish(broker: &Running, api_key: &str, message: &Value) -> Response {
    let authorization = format!("Authorization: Bearer {api_key}");
    request(broker, "POST", "/publish", &[&authorization], &message.to_string())
}

/// A token from the demo.
pub(crate) fn demo_token(broker: &Running, session: &str, name: &str) -> String {
    let body = json!({"session": session, "name": name}).to_string();
    let response = request(broker, "POST", "/demo/token", &[], &body);
    assert_eq!(response.status, 200, "{response:?}");
    response.json()["token"].as_str().unwrap().to_owned()
}

/// A WebSocket connection.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    address: SocketAddr,
    pub(crate) connected: Value,
}

impl Client {
    /// Connects, or tells the status of the refusal.
    pub(crate) fn try_connect(broker: &Running, token: &str) -> Result<Self, u16> {
        let address = broker.address();
        let url = format!("ws://{address}/v1?token={token}");
        let (socket, _) = match tungstenite::client(url, connect(address)) {
            Ok(opened) => opened,
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                return Err(response.status().as_u16());
            }
            Err(error) => panic!("{error}"),
        };
        let mut client = Self { socket, address, connected: Value::Null };
        client.connected = client.receive();
        assert_eq!(client.connected["event"], "hotsock.connected");
        Ok(client)
    }

    pub(crate) fn connect(broker: &Running, token: &str) -> Self {
        Self::try_connect(broker, token).unwrap()
    }

    /// Connects to a demo's conversation, and subscribes to its channel.
    pub(crate) fn join(broker: &Running, session: &str, name: &str) -> Self {
        let mut client = Self::connect(broker, &demo_token(broker, session, name));
        client.subscribe(&format!("chat-{session}"));
        client
    }

    pub(crate) fn subscribe(&mut self, channel: &str) {
        self.send(&json!({"event": "hotsock.subscribe", "channel": channel}));
        let answer = self.receive();
        assert_eq!(answer["event"], "hotsock.subscribed", "{answer}");
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends a message, and tells the code of the error that it brings.
    pub(crate) fn error_of(&mut self, message: &Value) -> String {
        self.send(message);
        let answer = self.receive();
        assert_eq!(answer["event"], "hotsock.error", "{answer}");
        answer["error"]["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn receive(&mut self) -> Value {
        loop {
            match self.socket.read().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other}"),
            }
        }
    }

    /// Waits for the broker to close, and tells with which code.
    pub(crate) fn closed(mut self) -> u16 {
        loop {
            match self.socket.read().unwrap() {
                Message::Close(frame) => {
                    let code = frame.map_or(CloseCode::Status, |frame| frame.code).into();
                    // The handshake's end: the answer to the close is written.
                    while self.socket.read().is_ok() {}
                    return code;
                }
                Message::Text(text) => panic!("unexpected: {text}"),
                _ => {}
            }
        }
    }

    /// All messages of a channel, read in pages.
    pub(crate) fn history(&self, broker: &Running, channel: &str) -> Vec<Value> {
        assert_eq!(self.address, broker.address(), "the connection is another broker's");
        let data = &self.connected["data"];
        let target = format!(
            "/connection/listMessages?connectionId={}&connectionSecret={}",
            data["connectionId"].as_str().unwrap(),
            data["connectionSecret"].as_str().unwrap()
        );
        let mut messages: Vec<Value> = Vec::new();
        loop {
            let after = messages.last().map(|last| last["id"].clone());
            let body = json!({"channel": channel, "after": after}).to_string();
            let response = request(broker, "POST", &target, &[], &body);
            assert_eq!(response.status, 200, "{response:?}");
            let page = response.json();
            match page["messages"].as_array().unwrap().as_slice() {
                [] => return messages,
                page => messages.extend_from_slice(page),
            }
        }
    }
}
