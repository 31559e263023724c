//! The chat page and what it loads, built into the program.

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

const PAGES: [Page; 5] = [
    Page {
        path: "/",
        media_type: "text/html; charset=utf-8",
        content: include_bytes!("pages/index.html"),
    },
    Page {
        path: "/chat.css",
        media_type: "text/css; charset=utf-8",
        content: include_bytes!("pages/chat.css"),
    },
    Page {
        path: "/chat.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("pages/chat.js"),
    },
    Page {
        path: "/conversation.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("pages/conversation.js"),
    },
    Page {
        path: "/reactions.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_bytes!("pages/reactions.js"),
    },
];

/// The page at a path.
pub(crate) fn find(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

impl Page {
    pub(crate) fn reply(&self) -> Reply {
        let mut reply = reply::body(StatusCode::OK, self.media_type, self.content);
        let headers = reply.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        reply
    }
}
