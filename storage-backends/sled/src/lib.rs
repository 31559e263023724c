//! Storage for fanfare on sled.
