//! Numbers as text: packed decimals, float32, doubles as orjson prints them and as MySQL prints them.

use super::digits::fill;
use crate::malformed::{malformed, Result};

/// Bytes of a group of so many digits.
const GROUP: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const POWERS: [u32; 10] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
/// Of a decimal inside a JSON document: whole groups of nine, as the server computes with them; all may be after the point.
pub const PRECISION_MAX: usize = 81;
/// Of a column.
pub const SCALE_MAX: usize = 30;

/// Bytes of a packed decimal: nine digits in four bytes, what remains on either side of the point in as few as hold it.
pub fn decimal_size(precision: usize, scale: usize) -> usize {
    let whole = precision.saturating_sub(scale);
    whole / 9 * 4 + GROUP[whole % 9] + scale / 9 * 4 + GROUP[scale % 9]
}

/// All digits of the scale, no leading zeros, no minus before a zero, no quotes. `scale` <= `precision` <= PRECISION_MAX, `precision` > 0.
///
/// Source: MySQL 9.7, strings/decimal.cc, decimal2bin: groups of nine digits in four bytes, big-endian; the first bit is inverted,
/// and a negative number has all its bits inverted.
pub fn write_decimal(packed: &[u8], precision: usize, scale: usize, out: &mut Vec<u8>) -> Result<()> {
    if packed.len() != decimal_size(precision, scale) || precision > PRECISION_MAX || packed.is_empty() {
        return malformed("a decimal is cut short");
    }
    let negative = packed[0] & 0x80 == 0;
    let mask = if negative { u32::MAX } else { 0 };
    let whole = precision - scale;
    let mut digits = [b'0'; PRECISION_MAX];
    let (mut at, mut place, mut any) = (0, 0, 0);
    let mut group = |count: usize, first: &mut u32| {
        let size = GROUP[count];
        let bytes = match packed.get(at..at + size) {
            Some(&[a]) => [0, 0, 0, a],
            Some(&[a, b]) => [0, 0, a, b],
            Some(&[a, b, c]) => [0, a, b, c],
            Some(&[a, b, c, d]) => [a, b, c, d],
            _ => return false,
        };
        let room = u32::MAX >> (32 - 8 * size);
        let value = (u32::from_be_bytes(bytes) ^ mask ^ (*first << (8 * size - 8))) & room;
        *first = 0;
        fill(&mut digits[place..place + count], value);
        any |= value;
        at += size;
        place += count;
        value < POWERS[count]
    };
    let mut first = 0x80;
    let mut good = whole % 9 == 0 || group(whole % 9, &mut first);
    for _ in 0..whole / 9 + scale / 9 {
        good &= group(9, &mut first);
    }
    good &= scale % 9 == 0 || group(scale % 9, &mut first);
    if !good {
        return malformed("a decimal group has too many digits");
    }
    let (left, right) = digits[..precision].split_at(whole);
    if negative && any != 0 {
        out.push(b'-');
    }
    match left.iter().position(|&digit| digit != b'0') {
        Some(head) => out.extend_from_slice(&left[head..]),
        None => out.push(b'0'),
    }
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(right);
    }
    Ok(())
}

/// A finite double as orjson prints it: shortest digits, exponents with their sign.
pub fn write_double(value: f64, out: &mut Vec<u8>) {
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    // From 1e16 on, and below 1e-5, there is an exponent.
    if value.abs() >= 1e16 {
        if let Some(e) = text.iter().position(|&byte| byte == b'e') {
            let (mantissa, exponent) = text.split_at(e + 1);
            out.extend_from_slice(mantissa);
            out.push(b'+');
            out.extend_from_slice(exponent);
            return;
        }
    }
    out.extend_from_slice(text);
}

/// A finite float32 as the double with the fewest decimal digits that is still this float32: 1.1, not 1.10000002.
pub fn write_float(value: f32, out: &mut Vec<u8>) {
    // Ryu finds the fewest digits as the long way does, unless the value is a power of two: there its neighbour below is nearer than the
    // one above, so the nearest text of some length may be that neighbour's while a farther one is not. It cannot be with six digits.
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value);
    if value.to_bits() & 0x7f_ffff == 0 && value != 0.0 && text.len() > "0.12345".len() {
        return write_double(shortest_float32(value), out);
    }
    // Between these, floats and doubles of the same digits have the same text.
    if value == 0.0 || (1e-5..1e13).contains(&value.abs()) {
        return out.extend_from_slice(text.as_bytes());
    }
    if DOUBLY_ROUNDED.contains(&(value.to_bits() & 0x7fff_ffff)) {
        return write_double(shortest_float32(value), out);
    }
    match text.parse() {
        Ok(short) => write_double(short, out),
        Err(_) => write_double(shortest_float32(value), out),
    }
}

/// Neighbours with seven digits between them, 7.038531e-26, so near their middle that the double of these digits is the middle, and
/// Python takes it for the even one. There are no others: `every_float_is_the_long_ways` looks at all.
const DOUBLY_ROUNDED: [u32; 2] = [0x15ae_43fd, 0x15ae_43fe];

/// The long way: ever more digits until they are the float32 again.
pub fn shortest_float32(value: f32) -> f64 {
    // Six digits survive a float32 that is not denormal, so fewer need not be tried there.
    for digits in if value.abs() >= f32::MIN_POSITIVE { 6 } else { 1 }..10 {
        let text = format!("{:.*e}", digits - 1, value);
        if let Ok(short) = text.parse::<f64>() {
            // Through a double, as Python does it: rounding twice is part of the promise.
            if (short as f32).to_bits() == value.to_bits() {
                return short;
            }
        }
    }
    f64::from(value)
}

/// A finite double as MySQL prints it inside JSON: shortest digits, always with a point or an exponent.
///
/// Source: MySQL 9.7, strings/dtoa.cc, my_gcvt, and sql-common/json_dom.cc, wrapper_to_string.
pub fn write_mysql_double(value: f64, out: &mut Vec<u8>) {
    const PLAIN_EXPONENT_MAX: i32 = 15;
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    let size = value.abs();
    if size == 0.0 || (1e-5..1e15).contains(&size) {
        return out.extend_from_slice(text); // one and the same there
    }
    // Digits without the point and zeros at either end, and where the point is.
    let (mut digits, mut count, mut whole) = ([0u8; 24], 0, None);
    let mut exponent = 0;
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if count < digits.len() => {
                digits[count] = byte;
                count += 1;
            }
            b'.' => whole = Some(count),
            b'e' => {
                exponent = text
                    .get(place + 1..)
                    .and_then(|rest| std::str::from_utf8(rest).ok())
                    .and_then(|rest| rest.parse().ok())
                    .unwrap_or(0);
                break;
            }
            _ => {}
        }
    }
    let mut exponent: i32 = exponent + whole.unwrap_or(count) as i32;
    let mut digits = &digits[..count];
    while let [b'0', rest @ ..] = digits {
        digits = rest;
        exponent -= 1;
    }
    while let [rest @ .., b'0'] = digits {
        digits = rest;
    }
    let Some((first, rest)) = digits.split_first() else { return };
    if value < 0.0 {
        out.push(b'-');
    }
    if exponent <= -PLAIN_EXPONENT_MAX || exponent > PLAIN_EXPONENT_MAX {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        out.push(b'e');
        out.extend_from_slice(itoa::Buffer::new().format(exponent - 1).as_bytes());
    } else if exponent <= 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + exponent.unsigned_abs() as usize, b'0');
        out.extend_from_slice(digits);
    } else {
        let point = exponent as usize;
        let (left, right) = digits.split_at(point.min(digits.len()));
        out.extend_from_slice(left);
        out.resize(out.len() + point - left.len(), b'0');
        out.push(b'.');
        out.extend_from_slice(if right.is_empty() { b"0" } else { right });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals() {
        for (packed, precision, scale, wanted) in [
            (&[0x80, 0x00, 0x04, 0xd2, 0x38][..], 10, 2, "1234.56"),
            (&[0x7f, 0xff, 0xfb, 0x2d, 0xc7], 10, 2, "-1234.56"),
            (&[0x80], 1, 0, "0"),
            (&[0x7f], 1, 0, "0"),
            (&[0x81], 1, 1, "0.1"),
        ] {
            assert_eq!(text(|out| write_decimal(packed, precision, scale, out).unwrap()), wanted);
        }
        assert!(write_decimal(&[0x8a], 1, 0, &mut Vec::new()).is_err());
        assert!(write_decimal(&[0x80, 0], 1, 0, &mut Vec::new()).is_err());
    }

    #[test]
    fn doubles() {
        for (value, ours, mysql) in [
            (1e15, "1000000000000000.0", "1e15"),
            (1e16, "1e+16", "1e16"),
            (1e14, "100000000000000.0", "100000000000000.0"),
            (1e-5, "0.00001", "0.00001"),
            (1.5e-6, "1.5e-6", "0.0000015"),
            (1e-15, "1e-15", "0.000000000000001"),
            (1e-16, "1e-16", "1e-16"),
            (-0.0, "-0.0", "-0.0"),
            (-1.25e300, "-1.25e+300", "-1.25e300"),
        ] {
            assert_eq!(text(|out| write_double(value, out)), ours);
            assert_eq!(text(|out| write_mysql_double(value, out)), mysql);
        }
    }

    #[test]
    fn floats_are_the_long_ways() {
        // All exponents and a stride of mantissas that is prime; `--ignored` takes every one.
        floats_of((0..0x7f80_0000u32).step_by(7919));
        floats_of(DOUBLY_ROUNDED.into_iter());
        floats_of((0..255u32).flat_map(|e| [e << 23, e << 23 | 1, e << 23 | 2, (e << 23).saturating_sub(1), e << 23 | 0x7f_fffe]));
    }

    #[test]
    #[ignore = "minutes"]
    fn every_float_is_the_long_ways() {
        floats_of(0..0x7f80_0000);
    }

    fn floats_of(bits: impl Iterator<Item = u32>) {
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        for bits in bits {
            let value = f32::from_bits(bits);
            fast.clear();
            slow.clear();
            write_float(value, &mut fast);
            write_double(shortest_float32(value), &mut slow);
            assert_eq!(fast, slow, "{bits:#x}");
        }
    }
}
