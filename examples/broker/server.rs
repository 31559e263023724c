//! Accepts connections, serves HTTP/1.1 on them, and drains.

use crate::app::App;
use crate::throttle::Throttle;
use fanfare::SourceIp;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};

/// How many connections the kernel may keep until they are accepted: a crowd that comes back at
/// once after a restart should find room.
const BACKLOG: u32 = 4096;
/// How long a request's head may take to arrive, and how long a connection may idle between two.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait where accepting fails for lack of something, such as file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(200);
/// How often the log may tell of that.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Takes the address, which fails early where another process has it. Nobody can connect before
/// [`listen`].
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the old process's connections to time out.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

pub(crate) fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)
}

/// Serves until `drain` comes, then waits for the requests under way, for `patience` at the longest. The clients' WebSockets are not
/// its business but the broker's.
pub(crate) async fn serve(
    listener: TcpListener,
    app: App,
    mut drain: oneshot::Receiver<()>,
    patience: Duration,
) {
    let (draining, _) = watch::channel(());
    let failures = Arc::clone(app.accept_failures());
    let told = Throttle::new(TELL_EVERY);
    loop {
        let stream = tokio::select! {
            _ = &mut drain => break,
            stream = accept(&listener, &failures, &told) => stream,
        };
        tokio::spawn(serve_connection(stream, app.clone(), draining.subscribe()));
    }
    drop(listener);
    draining.send_replace(());
    if tokio::time::timeout(patience, draining.closed()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

/// Serves one connection up to its end or its upgrade. Drops `draining` then, which tells how many
/// are left.
async fn serve_connection(stream: TcpStream, app: App, mut draining: watch::Receiver<()>) {
    // Messages are small and written when they are complete; there is nothing to wait for.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("TCP_NODELAY: {error}");
    }
    let source = stream.peer_addr().ok().map(|peer| SourceIp(peer.ip()));
    let respond = move |mut request: Request<Incoming>| {
        if let Some(source) = source {
            request.extensions_mut().insert(source);
        }
        app.clone().respond(request)
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        _ = draining.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // What goes wrong here is the client's network, or its HTTP.
    if let Err(error) = served {
        tracing::debug!("an HTTP connection failed: {error}");
    }
}

/// The next connection. Failures to accept end neither the broker nor its patience.
async fn accept(listener: &TcpListener, failures: &AtomicU64, told: &Throttle) -> TcpStream {
    loop {
        let error = match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => error,
        };
        if is_of_the_client(&error) {
            continue;
        }
        failures.fetch_add(1, Ordering::Relaxed);
        if let Ok(times) = told.pass() {
            tracing::warn!(times, "accepting connections fails, and is tried again: {error}");
        }
        tokio::time::sleep(ACCEPT_BACKOFF).await;
    }
}

/// Whether a connection was gone before it was accepted; the next may be fine.
fn is_of_the_client(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
