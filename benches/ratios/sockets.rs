//! Connections over loopback: how many can be accepted, and what happens when all go at once. The
//! clients are in a process of their own.

use super::channels::resident;
use super::crowd::serve;
use super::platform::{OTHER_FILES, cpu_time, raise_file_limit};
use super::{builder, clients, repeated, row, runtime, token};
use fanfare::{Broker, MemoryStorage};
use futures_util::StreamExt;
use http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const CONNECTIONS: usize = 2_000;
const CROWD: usize = 10_000;

pub fn connecting() {
    let [broker, bare] =
        [serve_broker as Serve, serve_bare].map(|serve| repeated(|| seconds_per_connection(serve)));
    let ratio = bare / broker;
    row(
        "connections verified, welcomed and subscribed per processor time, to bare upgrades",
        format!("{ratio:.2}"),
        "0.6",
        ratio >= 0.6,
    );
}

pub fn dropping() {
    let limit = raise_file_limit();
    if limit < CROWD as u64 + OTHER_FILES {
        println!(
            "| 10,000 clients dropping at once | only {limit} files may be open | | skipped |"
        );
        return;
    }
    let (longest, grown) = drop_all();
    row(
        "a newcomer's wait while 10,000 clients drop at once",
        format!("{:.0} ms", longest.as_secs_f64() * 1e3),
        "250 ms",
        longest <= Duration::from_millis(250),
    );
    row("memory after another 10,000 came and went", format!("{grown:.2}"), "1.1", grown <= 1.1);
}

type Serve = fn(TcpListener);

fn seconds_per_connection(serve: Serve) -> f64 {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        serve(listener);
        // What is done once, at the first connection, does not count.
        connect(address, 1).await;
        let start = cpu_time();
        connect(address, CONNECTIONS).await;
        (cpu_time() - start).as_secs_f64() / CONNECTIONS as f64
    })
}

async fn connect(address: SocketAddr, size: usize) {
    let (_clients, mut reports) = clients::Order { address, size, token: subscriber() }.start();
    reports.read_u8().await.expect("the clients did not connect");
}

fn subscriber() -> String {
    token::connect(&json!({"channels": {"bench": {"autoSubscribe": true}}}))
}

fn serve_broker(listener: TcpListener) {
    tokio::spawn(async {
        let broker = builder().storage(MemoryStorage::new()).build().await.unwrap();
        serve(listener, broker.service()).await;
    });
}

/// Upgrades everybody, and says two frames of the usual size, without looking at anything.
fn serve_bare(listener: TcpListener) {
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(bare));
            tokio::spawn(connection.with_upgrades());
        }
    });
}

async fn bare(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let mut socket = TokioIo::new(upgraded);
        let mut frames = Vec::new();
        for length in [200_u8, 85] {
            frames.extend_from_slice(&[0x81, 126, 0, length]);
            frames.resize(frames.len() + usize::from(length), b' ');
        }
        let _ = socket.write_all(&frames).await;
        // Until the client goes.
        let _ = socket.read_u8().await;
    });
    let answer = Response::builder().status(101).header(header::CONNECTION, "upgrade");
    Ok(answer.header(header::UPGRADE, "websocket").body(String::new()).unwrap())
}

/// The longest that a newcomer waits while a crowd's sockets are all closed at once, and how the
/// process's memory after it compares with that after a crowd before, which left what it needed to
/// the allocator.
fn drop_all() -> (Duration, f64) {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let broker: Broker = builder().storage(MemoryStorage::new()).build().await.unwrap();
        tokio::spawn(serve(listener, broker.service()));
        let mut longest = Duration::ZERO;
        let mut memory = Vec::new();
        for _ in 0..3 {
            let order = clients::Order { address, size: CROWD, token: subscriber() };
            let (mut crowd, mut reports) = order.start();
            reports.read_u8().await.expect("the clients did not connect");
            crowd.start_kill().unwrap();
            let end = Instant::now() + Duration::from_secs(10);
            while broker.connection_count() > CROWD / 100 && Instant::now() < end {
                let start = Instant::now();
                let newcomer = newcomer(address).await;
                longest = longest.max(start.elapsed());
                drop(newcomer);
            }
            crowd.wait().await.unwrap();
            while broker.connection_count() > 0 && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(broker.connection_count(), 0, "connections are left");
            memory.push(resident() as f64);
        }
        (longest, memory[2] / memory[1])
    })
}

/// Connects and waits for the confirmation.
async fn newcomer(address: SocketAddr) -> impl Sized {
    let url = format!("ws://{address}/v1?token={}", subscriber());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for _ in 0..2 {
        socket.next().await.unwrap().unwrap();
    }
    socket
}
