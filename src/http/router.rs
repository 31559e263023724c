//! Which path is what (protocol section 1).

use super::admin::{self, Resource};
use super::body::Body;
use super::{BoxError, answer, client_api, cors, entries, server_api};
use crate::broker::Core;
use crate::protocol::error::{Code, ProtocolError};
use crate::websocket;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::sync::Arc;

/// A path that exists.
#[derive(Debug, PartialEq, Eq)]
enum Route<'p> {
    Connect,
    ClientModule,
    Publish,
    /// With the channel's name, still percent-encoded.
    ChannelInfo(&'p str),
    /// With the channel's name, still percent-encoded.
    ChannelStorage(&'p str),
    /// With the schedule's id.
    Schedule(&'p str),
    Control(Resource<'p>),
}

impl<'p> Route<'p> {
    fn of(path: &'p str) -> Option<Self> {
        match path {
            "/v1" | "/v1/" => return Some(Self::Connect),
            "/fanfare.js" => return Some(Self::ClientModule),
            "/publish" => return Some(Self::Publish),
            _ => {}
        }
        if let Some(id) = path.strip_prefix("/schedules/") {
            return (!id.is_empty() && !id.contains('/')).then_some(Self::Schedule(id));
        }
        if let Some(resource) = Resource::of(path) {
            return Some(Self::Control(resource));
        }
        let name = path.strip_prefix("/channels/")?;
        if let Some(name) = name.strip_suffix("/storage") {
            let is_name = !name.is_empty() && !name.contains('/');
            return is_name.then_some(Self::ChannelStorage(name));
        }
        (!name.is_empty() && !name.contains('/')).then_some(Self::ChannelInfo(name))
    }

    /// The methods that it answers, as the header `Allow` lists them.
    fn allowed(&self) -> &'static str {
        match self {
            Self::Connect | Self::ClientModule | Self::ChannelInfo(_) | Self::ChannelStorage(_) => {
                "GET"
            }
            Self::Publish => "POST",
            Self::Schedule(_) => "DELETE",
            Self::Control(resource) => resource.allowed(),
        }
    }
}

/// Answers a request; never fails.
pub(super) async fn answer<B>(core: &Arc<Core>, prefix: &str, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix(prefix) else {
        return refuse(core, &not_found());
    };
    if let Some(operation) = path.strip_prefix("/connection/") {
        return client_answer(core, operation, request).await;
    }
    let Some(route) = Route::of(path) else { return refuse(core, &not_found()) };
    let allowed = route.allowed();
    if !allowed.split(", ").any(|method| method == request.method().as_str()) {
        return wrong_method(core, allowed);
    }
    let is_connect = route == Route::Connect;
    let result = match route {
        Route::Connect => websocket::upgrade(core, request).await,
        Route::ClientModule => Ok(client_module()),
        Route::Control(resource) => admin::perform(core, resource, request).await,
        Route::Publish => server_api::publish(core, request).await,
        Route::ChannelInfo(name) => channel_info(core, &request, name),
        Route::ChannelStorage(name) => channel_storage(core, request, name).await,
        Route::Schedule(id) => match server_api::authenticate(core, request.headers()) {
            Ok(()) => server_api::cancel_schedule(core, id).await,
            Err(error) => Err(error),
        },
    };
    let mut response = result.unwrap_or_else(|error| refuse(core, &error));
    if is_connect && response.status() == StatusCode::BAD_REQUEST {
        // RFC 6455 section 4.2.2: what would be right.
        let version = HeaderValue::from_static("13");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
    }
    if is_connect && response.status() == StatusCode::SERVICE_UNAVAILABLE {
        // Whoever is to come back later holds no open file meanwhile.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Every answer of the client API, errors too, says which pages may read it.
async fn client_answer<B>(core: &Arc<Core>, operation: &str, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let headers = request.headers().clone();
    let operation = client_api::Operation::by_name(operation);
    let mut response = match (operation, request.method()) {
        (None, _) => refuse(core, &not_found()),
        (Some(_), &Method::OPTIONS) => cors::preflight(),
        (Some(operation), &Method::POST) => client_api::perform(core, operation, request)
            .await
            .unwrap_or_else(|error| refuse(core, &error)),
        _ => wrong_method(core, "POST"),
    };
    cors::allow(&mut response, &headers, &core.settings.allowed_origins);
    response
}

fn channel_info<B>(
    core: &Core,
    request: &Request<B>,
    name: &str,
) -> Result<Response<Body>, ProtocolError> {
    server_api::authenticate(core, request.headers())?;
    server_api::channel_info(core, &decoded(name)?)
}

async fn channel_storage<B>(
    core: &Core,
    request: Request<B>,
    name: &str,
) -> Result<Response<Body>, ProtocolError> {
    server_api::authenticate(core, request.headers())?;
    entries::list_all(core, &decoded(name)?, request.uri().query()).await
}

fn decoded(name: &str) -> Result<Cow<'_, str>, ProtocolError> {
    percent_decode_str(name)
        .decode_utf8()
        .map_err(|_| ProtocolError::new(Code::InvalidChannelName, "the channel name must be UTF-8"))
}

fn client_module() -> Response<Body> {
    let mut response = Response::new(Body::from(crate::CLIENT_MODULE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // A module is only imported across origins where it says that it may be.
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

fn wrong_method(core: &Core, allowed: &'static str) -> Response<Body> {
    let message = format!("this path answers {allowed} only");
    let mut response = refuse(core, &ProtocolError::new(Code::MethodNotAllowed, message));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

fn refuse(core: &Core, error: &ProtocolError) -> Response<Body> {
    core.hub.counters().refused(error.code);
    answer::error(error)
}

fn not_found() -> ProtocolError {
    ProtocolError::new(Code::NotFound, "there is nothing here")
}
