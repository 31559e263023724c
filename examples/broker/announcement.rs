//! What the broker says once it listens: the addresses to open, and how to publish.

use crate::options::StorageChoice;
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The chat that the printed link shows, so that what the printed command publishes is seen there.
const SESSION: &str = "hello";

/// Printed on stdout. Shows no secret, so that it may go to a log.
pub(crate) struct Announcement<'a> {
    pub(crate) listening_on: SocketAddr,
    pub(crate) storage: &'a StorageChoice,
    pub(crate) demo: bool,
    /// How many connections may be open; `None` for any number.
    pub(crate) max_connections: Option<usize>,
    /// How many files may be open, where that is known.
    pub(crate) open_files: Option<u64>,
    /// The file that holds an API key, where there is one.
    pub(crate) api_key_file: Option<&'a Path>,
}

impl Display for Announcement<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let address = reachable(self.listening_on);
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            f,
            "fanfare {version} listens on {}, stores in {}",
            self.listening_on, self.storage
        )?;
        if self.demo {
            writeln!(f, "  chat:    http://{address}/#{SESSION}")?;
        }
        writeln!(f, "  console: http://{address}/console")?;
        writeln!(f, "  clients: ws://{address}/v1?token=JWT")?;
        writeln!(f, "  room:    {}", self.room())?;
        writeln!(f, "  publish: {}", self.publish_command(&address))
    }
}

impl Announcement<'_> {
    fn room(&self) -> String {
        let connections = match self.max_connections {
            Some(number) => format!("{number} connections"),
            None => "any number of connections".to_owned(),
        };
        match self.open_files {
            Some(files) => format!("{connections}, {files} open files"),
            None => connections,
        }
    }

    fn publish_command(&self, address: &str) -> String {
        let key = match self.api_key_file {
            Some(path) => format!("$(cat {})", shell_word(&path.display().to_string())),
            None => "YOUR_API_KEY".to_owned(),
        };
        format!(
            "curl http://{address}/publish -H \"Authorization: Bearer {key}\" \
             -d '{{\"channel\":\"chat-{SESSION}\",\"event\":\"chat\",\"data\":\"Hello\",\"store\":-1}}'"
        )
    }
}

/// An address that a client on this machine can reach, for one that stands for all interfaces.
fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port()).to_string()
}

/// A word as a POSIX shell reads it.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(listening_on: &str, api_key_file: Option<&str>) -> String {
        let announcement = Announcement {
            listening_on: listening_on.parse().unwrap(),
            storage: &StorageChoice::Memory,
            demo: false,
            max_connections: None,
            open_files: None,
            api_key_file: api_key_file.map(Path::new),
        };
        announcement.to_string().lines().last().unwrap().to_owned()
    }

    #[test]
    fn addresses_can_be_opened() {
        assert!(publish("0.0.0.0:80", None).contains("http://127.0.0.1:80/publish"));
        assert!(publish("[::]:80", None).contains("http://[::1]:80/publish"));
        assert!(publish("192.0.2.7:80", None).contains("http://192.0.2.7:80/publish"));
    }

    #[test]
    fn key_files_are_quoted_for_a_shell() {
        let key = |path| {
            let line = publish("127.0.0.1:80", Some(path));
            line.split_once("Bearer ").unwrap().1.split_once("\" -d").unwrap().0.to_owned()
        };
        assert_eq!(key("./fanfare-data/api-key"), "$(cat ./fanfare-data/api-key)");
        assert_eq!(key("my data/api-key"), "$(cat 'my data/api-key')");
        assert_eq!(key("it's/api-key"), r"$(cat 'it'\''s/api-key')");
    }
}
