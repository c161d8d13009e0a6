//! Column values: what a SELECT gave as text → the JSON the envelope carries, the very JSON that `decoder` makes of a row image.
//!
//! The twin of streamer/core/texts.py, which says what the server writes: anything else is an error, never a guess.

use super::content::{write_quoted_base64, write_set};
use super::decoder::Decoder;
use super::digits::write_integer;
use super::json_text::{write_escaped, write_string, write_utf8, ONCE};
use super::kind::Kind;
use super::numbers::{write_double, write_float};
use super::{timetexts, ColumnSpec};
use crate::malformed::{malformed, Malformed, Result};

const NUMBER_LENGTH_MAX: usize = 255;
const EXPONENT_LENGTH_MAX: usize = 3;

/// Decodes the texts of one column.
pub struct TextDecoder {
    decoder: Decoder,
    /// Of BIT.
    bits: u32,
}

impl TextDecoder {
    /// As Decoder::new.
    pub fn new(spec: &ColumnSpec) -> Result<TextDecoder> {
        Ok(TextDecoder {
            decoder: Decoder::new(spec)?,
            bits: spec.precision,
        })
    }

    /// Appends the JSON of a text. `raw`: set, and `null` appended, if JSON cannot carry the value. What was appended before a failure
    /// stays.
    pub fn write(&self, text: &[u8], out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
        match self.decoder.kind() {
            Kind::Signed { width } => {
                let highest = u64::MAX >> (64 - 8 * width) >> 1;
                let (negative, value) = number(text, highest + 1, highest)?;
                if negative && value > 0 {
                    out.push(b'-');
                }
                write_integer(value, out);
            }
            Kind::Unsigned { width } => write_integer(natural(text, u64::MAX >> (64 - 8 * width))?, out),
            Kind::UnsignedText => {
                out.push(b'"');
                write_integer(natural(text, u64::MAX)?, out);
                out.push(b'"');
            }
            Kind::Decimal { precision, scale, .. } => {
                check_decimal(text, precision - scale, *scale)?;
                out.push(b'"');
                out.extend_from_slice(text);
                out.push(b'"');
            }
            Kind::Float => {
                let value = real(text)?;
                let single = value as f32;
                if f64::from(single) != value {
                    return malformed("a number that no FLOAT holds");
                }
                write_float(single, out);
            }
            Kind::Double => write_double(real(text)?, out),
            Kind::Bool => out.extend_from_slice(if natural(text, 1)? == 1 { b"true" } else { b"false" }),
            Kind::Bits { size } => {
                let value = natural(text, ones(self.bits as usize))?;
                write_quoted_base64(&value.to_le_bytes()[..*size], out);
            }
            Kind::Year => match number(text, 0, 2155) {
                Ok((false, year @ (0 | 1901..))) if text.len() == 4 => write_integer(year, out),
                _ => return malformed("not a year"),
            },
            Kind::Date => timetexts::write_date(text, out, raw)?,
            Kind::Datetime(form) => timetexts::write_datetime(text, form, out, raw)?,
            Kind::Timestamp(form) => timetexts::write_timestamp(text, form, out, raw)?,
            Kind::Time(form) => timetexts::write_time(text, form, out)?,
            Kind::Enum { labels, .. } => {
                if let Some(spelled) = text.strip_prefix(b"-") {
                    let named = |label: &[u8]| labels.iter().any(|quoted| quoted.get(1..quoted.len() - 1) == Some(label));
                    return write_spelled(spelled, None, named, out);
                }
                let place = natural(text, labels.len().saturating_sub(1) as u64)?;
                if let Some(label) = labels.get(place as usize) {
                    out.extend_from_slice(label);
                }
            }
            Kind::Set { labels, .. } => {
                if let Some(spelled) = text.strip_prefix(b"-") {
                    let named = |label: &[u8]| labels.iter().any(|known| **known == *label);
                    return write_spelled(spelled, Some(','), named, out);
                }
                write_set(natural(text, ones(labels.len()))?, labels, out)?;
            }
            Kind::Json { .. } => {
                if text.is_empty() {
                    return malformed("no JSON document");
                }
                out.push(b'"');
                if !write_utf8(text, &ONCE, out) {
                    return malformed("not UTF-8");
                }
                out.push(b'"');
            }
            Kind::FixedBytes { .. } | Kind::Bytes { .. } | Kind::Text { .. } | Kind::Geometry { .. } | Kind::Vector { .. } => {
                self.decoder.write_content(text, out, raw)?;
            }
        }
        Ok(())
    }
}

/// The greatest number of so many bits.
fn ones(bits: usize) -> u64 {
    match 64usize.checked_sub(bits) {
        Some(64) => 0,
        Some(left) => u64::MAX >> left,
        None => u64::MAX,
    }
}

/// A whole number between -`lowest` and `highest`: whether it has a minus, and its absolute value.
fn number(text: &[u8], lowest: u64, highest: u64) -> Result<(bool, u64)> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let value = if (1..=NUMBER_LENGTH_MAX).contains(&digits.len()) {
        digits.iter().try_fold(0u64, |value, byte| match byte {
            b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
            _ => None,
        })
    } else {
        None
    };
    match value {
        Some(value) if value <= if negative { lowest } else { highest } => Ok((negative, value)),
        _ => malformed("not a whole number of the column's range"),
    }
}

fn natural(text: &[u8], highest: u64) -> Result<u64> {
    number(text, 0, highest).map(|(_, value)| value)
}

/// What comes without its number because some of its characters are `?` in the column's labels. `between`: what parts its members.
/// `named`: whether the inside of a JSON string is one of the labels.
fn write_spelled(spelled: &[u8], between: Option<char>, named: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) -> Result<()> {
    let Ok(value) = simdutf8::basic::from_utf8(spelled) else {
        return malformed("not UTF-8");
    };
    let narrow: String = value.chars().map(|one| if one > '\u{ffff}' { '?' } else { one }).collect();
    let is_label = |member: &str| {
        let mut inside = Vec::new();
        write_escaped(member.as_bytes(), &ONCE, &mut inside);
        named(&inside)
    };
    let known = match between {
        Some(between) => narrow.split(between).all(is_label),
        None => is_label(&narrow),
    };
    if narrow == value || !known {
        return malformed("not a label of the column's");
    }
    write_string(value, out);
    Ok(())
}

/// All digits of the scale, none too many before the point, and no minus before a zero: then it is the envelope's text, too.
fn check_decimal(text: &[u8], whole: usize, scale: usize) -> Result<()> {
    let no_decimal = || Malformed("not a decimal of the column's precision".to_owned());
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let right = if scale == 0 { 0 } else { scale + 1 };
    let point = unsigned.len().checked_sub(right).ok_or_else(no_decimal)?;
    let (left, right) = unsigned.split_at(point);
    let left_is_good = match left {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => rest.len() < whole && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let right_is_good = match right {
        [] => true,
        [point, digits @ ..] => *point == b'.' && digits.iter().all(u8::is_ascii_digit),
    };
    if !left_is_good || !right_is_good {
        return Err(no_decimal());
    }
    if unsigned.len() < text.len() && unsigned.iter().all(|byte| matches!(byte, b'0' | b'.')) {
        return malformed("a minus before a decimal of zero");
    }
    Ok(())
}

/// A finite number: digits, and maybe a fraction and an exponent.
fn real(text: &[u8]) -> Result<f64> {
    fn digits(text: &[u8]) -> (usize, &[u8]) {
        let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count, &text[count..])
    }
    let (count, mut rest) = digits(text.strip_prefix(b"-").unwrap_or(text));
    let mut good = count > 0;
    if let [b'.', fraction @ ..] = rest {
        let (count, behind) = digits(fraction);
        good &= count > 0;
        rest = behind;
    }
    if let [b'e', exponent @ ..] = rest {
        let (count, behind) = digits(match exponent {
            [b'-' | b'+', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        });
        good &= (1..=EXPONENT_LENGTH_MAX).contains(&count);
        rest = behind;
    }
    let value = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) if good && rest.is_empty() => {
            if value.is_finite() {
                Ok(value)
            } else {
                malformed("a floating-point number beyond the largest")
            }
        }
        _ => malformed("not a floating-point number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_type_does() {
        assert_eq!(number(b"-128", 128, 127).unwrap(), (true, 128));
        assert_eq!(number(b"-0", 0, 1).unwrap(), (true, 0));
        assert_eq!(natural(b"018446744073709551615", u64::MAX).unwrap(), u64::MAX);
        for text in [&b""[..], b"-", b"+1", b"1 ", b"-1", b"18446744073709551616", &[b'0'; 256]] {
            assert!(natural(text, u64::MAX).is_err(), "{text:?}");
        }
    }

    #[test]
    fn bits_are_as_many_ones() {
        assert_eq!([0, 1, 12, 63, 64, 65].map(ones), [0, 1, 4095, u64::MAX >> 1, u64::MAX, u64::MAX]);
    }

    #[test]
    fn decimals_have_their_columns_shape() {
        for (text, whole, scale, good) in [
            ("-12.50", 2, 2, true),
            ("0.5", 0, 1, true),
            ("1.5", 0, 1, false),
            ("01.5", 2, 1, false),
            ("123.5", 2, 1, false),
            ("12.", 2, 0, false),
            ("1250", 2, 1, false),
            ("-0.00", 2, 2, false),
            ("--1", 2, 0, false),
            ("", 1, 0, false),
        ] {
            assert_eq!(check_decimal(text.as_bytes(), whole, scale).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn reals_are_what_the_server_prints() {
        for (text, value) in [
            ("1e300", Some(1e300)),
            ("-1.5e-7", Some(-1.5e-7)),
            ("0", Some(0.0)),
            ("1e+5", Some(1e5)),
        ] {
            assert_eq!(real(text.as_bytes()).ok(), value, "{text}");
        }
        for text in [
            "", "-", ".5", "5.", "1e", "1e-", "1e1234", "inf", "nan", "1E5", "+1", " 1", "1e309", "1_0",
        ] {
            assert!(real(text.as_bytes()).is_err(), "{text}");
        }
    }
}
