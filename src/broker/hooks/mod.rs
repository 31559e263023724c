//! Where a host has its say in what clients do: vetoes, and changes on the way.

/// Reading and changing whom others see, in `self.meta`.
macro_rules! identity {
    (
        $(#[$uid:meta])* uid,
        $(#[$umd:meta])* umd,
        $(#[$set_uid:meta])* set_uid,
        $(#[$set_umd:meta])* set_umd,
    ) => {
        $(#[$uid])*
        #[must_use]
        pub fn uid(&self) -> Option<&str> {
            self.meta.uid.as_deref()
        }

        $(#[$umd])*
        #[must_use]
        pub fn umd(&self) -> Option<&str> {
            self.meta.umd_text()
        }

        $(#[$set_uid])*
        ///
        /// # Errors
        ///
        /// Fails where the uid is empty or longer than 128 characters
        /// ([`is_invalid_input`](crate::Error::is_invalid_input)).
        pub fn set_uid(&mut self, uid: Option<&str>) -> Result<(), crate::Error> {
            Ok(self.meta.replace_uid(uid)?)
        }

        $(#[$set_umd])*
        /// to anything that serialises to JSON; null is none.
        ///
        /// # Errors
        ///
        /// Fails where it does not serialise, or has more than 1,024 bytes
        /// ([`is_invalid_input`](crate::Error::is_invalid_input)).
        pub fn set_umd(&mut self, umd: &(impl serde::Serialize + ?Sized)) -> Result<(), crate::Error> {
            Ok(self.meta.replace_umd(crate::protocol::json::text(umd)?)?)
        }

        $(#[$set_umd])*
        /// to JSON text, which is kept as it is, but for white space around it; null is none.
        ///
        /// # Errors
        ///
        /// Fails where it is not valid JSON, or has more than 1,024 bytes
        /// ([`is_invalid_input`](crate::Error::is_invalid_input)).
        pub fn set_raw_umd(&mut self, json: impl Into<String>) -> Result<(), crate::Error> {
            Ok(self.meta.replace_umd(json.into())?)
        }
    };
}

mod connecting;
mod guard;
mod publishing;
mod subscribing;

pub use connecting::Connecting;
pub use publishing::Publishing;
pub use subscribing::Subscribing;

use super::throttle::Throttle;
use crate::protocol::error::{Code, ProtocolError};
use fanfare_storage::async_trait;
use guard::guarded;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Vetoes and changes of what clients do with the leave of their tokens; see
/// [`BrokerBuilder::hooks`](crate::BrokerBuilder::hooks).
///
/// Each method may change what it is handed, let it pass with `Ok`, or refuse it with a [`Veto`],
/// whose code and message the client gets. Those that are not overridden let everything pass.
///
/// - **They come last.** A hook is asked once everything else is checked: syntax and sizes, the
///   token, permissions. So it can only narrow what tokens permit, but for what it puts into
///   place itself: that is checked against the protocol's limits, and against no permission. A
///   token for a single use is used up after a hook has let it pass, and not where it has not.
/// - **In order.** A connection's commands take effect in the order in which they were sent, so
///   the next is looked at when the hook of the one before has answered. Other connections do not
///   wait. So there are at most as many calls at a time as there are open or opening connections
///   and requests of the client HTTP API.
/// - **In time.** One that takes longer than
///   [`hook_timeout`](crate::BrokerBuilder::hook_timeout), or that panics, has refused: the client
///   is told [`Code::Unavailable`], and the log tells why.
/// - **They can be cancelled.** Where the client goes away, or time is up, the method's future is
///   dropped at the `.await` where it is. What must not be cut in two belongs in a task.
///
/// The host's own calls and requests of the server API, for one message or many, are not asked
/// about, nor are reactions and changes of metadata. Of what is scheduled a hook is asked when it
/// is accepted, and not again when it is due.
///
/// # Examples
///
/// What is said, and how long it is kept:
///
/// ```
/// use fanfare::{Code, Hooks, Publishing, Veto, async_trait};
///
/// #[derive(Debug)]
/// struct Moderation;
///
/// #[async_trait]
/// impl Hooks for Moderation {
///     async fn publish(&self, publishing: &mut Publishing) -> Result<(), Veto> {
///         if publishing.data().contains("darn") {
///             return Err(Veto::new(Code::PublishPermissionDenied, "mind your language"));
///         }
///         if publishing.event() == "draft" {
///             publishing.do_not_store();
///         }
///         Ok(())
///     }
/// }
/// ```
///
/// Who comes, and what others see of them:
///
/// ```
/// use fanfare::{Code, Connecting, Error, Hooks, Subscribing, Veto, async_trait};
///
/// /// What the host's own middleware found out, and put into the extensions of the request.
/// #[derive(Clone)]
/// struct LoggedIn(String);
///
/// #[derive(Debug)]
/// struct Members(Vec<String>);
///
/// #[async_trait]
/// impl Hooks for Members {
///     async fn connect(&self, connecting: &mut Connecting) -> Result<(), Veto> {
///         if let Some(LoggedIn(user)) = connecting.request().extensions.get().cloned() {
///             connecting.set_uid(Some(&user)).map_err(refused)?;
///         }
///         match connecting.uid() {
///             Some(uid) if self.0.iter().any(|member| member == uid) => Ok(()),
///             _ => Err(Veto::new(Code::Custom("NOT_A_MEMBER"), "please become a member first")),
///         }
///     }
///
///     async fn subscribe(&self, subscribing: &mut Subscribing) -> Result<(), Veto> {
///         if subscribing.channel().starts_with("presence.anonymous.") {
///             let mask = format!("guest-{}", &subscribing.connection_id()[..6]);
///             subscribing.set_uid(Some(&mask)).map_err(refused)?;
///             subscribing.set_umd(&serde_json::json!(null)).map_err(refused)?;
///         }
///         Ok(())
///     }
/// }
///
/// fn refused(error: Error) -> Veto {
///     Veto::new(error.code(), error.to_string())
/// }
/// ```
#[async_trait]
pub trait Hooks: fmt::Debug + Send + Sync + 'static {
    /// A client is about to connect. It waits for its welcome meanwhile, and the official client
    /// gives up after 5 seconds.
    async fn connect(&self, connecting: &mut Connecting) -> Result<(), Veto> {
        let _ = connecting;
        Ok(())
    }

    /// A connection is about to be subscribed to a channel, by a command or by `autoSubscribe`.
    async fn subscribe(&self, subscribing: &mut Subscribing) -> Result<(), Veto> {
        let _ = subscribing;
        Ok(())
    }

    /// A client is about to publish a message, or to set a value of a channel's storage
    /// ([`Publishing::key`]), over its WebSocket or the client HTTP API.
    async fn publish(&self, publishing: &mut Publishing) -> Result<(), Veto> {
        let _ = publishing;
        Ok(())
    }
}

/// For hooks that the host keeps a handle of.
#[async_trait]
impl<H: Hooks + ?Sized> Hooks for Arc<H> {
    async fn connect(&self, connecting: &mut Connecting) -> Result<(), Veto> {
        (**self).connect(connecting).await
    }

    async fn subscribe(&self, subscribing: &mut Subscribing) -> Result<(), Veto> {
        (**self).subscribe(subscribing).await
    }

    async fn publish(&self, publishing: &mut Publishing) -> Result<(), Veto> {
        (**self).publish(publishing).await
    }
}

/// A hook's refusal, for the client to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Veto {
    code: Code,
    message: Cow<'static, str>,
}

impl Veto {
    /// A refusal with one of the protocol's codes, or with one of the host's own
    /// ([`Code::Custom`]).
    ///
    /// Mind what clients do upon a code: the official one gives a channel up whose subscribe is
    /// refused, whatever the code.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The code that the client gets.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The message that the client gets.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Veto {}

impl From<Veto> for ProtocolError {
    fn from(veto: Veto) -> Self {
        Self::new(veto.code, veto.message)
    }
}

/// The host's hooks, asked within bounds.
#[derive(Debug)]
pub(crate) struct Host {
    hooks: Box<dyn Hooks>,
    timeout: Duration,
    told: Throttle,
}

impl Host {
    pub(super) fn new(hooks: Box<dyn Hooks>, timeout: Duration) -> Self {
        Self { hooks, timeout, told: Throttle::default() }
    }

    pub(super) async fn connect(&self, connecting: &mut Connecting) -> Result<(), ProtocolError> {
        self.ask("connect", |hooks| hooks.connect(connecting)).await
    }

    pub(super) async fn subscribe(
        &self,
        subscribing: &mut Subscribing,
    ) -> Result<(), ProtocolError> {
        self.ask("subscribe", |hooks| hooks.subscribe(subscribing)).await
    }

    pub(super) async fn publish(&self, publishing: &mut Publishing) -> Result<(), ProtocolError> {
        self.ask("publish", |hooks| hooks.publish(publishing)).await
    }

    async fn ask<'a, F>(
        &'a self,
        hook: &'static str,
        call: impl FnOnce(&'a dyn Hooks) -> F,
    ) -> Result<(), ProtocolError>
    where
        F: Future<Output = Result<(), Veto>> + Unpin,
    {
        let problem = match tokio::time::timeout(self.timeout, guarded(|| call(&*self.hooks))).await
        {
            Ok(Ok(verdict)) => return verdict.map_err(ProtocolError::from),
            Ok(Err(_)) => "panicked",
            Err(_) => "took too long",
        };
        if let Ok(times) = self.told.pass() {
            tracing::error!(hook, times, timeout = ?self.timeout, "a hook {problem}, which refuses what it was asked");
        }
        let message = "the server could not decide about this; try again later";
        Err(ProtocolError::new(Code::Unavailable, message))
    }
}
