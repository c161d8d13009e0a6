//! The parts of a binary JSON document: where each lies, and the text of those that are neither object nor array.
//!
//! Source: MySQL 9.7, sql-common/json_binary.h (the form) and json_dom.cc (wrapper_to_string, double_quote).

use super::base64::write_base64;
use super::digits::write_integer;
use super::json_text::{write_utf8, TWICE};
use super::numbers::{write_decimal, write_mysql_double, PRECISION_MAX};
use super::temporal::write_json_temporal;
use crate::malformed::{malformed, Result};

pub const DEPTH_MAX: usize = 100; // MySQL's own limit
const SMALL_OBJECT: u8 = 0;
const LARGE_OBJECT: u8 = 1;
pub const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;
const INT16: u8 = 5;
const UINT16: u8 = 6;
const INT32: u8 = 7;
const UINT32: u8 = 8;
const INT64: u8 = 9;
const UINT64: u8 = 10;
const DOUBLE: u8 = 11;
const STRING: u8 = 12;
const OPAQUE: u8 = 15;
const TIMESTAMP_TYPE: u8 = 7;
const DATE_TYPE: u8 = 10;
const TIME_TYPE: u8 = 11;
const DATETIME_TYPE: u8 = 12;
const DECIMAL_TYPE: u8 = 246;
const VAR_STRING_TYPE: u8 = 253;

/// A quote of MySQL's text inside a string of ours.
pub const QUOTE: &[u8] = b"\\\"";

/// The head of an object or array: where it begins, how many members it has and how wide its numbers are.
pub struct Container {
    pub object: bool,
    pub count: usize,
    pub at: usize,
    width: usize,
}

/// Reads one document. Its values share no bytes, so a document that makes more of them than it has bytes is not one: this bounds time
/// and memory whatever the offsets say.
pub struct Reader<'a> {
    data: &'a [u8],
    budget: usize,
}

impl<'a> Reader<'a> {
    pub fn new(data: &'a [u8]) -> Reader<'a> {
        Reader { data, budget: data.len() }
    }

    /// To read again what was paid for already.
    pub fn anew(&self) -> Reader<'a> {
        Reader {
            data: self.data,
            budget: usize::MAX,
        }
    }

    fn take(&mut self, at: usize, count: usize) -> Result<&'a [u8]> {
        let Some(bytes) = at.checked_add(count).and_then(|end| self.data.get(at..end)) else {
            return malformed(format!("JSON document: needs {count} bytes at byte {at} of {}", self.data.len()));
        };
        match self.budget.checked_sub(count) {
            Some(left) => self.budget = left,
            None => return malformed("JSON document: its parts overlap"),
        }
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, at: usize) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(at, N)?);
        Ok(out)
    }

    /// A number of two bytes, or four in a large container.
    fn number(&mut self, width: usize, at: usize) -> Result<usize> {
        Ok(if width == 2 {
            u16::from_le_bytes(self.array(at)?).into()
        } else {
            u32::from_le_bytes(self.array(at)?) as usize
        })
    }

    /// A length of seven bits a byte, and where it ends.
    fn length(&mut self, at: usize) -> Result<(usize, usize)> {
        let mut length = 0u64;
        for place in 0..5 {
            let [byte] = self.array(at + place)?;
            length |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                return Ok((length, at + place + 1));
            }
        }
        malformed(format!("JSON document: a length without end at byte {at}"))
    }

    pub fn container(&mut self, kind: u8, at: usize, depth: usize) -> Result<Container> {
        if depth > DEPTH_MAX {
            return malformed(format!("JSON document: nested deeper than {DEPTH_MAX}"));
        }
        let width = if kind == LARGE_OBJECT || kind == LARGE_ARRAY { 4 } else { 2 };
        let count = self.number(width, at)?;
        let size = self.number(width, at + width)?;
        if size > self.data.len() - at {
            return malformed(format!(
                "JSON document: a value of {size} bytes at byte {at} of {}",
                self.data.len()
            ));
        }
        Ok(Container {
            object: kind == SMALL_OBJECT || kind == LARGE_OBJECT,
            count,
            at,
            width,
        })
    }

    /// The key at a place of an object; not yet known to be UTF-8.
    pub fn key(&mut self, container: &Container, place: usize) -> Result<&'a [u8]> {
        let width = container.width;
        let entry = container.at + 2 * width + place * (width + 2);
        let at = container.at + self.number(width, entry)?;
        let length = self.number(2, entry + width)?;
        self.take(at, length)
    }

    /// The type of the value at a place of a container, and where it lies: in the entry itself if it is small.
    pub fn entry(&mut self, container: &Container, place: usize) -> Result<(u8, usize)> {
        let width = container.width;
        let keys = if container.object { container.count * (width + 2) } else { 0 };
        let entry = container.at + 2 * width + keys + place * (width + 1);
        let [kind] = self.array(entry)?;
        if matches!(kind, LITERAL | INT16 | UINT16) || (width == 4 && matches!(kind, INT32 | UINT32)) {
            return Ok((kind, entry + 1));
        }
        Ok((kind, container.at + self.number(width, entry + 1)?))
    }

    /// What is no object and no array.
    pub fn write_scalar(&mut self, kind: u8, at: usize, out: &mut Vec<u8>) -> Result<()> {
        match kind {
            LITERAL => match self.array(at)? {
                [0] => out.extend_from_slice(b"null"),
                [1] => out.extend_from_slice(b"true"),
                [2] => out.extend_from_slice(b"false"),
                _ => return malformed(format!("JSON document: unknown literal at byte {at}")),
            },
            INT16 => write_integer(i16::from_le_bytes(self.array(at)?), out),
            UINT16 => write_integer(u16::from_le_bytes(self.array(at)?), out),
            INT32 => write_integer(i32::from_le_bytes(self.array(at)?), out),
            UINT32 => write_integer(u32::from_le_bytes(self.array(at)?), out),
            INT64 => write_integer(i64::from_le_bytes(self.array(at)?), out),
            UINT64 => write_integer(u64::from_le_bytes(self.array(at)?), out),
            DOUBLE => {
                let number = f64::from_le_bytes(self.array(at)?);
                if !number.is_finite() {
                    return malformed(format!("JSON document: a double that is not finite at byte {at}"));
                }
                write_mysql_double(number, out);
            }
            STRING => {
                let (length, at) = self.length(at)?;
                self.write_text(at, length, out)?;
            }
            OPAQUE => self.write_opaque(at, out)?,
            _ => return malformed(format!("JSON document: unknown type {kind} at byte {at}")),
        }
        Ok(())
    }

    fn write_text(&mut self, at: usize, length: usize, out: &mut Vec<u8>) -> Result<()> {
        let text = self.take(at, length)?;
        out.extend_from_slice(QUOTE);
        if !write_utf8(text, &TWICE, out) {
            return malformed(format!("JSON document: text at byte {at} is not UTF-8"));
        }
        out.extend_from_slice(QUOTE);
        Ok(())
    }

    /// A value of an SQL type JSON has not.
    fn write_opaque(&mut self, at: usize, out: &mut Vec<u8>) -> Result<()> {
        let [kind] = self.array(at)?;
        let (length, at) = self.length(at + 1)?;
        if kind == VAR_STRING_TYPE {
            return self.write_text(at, length, out);
        }
        let content = self.take(at, length)?;
        match kind {
            DECIMAL_TYPE => {
                if let [precision, scale, packed @ ..] = content {
                    let (precision, scale) = (usize::from(*precision), usize::from(*scale));
                    if (1..=PRECISION_MAX).contains(&precision) && scale <= precision && !packed.is_empty() {
                        return write_decimal(packed, precision, scale, out);
                    }
                }
                malformed(format!("JSON document: a decimal of no precision at byte {at}"))
            }
            TIMESTAMP_TYPE | DATE_TYPE | TIME_TYPE | DATETIME_TYPE => {
                let Some(&packed) = content.first_chunk::<8>().filter(|_| length == 8) else {
                    return malformed(format!("JSON document: a date or time of {length} bytes at byte {at}"));
                };
                out.extend_from_slice(QUOTE);
                write_json_temporal(kind == TIME_TYPE, kind == DATE_TYPE, i64::from_le_bytes(packed), out);
                out.extend_from_slice(QUOTE);
                Ok(())
            }
            _ => {
                out.extend_from_slice(b"\\\"base64:type");
                write_integer(kind, out);
                out.push(b':');
                // MySQL breaks base64 into lines of 76.
                for (line, bytes) in content.chunks(57).enumerate() {
                    if line > 0 {
                        out.extend_from_slice(TWICE[b'\n' as usize].as_bytes());
                    }
                    write_base64(bytes, out);
                }
                out.extend_from_slice(QUOTE);
                Ok(())
            }
        }
    }
}
