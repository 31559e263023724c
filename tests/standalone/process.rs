//! A standalone broker in a process of its own.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// When a test gives up on what should have happened long ago.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The example, which `cargo test` builds beside the tests (`target/debug/examples/broker` for
/// `target/debug/deps/standalone-…`), but `cargo test --test standalone` does not.
fn binary() -> PathBuf {
    const HOW: &str = "run cargo build --example broker first, with the same options";
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("examples").join("broker");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let built = changed(&binary).unwrap_or_else(|| panic!("{binary:?} is missing; {HOW}"));
    // Make's syntax: the target, a colon, and the sources.
    let sources = std::fs::read_to_string(binary.with_extension("d")).unwrap();
    let newer = sources.split_once(": ").unwrap().1.split_whitespace();
    let newer = newer.map(Path::new).find(|source| changed(source).is_some_and(|at| at > built));
    assert_eq!(newer, None, "{binary:?} is older than that; {HOW}");
    binary
}

/// A broker's command line.
pub(crate) struct Start {
    command: Command,
    reads_stderr: bool,
}

impl Start {
    /// A broker without options, but for a free port instead of 8080, in a directory of its own.
    pub(crate) fn new(directory: &Path) -> Self {
        Self::with(Command::new(binary()), directory)
    }

    /// The same, after a shell has run a line in the process.
    pub(crate) fn after(line: &str, directory: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-euc").arg(format!("{line}; exec \"$0\" \"$@\"")).arg(binary());
        Self::with(shell, directory)
    }

    fn with(mut command: Command, directory: &Path) -> Self {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FANFARE_") {
                command.env_remove(name);
            }
        }
        command.current_dir(directory).env("FANFARE_LISTEN", "127.0.0.1:0");
        Self { command, reads_stderr: true }
    }

    /// Lets nobody read what it writes to stderr.
    pub(crate) fn unread(mut self) -> Self {
        self.reads_stderr = false;
        self
    }

    pub(crate) fn options<S: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.command.args(options);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts a broker, and waits until it listens.
    pub(crate) fn serve(self) -> Running {
        let mut running = self.spawn();
        loop {
            let Some(line) = next(&running.stdout) else {
                panic!("the broker ended at its start: {:?}", running.outcome());
            };
            running.announcement.push(line);
            if running.announced("publish").is_some() {
                return running;
            }
        }
    }

    /// Starts a broker that should end by itself.
    pub(crate) fn fail(self) -> Outcome {
        let running = self.spawn();
        if let Some(line) = next(&running.stdout) {
            panic!("the broker should have failed, and says {line}");
        }
        running.outcome()
    }

    /// Runs a broker that should print something and end well.
    pub(crate) fn print(self) -> String {
        let running = self.spawn();
        let text = std::iter::from_fn(|| next(&running.stdout).map(|line| line + "\n")).collect();
        assert_eq!(running.outcome().code, Some(0));
        text
    }

    fn spawn(mut self) -> Running {
        let command =
            self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = match child.stderr.take() {
            Some(stderr) if self.reads_stderr => lines(stderr),
            unread => {
                child.stderr = unread;
                lines(std::io::empty())
            }
        };
        Running { child, stdout, stderr, announcement: Vec::new() }
    }
}

/// The lines of a stream as they come, and its end.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// The next line, or `None` at the end, which is also the broker's.
fn next(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(PATIENCE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("the broker neither speaks nor ends"),
    }
}

/// How a broker ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// A broker that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    announcement: Vec<String>,
}

impl Running {
    /// What the announcement says after a word and a colon.
    pub(crate) fn announced(&self, word: &str) -> Option<&str> {
        self.announcement.iter().find_map(|line| {
            let (head, rest) = line.trim().split_once(':')?;
            (head == word).then(|| rest.trim())
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let clients = self.announced("clients").unwrap();
        let address =
            clients.strip_prefix("ws://").and_then(|rest| rest.split_once('/')).unwrap().0;
        address.parse().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The next line that it writes to stderr.
    pub(crate) fn warning(&self) -> Option<String> {
        next(&self.stderr)
    }

    /// Waits for the end.
    pub(crate) fn outcome(mut self) -> Outcome {
        while next(&self.stdout).is_some() {}
        let stderr = std::iter::from_fn(|| self.warning().map(|line| line + "\n")).collect();
        Outcome { code: self.child.wait().unwrap().code(), stderr }
    }

    /// Drains it.
    pub(crate) fn stop(self) -> Outcome {
        self.signal(Signal::TERM);
        self.outcome()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.outcome().code, None);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
