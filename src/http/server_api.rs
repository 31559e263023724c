//! The server HTTP API for backends (protocol section 10), a thin layer on the broker's calls.

use super::body::Body;
use super::publish::Origin;
use super::{BoxError, answer, request};
use crate::broker::{Core, secrets_equal};
use crate::protocol::error::{Code, ProtocolError};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};

/// Checks the API key. All keys are compared, whichever fits.
pub(super) fn authenticate(core: &Core, headers: &HeaderMap) -> Result<(), ProtocolError> {
    let given = request::bearer(headers).unwrap_or_default();
    let fits =
        core.settings.api_keys.iter().fold(false, |fits, key| fits | secrets_equal(key, given));
    if fits {
        return Ok(());
    }
    if let Ok(times) = core.hub.counters().wrong_keys_told.pass() {
        tracing::warn!(times, "requests without one of this server's API keys are refused");
    }
    Err(ProtocolError::new(
        Code::InvalidApiKey,
        "this path needs \"Authorization: Bearer KEY\" with one of the server's API keys",
    ))
}

pub(super) async fn publish<B>(
    core: &Core,
    request: Request<B>,
) -> Result<Response<Body>, ProtocolError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    authenticate(core, request.headers())?;
    let (parts, body) = request.into_parts();
    let body = request::body(body, core.settings.max_server_body).await?;
    super::publish::publish(core, &Origin::new(&parts), &body).await
}

/// `DELETE /schedules/{id}` (section 11). What is no id is none that is there.
pub(super) async fn cancel_schedule(
    core: &Core,
    id: &str,
) -> Result<Response<Body>, ProtocolError> {
    let gone = match id.parse() {
        Ok(id) => !core.cancel_schedule(id).await.map_err(|error| {
            tracing::debug!(%error, "a schedule could not be cancelled");
            ProtocolError::storage(error, "the storage failed; try again later")
        })?,
        Err(_) => true,
    };
    if gone {
        let message = "there is no schedule of this id, or it was carried out or cancelled";
        return Err(ProtocolError::new(Code::NotFound, message));
    }
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// `GET /channels/{name}`.
pub(super) fn channel_info(core: &Core, name: &str) -> Result<Response<Body>, ProtocolError> {
    let info = core.channel_info(name)?;
    Ok(answer::json_text(StatusCode::OK, info.to_json("name")))
}
