//! What a column's values are, worked out once.

use super::json_text::{write_escaped, write_string, ONCE};
use super::numbers::{decimal_size, SCALE_MAX};
use super::temporal::Fraction;
use super::text::Text;
use super::{code, ColumnSpec};
use crate::malformed::{malformed, Result};

/// What a column's values are and what is to be known of them; `prefix`: bytes of a value's length before it.
pub enum Kind {
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

impl Kind {
    /// Fails for a type code it does not know, and for sizes that no column of a type has.
    pub fn of(spec: &ColumnSpec) -> Result<Kind> {
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
        Ok(match spec.type_code {
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
        })
    }
}

fn inside(label: &str) -> Box<[u8]> {
    let mut text = Vec::new();
    write_escaped(label.as_bytes(), &ONCE, &mut text);
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
