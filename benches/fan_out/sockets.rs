//! Fan-out over loopback sockets: a whole broker here, its clients in another process.

use super::SUBSCRIBERS;
use super::crowd::{Crowd, WINDOWS};
use super::platform::{OTHER_FILES, raise_file_limit};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use std::cell::LazyCell;
use std::time::Duration;

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
