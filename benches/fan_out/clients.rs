//! Clients that connect and count, in a process of their own, so that neither their work nor
//! their sockets count as the server's.

use super::frames::FrameCounter;
use super::runtime;
use std::env;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

const ADDRESS: &str = "FAN_OUT_CLIENTS_ADDRESS";
const SIZE: &str = "FAN_OUT_CLIENTS_SIZE";
const TOKEN: &str = "FAN_OUT_CLIENTS_TOKEN";
/// `hotsock.connected` and `hotsock.subscribed`.
const WELCOME_FRAMES: usize = 2;

/// How many clients are to connect where.
pub struct Order {
    pub address: SocketAddr,
    pub size: usize,
    pub token: String,
}

impl Order {
    /// What a process that was made by [`start`](Self::start) is to do.
    pub fn from_environment() -> Option<Self> {
        let value = |name: &str| env::var(name).ok();
        let address = value(ADDRESS)?.parse().ok()?;
        let size = value(SIZE)?.parse().ok()?;
        Some(Self { address, size, token: value(TOKEN)? })
    }

    /// Starts the process. It says one byte when all have connected, and then one whenever they
    /// have received as many messages as there are clients, all together: after so many bytes as
    /// messages were published, everybody has all of them. It ends with the returned handle.
    pub fn start(&self) -> (Child, ChildStdout) {
        let mut child = Command::new(env::current_exe().unwrap())
            .env(ADDRESS, self.address.to_string())
            .env(SIZE, self.size.to_string())
            .env(TOKEN, &self.token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let reports = child.stdout.take().unwrap();
        (child, reports)
    }
}

/// Does what the order says until the server goes away.
pub fn run(order: &Order) {
    runtime().block_on(async {
        let mut clients = Vec::with_capacity(order.size);
        for _ in 0..order.size {
            clients.push(Client::connect(order).await.unwrap());
        }
        report(1);
        let received = Arc::new(AtomicUsize::new(0));
        let size = order.size;
        let tasks: Vec<_> = clients
            .into_iter()
            .map(|client| tokio::spawn(client.count(Arc::clone(&received), size)))
            .collect();
        for task in tasks {
            // A reset connection is an end like any other.
            let _ = task.await;
        }
    });
}

struct Client {
    socket: TcpStream,
    frames: FrameCounter,
}

impl Client {
    /// Connects and reads the welcome.
    async fn connect(order: &Order) -> io::Result<Self> {
        let mut socket = TcpStream::connect(order.address).await?;
        let request = format!(
            "GET /v1?token={} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            order.token, order.address
        );
        socket.write_all(request.as_bytes()).await?;
        const END: &[u8] = b"\r\n\r\n";
        let mut received = Vec::with_capacity(1024);
        let body = loop {
            if socket.read_buf(&mut received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(end) = received.windows(END.len()).position(|window| window == END) {
                break end + END.len();
            }
        };
        assert!(received.starts_with(b"HTTP/1.1 101 "), "{}", received.escape_ascii());
        let mut client = Self { socket, frames: FrameCounter::default() };
        let mut welcomed = client.frames.count(&received[body..]);
        while welcomed < WELCOME_FRAMES {
            welcomed += client.read().await?;
        }
        assert_eq!(welcomed, WELCOME_FRAMES);
        Ok(client)
    }

    async fn count(mut self, received: Arc<AtomicUsize>, size: usize) -> io::Result<()> {
        loop {
            let new = self.read().await?;
            let before = received.fetch_add(new, Ordering::Relaxed);
            report((before + new) / size - before / size);
        }
    }

    /// Reads what is there, and returns how many frames ended in it.
    async fn read(&mut self) -> io::Result<usize> {
        loop {
            self.socket.readable().await?;
            // Not held across a wait, so that an idle client costs no buffer.
            let mut buffer = [0; 8 << 10];
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => return Ok(self.frames.count(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn report(messages: usize) {
    if messages > 0 {
        // Nobody listens any more: the benchmark is over.
        let _ = io::stdout().write_all(&vec![b'.'; messages]).and_then(|()| io::stdout().flush());
    }
}
