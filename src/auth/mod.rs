//! Keys, claims, patterns and permissions (protocol sections 3 and 4). Pure.
