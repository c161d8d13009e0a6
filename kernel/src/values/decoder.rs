//! The values of one column, one after another: what every row goes through.

use super::base64::write_padded;
use super::content::{hex, infinite, write_geometry, write_quoted_base64, write_raw, write_set, write_vector};
use super::digits::write_integer;
use super::kind::Kind;
use super::numbers::{write_decimal, write_double, write_float};
use super::{jsonb, temporal, ColumnSpec};
use crate::malformed::{malformed, Malformed, Result};

/// Decodes the values of one column.
pub struct Decoder {
    kind: Kind,
}

impl Decoder {
    /// Fails for a type code it does not know, and for sizes that no column of a type has.
    pub fn new(spec: &ColumnSpec) -> Result<Decoder> {
        Ok(Decoder { kind: Kind::of(spec)? })
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    pub fn is_json(&self) -> bool {
        matches!(self.kind, Kind::Json { .. })
    }

    /// Appends the JSON of the value at `at` and returns where it ends. `raw`: set, and `null` appended, if JSON cannot carry the value.
    /// What was appended before a failure stays.
    pub fn write(&self, data: &[u8], at: usize, out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<usize> {
        match &self.kind {
            Kind::Signed { width } => write_signed(data, at, *width, out),
            Kind::Unsigned { width } => {
                match *slice(data, at, *width)? {
                    [a] => write_integer(a, out),
                    [a, b] => write_integer(u16::from_le_bytes([a, b]), out),
                    [a, b, c] => write_integer(u32::from_le_bytes([a, b, c, 0]), out),
                    [a, b, c, d] => write_integer(u32::from_le_bytes([a, b, c, d]), out),
                    _ => {}
                }
                Ok(at + width)
            }
            Kind::UnsignedText => {
                out.push(b'"');
                write_integer(u64::from_le_bytes(*array(data, at)?), out);
                out.push(b'"');
                Ok(at + 8)
            }
            Kind::Decimal { size, precision, scale } => {
                out.push(b'"');
                write_decimal(slice(data, at, *size)?, *precision, *scale, out)?;
                out.push(b'"');
                Ok(at + size)
            }
            Kind::Float => {
                let value = f32::from_le_bytes(*array(data, at)?);
                if value.is_finite() {
                    write_float(value, out);
                } else {
                    write_raw(infinite(value.into()), out, raw);
                }
                Ok(at + 4)
            }
            Kind::Double => {
                let value = f64::from_le_bytes(*array(data, at)?);
                if value.is_finite() {
                    write_double(value, out);
                } else {
                    write_raw(infinite(value), out, raw);
                }
                Ok(at + 8)
            }
            Kind::Bool => {
                let [byte] = array(data, at)?;
                out.extend_from_slice(if *byte != 0 { b"true" } else { b"false" });
                Ok(at + 1)
            }
            Kind::Bits { size } => {
                let mut bytes = [0; 8];
                for (place, byte) in bytes.iter_mut().zip(slice(data, at, *size)?.iter().rev()) {
                    *place = *byte;
                }
                write_quoted_base64(&bytes[..*size], out);
                Ok(at + size)
            }
            Kind::Year => {
                let [byte] = array(data, at)?;
                write_integer(if *byte == 0 { 0 } else { 1900 + u16::from(*byte) }, out);
                Ok(at + 1)
            }
            Kind::Date => {
                temporal::write_date(array(data, at)?, out, raw);
                Ok(at + 3)
            }
            Kind::Datetime(form) => {
                let fraction = slice(data, at.saturating_add(5), form.bytes)?;
                temporal::write_datetime(array(data, at)?, fraction, form, out, raw)?;
                Ok(at + 5 + form.bytes)
            }
            Kind::Timestamp(form) => {
                let fraction = slice(data, at.saturating_add(4), form.bytes)?;
                temporal::write_timestamp(*array(data, at)?, fraction, form, out, raw)?;
                Ok(at + 4 + form.bytes)
            }
            Kind::Time(form) => {
                temporal::write_time(slice(data, at, 3 + form.bytes)?, form, out)?;
                Ok(at + 3 + form.bytes)
            }
            Kind::Enum { size, labels } => {
                let index = little_endian(slice(data, at, *size)?) as usize;
                let Some(label) = labels.get(index) else {
                    return malformed(format!("a member beyond the {} labels", labels.len() - 1));
                };
                out.extend_from_slice(label);
                Ok(at + size)
            }
            Kind::Set { size, labels } => {
                write_set(little_endian(slice(data, at, *size)?), labels, out)?;
                Ok(at + size)
            }
            Kind::FixedBytes { prefix, .. }
            | Kind::Bytes { prefix }
            | Kind::Text { prefix, .. }
            | Kind::Json { prefix }
            | Kind::Geometry { prefix }
            | Kind::Vector { prefix } => {
                let (content, end) = prefixed(data, at, *prefix)?;
                self.write_content(content, out, raw)?;
                Ok(end)
            }
        }
    }

    /// A value after its length.
    #[inline]
    pub(super) fn write_content(&self, content: &[u8], out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
        match &self.kind {
            Kind::Text { text, .. } => {
                let start = out.len();
                out.reserve(content.len() + 3);
                out.push(b'"');
                if text.write(content, out)? {
                    out.push(b'"');
                } else {
                    out.truncate(start);
                    write_raw(hex(content), out, raw);
                }
            }
            Kind::FixedBytes { size, .. } => {
                // The server leaves out trailing zero bytes.
                out.push(b'"');
                write_padded(content, *size, out);
                out.push(b'"');
            }
            Kind::Json { .. } => {
                out.push(b'"');
                jsonb::write_document(content, out)?;
                out.push(b'"');
            }
            Kind::Geometry { .. } => write_geometry(content, out)?,
            Kind::Vector { .. } => write_vector(content, out, raw)?,
            _ => write_quoted_base64(content, out),
        }
        Ok(())
    }

    /// The bytes after their length, undecoded, and where they end. Fails for a type whose values have no length before them.
    pub fn prefixed<'a>(&self, data: &'a [u8], at: usize) -> Result<(&'a [u8], usize)> {
        match &self.kind {
            Kind::FixedBytes { prefix, .. }
            | Kind::Bytes { prefix }
            | Kind::Text { prefix, .. }
            | Kind::Json { prefix }
            | Kind::Geometry { prefix }
            | Kind::Vector { prefix } => prefixed(data, at, *prefix),
            _ => malformed("a value without a length before it"),
        }
    }
}

#[cold]
fn short(at: usize, count: usize, data: &[u8]) -> Malformed {
    Malformed(format!(
        "the image ends before it: needs {count} bytes at byte {at} of {}",
        data.len()
    ))
}

#[inline]
fn slice(data: &[u8], at: usize, count: usize) -> Result<&[u8]> {
    data.get(at..)
        .and_then(|rest| rest.get(..count))
        .ok_or_else(|| short(at, count, data))
}

#[inline]
fn array<const N: usize>(data: &[u8], at: usize) -> Result<&[u8; N]> {
    data.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(|| short(at, N, data))
}

#[inline]
fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

#[inline]
fn prefixed(data: &[u8], at: usize, prefix: usize) -> Result<(&[u8], usize)> {
    let length = match *slice(data, at, prefix)? {
        [a] => usize::from(a),
        [a, b] => usize::from(u16::from_le_bytes([a, b])),
        ref wider => little_endian(wider) as usize, // four bytes at most
    };
    let content = slice(data, at + prefix, length)?;
    Ok((content, at + prefix + length))
}

#[inline]
fn write_signed(data: &[u8], at: usize, width: usize, out: &mut Vec<u8>) -> Result<usize> {
    match *slice(data, at, width)? {
        [a] => write_integer(a as i8, out),
        [a, b] => write_integer(i16::from_le_bytes([a, b]), out),
        // Into the upper three bytes and back, which brings the sign along.
        [a, b, c] => write_integer(i32::from_le_bytes([0, a, b, c]) >> 8, out),
        [a, b, c, d] => write_integer(i32::from_le_bytes([a, b, c, d]), out),
        [a, b, c, d, e, f, g, h] => write_integer(i64::from_le_bytes([a, b, c, d, e, f, g, h]), out),
        _ => {}
    }
    Ok(at + width)
}
