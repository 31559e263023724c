//! Tokens for the chat page and the console: anybody who asks gets one, for the session and the name
//! that they say.

use crate::reply::{self, Reply};
use fanfare::{
    ChannelClaims, Claims, MessageClaims, SignError, SigningKey, StorageClaims, Timestamp,
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

const MAX_REQUEST: usize = 4 * 1024;
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_SESSION: usize = 64;
const MAX_NAME: usize = 32;
/// What the page offers as reactions.
const REACTIONS: [&str; 6] = ["👍", "❤️", "😂", "🎉", "😮", "😢"];
const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub(crate) struct Demo {
    pub(crate) key: SigningKey,
    pub(crate) audience: Option<String>,
    pub(crate) issuer: Option<String>,
}

#[derive(Deserialize)]
struct TokenRequest {
    session: String,
    name: String,
}

impl Demo {
    /// `POST /demo/token`, `{"session":…,"name":…}` → `{"token":…}`.
    pub(crate) async fn token<B>(&self, request: Request<B>) -> Reply
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if request.method() != Method::POST {
            return reply::method_not_allowed("POST");
        }
        let body = Limited::new(request.into_body(), MAX_REQUEST).collect();
        let Ok(body) = tokio::time::timeout(BODY_TIMEOUT, body).await else {
            return refuse("the body took too long to arrive");
        };
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                let message = format!("the body may have {MAX_REQUEST} bytes");
                return reply::error(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", &message);
            }
            Err(_) => return refuse("the body did not arrive"),
        };
        let Ok(asked) = serde_json::from_slice::<TokenRequest>(&body) else {
            return refuse(r#"the body must be {"session":"…","name":"…"}"#);
        };
        if !is_session(&asked.session) {
            return refuse("session must be 1 to 64 letters, digits, hyphens and underscores");
        }
        if !is_name(&asked.name) {
            return refuse("name must be 1 to 32 characters, none of them a control character");
        }
        match self.sign(&asked) {
            Ok(token) => reply::json(StatusCode::OK, &json!({"token": token})),
            Err(error) => {
                tracing::error!("the demo's token could not be made: {error}");
                let message = "the token could not be made";
                reply::error(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", message)
            }
        }
    }

    fn sign(&self, asked: &TokenRequest) -> Result<String, SignError> {
        let (session, name) = (&asked.session, &asked.name);
        let chat =
            MessageClaims::new().publish(true).echo(true).store_forever().react_with(REACTIONS);
        let typing = MessageClaims::new().publish(true);
        let reaction = MessageClaims::new().echo(true);
        let channel = ChannelClaims::new()
            .subscribe(true)
            .get_info(true)
            .history_start(Timestamp::EPOCH)
            .message("chat", chat)
            .message("is-typing", typing)
            .message("hotsock.messageReaction", reaction)
            .storage("read.*", StorageClaims::new().observe(true))
            .storage(read_key(name), StorageClaims::new().set_value(true));
        let presence = ChannelClaims::new().subscribe(true);
        let mut claims = Claims::connect()
            .expires_in(TOKEN_LIFETIME)
            .uid(name)
            .channel(format!("chat-{session}"), channel)
            .channel(format!("presence.chat-{session}"), presence);
        if let Some(audience) = &self.audience {
            claims = claims.audience(audience);
        }
        if let Some(issuer) = &self.issuer {
            claims = claims.issuer(issuer);
        }
        claims.sign(&self.key)
    }
}

/// Where the channel's storage keeps how far somebody has read. The page has the same rule.
fn read_key(name: &str) -> String {
    let replaced = |c: char| c.is_whitespace() || "*#,".contains(c);
    format!("read.{}", name.replace(replaced, "_"))
}

fn refuse(message: &str) -> Reply {
    reply::error(StatusCode::BAD_REQUEST, "INVALID_MESSAGE", message)
}

fn is_session(session: &str) -> bool {
    (1..=MAX_SESSION).contains(&session.len())
        && session.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count())
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::Algorithm;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Never comes.
    struct Late;

    impl Body for Late {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    /// The clock of this test runs ahead whenever nothing happens.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_awaited_for_ever() {
        let key = SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
        let demo = Demo { key, audience: None, issuer: None };
        let request = Request::post("/demo/token").body(Late).unwrap();
        assert_eq!(demo.token(request).await.status(), 400);
    }
}
