//! How one column's values look in an envelope, and the Arrow value each is: loader/core/columns.py says the same, readably, and
//! loader/core/fit.py what fits the column it is loaded into. A value that is not of its form or does not fit is refused here, unseen
//! whether it is at fault: the readable way judges it.

use super::bits::Bits;
use super::scan::{Quoted, Scan};
use crate::values::write_double;

/// `width` is in bytes of the Arrow value; limits are the target column's, both ends included.
#[derive(Clone)]
pub enum Form {
    /// A whole number, or one that counts days.
    Integer {
        width: usize,
        low: i64,
        high: i64,
    },
    /// A whole number of `factor` microseconds, kept as microseconds.
    Micros {
        factor: i64,
        low: i64,
        high: i64,
    },
    /// A number as text.
    Decimal {
        precision: u32,
        scale: u32,
    },
    Double,
    Real,
    Boolean,
    /// Base64, least significant byte first, kept in `width` bytes.
    BitField {
        width: usize,
    },
    /// ISO 8601 in UTC.
    Timestamp,
    Text {
        size_bytes_max: usize,
    },
    /// Base64.
    Bytes {
        size_bytes_max: usize,
    },
    /// `{"wkb":base64,"srid":number or null}`, kept as MySQL has it: SRID in four bytes, then WKB.
    Geometry {
        size_bytes_max: usize,
    },
    /// A list of numbers, kept as its JSON.
    Vector {
        size_bytes_max: usize,
    },
}

pub enum Sink<'a> {
    Bytes(&'a mut Vec<u8>),
    Bits(&'a mut Bits),
}

const DECIMAL_BYTES: usize = 16;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

impl Form {
    /// Whether it may be of a column some of whose values are null in JSON, and yet do not mean NULL.
    pub fn is_lost_as_null(&self) -> bool {
        matches!(self, Form::Text { .. } | Form::Double | Form::Real | Form::Vector { .. })
    }

    /// Bytes of one value; 0 for a bit, None where they vary.
    pub fn width(&self) -> Option<usize> {
        match self {
            Form::Integer { width, .. } | Form::BitField { width } => Some(*width),
            Form::Micros { .. } | Form::Timestamp | Form::Double => Some(8),
            Form::Real => Some(4),
            Form::Decimal { .. } => Some(DECIMAL_BYTES),
            Form::Boolean => Some(0),
            Form::Text { .. } | Form::Bytes { .. } | Form::Geometry { .. } | Form::Vector { .. } => None,
        }
    }

    #[inline]
    pub fn read(&self, scan: &mut Scan<'_>, sink: Sink<'_>) -> Option<()> {
        let out = match sink {
            Sink::Bytes(out) => out,
            Sink::Bits(bits) => {
                let value = scan.try_literal(b"true");
                if !value {
                    scan.literal(b"false")?;
                }
                bits.push(value);
                return Some(());
            }
        };
        match *self {
            Form::Integer { width, low, high } => {
                let value = within(scan.integer()?, low, high)?;
                out.extend_from_slice(&value.to_le_bytes()[..width]);
            }
            Form::Micros { factor, low, high } => {
                let value = within(scan.integer()?.checked_mul(factor)?, low, high)?;
                out.extend_from_slice(&value.to_le_bytes());
            }
            Form::Decimal { precision, scale } => out.extend_from_slice(&decimal(plain(scan)?, precision, scale)?.to_le_bytes()),
            Form::Double => out.extend_from_slice(&double(scan)?.to_le_bytes()),
            Form::Real => {
                let value = double(scan)? as f32;
                value.is_finite().then(|| out.extend_from_slice(&value.to_le_bytes()))?;
            }
            Form::BitField { width } => bit_field(plain(scan)?, width, out)?,
            Form::Timestamp => out.extend_from_slice(&timestamp(plain(scan)?)?.to_le_bytes()),
            Form::Text { size_bytes_max } => limited(out, size_bytes_max, |out| text(scan.quoted()?, out))?,
            Form::Bytes { size_bytes_max } => limited(out, size_bytes_max, |out| base64(plain(scan)?, out))?,
            Form::Geometry { size_bytes_max } => limited(out, size_bytes_max, |out| geometry(scan, out))?,
            Form::Vector { size_bytes_max } => limited(out, size_bytes_max, |out| vector(scan, out))?,
            Form::Boolean => return None,
        }
        Some(())
    }
}

fn within(value: i64, low: i64, high: i64) -> Option<i64> {
    (low..=high).contains(&value).then_some(value)
}

fn limited(out: &mut Vec<u8>, size_bytes_max: usize, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let before = out.len();
    write(out)?;
    (out.len() - before <= size_bytes_max).then_some(())
}

/// A string none of whose characters is escaped.
#[inline]
fn plain<'a>(scan: &mut Scan<'a>) -> Option<&'a [u8]> {
    scan.quoted().filter(|found| !found.escaped).map(|found| found.raw)
}

/// Ten to the powers a 128-bit number can have.
const POWERS: [i128; 39] = powers();

const fn powers() -> [i128; 39] {
    let mut out = [1; 39];
    let mut at = 1;
    while at < 39 {
        out[at] = out[at - 1] * 10;
        at += 1;
    }
    out
}

/// `-12.50` as a number of units of its scale. Fewer digits after the point than the scale are filled up.
fn decimal(text: &[u8], precision: u32, scale: u32) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let point = digits.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&digits[..at], &digits[at + 1..]),
        None => (digits, &digits[..0]),
    };
    let padded = whole.len() > 1 && whole[0] == b'0';
    if whole.is_empty() || padded || (point.is_some() && fraction.is_empty()) || whole.len() + fraction.len() > 38 {
        return None;
    }
    let missing = scale.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let mut value = 0_i128;
    // Eighteen digits at a time are a 64-bit number.
    for part in [whole, fraction] {
        for some in part.chunks(18) {
            let mut small = 0_u64;
            for &byte in some {
                let digit = byte.wrapping_sub(b'0');
                (digit < 10).then_some(())?;
                small = small * 10 + u64::from(digit);
            }
            value = value.checked_mul(POWERS[some.len()])?.checked_add(i128::from(small))?;
        }
    }
    let value = value.checked_mul(*POWERS.get(missing as usize)?)?;
    let fits = value < *POWERS.get(precision as usize)?;
    fits.then_some(if negative { -value } else { value })
}

/// A number in JSON's grammar. Not `-0`, which is a whole number's zero to a JSON reader.
fn double(scan: &mut Scan<'_>) -> Option<f64> {
    let text = scan.number();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after_point = match &digits[whole..] {
        [b'.', next, ..] => next.is_ascii_digit(),
        [b'e' | b'E', ..] | [] => true,
        _ => false,
    };
    if whole == 0 || (whole > 1 && digits[0] == b'0') || text == b"-0" || !after_point {
        return None;
    }
    // What is left to go wrong, an exponent without digits or a dot too many, the standard library refuses too.
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

fn bit_field(text: &[u8], width: usize, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    base64(text, out)?;
    let bytes = out.len() - start;
    if bytes > 8 || (width == 8 && bytes == 8 && out[start + 7] > 0x7f) {
        return None;
    }
    out.resize(start + width, 0);
    Some(())
}

/// `2024-02-29T23:59:59.123456Z`, with up to six digits of a fraction or none, as microseconds since 1970.
fn timestamp(text: &[u8]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, rest @ ..] = text else {
        return None;
    };
    let fraction = match rest {
        [b'Z'] => &rest[..0],
        [b'.', digits @ .., b'Z'] if (1..=6).contains(&digits.len()) => digits,
        _ => return None,
    };
    let number = |digits: &[u8]| {
        let step = |value: i64, &byte: &u8| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0'));
        digits.iter().try_fold(0, step)
    };
    let (year, month, day) = (number(&[*y0, *y1, *y2, *y3])?, number(&[*m0, *m1])?, number(&[*d0, *d1])?);
    let (hour, minute, second) = (number(&[*h0, *h1])?, number(&[*i0, *i1])?, number(&[*s0, *s1])?);
    let micros = number(fraction)? * 10_i64.pow(6 - u32::try_from(fraction.len()).ok()?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let last = *days.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if year < 1 || !(1..=last).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second;
    Some(days_since_1970(year, month, day) * DAY_US + seconds * 1_000_000 + micros)
}

/// Of the proleptic Gregorian calendar. Source: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[inline]
fn text(found: Quoted<'_>, out: &mut Vec<u8>) -> Option<()> {
    if !found.escaped {
        out.extend_from_slice(found.raw);
        return Some(());
    }
    let mut rest = found.raw;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (&kind, after) = rest[at + 1..].split_first()?;
        rest = after;
        let plain = match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, after) = escaped_character(rest)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
                continue;
            }
            _ => return None,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
    Some(())
}

/// What follows `\u`. Not U+0000, which no target column takes, nor half a surrogate pair.
fn escaped_character(text: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = hex(text)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first)
            .filter(|&character| character != '\0')
            .map(|character| (character, rest));
    }
    let (second, rest) = hex(rest.strip_prefix(b"\\u")?)?;
    let low = second.checked_sub(0xdc00).filter(|&low| low < 0x400)?;
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + low)?, rest))
}

fn hex(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let mut value = 0;
    for &digit in digits {
        value = value << 4 | char::from(digit).to_digit(16)?;
    }
    Some((value, rest))
}

/// Of RFC 4648, section 4: padded, and its unused bits zero.
fn base64(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    const NONE: u8 = 0xff;
    static VALUES: [u8; 256] = {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = [NONE; 256];
        let mut at = 0;
        while at < alphabet.len() {
            out[alphabet[at] as usize] = at as u8;
            at += 1;
        }
        out
    };
    if text.len() % 4 != 0 {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').take(2).count();
    let (groups, last) = text.split_at(if padding == 0 { text.len() } else { text.len() - 4 });
    let bits = |digits: &[u8]| {
        let (mut bits, mut seen) = (0_u32, 0);
        for &digit in digits {
            let value = VALUES[digit as usize];
            seen |= value;
            bits = bits << 6 | u32::from(value);
        }
        (seen < 64).then_some(bits)
    };
    out.reserve(text.len() / 4 * 3);
    for group in groups.chunks_exact(4) {
        out.extend_from_slice(&bits(group)?.to_be_bytes()[1..]);
    }
    match (padding, last) {
        (1, [digits @ .., _]) => {
            let bits = bits(digits)?;
            (bits & 3 == 0).then(|| out.extend_from_slice(&((bits >> 2) as u16).to_be_bytes()))
        }
        (2, [digits @ .., _, _]) => {
            let bits = bits(digits)?;
            (bits & 15 == 0).then(|| out.push((bits >> 4) as u8))
        }
        _ => Some(()),
    }
}

fn geometry(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Option<()> {
    scan.literal(b"{\"wkb\":")?;
    let wkb = plain(scan)?;
    scan.literal(b",\"srid\":")?;
    let srid = if scan.try_literal(b"null") {
        0
    } else {
        u32::try_from(scan.integer()?).ok()?
    };
    scan.literal(b"}")?;
    out.extend_from_slice(&srid.to_le_bytes());
    base64(wkb, out)
}

/// Only numbers that are written as JSON's shortest form of a double, so that another reader and writer would change nothing.
fn vector(scan: &mut Scan<'_>, out: &mut Vec<u8>) -> Option<()> {
    scan.literal(b"[")?;
    out.push(b'[');
    if !scan.try_literal(b"]") {
        loop {
            let (written, start) = (Scan::new(scan.rest(), 0).number(), out.len());
            write_double(double(scan)?, out);
            (&out[start..] == written).then_some(())?;
            if scan.try_literal(b"]") {
                break;
            }
            scan.literal(b",")?;
            out.push(b',');
        }
    }
    out.push(b']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{Form, Sink};
    use crate::envelopes::bits::Bits;
    use crate::envelopes::scan::Scan;

    /// The bytes of a value that is read to its end.
    fn read(form: &Form, text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut scan = Scan::new(text.as_bytes(), 0);
        form.read(&mut scan, Sink::Bytes(&mut out))?;
        scan.is_done().then_some(out)
    }

    fn number(form: &Form, text: &str) -> Option<i128> {
        let bytes = read(form, text)?;
        let mut wide = [if bytes.last()? & 0x80 == 0 { 0 } else { 0xff }; 16];
        wide[..bytes.len()].copy_from_slice(&bytes);
        Some(i128::from_le_bytes(wide))
    }

    #[test]
    fn whole_numbers_stay_within_their_column() {
        let form = Form::Integer {
            width: 2,
            low: -32768,
            high: 32767,
        };
        assert_eq!(number(&form, "-32768"), Some(-32768));
        assert_eq!(number(&form, "32768"), None);
        let form = Form::Micros {
            factor: 1000,
            low: i64::MIN,
            high: 9_000_000_000,
        };
        assert_eq!(number(&form, "-5"), Some(-5000));
        assert_eq!(number(&form, "9000001"), None);
        assert_eq!(number(&form, "9223372036854775807"), None);
    }

    #[test]
    fn decimals_have_their_columns_scale() {
        let form = Form::Decimal { precision: 5, scale: 2 };
        for (text, units) in [
            ("\"0\"", 0),
            ("\"-1.5\"", -150),
            ("\"999.99\"", 99999),
            ("\"-0.07\"", -7),
            ("\"-0\"", 0),
        ] {
            assert_eq!(number(&form, text), Some(units), "{text}");
        }
        for text in [
            "\"1000\"",
            "\"1.234\"",
            "\"1.\"",
            "\".5\"",
            "\"01\"",
            "\"\"",
            "\"-\"",
            "\"1e2\"",
            "\"+1\"",
            "\"1.2.3\"",
            "5",
            "\"1 \"",
        ] {
            assert_eq!(read(&form, text), None, "{text}");
        }
        let widest = Form::Decimal { precision: 38, scale: 10 };
        let text = format!("\"-{}.{}\"", "9".repeat(28), "8".repeat(10));
        assert_eq!(number(&widest, &text), Some(-99999999999999999999999999998888888888_i128));
        assert_eq!(
            number(&Form::Decimal { precision: 38, scale: 0 }, &format!("\"{}\"", "9".repeat(39))),
            None
        );
    }

    #[test]
    fn numbers_follow_json() {
        for text in ["0", "-1.5", "1e3", "2.5E-3", "12345678901234567890", "0.1"] {
            assert_eq!(
                read(&Form::Double, text),
                Some(text.parse::<f64>().unwrap().to_le_bytes().to_vec()),
                "{text}"
            );
        }
        for text in ["-0", "01", "1.", ".5", "1e", "--1", "1.2.3", "1e5.0", "1e999", "\"1\"", "", "nan"] {
            assert_eq!(read(&Form::Double, text), None, "{text}");
        }
        assert_eq!(read(&Form::Real, "1e39"), None);
        assert_eq!(read(&Form::Real, "0.1"), Some(0.1_f32.to_le_bytes().to_vec()));
    }

    #[test]
    fn times_are_days_of_the_calendar() {
        let at = |text: &str| number(&Form::Timestamp, &format!("\"{text}\""));
        assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(at("1969-12-31T23:59:59.999999Z"), Some(-1));
        assert_eq!(at("2024-02-29T23:59:59.5Z"), Some(1_709_251_199_500_000));
        assert_eq!(at("0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        assert_eq!(at("9999-12-31T23:59:59.999999Z"), Some(253_402_300_799_999_999));
        for text in [
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567Z",
            "2024-01-01 00:00:00Z",
            "2024-01-0xT00:00:00Z",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn text_is_unescaped_and_measured() {
        let form = Form::Text { size_bytes_max: 12 };
        let at = |text: &str| read(&form, text).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(at("\"plain é\"").as_deref(), Some("plain é"));
        assert_eq!(at(r#""\"\\\/\b\f\n\r\t""#).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\t"));
        assert_eq!(at(r#""\u00e9\ud83d\ude00""#).as_deref(), Some("é😀"));
        for text in [
            r#""\u0000""#,
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83dx""#,
            r#""\x""#,
            r#""\u12""#,
            "\"thirteen byte\"",
            "null",
            "5",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn base64_is_canonical() {
        let form = Form::Bytes { size_bytes_max: 6 };
        for (text, bytes) in [
            ("\"\"", "".as_bytes()),
            ("\"Zg==\"", b"f"),
            ("\"Zm8=\"", b"fo"),
            ("\"Zm9v\"", b"foo"),
            ("\"Zm9vYmFy\"", b"foobar"),
        ] {
            assert_eq!(read(&form, text).as_deref(), Some(bytes), "{text}");
        }
        for text in [
            "\"Zg\"",
            "\"Zh==\"",
            "\"Zm9=\"",
            "\"Z===\"",
            "\"====\"",
            "\"Zm9vYmFyYg==\"",
            "\"Zm 9\"",
            "\"Zg==Zg==\"",
        ] {
            assert_eq!(read(&form, text), None, "{text}");
        }
        assert_eq!(number(&Form::BitField { width: 8 }, "\"AQI=\""), Some(0x201));
        assert_eq!(number(&Form::BitField { width: 8 }, "\"//////////8=\""), None);
        assert_eq!(
            number(&Form::BitField { width: 16 }, "\"//////////8=\""),
            Some(i128::from(u64::MAX))
        );
        assert_eq!(number(&Form::BitField { width: 16 }, "\"AAAAAAAAAAAA\""), None);
    }

    #[test]
    fn places_and_vectors_are_kept_as_they_are_stored() {
        let form = Form::Geometry { size_bytes_max: 8 };
        assert_eq!(
            read(&form, "{\"wkb\":\"Zm8=\",\"srid\":4326}").as_deref(),
            Some(&b"\xe6\x10\0\0fo"[..])
        );
        assert_eq!(read(&form, "{\"wkb\":\"Zm8=\",\"srid\":null}").as_deref(), Some(&b"\0\0\0\0fo"[..]));
        for text in [
            "{\"srid\":1,\"wkb\":\"Zm8=\"}",
            "{\"wkb\":\"Zm8=\",\"srid\":-1}",
            "{\"wkb\":\"Zm9vYmFy\",\"srid\":1}",
        ] {
            assert_eq!(read(&form, text), None, "{text}");
        }
        let form = Form::Vector { size_bytes_max: 16 };
        for text in ["[]", "[1.5]", "[1.0,-0.5,1e-7]"] {
            assert_eq!(read(&form, text).as_deref(), Some(text.as_bytes()), "{text}");
        }
        for text in ["[1.50]", "[1]", "[1.0", "[1.0,]", "[null]", "[0.125,0.25,0.375]"] {
            assert_eq!(read(&form, text), None, "{text}");
        }
    }

    #[test]
    fn truth_is_a_bit() {
        let mut bits = Bits::default();
        for text in ["true", "false"] {
            assert!(Form::Boolean
                .read(&mut Scan::new(text.as_bytes(), 0), Sink::Bits(&mut bits))
                .is_some());
        }
        assert_eq!(bits.as_bytes(), [1]);
        assert!(Form::Boolean.read(&mut Scan::new(b"1", 0), Sink::Bits(&mut bits)).is_none());
    }
}
