//! JSON documents: MySQL's binary form → the text MySQL itself shows, already escaped for a JSON string of ours.
//!
//! Source: MySQL 9.7, sql-common/json_binary.h (the form), json_dom.cc (wrapper_to_string, double_quote). Text in a document is utf8mb4;
//! keys are stored sorted by length, then bytes.

use super::json_text::{write_utf8, TWICE};
use super::jsonreader::{Container, Reader, LARGE_ARRAY, QUOTE};
use crate::malformed::{malformed, Result};

/// Appends the text of a document, without quotes around. An empty one is `null`, as MySQL reads it.
pub fn write_document(data: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match data.first() {
        None => out.extend_from_slice(b"null"),
        Some(&kind) => write_value(&mut Reader::new(data), kind, 1, 1, out)?,
    }
    Ok(())
}

fn write_value(reader: &mut Reader<'_>, kind: u8, at: usize, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if kind > LARGE_ARRAY {
        return reader.write_scalar(kind, at, out);
    }
    let container = reader.container(kind, at, depth)?;
    out.push(if container.object { b'{' } else { b'[' });
    let mut keys = KeyCheck::default();
    for place in 0..container.count {
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        if container.object {
            let key = reader.key(&container, place)?;
            write_key(key, out)?;
            keys.see(key);
        }
        let (inner, inner_at) = reader.entry(&container, place)?;
        write_value(reader, inner, inner_at, depth + 1, out)?;
    }
    if container.object {
        keys.check(reader, &container)?;
    }
    out.push(if container.object { b'}' } else { b']' });
    Ok(())
}

/// A key, quotes and colon included.
pub fn write_key(key: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.extend_from_slice(QUOTE);
    if !write_utf8(key, &TWICE, out) {
        return malformed("JSON document: a key is not UTF-8");
    }
    out.extend_from_slice(b"\\\": ");
    Ok(())
}

/// Finds keys that are there twice: at once if they are in order, which they are unless the document is not the server's.
#[derive(Default)]
pub struct KeyCheck<'a> {
    last: Option<&'a [u8]>,
    disordered: bool,
}

impl<'a> KeyCheck<'a> {
    pub fn see(&mut self, key: &'a [u8]) {
        if let Some(last) = self.last {
            self.disordered |= (last.len(), last) >= (key.len(), key);
        }
        self.last = Some(key);
    }

    pub fn in_order(&self) -> bool {
        !self.disordered
    }

    pub fn check(&self, reader: &Reader<'_>, container: &Container) -> Result<()> {
        if self.disordered {
            // Paid for when they were first read.
            let mut again = reader.anew();
            let mut keys = (0..container.count)
                .map(|place| again.key(container, place))
                .collect::<Result<Vec<_>>>()?;
            keys.sort_unstable();
            if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                return malformed(format!("JSON document: a key twice in the object at byte {}", container.at));
            }
        }
        Ok(())
    }
}
