//! Bytes that several hold without copying them.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// A part of a buffer that lives as long as the longest of its holders.
#[derive(Clone)]
pub struct Shared {
    buffer: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Shared {
    pub fn new(buffer: Vec<u8>) -> Shared {
        let range = 0..buffer.len();
        Shared {
            buffer: Arc::new(buffer),
            range,
        }
    }

    /// A part of this part. Panics where `range` is not inside it: callers have checked.
    pub fn part(&self, range: Range<usize>) -> Shared {
        assert!(range.start <= range.end && range.end <= self.len());
        Shared {
            buffer: Arc::clone(&self.buffer),
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }

    pub fn from(&self, at: usize) -> Shared {
        self.part(at..self.len())
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
