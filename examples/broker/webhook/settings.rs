//! What `--webhook` and its fellows say. They are read after the command line, whose parser would
//! show secrets.

use super::endpoint::Endpoint;
use super::secret::{MIN_BYTES, Secret};
use crate::failure::Failure;
use crate::key_files;
use crate::options::Options;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::{HeaderValue, InvalidHeaderValue};
use percent_encoding::percent_decode_str;
use std::path::Path;

const URL_FORM: &str = "write an http or https URL, such as https://app.example/fanfare-events";

pub(crate) struct Settings {
    pub(super) endpoint: Endpoint,
    pub(super) secret: Secret,
    /// Bytes of JSON.
    pub(super) queue_limit: usize,
}

impl Settings {
    /// `None` where no webhook is asked for.
    ///
    /// # Errors
    ///
    /// Fails where the URL is none, or the secret is missing or too short, without showing either;
    /// and where the system has no certificates to trust.
    pub(crate) fn read(options: &Options) -> Result<Option<Self>, Failure> {
        let (url, secret) = match (&options.webhook, &options.webhook_secret) {
            (None, None) => return Ok(None),
            (Some(_), None) => {
                return Err(Failure::Options(format!(
                    "--webhook: deliveries are signed; give --webhook-secret, {MIN_BYTES} bytes \
                     or more, that the receiver knows too"
                )));
            }
            (None, Some(_)) => {
                return Err(Failure::Options("--webhook-secret: --webhook is missing".to_owned()));
            }
            (Some(url), Some(secret)) => (url, secret),
        };
        let wrong = |option| move |problem| Failure::Options(format!("--{option}: {problem}"));
        let secret = read_secret(secret).map_err(wrong("webhook-secret"))?;
        let (uri, authorization) =
            read_url(url).ok_or_else(|| wrong("webhook")(URL_FORM.to_owned()))?;
        let endpoint = Endpoint::new(uri, authorization)
            .map_err(|error| Failure::machine("--webhook: https does not work here", &error))?;
        Ok(Some(Self { endpoint, secret, queue_limit: options.webhook_queue.0 }))
    }
}

fn read_secret(text: &str) -> Result<Secret, String> {
    let secret = match text.strip_prefix('@') {
        Some(path) => Secret::new(&key_files::read(Path::new(path))?),
        None => Secret::new(text),
    };
    secret.ok_or_else(|| format!("a secret has at least {MIN_BYTES} bytes"))
}

/// The URL without what is before its `@`, and that as the header that stands for it (RFC 7617).
fn read_url(text: &str) -> Option<(Uri, Option<HeaderValue>)> {
    let mut parts = text.parse::<Uri>().ok()?.into_parts();
    if !matches!(parts.scheme.as_ref()?.as_str(), "http" | "https") {
        return None;
    }
    let authority = parts.authority.as_ref()?;
    let (user, place) = match authority.as_str().rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority.as_str()),
    };
    let is_place = place == authority.host() || authority.port_u16().is_some();
    if authority.host().is_empty() || !is_place {
        return None;
    }
    let authorization = user.map(basic).transpose().ok()?;
    parts.authority = Some(place.parse().ok()?);
    Some((Uri::from_parts(parts).ok()?, authorization))
}

fn basic(user: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let mut plain: Vec<u8> = percent_decode_str(name).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(plain)))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let read = |text| read_url(text).map(|(uri, _)| uri.to_string());
        for right in [
            "http://127.0.0.1:9000/",
            "https://app.example/hooks?key=a%20b",
            "https://[::1]:8443/a",
        ] {
            assert_eq!(read(right).as_deref(), Some(right));
        }
        assert_eq!(read("https://app.example").as_deref(), Some("https://app.example/"));
        for wrong in [
            "",
            "/hooks",
            "app.example",
            "app.example/hooks",
            "app.example:443",
            "ftp://app.example/",
            "https://",
            "https:///hooks",
            "https://:443/",
            "https://app.example:/",
            "https://app.example:99999/",
            "https://jim@:443/",
            "https://app example/",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_user_becomes_a_header() {
        let read = |text| {
            let (uri, authorization) = read_url(text).unwrap();
            assert_eq!(uri, "https://app.example:8443/hooks");
            authorization.unwrap()
        };
        let header = read("https://Aladdin:open%20sesame@app.example:8443/hooks");
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "the one of RFC 7617");
        assert!(header.is_sensitive());
        assert_eq!(read("https://jim@app.example:8443/hooks"), "Basic amltOg==");
    }
}
