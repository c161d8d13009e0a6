//! Column values: bytes of a row image → the JSON the envelope carries.
//!
//! The twin of streamer/core/values.py, which says what each type becomes: byte for byte what `orjson.dumps` makes of its values, and
//! `Malformed` where it raises or, as whoever calls it checks, has read past the end.
//!
//! Source: MySQL 9.7, sql/field.cc (pack and unpack of each type), libs/mysql/strings and mysys/my_time.cc (packed temporal forms).

mod base64;
mod digits;
mod json_text;
mod jsonb;
mod jsondiff;
mod jsonpath;
mod numbers;
mod temporal;
mod text;

#[cfg(test)]
mod never_panics;

use base64::{write_base64, write_padded};
use digits::write_integer;
pub use json_text::write_string;
pub use jsondiff::write_updated;
use numbers::{decimal_size, write_decimal, write_double, write_float, SCALE_MAX};
use temporal::Fraction;
use text::Text;
pub use text::{Foreign, TextSpec};

use crate::malformed::{malformed, Malformed, Result};

/// Type codes. Source: MySQL 9.7, include/field_types.h.
pub mod code {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const YEAR: u8 = 13;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const TIMESTAMP2: u8 = 17;
    pub const DATETIME2: u8 = 18;
    pub const TIME2: u8 = 19;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const DECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const MEDIUM_BLOB: u8 = 250;
    pub const LONG_BLOB: u8 = 251;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// One column as the caller describes it: streamer.core.storage.Storage and what of contracts.table.Column values depend on.
/// `text`: None for bytes.
pub struct ColumnSpec {
    pub name: String,
    pub type_code: u8,
    pub size: u32,
    pub precision: u32,
    pub scale: u32,
    pub unsigned: bool,
    pub text: Option<TextSpec>,
    pub labels: Vec<String>,
}

/// What a column's values are and what is to be known of them; `prefix`: bytes of a value's length before it.
enum Kind {
    Signed {
        width: usize,
    },
    Unsigned {
        width: usize,
    },
    UnsignedText,
    Decimal {
        size: usize,
        precision: usize,
        scale: usize,
    },
    Float,
    Double,
    Bool,
    Bits {
        size: usize,
    },
    Year,
    Date,
    Datetime(Fraction),
    Timestamp(Fraction),
    Time(Fraction),
    FixedBytes {
        prefix: usize,
        size: usize,
    },
    Bytes {
        prefix: usize,
    },
    Text {
        prefix: usize,
        text: Text,
    },
    /// Labels are JSON strings already.
    Enum {
        size: usize,
        labels: Vec<Box<[u8]>>,
    },
    /// Labels are the insides of JSON strings.
    Set {
        size: usize,
        labels: Vec<Box<[u8]>>,
    },
    Json {
        prefix: usize,
    },
    Geometry {
        prefix: usize,
    },
    Vector {
        prefix: usize,
    },
}

/// Decodes the values of one column.
pub struct Decoder {
    kind: Kind,
}

impl Decoder {
    /// Fails for a type code it does not know, and for sizes that no column of a type has.
    pub fn new(spec: &ColumnSpec) -> Result<Decoder> {
        let size = spec.size as usize;
        let text = spec.text.as_ref().map(Text::new).transpose()?;
        let length = if size < 256 { 1 } else { 2 };
        let integer = |width| {
            if spec.unsigned {
                Kind::Unsigned { width }
            } else {
                Kind::Signed { width }
            }
        };
        let within = |low: usize, high: usize| {
            if (low..=high).contains(&size) {
                Ok(size)
            } else {
                malformed(format!("{size} for a column of type {}", spec.type_code))
            }
        };
        let kind = match spec.type_code {
            code::TINY => integer(1),
            code::SHORT => integer(2),
            code::INT24 => integer(3),
            code::LONG => integer(4),
            code::LONGLONG if spec.unsigned => Kind::UnsignedText,
            code::LONGLONG => integer(8),
            code::BIT if spec.precision == 1 => Kind::Bool,
            code::BIT => Kind::Bits { size: within(1, 8)? },
            code::FLOAT => Kind::Float,
            code::DOUBLE => Kind::Double,
            code::DECIMAL => {
                let (precision, scale) = (spec.precision as usize, spec.scale as usize);
                if !(1..=65).contains(&precision) || scale > SCALE_MAX.min(precision) || size != decimal_size(precision, scale) {
                    return malformed(format!("DECIMAL({precision},{scale}) of {size} bytes"));
                }
                Kind::Decimal { size, precision, scale }
            }
            code::YEAR => Kind::Year,
            code::DATE => Kind::Date,
            code::DATETIME2 => Kind::Datetime(Fraction::new(spec.size)?),
            code::TIMESTAMP2 => Kind::Timestamp(Fraction::new(spec.size)?),
            code::TIME2 => Kind::Time(Fraction::new(spec.size)?),
            code::ENUM => Kind::Enum {
                size: within(1, 2)?,
                labels: enum_labels(&spec.labels),
            },
            code::SET => Kind::Set {
                size: within(1, 8)?,
                labels: spec.labels.iter().map(|label| inside(label)).collect(),
            },
            code::JSON => Kind::Json { prefix: within(1, 4)? },
            code::GEOMETRY => Kind::Geometry { prefix: within(1, 4)? },
            code::VECTOR => Kind::Vector { prefix: within(1, 4)? },
            code::TINY_BLOB | code::MEDIUM_BLOB | code::LONG_BLOB | code::BLOB => match text {
                Some(text) => Kind::Text {
                    prefix: within(1, 4)?,
                    text,
                },
                None => Kind::Bytes { prefix: within(1, 4)? },
            },
            code::STRING | code::VAR_STRING | code::VARCHAR => match text {
                Some(text) => Kind::Text { prefix: length, text },
                None if spec.type_code == code::STRING => Kind::FixedBytes {
                    prefix: length,
                    size: within(0, 0x3ff)?,
                },
                None => Kind::Bytes { prefix: length },
            },
            other => return malformed(format!("unknown column type {other}; this release must learn it first")),
        };
        Ok(Decoder { kind })
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
    fn write_content(&self, content: &[u8], out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
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

    /// Where the value at `at` ends. What it says is not looked at.
    pub fn skip(&self, data: &[u8], at: usize) -> Result<usize> {
        let size = match &self.kind {
            Kind::Signed { width } | Kind::Unsigned { width } => *width,
            Kind::Decimal { size, .. } | Kind::Bits { size } | Kind::Enum { size, .. } | Kind::Set { size, .. } => *size,
            Kind::UnsignedText | Kind::Double => 8,
            Kind::Float => 4,
            Kind::Bool | Kind::Year => 1,
            Kind::Date => 3,
            Kind::Datetime(form) => 5 + form.bytes,
            Kind::Timestamp(form) => 4 + form.bytes,
            Kind::Time(form) => 3 + form.bytes,
            _ => return self.prefixed(data, at).map(|(_, end)| end),
        };
        slice(data, at, size)?;
        Ok(at + size)
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

fn write_raw(text: String, out: &mut Vec<u8>, raw: &mut Option<String>) {
    out.extend_from_slice(b"null");
    *raw = Some(text);
}

/// As Python spells what is not finite.
fn infinite(value: f64) -> String {
    let text = if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    };
    text.to_owned()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

fn write_quoted_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_base64(bytes, out);
    out.push(b'"');
}

fn inside(label: &str) -> Box<[u8]> {
    let mut text = Vec::new();
    json_text::write_escaped(label.as_bytes(), &json_text::ONCE, &mut text);
    text.into()
}

/// By index; 0 is what an invalid value became.
fn enum_labels(labels: &[String]) -> Vec<Box<[u8]>> {
    let quoted = |label: &str| {
        let mut text = Vec::new();
        write_string(label, &mut text);
        text.into()
    };
    std::iter::once("").chain(labels.iter().map(String::as_str)).map(quoted).collect()
}

fn write_set(mut mask: u64, labels: &[Box<[u8]>], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'"');
    let mut first = true;
    while mask != 0 {
        let Some(label) = labels.get(mask.trailing_zeros() as usize) else {
            return malformed(format!("members beyond the {} labels", labels.len()));
        };
        if !first {
            out.push(b',');
        }
        out.extend_from_slice(label);
        first = false;
        mask &= mask - 1;
    }
    out.push(b'"');
    Ok(())
}

fn write_geometry(content: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let Some((srid, wkb)) = content.split_first_chunk::<4>() else {
        return malformed("no room for a spatial reference system");
    };
    out.extend_from_slice(b"{\"wkb\":\"");
    write_base64(wkb, out);
    out.extend_from_slice(b"\",\"srid\":");
    match u32::from_le_bytes(*srid) {
        0 => out.extend_from_slice(b"null"),
        srid => write_integer(srid, out),
    }
    out.push(b'}');
    Ok(())
}

fn write_vector(content: &[u8], out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
    let items = content.chunks_exact(4);
    if !items.remainder().is_empty() {
        return malformed("a vector that is not of whole floats");
    }
    let start = out.len();
    out.push(b'[');
    for (place, item) in items.enumerate() {
        let value = f32::from_le_bytes([item[0], item[1], item[2], item[3]]);
        if !value.is_finite() {
            out.truncate(start);
            write_raw(hex(content), out, raw);
            return Ok(());
        }
        if place > 0 {
            out.push(b',');
        }
        write_float(value, out);
    }
    out.push(b']');
    Ok(())
}
