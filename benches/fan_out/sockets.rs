//! Fan-out over loopback sockets: a whole broker here, its clients in another process.

use super::platform::{cpu_time, raise_file_limit};
use super::{SUBSCRIBERS, broker, clients, message, runtime, subscriber_token};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use fanfare::{Broker, BrokerService};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use std::cell::LazyCell;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout};
use tokio::runtime::Runtime;

const WINDOWS: [u64; 2] = [1, 16];
/// Files that a process has open beside its sockets, with room to spare.
const OTHER_FILES: u64 = 64;

pub fn benchmarks(criterion: &mut Criterion) {
    let limit = raise_file_limit();
    for size in SUBSCRIBERS {
        if size as u64 + OTHER_FILES > limit {
            eprintln!("fan_out/sockets/{size} is skipped: only {limit} files may be open");
            continue;
        }
        let mut crowd = LazyCell::new(|| Crowd::gather(size));
        for window in WINDOWS {
            let mut group = criterion.benchmark_group(format!("fan_out/sockets/window_{window}"));
            group
                .sample_size(20)
                .sampling_mode(SamplingMode::Flat)
                .warm_up_time(Duration::from_secs(1))
                .measurement_time(Duration::from_secs(4))
                .throughput(Throughput::Elements(size as u64));
            group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
                bencher.iter_custom(|messages| crowd.publish(messages, window));
            });
            group.finish();
        }
    }
}

struct Crowd {
    runtime: Runtime,
    broker: Broker,
    /// See [`clients::Order::start`].
    reports: ChildStdout,
    _clients: Child,
}

impl Crowd {
    fn gather(size: usize) -> Self {
        let runtime = runtime();
        let (broker, reports, clients) = runtime.block_on(async {
            let broker = broker().await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(serve(listener, broker.service()));
            let order = clients::Order { address, size, token: subscriber_token() };
            let (clients, mut reports) = order.start();
            reports.read_u8().await.expect("the clients did not connect");
            assert_eq!(broker.connection_count(), size);
            (broker, reports, clients)
        });
        Self { runtime, broker, reports, _clients: clients }
    }

    fn publish(&mut self, messages: u64, window: u64) -> Duration {
        self.runtime.block_on(async {
            let start = cpu_time();
            let mut left = messages;
            while left > 0 {
                let burst = left.min(window);
                for _ in 0..burst {
                    self.broker.publish(message()).await.unwrap();
                }
                for _ in 0..burst {
                    self.reports.read_u8().await.expect("the clients went away");
                }
                left -= burst;
            }
            cpu_time() - start
        })
    }
}

async fn serve(listener: TcpListener, service: BrokerService) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service.clone())
            .with_upgrades();
        tokio::spawn(connection);
    }
}
