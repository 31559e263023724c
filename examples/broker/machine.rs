//! What the process has of its machine: open files and memory.

use std::fmt::Write as _;
use std::fs;

/// Lets the process open as many files as the system allows it: each connection is one, and the
/// usual limit is 1,024. Tells how many these are, where there is a limit.
pub(crate) fn raise_open_file_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!("the limit of open files can't be raised: {error}");
        }
    }
    open_file_limit()
}

fn open_file_limit() -> Option<u64> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Nofile).current
    }
    #[cfg(not(unix))]
    None
}

/// How many connections a number of open files leaves room for, beside the storage, the webhook, and
/// requests that are answered, so that probes are even when clients are refused.
pub(crate) fn room_for_connections(open_files: u64) -> usize {
    let others = (open_files / 16).clamp(64, 1024).min(open_files / 2);
    usize::try_from(open_files - others).unwrap_or(usize::MAX).max(1)
}

/// Numbers for Prometheus, under the names that they have for all processes. What the system does
/// not tell is left out. Counting open files takes a moment where there are many.
pub(crate) fn to_prometheus() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!(
        "# HELP fanfare_build_info The version that runs.\n# TYPE fanfare_build_info gauge\n\
         fanfare_build_info{{version=\"{version}\"}} 1\n"
    );
    for (name, help, value) in [
        ("process_open_fds", "Open files, of which connections are most.", open_files()),
        ("process_max_fds", "How many files may be open.", open_file_limit()),
        ("process_resident_memory_bytes", "Memory that the process has.", resident_bytes()),
    ] {
        if let Some(value) = value {
            // Writing to a string can't fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
        }
    }
    text
}

fn open_files() -> Option<u64> {
    // The directory itself is open while it is read.
    let files = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(files.saturating_sub(1) as u64)
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_others() {
        let room = [64, 256, 1_024, 20_000, 1_048_576].map(room_for_connections);
        assert_eq!(room, [32, 192, 960, 18_976, 1_047_552].map(|n| n));
        assert_eq!(room_for_connections(0), 1);
        assert!(room_for_connections(u64::MAX) > 1 << 30);
    }
}
