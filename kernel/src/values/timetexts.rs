//! Dates and times as a SELECT shows them → JSON, in the forms of `temporal`.
//!
//! Source: MySQL 9.7, mysys/my_time.cc (my_TIME_to_str and its kin); the twin is streamer/core/texts.py.

use super::content::write_raw;
use super::digits::write_integer;
use super::temporal::{days_of, Fraction};
use crate::malformed::{malformed, Result};

const FRACTION_DIGITS_MAX: usize = 6;
/// `2024-01-02 03:04:05`
const MOMENT_LENGTH: usize = 19;

/// DATE: days.
pub fn write_date(text: &[u8], out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
    let Some((year, month, day)) = parts_of_date(text) else {
        return malformed("not a date");
    };
    match days_of(year, month, day) {
        Some(days) => write_integer(days, out),
        None => write_raw(plain(text), out, raw),
    }
    Ok(())
}

/// DATETIME: milliseconds, or microseconds if it has more than three digits of a fraction.
pub fn write_datetime(text: &[u8], form: &Fraction, out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
    match moment(text, form)? {
        Some(us) if form.digits <= 3 => write_integer(us.div_euclid(1000), out),
        Some(us) => write_integer(us, out),
        None => write_raw(plain(text), out, raw),
    }
    Ok(())
}

/// TIMESTAMP: ISO 8601 with `Z`. The only one that is no time is zero.
pub fn write_timestamp(text: &[u8], form: &Fraction, out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
    if moment(text, form)?.is_some() {
        let (date, time) = text.split_at(10);
        out.push(b'"');
        out.extend_from_slice(date);
        out.push(b'T');
        out.extend_from_slice(&time[1..]);
        out.extend_from_slice(b"Z\"");
        return Ok(());
    }
    if text.iter().any(|byte| matches!(byte, b'1'..=b'9')) {
        return malformed("not a timestamp");
    }
    write_raw(plain(text), out, raw);
    Ok(())
}

/// TIME: microseconds.
pub fn write_time(text: &[u8], form: &Fraction, out: &mut Vec<u8>) -> Result<()> {
    let (negative, unsigned) = match text {
        [b'-', unsigned @ ..] => (true, unsigned),
        unsigned => (false, unsigned),
    };
    let hour_length = if unsigned.get(2) == Some(&b':') { 2 } else { 3 };
    let Some((hour, rest)) = unsigned.split_at_checked(hour_length) else {
        return malformed("not a time");
    };
    let parts = match rest {
        [b':', m1, m2, b':', s1, s2, fraction @ ..] => (digits(hour), digits(&[*m1, *m2]), digits(&[*s1, *s2]), fraction_digits(fraction)),
        _ => return malformed("not a time"),
    };
    let (Some(hour), Some(minute), Some(second), Some(fraction)) = parts else {
        return malformed("not a time");
    };
    let micros = micros_of(fraction, form)?;
    if minute > 59 || second > 59 {
        return malformed("no time");
    }
    let total = i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + i64::from(micros);
    write_integer(if negative { -total } else { total }, out);
    Ok(())
}

/// Microseconds since the epoch; None for a day that no calendar has.
fn moment(text: &[u8], form: &Fraction) -> Result<Option<i64>> {
    let parts = text.split_at_checked(MOMENT_LENGTH).and_then(|(whole, fraction)| {
        let (date, time) = whole.split_at(10);
        let [b' ', h1, h2, b':', m1, m2, b':', s1, s2] = time else {
            return None;
        };
        let of_day = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?);
        Some((parts_of_date(date)?, of_day, fraction_digits(fraction)?))
    });
    let Some(((year, month, day), (hour, minute, second), fraction)) = parts else {
        return malformed("not a date and time");
    };
    let micros = micros_of(fraction, form)?;
    if hour > 23 || minute > 59 || second > 59 {
        return malformed("no time of day");
    }
    Ok(days_of(year, month, day).map(|days| {
        let seconds = i64::from(days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
        seconds * 1_000_000 + i64::from(micros)
    }))
}

fn parts_of_date(text: &[u8]) -> Option<(u32, u32, u32)> {
    match text {
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => Some((digits(year)?, digits(&[*m1, *m2])?, digits(&[*d1, *d2])?)),
        _ => None,
    }
}

/// The digits behind a point; none where nothing is left.
fn fraction_digits(text: &[u8]) -> Option<&[u8]> {
    match text {
        [] => Some(text),
        [b'.', fraction @ ..] => {
            ((1..=FRACTION_DIGITS_MAX).contains(&fraction.len()) && fraction.iter().all(u8::is_ascii_digit)).then_some(fraction)
        }
        _ => None,
    }
}

fn micros_of(fraction: &[u8], form: &Fraction) -> Result<u32> {
    if fraction.len() != form.digits {
        return malformed("a fraction of other digits than the column's");
    }
    let places = fraction.iter().chain(std::iter::repeat(&b'0')).take(FRACTION_DIGITS_MAX);
    Ok(places.fold(0, |micros, digit| micros * 10 + u32::from(digit & 15)))
}

/// A number of few digits and nothing else.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter()
        .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte & 15)))
}

/// A text that was looked at: ASCII.
fn plain(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datetime(text: &str, digits: u32) -> Result<(String, Option<String>)> {
        let (mut out, mut raw) = (Vec::new(), None);
        write_datetime(text.as_bytes(), &Fraction::new(digits)?, &mut out, &mut raw)?;
        Ok((String::from_utf8(out).unwrap(), raw))
    }

    #[test]
    fn moments_before_the_epoch_count_down() {
        assert_eq!(datetime("1969-12-31 23:59:59.999", 3).unwrap().0, "-1");
        assert_eq!(datetime("1969-12-31 23:59:59.9999", 4).unwrap().0, "-100");
        assert_eq!(
            datetime("2024-02-30 00:00:00", 0).unwrap(),
            ("null".to_owned(), Some("2024-02-30 00:00:00".to_owned()))
        );
    }

    #[test]
    fn what_the_server_does_not_write_is_no_moment() {
        for (text, digits) in [
            ("2024-02-29", 0),
            ("2024-02-29 24:00:00", 0),
            ("2024-02-29 23:00:00.", 0),
            ("2024-02-29 23:00:00.1", 0),
            ("2024-02-29 23:00:00", 1),
            ("2024-02-29T23:00:00", 0),
            ("2024-02-29 23:00:0é", 0),
            ("+024-02-29 23:00:00", 0),
        ] {
            assert!(datetime(text, digits).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_two_or_three_digits_of_hours() {
        for (text, wanted) in [
            ("-838:59:59.0", Some("-3020399000000")),
            ("00:00:00.1", Some("100000")),
            ("1:00:00.0", None),
            ("1000:00:00.0", None),
        ] {
            let mut out = Vec::new();
            let done = write_time(text.as_bytes(), &Fraction::new(1).unwrap(), &mut out);
            assert_eq!(done.is_ok().then(|| String::from_utf8(out).unwrap()).as_deref(), wanted, "{text}");
        }
    }
}
