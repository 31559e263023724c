//! Reading requests: queries, credentials, bodies.

use super::BoxError;
use crate::protocol::error::{Code, ProtocolError};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// A parameter of the query, decoded; `+` is a plus, since the values that go here (tokens,
/// ids, secrets) are written by programs that leave it as it is or percent-encode it.
pub(crate) fn query_parameter<'q>(query: Option<&'q str>, name: &str) -> Option<Cow<'q, str>> {
    query?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| percent_decode_str(value).decode_utf8().ok()).flatten()
    })
}

/// The credentials of `Authorization: Bearer …` (RFC 6750).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
}

/// The whole body, up to `limit` bytes.
pub(super) async fn body<B>(body: B, limit: usize) -> Result<Bytes, ProtocolError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    // A body that says that it is too long need not be read at all.
    let too_long = body.size_hint().lower() > limit as u64;
    let collected = if too_long { None } else { Some(Limited::new(body, limit).collect().await) };
    match collected {
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if !error.is::<LengthLimitError>() => {
            Err(ProtocolError::new(Code::InvalidMessage, "the body could not be read"))
        }
        _ => Err(ProtocolError::new(
            Code::BodyTooLarge,
            format!("the body must have at most {limit} bytes"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_decoded() {
        let query = Some("a=1&token=x%2By+z&b&token=second&bad=%ff");
        assert_eq!(query_parameter(query, "token").unwrap(), "x+y+z");
        assert_eq!(query_parameter(query, "b"), None);
        assert_eq!(query_parameter(query, "bad"), None);
        assert_eq!(query_parameter(None, "a"), None);
    }

    #[test]
    fn bearer_credentials_are_found_whatever_the_scheme_s_case() {
        let mut headers = HeaderMap::new();
        assert_eq!(bearer(&headers), None);
        headers.insert(header::AUTHORIZATION, "bearer  abc ".parse().unwrap());
        assert_eq!(bearer(&headers), Some("abc"));
        headers.insert(header::AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }
}
