//! The chat page, the console, and what they load, built into the program.

use crate::reply::{self, Reply};
use hyper::StatusCode;
use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// Scripts, styles and connections come from here and go nowhere else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) struct Page {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

/// Those that are there while the demo is on.
static DEMO: [Page; 8] = [
    Page::html("/", include_bytes!("pages/index.html")),
    Page::style("/chat.css", include_bytes!("pages/chat.css")),
    Page::style("/messages.css", include_bytes!("pages/messages.css")),
    Page::script("/chat.js", include_bytes!("pages/chat.js")),
    Page::script("/conversation.js", include_bytes!("pages/conversation.js")),
    Page::script("/outbox.js", include_bytes!("pages/outbox.js")),
    Page::script("/reactions.js", include_bytes!("pages/reactions.js")),
    Page::script("/console/demo.js", include_bytes!("pages/console/demo.js")),
];

/// Those that are always there.
static CONSOLE: [Page; 16] = [
    Page::style("/base.css", include_bytes!("pages/base.css")),
    Page::html("/console", include_bytes!("pages/console/index.html")),
    Page::style("/console/console.css", include_bytes!("pages/console/console.css")),
    Page::script("/console/main.js", include_bytes!("pages/console/main.js")),
    Page::script("/console/claims.js", include_bytes!("pages/console/claims.js")),
    Page::script("/console/close_codes.js", include_bytes!("pages/console/close_codes.js")),
    Page::script("/console/commands.js", include_bytes!("pages/console/commands.js")),
    Page::script("/console/connection.js", include_bytes!("pages/console/connection.js")),
    Page::script("/console/demo.js", include_bytes!("pages/console/no_demo.js")),
    Page::script("/console/elements.js", include_bytes!("pages/console/elements.js")),
    Page::script("/console/frame_log.js", include_bytes!("pages/console/frame_log.js")),
    Page::script("/console/history.js", include_bytes!("pages/console/history.js")),
    Page::script("/console/json.js", include_bytes!("pages/console/json.js")),
    Page::script("/console/recent.js", include_bytes!("pages/console/recent.js")),
    Page::script("/console/subscriptions.js", include_bytes!("pages/console/subscriptions.js")),
    Page::script("/console/token.js", include_bytes!("pages/console/token.js")),
];

/// The page at a path.
pub(crate) fn find(path: &str, demo: bool) -> Option<&'static Page> {
    let demo = if demo { &DEMO[..] } else { &[] };
    // What the demo adds replaces what stands in for it.
    demo.iter().chain(&CONSOLE).find(|page| page.path == path)
}

impl Page {
    const fn html(path: &'static str, content: &'static [u8]) -> Self {
        Self { path, media_type: "text/html; charset=utf-8", content }
    }

    const fn style(path: &'static str, content: &'static [u8]) -> Self {
        Self { path, media_type: "text/css; charset=utf-8", content }
    }

    const fn script(path: &'static str, content: &'static [u8]) -> Self {
        Self { path, media_type: "text/javascript; charset=utf-8", content }
    }

    pub(crate) fn reply(&self) -> Reply {
        let mut reply = reply::body(StatusCode::OK, self.media_type, self.content);
        let headers = reply.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        reply
    }
}
