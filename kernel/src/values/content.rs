//! Values that are made of others, and those JSON cannot carry.

use super::base64::write_base64;
use super::digits::write_integer;
use super::numbers::write_float;
use crate::malformed::{malformed, Result};

pub fn write_raw(text: String, out: &mut Vec<u8>, raw: &mut Option<String>) {
    out.extend_from_slice(b"null");
    *raw = Some(text);
}

/// As Python spells what is not finite.
pub fn infinite(value: f64) -> String {
    let text = if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    };
    text.to_owned()
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

pub fn write_quoted_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    write_base64(bytes, out);
    out.push(b'"');
}

pub fn write_set(mut mask: u64, labels: &[Box<[u8]>], out: &mut Vec<u8>) -> Result<()> {
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

pub fn write_geometry(content: &[u8], out: &mut Vec<u8>) -> Result<()> {
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

pub fn write_vector(content: &[u8], out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
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
