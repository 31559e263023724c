//! Durable storage for fanfare on redb.
