//! Text of a column: bytes of its character set → the inside of a JSON string.

use std::sync::Arc;

use super::json_text::{is_plain, write_escaped, write_utf8, Escape, ONCE};
use crate::malformed::Result;

/// Bytes → text; None for bytes to which the character set gives no character. An error is one of the decoder itself.
pub type Foreign = Arc<dyn Fn(&[u8]) -> Result<Option<String>> + Send + Sync>;

/// How bytes of a character set become text. `Ucs2` knows no pairs of surrogates.
#[derive(Clone)]
pub enum TextSpec {
    Utf8,
    Ucs2,
    Utf16Be,
    Utf16Le,
    Utf32Be,
    /// The character each byte stands for, if any.
    Single(Box<[Option<char>; 256]>),
    /// Decoded elsewhere.
    Foreign(Foreign),
}

/// What a byte of a single-byte character set becomes: UTF-8, escaped. A length of 0: the byte stands for nothing.
#[derive(Clone, Copy, Default)]
struct Cell {
    text: [u8; 7],
    length: u8,
}

enum Form {
    Utf8,
    Utf16 { big: bool, pairs: bool },
    Utf32,
    Single(Box<[Cell; 256]>),
    Foreign(Foreign),
}

/// A character set, ready to be used.
pub struct Text {
    form: Form,
    /// Whether ASCII bytes stand for ASCII whatever is around them, so what is nothing else needs no look-up.
    ascii: bool,
}

impl Text {
    /// Fails only if the foreign decoder does.
    pub fn new(spec: &TextSpec) -> Result<Text> {
        let utf16 = |big, pairs| Text {
            form: Form::Utf16 { big, pairs },
            ascii: false,
        };
        Ok(match spec {
            TextSpec::Utf8 => Text {
                form: Form::Utf8,
                ascii: true,
            },
            TextSpec::Ucs2 => utf16(true, false),
            TextSpec::Utf16Be => utf16(true, true),
            TextSpec::Utf16Le => utf16(false, true),
            TextSpec::Utf32Be => Text {
                form: Form::Utf32,
                ascii: false,
            },
            TextSpec::Single(table) => {
                let ascii = (0..128u8).all(|byte| table[byte as usize] == Some(char::from(byte)));
                Text {
                    form: Form::Single(cells(table)),
                    ascii,
                }
            }
            TextSpec::Foreign(decode) => {
                let all: Vec<u8> = (0..128).collect();
                let ascii = decode(&all)?.is_some_and(|text| text.as_bytes() == all);
                Text {
                    form: Form::Foreign(Arc::clone(decode)),
                    ascii,
                }
            }
        })
    }

    /// Appends the text, escaped, without quotes. False, and nothing appended, if some of the bytes stand for nothing.
    pub fn write(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        if let Form::Utf8 = self.form {
            return Ok(write_utf8(bytes, &ONCE, out));
        }
        if self.ascii && is_plain(bytes) {
            out.extend_from_slice(bytes);
            return Ok(true);
        }
        let start = out.len();
        let good = match &self.form {
            Form::Utf8 => write_utf8(bytes, &ONCE, out),
            Form::Utf16 { big, pairs } => write_utf16(bytes, *big, *pairs, out),
            Form::Utf32 => write_utf32(bytes, out),
            Form::Single(cells) => write_single(bytes, cells, out),
            Form::Foreign(decode) => match decode(bytes)? {
                Some(text) => {
                    write_escaped(text.as_bytes(), &ONCE, out);
                    true
                }
                None => false,
            },
        };
        if !good {
            out.truncate(start);
        }
        Ok(good)
    }
}

fn escaped(character: char, utf8: &mut [u8; 4]) -> &[u8] {
    static ESCAPES: &[Escape; 256] = &ONCE;
    match u8::try_from(character) {
        Ok(byte) if byte < 128 => ESCAPES[byte as usize].as_bytes(),
        _ => character.encode_utf8(utf8).as_bytes(),
    }
}

fn cells(table: &[Option<char>; 256]) -> Box<[Cell; 256]> {
    let mut cells = Box::new([Cell::default(); 256]);
    for (cell, character) in cells.iter_mut().zip(table) {
        if let Some(character) = character {
            let mut utf8 = [0; 4];
            let text = escaped(*character, &mut utf8);
            cell.text[..text.len()].copy_from_slice(text);
            cell.length = text.len() as u8;
        }
    }
    cells
}

fn write_single(bytes: &[u8], cells: &[Cell; 256], out: &mut Vec<u8>) -> bool {
    // A block at a time: each cell is copied whole, and what is too much of it is overwritten by the next.
    const BLOCK: usize = 32;
    let mut room = [0u8; BLOCK * 7];
    for block in bytes.chunks(BLOCK) {
        let mut at = 0;
        for &byte in block {
            let cell = &cells[byte as usize];
            if cell.length == 0 {
                return false;
            }
            if let Some(place) = room.get_mut(at..at + 7) {
                place.copy_from_slice(&cell.text);
            }
            at += cell.length as usize;
        }
        out.extend_from_slice(&room[..at]);
    }
    true
}

fn write_utf16(bytes: &[u8], big: bool, pairs: bool, out: &mut Vec<u8>) -> bool {
    let units = bytes.chunks_exact(2);
    if !units.remainder().is_empty() {
        return false;
    }
    out.reserve(bytes.len() / 2);
    let units = units.map(|unit| {
        if big {
            u16::from_be_bytes([unit[0], unit[1]])
        } else {
            u16::from_le_bytes([unit[0], unit[1]])
        }
    });
    let mut utf8 = [0; 4];
    for character in char::decode_utf16(units) {
        match character {
            Ok(character) if pairs || character <= '\u{ffff}' => out.extend_from_slice(escaped(character, &mut utf8)),
            _ => return false,
        }
    }
    true
}

fn write_utf32(bytes: &[u8], out: &mut Vec<u8>) -> bool {
    let units = bytes.chunks_exact(4);
    if !units.remainder().is_empty() {
        return false;
    }
    out.reserve(bytes.len() / 4);
    let mut utf8 = [0; 4];
    for unit in units {
        match char::from_u32(u32::from_be_bytes([unit[0], unit[1], unit[2], unit[3]])) {
            Some(character) => out.extend_from_slice(escaped(character, &mut utf8)),
            None => return false,
        }
    }
    true
}
