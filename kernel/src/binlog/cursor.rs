//! A cursor: reads through bytes and refuses to pass their end.

use crate::malformed::{malformed, Result};

/// `data` from `at` on, little-endian as the binlog is. Every method fails, naming `what`, rather than read short.
pub struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub fn new(data: &'a [u8], what: &'static str) -> Self {
        Cursor { data, at: 0, what }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn left(&self) -> usize {
        self.data.len() - self.at
    }

    pub fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        if count > self.left() as u64 {
            return malformed(format!(
                "{}: needs {count} bytes at byte {}, has {}",
                self.what,
                self.at,
                self.left()
            ));
        }
        let begin = self.at;
        self.at += count as usize;
        Ok(&self.data[begin..self.at])
    }

    pub fn rest(&mut self) -> &'a [u8] {
        let begin = self.at;
        self.at = self.data.len();
        &self.data[begin..]
    }

    /// An unsigned integer of at most eight bytes.
    pub fn uint(&mut self, width: u8) -> Result<u64> {
        let mut value = [0; 8];
        let bytes = self.take(width.into())?;
        value[..bytes.len()].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(value))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(self.uint(2)? as u16)
    }

    pub fn u64(&mut self) -> Result<u64> {
        self.uint(8)
    }

    /// Source: MySQL internals, "Length-encoded integer". 251 (NULL) and 255 are no integers.
    pub fn lenenc(&mut self) -> Result<u64> {
        match self.u8()? {
            first @ 0..=250 => Ok(first.into()),
            252 => self.uint(2),
            253 => self.uint(3),
            254 => self.uint(8),
            first => malformed(format!("{}: {first} does not begin a length at byte {}", self.what, self.at - 1)),
        }
    }

    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.lenenc()?;
        self.take(count)
    }

    /// An unsigned integer of mysql::serialization: as many trailing 1 bits of the first byte as bytes follow it.
    pub fn varlen(&mut self) -> Result<u64> {
        let first = self.u8()?;
        let extra = first.trailing_ones() as u8;
        if extra == 8 {
            return self.u64();
        }
        let more = u128::from(self.uint(extra)?);
        Ok(((u128::from(first) | more << 8) >> (extra + 1)) as u64)
    }

    /// The sign is the lowest bit; a negative number is stored as its complement.
    pub fn varlen_signed(&mut self) -> Result<i64> {
        let raw = self.varlen()?;
        let half = (raw >> 1) as i64;
        Ok(if raw & 1 == 1 { !half } else { half })
    }

    pub fn utf8(&mut self, count: u64) -> Result<&'a str> {
        let at = self.at;
        let bytes = self.take(count)?;
        simdutf8::basic::from_utf8(bytes).or_else(|_| malformed(format!("{}: text at byte {at} is not UTF-8", self.what)))
    }
}
