//! JSON strings, escaped as orjson escapes them: the quote, the backslash and what is below U+0020, nothing else.
//!
//! `TWICE` is that escaping done to itself. A JSON column's text is MySQL's JSON, carried as one JSON string of the envelope, so a quote
//! inside one of its strings is `\"` in MySQL's text and `\\\"` in ours.

/// What stands for a byte: the first `length` bytes of `text`.
#[derive(Clone, Copy)]
pub struct Escape {
    text: [u8; 8],
    length: u8,
}

impl Escape {
    pub const fn as_bytes(&self) -> &[u8] {
        self.text.split_at(self.length as usize).0
    }

    const fn push(mut self, byte: u8) -> Escape {
        self.text[self.length as usize] = byte;
        self.length += 1;
        self
    }
}

pub type Table = [Escape; 256];

pub static ONCE: Table = table(false);
pub static TWICE: Table = table(true);

const fn table(twice: bool) -> Table {
    let mut out = [Escape { text: [0; 8], length: 0 }; 256];
    let mut byte = 0;
    while byte < 256 {
        let once = escape(byte as u8);
        let mut at = 0;
        while at < once.length as usize {
            let inner = if twice {
                escape(once.text[at])
            } else {
                Escape {
                    text: [once.text[at]; 8],
                    length: 1,
                }
            };
            let mut place = 0;
            while place < inner.length as usize {
                out[byte] = out[byte].push(inner.text[place]);
                place += 1;
            }
            at += 1;
        }
        byte += 1;
    }
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";

const fn escape(byte: u8) -> Escape {
    let none = Escape { text: [0; 8], length: 0 };
    match byte {
        b'"' | b'\\' => none.push(b'\\').push(byte),
        0x08 => none.push(b'\\').push(b'b'),
        0x09 => none.push(b'\\').push(b't'),
        0x0a => none.push(b'\\').push(b'n'),
        0x0c => none.push(b'\\').push(b'f'),
        0x0d => none.push(b'\\').push(b'r'),
        0x00..=0x1f => none
            .push(b'\\')
            .push(b'u')
            .push(b'0')
            .push(b'0')
            .push(HEX[byte as usize >> 4])
            .push(HEX[byte as usize & 15]),
        _ => none.push(byte),
    }
}

/// A JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    write_escaped(text.as_bytes(), &ONCE, out);
    out.push(b'"');
}

/// UTF-8 that was not looked at yet, escaped, without quotes. False, and nothing written, if it is not UTF-8.
pub fn write_utf8(bytes: &[u8], table: &Table, out: &mut Vec<u8>) -> bool {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return true;
    }
    if simdutf8::basic::from_utf8(bytes).is_err() {
        return false;
    }
    write_escaped(bytes, table, out);
    true
}

/// Text, escaped, without quotes.
pub fn write_escaped(mut text: &[u8], table: &Table, out: &mut Vec<u8>) {
    while let Some(place) = first_special(text) {
        let (before, rest) = text.split_at(place);
        out.extend_from_slice(before);
        let Some((&byte, rest)) = rest.split_first() else { return };
        out.extend_from_slice(table[byte as usize].as_bytes());
        text = rest;
    }
    out.extend_from_slice(text);
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// The high bit of each byte that is special. Borrows only travel upwards, so the lowest one set is right, and whether any is.
fn specials(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let is_quote = quote.wrapping_sub(ONES) & !quote;
    let is_backslash = backslash.wrapping_sub(ONES) & !backslash;
    (below | is_quote | is_backslash) & HIGHS
}

fn first_special(text: &[u8]) -> Option<usize> {
    let mut words = text.chunks_exact(8);
    let mut at = 0;
    for chunk in &mut words {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(chunk);
        let found = specials(u64::from_le_bytes(bytes));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    words.remainder().iter().position(|&byte| is_special(byte)).map(|place| at + place)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether all of it is ASCII of which nothing is to be escaped: what most text is.
pub fn is_plain(bytes: &[u8]) -> bool {
    let mut blocks = bytes.chunks_exact(16);
    // Without a way out inside a block, so that it becomes vector instructions.
    if !blocks.all(|block| block.iter().fold(true, |plain, &byte| plain & !(is_special(byte) | (byte >= 0x80)))) {
        return false;
    }
    let tail = blocks.remainder();
    if let (Some(first), Some(last)) = (tail.first_chunk::<8>(), tail.last_chunk::<8>()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        return (specials(first) | specials(last) | ((first | last) & HIGHS)) == 0;
    }
    tail.iter().all(|&byte| !is_special(byte) && byte < 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(text: &str) -> String {
        let mut out = Vec::new();
        write_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_json_reserves_is_escaped_and_nothing_else() {
        assert_eq!(
            once("a\"\\\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}é\u{2028}/"),
            r#""a\"\\\b\f\n\r\t\u0000\u001f"#.to_owned() + "\u{7f}é\u{2028}/\""
        );
    }

    #[test]
    fn escaping_twice_is_escaping_the_escaped() {
        for byte in 0..128u8 {
            let mut inner = Vec::new();
            write_escaped(&[byte], &ONCE, &mut inner);
            let (mut twice, mut outer) = (Vec::new(), Vec::new());
            write_escaped(&[byte], &TWICE, &mut twice);
            write_escaped(&inner, &ONCE, &mut outer);
            assert_eq!(twice, outer, "byte {byte}");
        }
    }

    #[test]
    fn a_special_byte_is_found_at_every_place() {
        for length in 0..40 {
            let plain = vec![b'x'; length];
            assert!(is_plain(&plain) && first_special(&plain).is_none());
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut text = plain.clone();
                    text[place] = byte;
                    let special = is_special(byte);
                    assert_eq!(is_plain(&text), !special && byte < 0x80);
                    assert_eq!(first_special(&text), special.then_some(place));
                }
            }
        }
    }
}
