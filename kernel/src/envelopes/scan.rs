//! A cursor over JSON text as the streamer writes it: no white space, fields in a known order. `None` means it is not that.
//! The text is valid UTF-8; whoever scans has seen to it.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

pub struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string between its quotes, as it is written.
#[derive(Clone, Copy)]
pub struct Quoted<'a> {
    pub raw: &'a [u8],
    pub escaped: bool,
}

impl<'a> Scan<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Scan<'a> {
        Scan { bytes, at }
    }

    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    #[inline]
    pub fn is_done(&self) -> bool {
        self.at == self.bytes.len()
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.try_literal(expected).then_some(())
    }

    #[inline]
    pub fn try_literal(&mut self, expected: &[u8]) -> bool {
        let found = self.bytes.get(self.at..self.at + expected.len()) == Some(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// From an opening quote to behind the closing one.
    #[inline]
    pub fn quoted(&mut self) -> Option<Quoted<'a>> {
        self.literal(b"\"")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += find(
                &self.bytes[self.at..],
                |word| has(word, b'"') | has(word, b'\\') | below_space(word),
                |byte| byte == b'"' || byte == b'\\' || byte < b' ',
            )?;
            match self.bytes[self.at] {
                b'"' => {
                    let raw = &self.bytes[start..self.at];
                    self.at += 1;
                    return Some(Quoted { raw, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                    if self.at > self.bytes.len() {
                        return None;
                    }
                }
                _ => return None, // a control character, which JSON writes as an escape
            }
        }
    }

    /// Digits, as JSON allows them: no zero before others.
    #[inline]
    pub fn integer(&mut self) -> Option<i64> {
        let negative = self.try_literal(b"-");
        let start = self.at;
        let mut value = 0_i64;
        while let Some(digit) = self.peek().map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
            let digit = i64::from(digit);
            value = value.checked_mul(10)?;
            value = if negative {
                value.checked_sub(digit)?
            } else {
                value.checked_add(digit)?
            };
            self.at += 1;
        }
        let digits = &self.bytes[start..self.at];
        let plain = digits == b"0" && !negative || digits.first().is_some_and(|&first| first != b'0');
        plain.then_some(value)
    }

    /// The text of a number. Whether it is one, its reader finds.
    #[inline]
    pub fn number(&mut self) -> &'a [u8] {
        let start = self.at;
        while let Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        &self.bytes[start..self.at]
    }

    /// Past any value. What lies within an object or a list is not looked at but for its brackets and quotes.
    pub fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.quoted().map(|_| ()),
            b'{' | b'[' => self.skip_nested(),
            b'n' => self.literal(b"null"),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            _ => (!self.number().is_empty()).then_some(()),
        }
    }

    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            // With 0x20 set, `[` and `{` look alike, and so do `]` and `}`.
            self.at += find(
                &self.bytes[self.at..],
                |word| has(word, b'"') | has(word | (LOW * 0x20), b'{') | has(word | (LOW * 0x20), b'}'),
                |byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'),
            )?;
            match self.bytes[self.at] {
                b'"' => {
                    self.quoted()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// Where the first byte `exact` asks for is. `rough` marks each byte of a word that may be one, in its highest bit; the lowest mark is
/// never wrong but where `rough` asks for more than `exact`.
#[inline]
fn find(bytes: &[u8], rough: impl Fn(u64) -> u64, exact: impl Fn(u8) -> bool) -> Option<usize> {
    let words = bytes.chunks_exact(8);
    let mut at = 0;
    for word in words {
        let marks = rough(u64::from_le_bytes(word.try_into().ok()?));
        if marks != 0 {
            let first = marks.trailing_zeros() as usize / 8;
            if let Some(found) = word[first..].iter().position(|&byte| exact(byte)) {
                return Some(at + first + found);
            }
        }
        at += 8;
    }
    bytes[at..].iter().position(|&byte| exact(byte)).map(|found| at + found)
}

#[inline]
fn has(word: u64, byte: u8) -> u64 {
    let other = word ^ (LOW * u64::from(byte));
    other.wrapping_sub(LOW) & !other & HIGH
}

#[inline]
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(LOW * 0x20) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::Scan;

    #[test]
    fn a_string_ends_at_its_own_quote() {
        for text in [
            "\"\"x",
            "\"abcdefg\"x",
            "\"abcdefgh\"x",
            "\"a\\\"b\\\\\"x",
            "\"0123456789012345678901234567890123456789\"x",
        ] {
            let mut scan = Scan::new(text.as_bytes(), 0);
            let found = scan.quoted().expect(text);
            assert_eq!(scan.at(), text.len() - 1, "{text}");
            assert_eq!(found.escaped, text.contains('\\'), "{text}");
            assert_eq!(found.raw, &text.as_bytes()[1..text.len() - 2], "{text}");
        }
        for text in ["\"open", "\"open\\", "\"open\\\"", "\"a\nb\"", "\"01234567\u{1}\"", "none"] {
            assert!(Scan::new(text.as_bytes(), 0).quoted().is_none(), "{text}");
        }
    }

    #[test]
    fn a_value_is_skipped_whole() {
        for text in [
            "null",
            "true",
            "-1.5e10",
            "\"}\"",
            "{\"a\":{\"b\":[1,\"]}\\\"\"]},\"yyyyy{\":[]}",
            "[]",
            "[[{}],[]]",
            "{}",
        ] {
            let padded = format!("{text},{}", "z".repeat(20));
            let mut scan = Scan::new(padded.as_bytes(), 0);
            assert!(scan.skip().is_some(), "{text}");
            assert_eq!(scan.at(), text.len(), "{text}");
        }
        for text in ["{\"a\":1", "[", "nul", ",", "{\"a"] {
            assert!(Scan::new(text.as_bytes(), 0).skip().is_none(), "{text}");
        }
    }

    #[test]
    fn integers_are_as_json_writes_them() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(Scan::new(text.as_bytes(), 0).integer(), Some(value));
        }
        for text in ["", "-", "-0", "01", "9223372036854775808", "x"] {
            assert_eq!(Scan::new(text.as_bytes(), 0).integer(), None, "{text}");
        }
    }
}
