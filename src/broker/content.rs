//! What messages of the host's and values that it sets have in common: data, a lifetime, a time,
//! and whether events tell of them.

use super::events::Cause;
use crate::protocol::error::ProtocolError;
use crate::protocol::fields::{Field, Fields};
use crate::protocol::store::StoreFor;
use crate::protocol::{json, schedule};
use crate::session::check_data_size;
use fanfare_storage::Timestamp;
use serde::Serialize;

/// As it was given.
#[derive(Clone, Debug)]
pub(super) struct Content {
    data: Result<String, ProtocolError>,
    store: StoreFor,
    emit: bool,
    cause: Cause,
    due: Option<Due>,
}

/// When something is to be done, where not at once.
#[derive(Clone, Debug)]
enum Due {
    At(Timestamp),
    Local { expression: String, zone: Option<String> },
}

/// What passed all checks.
#[derive(Debug)]
pub(super) struct CheckedContent {
    /// JSON text.
    pub(super) data: String,
    pub(super) store: StoreFor,
    /// Where it came in, where events tell of it.
    pub(super) cause: Option<Cause>,
    pub(super) due: Option<Timestamp>,
}

impl Content {
    /// `null`, now.
    pub(super) fn new(store: StoreFor) -> Self {
        let data = Ok("null".to_owned());
        Self { data, store, emit: false, cause: Cause::of_host(), due: None }
    }

    pub(super) fn set_data(&mut self, data: &(impl Serialize + ?Sized)) {
        self.data = json::text(data);
    }

    pub(super) fn set_raw_data(&mut self, json: String) {
        self.data = json::checked(json);
    }

    pub(super) fn set_store(&mut self, store: StoreFor) {
        self.store = store;
    }

    pub(super) fn set_emit(&mut self, emit: bool) {
        self.emit = emit;
    }

    pub(super) fn schedule_at(&mut self, time: Timestamp) {
        self.due = Some(Due::At(time));
    }

    pub(super) fn schedule_locally(&mut self, expression: String, zone: Option<&str>) {
        self.due = Some(Due::Local { expression, zone: zone.map(str::to_owned) });
    }

    /// Takes what a request of the server API says; `cause` is asked for where events are to tell
    /// of it.
    pub(super) fn read(
        &mut self,
        fields: &Fields<'_>,
        cause: impl FnOnce() -> Cause,
    ) -> Result<(), ProtocolError> {
        if let Some(store) = StoreFor::read(fields)? {
            self.store = store;
        }
        if fields.flag(Field::EmitPubSubEvent)? {
            (self.emit, self.cause) = (true, cause());
        }
        if let Some(data) = fields.raw(Field::Data) {
            // What stands inside of an object has been parsed, and has no white space around it.
            self.data = Ok(data.to_owned());
        }
        let zone = fields.string(Field::ScheduleExpressionTimezone)?;
        if let Some(expression) = fields.string(Field::ScheduleExpression)? {
            self.schedule_locally(expression.into_owned(), zone.as_deref());
        }
        Ok(())
    }

    pub(super) fn check(self, now: Timestamp) -> Result<CheckedContent, ProtocolError> {
        let data = self.data?;
        check_data_size(&data)?;
        self.store.check()?;
        let due = self.due.map(|due| due.resolve(now)).transpose()?;
        let cause = self.emit.then_some(self.cause);
        Ok(CheckedContent { data, store: self.store, cause, due })
    }
}

impl Due {
    fn resolve(self, now: Timestamp) -> Result<Timestamp, ProtocolError> {
        let due = match self {
            Self::At(due) => due,
            Self::Local { expression, zone } => schedule::resolve(&expression, zone.as_deref())?,
        };
        schedule::check_due(due, now).map(|()| due)
    }
}

/// Setters of `self.content` that messages and updates share.
macro_rules! content_setters {
    ($(#[$store_for:meta])* store_for, $(#[$emit:meta])* emit, $(#[$schedule:meta])* schedule,) => {
        $(#[$store_for])*
        pub fn store_for(mut self, time: std::time::Duration) -> Self {
            self.content.set_store(crate::protocol::store::StoreFor::whole_seconds(time));
            self
        }

        $(#[$emit])*
        pub fn emit_pub_sub_event(mut self, emit: bool) -> Self {
            self.content.set_emit(emit);
            self
        }

        $(#[$schedule])*
        pub fn schedule_at(mut self, time: fanfare_storage::Timestamp) -> Self {
            self.content.schedule_at(time);
            self
        }

        /// As [`schedule_at`](Self::schedule_at), of a local time, `at(YYYY-MM-DDTHH:MM:SS)`, in a
        /// time zone of the IANA database, or in UTC. A time that daylight saving skips moves
        /// forward by what it skips; of one that comes twice the first is meant.
        ///
        /// ```
        /// use fanfare::Message;
        ///
        /// let new_year = Message::new("news", "wishes")
        ///     .schedule_expression("at(2100-01-01T00:00:00)", Some("Europe/Berlin"));
        /// ```
        pub fn schedule_expression(
            mut self,
            expression: impl Into<String>,
            time_zone: Option<&str>,
        ) -> Self {
            self.content.schedule_locally(expression.into(), time_zone);
            self
        }

        /// Takes what a request of the server API says of data, lifetime, events and time.
        pub(crate) fn read(
            mut self,
            fields: &crate::protocol::fields::Fields<'_>,
            cause: impl FnOnce() -> crate::broker::Cause,
        ) -> Result<Self, crate::protocol::error::ProtocolError> {
            self.content.read(fields, cause)?;
            Ok(self)
        }
    };
}
pub(super) use content_setters;
