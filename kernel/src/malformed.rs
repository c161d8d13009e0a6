//! What bytes are not.

use std::fmt;

/// Bytes that break the binlog's contract. The message names what was read and what is wrong with it, never a value: it goes to logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

pub type Result<T> = std::result::Result<T, Malformed>;

pub fn malformed<T>(message: impl Into<String>) -> Result<T> {
    Err(Malformed(message.into()))
}
