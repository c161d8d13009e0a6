//! Column values: bytes of a row image → the JSON the envelope carries.
//!
//! The twin of streamer/core/values.py, which says what each type becomes: byte for byte what `orjson.dumps` makes of its values, and
//! `Malformed` where it raises or, as whoever calls it checks, has read past the end.
//!
//! Source: MySQL 9.7, sql/field.cc (pack and unpack of each type), libs/mysql/strings and mysys/my_time.cc (packed temporal forms).

mod base64;
mod content;
mod decoder;
mod digits;
mod json_text;
mod jsonb;
mod jsondiff;
mod jsonpath;
mod jsonreader;
mod kind;
mod numbers;
mod temporal;
mod text;
mod texts;
mod timetexts;

#[cfg(test)]
mod never_panics;

pub use decoder::Decoder;
pub use digits::write_integer;
pub use json_text::write_string;
pub use jsondiff::write_updated;
pub use numbers::write_double;
pub use text::{Foreign, TextSpec};
pub use texts::TextDecoder;

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
