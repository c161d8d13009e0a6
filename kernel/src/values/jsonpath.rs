//! Paths of JSON diffs: keys and array places. The binlog writes no wildcards, no ranges, and `$` or nothing at the head.
//!
//! Source: MySQL 9.7, sql-common/json_path.cc. What is taken is what the readable decoder's regular expression takes.

use crate::malformed::{malformed, Result};

#[derive(Debug, PartialEq, Eq)]
pub enum Leg {
    Key(String),
    Place(u64),
    /// How far before the last: `last` is 0, `last-2` is 2.
    FromEnd(u64),
}

impl Leg {
    /// The place in an array of that length, as the diffs before left it; it may be beyond the end. None before the first, and for a key.
    pub fn place(&self, length: usize) -> Option<usize> {
        match self {
            Leg::Key(_) => None,
            Leg::Place(place) => Some(usize::try_from(*place).unwrap_or(usize::MAX)),
            Leg::FromEnd(back) => length.checked_sub(1)?.checked_sub(usize::try_from(*back).ok()?),
        }
    }
}

pub fn parse_path(text: &str) -> Result<Vec<Leg>> {
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    let mut legs = Vec::new();
    while !rest.is_empty() {
        let parsed = if let Some(quoted) = rest.strip_prefix(".\"") {
            quoted_key(quoted)
        } else if let Some(plain) = rest.strip_prefix('.') {
            plain_key(plain)
        } else if let Some(place) = rest.strip_prefix('[') {
            array_place(place)
        } else {
            None
        };
        let Some((leg, after)) = parsed else {
            return malformed("JSON diffs: not a path");
        };
        legs.push(leg);
        rest = after;
    }
    Ok(legs)
}

/// ASCII's white space alone. Keys are written without quotes if the lowest byte of each of their characters passes for a letter, and
/// that of U+00A0 does.
fn is_space(character: char) -> bool {
    matches!(character, '\t'..='\r' | ' ')
}

fn plain_key(text: &str) -> Option<(Leg, &str)> {
    let end = text
        .find(|character| matches!(character, '.' | '"' | '[') || is_space(character))
        .unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    (!key.is_empty()).then(|| (Leg::Key(key.to_owned()), after))
}

fn array_place(text: &str) -> Option<(Leg, &str)> {
    let text = text.trim_start_matches(is_space);
    let (leg, after) = if let Some(after) = text.strip_prefix("last") {
        match after.trim_start_matches(is_space).strip_prefix('-') {
            Some(back) => {
                let (back, after) = number(back.trim_start_matches(is_space))?;
                (Leg::FromEnd(back), after)
            }
            None => (Leg::FromEnd(0), after),
        }
    } else {
        let (place, after) = number(text)?;
        (Leg::Place(place), after)
    };
    Some((leg, after.trim_start_matches(is_space).strip_prefix(']')?))
}

fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, after) = text.split_at(end);
    if !(1..=10).contains(&digits.len()) {
        return None;
    }
    Some((digits.parse().ok()?, after))
}

/// A JSON string after its opening quote. Control characters may stand for themselves; half a pair of surrogates is no text.
fn quoted_key(text: &str) -> Option<(Leg, &str)> {
    let mut key = String::new();
    let mut rest = text;
    loop {
        let stop = rest.find(['"', '\\'])?;
        let (literal, after) = rest.split_at(stop);
        key.push_str(literal);
        if let Some(after) = after.strip_prefix('"') {
            return Some((Leg::Key(key), after));
        }
        let mut characters = after.chars();
        characters.next();
        let escaped = characters.next()?;
        rest = characters.as_str();
        key.push(match escaped {
            '"' | '\\' | '/' => escaped,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut code = hex_unit(&mut rest)?;
                if (0xd800..0xdc00).contains(&code) {
                    rest = rest.strip_prefix("\\u")?;
                    let low = hex_unit(&mut rest).filter(|low| (0xdc00..0xe000).contains(low))?;
                    code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code)?
            }
            _ => return None,
        });
    }
}

/// Four hex digits.
fn hex_unit(rest: &mut &str) -> Option<u32> {
    let (digits, after) = rest.split_at_checked(4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    *rest = after;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Option<Vec<Leg>> {
        parse_path(text).ok()
    }

    #[test]
    fn paths() {
        let key = |text: &str| Leg::Key(text.to_owned());
        assert_eq!(keys(""), Some(vec![]));
        assert_eq!(keys("$"), Some(vec![]));
        assert_eq!(
            keys("$.a[ 12 ].\"b\\\"\\u00e9\\ud83d\\ude00\"[0]"),
            Some(vec![key("a"), Leg::Place(12), key("b\"é😀"), Leg::Place(0)])
        );
        assert_eq!(keys(".a]b\\"), Some(vec![key("a]b\\")]));
        assert_eq!(
            keys("$.\u{a0}.a\u{85}\u{1680}.\u{1c}[\t0\r]"),
            Some(vec![key("\u{a0}"), key("a\u{85}\u{1680}"), key("\u{1c}"), Leg::Place(0)])
        );
        assert_eq!(
            keys("$[last].a[last-12][ last\t- 0 ]"),
            Some(vec![Leg::FromEnd(0), key("a"), Leg::FromEnd(12), Leg::FromEnd(0)])
        );
        for bad in [
            "$[last-]",
            "$[last 1]",
            "$[-1]",
            "$[la]",
            "$[last-12345678901]",
            "a",
            "$$",
            "$.",
            "$[",
            "$[]",
            "$[x]",
            "$[12345678901]",
            "$.a b",
            "$.a\u{b}",
            "$.a[\u{a0}0]",
            "$.\"a",
            "$.\"\\ud800\"",
            "$.\"\\x\"",
            "$.a\"b\"",
        ] {
            assert_eq!(keys(bad), None, "{bad}");
        }
    }
}
