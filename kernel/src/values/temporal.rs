//! Dates and times, packed as the server stores them.
//!
//! Source: MySQL 9.7, mysys/my_time.cc (my_datetime_packed_to_binary and its kin) and sql/field.cc (Field_newdate).

use super::digits::{write_integer, write_padded2};
use crate::malformed::{malformed, Result};

/// Bytes of a fraction of so many digits, and the microseconds of one unit of it.
const FRACTION: [(usize, u32); 7] = [(0, 0), (1, 10_000), (1, 10_000), (2, 100), (2, 100), (3, 1), (3, 1)];

/// Digits of the fraction that a column declares: 0 to 6.
#[derive(Clone, Copy, Debug)]
pub struct Fraction {
    pub digits: usize,
    pub bytes: usize,
    unit_us: u32,
}

impl Fraction {
    pub fn new(digits: u32) -> Result<Fraction> {
        let digits = digits as usize;
        match FRACTION.get(digits) {
            Some(&(bytes, unit_us)) => Ok(Fraction { digits, bytes, unit_us }),
            None => malformed("a temporal column of more than six digits of a fraction"),
        }
    }

    /// `.` and the digits, or nothing.
    fn text(&self, micros: u32) -> String {
        match self.digits {
            0 => String::new(),
            digits => format!(".{micros:06}").split_at(digits + 1).0.to_owned(),
        }
    }
}

/// Days since the epoch, of a date that the calendar has. Year 0 counts as none: MySQL and ISO disagree on its length.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
pub fn days_of(year: u32, month: u32, day: u32) -> Option<i32> {
    const LENGTHS: [u8; 13] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = u32::from(*LENGTHS.get(month as usize)?) + u32::from(month == 2 && leap);
    if !(1..=9999).contains(&year) || day == 0 || day > length {
        return None;
    }
    let y = year - u32::from(month <= 2);
    let (era, year_of_era) = (y / 400, y % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((era * 146_097 + day_of_era) as i32 - 719_468)
}

/// Year, month and day of a day since the epoch. Source: as above, civil_from_days.
fn civil_of(days: u32) -> (u32, u32, u32) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (year_of_era + era * 400 + u32::from(month <= 2), month, day)
}

/// A big-endian number of at most eight bytes.
pub fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn write_raw(text: String, out: &mut Vec<u8>, raw: &mut Option<String>) {
    out.extend_from_slice(b"null");
    *raw = Some(text);
}

/// DATE: days.
pub fn write_date(bytes: &[u8; 3], out: &mut Vec<u8>, raw: &mut Option<String>) {
    let packed = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    let (year, month, day) = (packed >> 9, packed >> 5 & 15, packed & 31);
    match days_of(year, month, day) {
        Some(days) => write_integer(days, out),
        None => write_raw(format!("{year:04}-{month:02}-{day:02}"), out, raw),
    }
}

/// DATETIME: milliseconds, or microseconds if it has more than three digits of a fraction.
pub fn write_datetime(whole: &[u8; 5], fraction: &[u8], form: &Fraction, out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
    let Some(packed) = big_endian(whole).checked_sub(1 << 39) else {
        return malformed("a DATETIME that is no time of day");
    };
    let micros = big_endian(fraction) as u32 * form.unit_us;
    let (months, day) = ((packed >> 22) as u32, (packed >> 17 & 31) as u32);
    let (hour, minute, second) = ((packed >> 12 & 31) as u32, (packed >> 6 & 63) as u32, (packed & 63) as u32);
    let (year, month) = (months / 13, months % 13);
    if hour > 23 || minute > 59 || second > 59 || micros > 999_999 || year > 9999 {
        return malformed("a DATETIME that is no time of day");
    }
    match days_of(year, month, day) {
        Some(days) => {
            let seconds = i64::from(days) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
            let micros = i64::from(micros);
            write_integer(
                if form.digits <= 3 {
                    seconds * 1000 + micros / 1000
                } else {
                    seconds * 1_000_000 + micros
                },
                out,
            );
        }
        None => {
            let fraction = form.text(micros);
            write_raw(
                format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}"),
                out,
                raw,
            );
        }
    }
    Ok(())
}

/// TIMESTAMP: ISO 8601 with `Z`. Zero is the zero date.
pub fn write_timestamp(whole: [u8; 4], fraction: &[u8], form: &Fraction, out: &mut Vec<u8>, raw: &mut Option<String>) -> Result<()> {
    let seconds = u32::from_be_bytes(whole);
    let micros = big_endian(fraction) as u32 * form.unit_us;
    if micros > 999_999 {
        return malformed("a TIMESTAMP whose fraction is no fraction of a second");
    }
    if seconds == 0 && micros == 0 {
        write_raw(format!("0000-00-00 00:00:00{}", form.text(0)), out, raw);
        return Ok(());
    }
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_of(days);
    let mut text = *b"\"0000-00-00T00:00:00.000000";
    write_padded2(&mut text, 1, year / 100);
    write_padded2(&mut text, 3, year % 100);
    write_padded2(&mut text, 6, month);
    write_padded2(&mut text, 9, day);
    write_padded2(&mut text, 12, of_day / 3600);
    write_padded2(&mut text, 15, of_day / 60 % 60);
    write_padded2(&mut text, 18, of_day % 60);
    write_padded2(&mut text, 21, micros / 10_000);
    write_padded2(&mut text, 23, micros / 100 % 100);
    write_padded2(&mut text, 25, micros % 100);
    out.extend_from_slice(&text[..if form.digits == 0 { 20 } else { 21 + form.digits }]);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

/// TIME: microseconds. `bytes`: whole and fraction, one number around its middle, so a negative time's fraction counts down with it.
pub fn write_time(bytes: &[u8], form: &Fraction, out: &mut Vec<u8>) -> Result<()> {
    let bits = 8 * form.bytes;
    let packed = big_endian(bytes) as i64 - (1 << (23 + bits));
    let value = packed.unsigned_abs();
    let micros = (value & ((1 << bits) - 1)) as u32 * form.unit_us;
    let whole = (value >> bits) as u32;
    let (hour, minute, second) = (whole >> 12 & 1023, whole >> 6 & 63, whole & 63);
    if minute > 59 || second > 59 || micros > 999_999 {
        return malformed("a TIME that is no time");
    }
    let total = i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + i64::from(micros);
    write_integer(if packed < 0 { -total } else { total }, out);
    Ok(())
}

/// A date or time inside a JSON document, as MySQL shows it, without quotes. Nothing is checked: MySQL shows nonsense as it is.
///
/// Source: MySQL 9.7, sql-common/json_dom.cc (wrapper_to_string) and my_time.cc (TIME_from_longlong_datetime_packed and its kin).
pub fn write_json_temporal(time: bool, date: bool, packed: i64, out: &mut Vec<u8>) {
    use std::io::Write;
    let value = packed.unsigned_abs();
    let (micros, whole) = (value & 0xff_ffff, value >> 24);
    let (minute, second) = (whole >> 6 & 63, whole & 63);
    let (year, month, day) = ((whole >> 22) / 13, (whole >> 22) % 13, whole >> 17 & 31);
    let written = if time {
        let sign = if packed < 0 { "-" } else { "" };
        write!(out, "{sign}{:02}:{minute:02}:{second:02}.{micros:06}", whole >> 12 & 1023)
    } else if date {
        write!(out, "{year:04}-{month:02}-{day:02}")
    } else {
        write!(
            out,
            "{year:04}-{month:02}-{day:02} {:02}:{minute:02}:{second:02}.{micros:06}",
            whole >> 12 & 31
        )
    };
    debug_assert!(written.is_ok(), "a Vec takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_each_others_inverse() {
        assert_eq!(days_of(1970, 1, 1), Some(0));
        assert_eq!(days_of(1, 1, 1), Some(-719_162));
        assert_eq!(days_of(9999, 12, 31), Some(2_932_896));
        for days in 0..50_000 {
            let (year, month, day) = civil_of(days);
            assert_eq!(days_of(year, month, day), Some(days as i32));
        }
    }

    #[test]
    fn what_no_calendar_has_is_no_date() {
        for (year, month, day) in [
            (0, 1, 1),
            (2023, 2, 29),
            (1900, 2, 29),
            (2000, 4, 31),
            (2000, 13, 1),
            (2000, 0, 1),
            (2000, 1, 0),
            (10_000, 1, 1),
        ] {
            assert_eq!(days_of(year, month, day), None);
        }
        assert!(days_of(2000, 2, 29).is_some());
    }
}
