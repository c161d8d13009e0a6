//! A record's bytes: what comes behind the images of its value, and its key. The twin is `contracts.envelope`, whose field order this keeps.

use crate::decoder::chunk::Record;
use crate::decoder::image::Image;
use crate::malformed::{malformed, Result};
use crate::values::{write_integer, write_string};

/// What of a table is in its records. `prefix`: of a column, `,"name":`, which stands before a value that is not the first. `key`: the
/// places of the key's columns.
pub trait Shape {
    fn prefix(&self, column: usize) -> &[u8];
    fn key(&self) -> &[usize];
}

/// A column's `Shape::prefix`.
pub fn prefix(name: &str) -> Vec<u8> {
    let mut prefix = vec![b','];
    write_string(name, &mut prefix);
    prefix.push(b':');
    prefix
}

/// The places of the columns that make the key.
pub fn key_places<'n>(names: impl Iterator<Item = &'n str> + Clone, key: &[String]) -> Result<Vec<usize>> {
    let place = |name: &String| match names.clone().position(|column| column == name) {
        Some(place) => Ok(place),
        None => malformed(format!("key column {name} is not a column")),
    };
    key.iter().map(place).collect()
}

/// What of a table is the same in the source of every record: `,"snapshot":…,"db":…,"table":…,"server_id":`, and `,"schema":…`.
pub fn source_of_table(snapshot: bool, database: &str, table: &str, fingerprint: &str) -> (Vec<u8>, Vec<u8>) {
    let mut source = format!(",\"snapshot\":\"{snapshot}\",\"db\":").into_bytes();
    write_string(database, &mut source);
    source.extend_from_slice(b",\"table\":");
    write_string(table, &mut source);
    source.extend_from_slice(b",\"server_id\":");
    let mut schema = b",\"schema\":".to_vec();
    write_string(fingerprint, &mut schema);
    (source, schema)
}

/// What rows that come together have in common, in the words of their envelopes: `pipeline` and `file` are JSON.
pub struct Origin<'a> {
    pub pipeline: &'a [u8],
    pub ts_ms: u64,
    pub server_id: u32,
    pub gtid: &'a str,
    pub file: &'a [u8],
    pub offset: u64,
    pub commit_us: u64,
}

impl Origin<'_> {
    /// The source of the envelopes: `begin` up to `"row":`, `end` from behind `ev` on. Both are overwritten.
    pub fn write(&self, table: &[u8], schema: &[u8], begin: &mut Vec<u8>, end: &mut Vec<u8>) {
        begin.clear();
        begin.extend_from_slice(b",\"source\":{\"version\":\"tidemark-1\",\"connector\":\"mysql\",\"name\":");
        begin.extend_from_slice(self.pipeline);
        begin.extend_from_slice(b",\"ts_ms\":");
        write_integer(self.ts_ms, begin);
        begin.extend_from_slice(table);
        write_integer(self.server_id, begin);
        begin.extend_from_slice(b",\"gtid\":");
        write_string(self.gtid, begin);
        begin.extend_from_slice(b",\"file\":");
        begin.extend_from_slice(self.file);
        begin.extend_from_slice(b",\"pos\":");
        write_integer(self.offset, begin);
        begin.extend_from_slice(b",\"row\":");
        end.clear();
        end.extend_from_slice(b",\"commit_ts_us\":");
        write_integer(self.commit_us, end);
        end.extend_from_slice(schema);
    }
}

/// What of a record comes behind its images.
pub struct Ending<'a, S: Shape> {
    pub source: &'a [u8],
    pub source_end: &'a [u8],
    pub shape: &'a S,
    pub ev: u64,
    pub seq: u64,
    pub op: u8,
    pub key_change: bool,
    pub now_ms: i64,
}

impl<S: Shape> Ending<'_, S> {
    pub fn write<'r>(
        &self,
        raws: impl ExactSizeIterator<Item = &'r (usize, String)>,
        oversize: usize,
        out: &mut Vec<u8>,
        digits: &mut itoa::Buffer,
    ) {
        out.extend_from_slice(self.source);
        out.extend_from_slice(digits.format(self.ev).as_bytes());
        out.extend_from_slice(b",\"seq\":");
        out.extend_from_slice(digits.format(self.seq).as_bytes());
        out.extend_from_slice(b",\"ev\":");
        out.extend_from_slice(digits.format(self.ev).as_bytes());
        out.extend_from_slice(self.source_end);
        if self.key_change {
            out.extend_from_slice(b",\"key_change\":true");
        }
        if raws.len() > 0 {
            out.extend_from_slice(b",\"raw\":");
            write_raw(self.shape, raws, out);
        }
        if oversize > 0 {
            out.extend_from_slice(b",\"oversize\":");
            out.extend_from_slice(digits.format(oversize).as_bytes());
        }
        out.extend_from_slice(b"},\"op\":\"");
        out.push(self.op);
        out.extend_from_slice(b"\",\"ts_ms\":");
        out.extend_from_slice(digits.format(self.now_ms).as_bytes());
        out.push(b'}');
    }

    /// In place of a record larger than Kafka takes: its key columns, and how large it was.
    pub fn write_small(&self, before: &Image, after: &Image, begin: usize, size: usize, out: &mut Vec<u8>) -> Record {
        let (has_before, has_after) = match (self.op, self.key_change) {
            (b'd', _) => (true, false),
            (b'c' | b'r', _) => (false, true),
            _ => (true, true),
        };
        let mut small = b"{\"before\":".to_vec();
        write_only(self.shape, has_before.then_some(before), out, &mut small);
        small.extend_from_slice(b",\"after\":");
        write_only(self.shape, has_after.then_some(after), out, &mut small);
        let image = if self.op == b'd' { before } else { after };
        let raws: Vec<_> = image
            .raws
            .iter()
            .filter(|(column, _)| self.shape.key().contains(column))
            .cloned()
            .collect();
        self.write(raws.iter(), size, &mut small, &mut itoa::Buffer::new());
        let value_size = small.len();
        let has_key = !self.shape.key().is_empty();
        if has_key {
            write_only(self.shape, Some(image), out, &mut small);
        }
        out.truncate(begin);
        out.extend_from_slice(&small);
        Record {
            begin,
            value_end: begin + value_size,
            key_end: has_key.then_some(out.len()),
        }
    }
}

/// The key columns as a JSON object in key order, behind the value; None for a table without a key.
pub fn write_key(shape: &impl Shape, image: &Image, out: &mut Vec<u8>) -> Option<usize> {
    if shape.key().is_empty() {
        return None;
    }
    out.push(b'{');
    for (number, &column) in shape.key().iter().enumerate() {
        out.extend_from_slice(&shape.prefix(column)[usize::from(number == 0)..]);
        let (begin, end) = image.values[column];
        out.extend_from_within(begin..end);
    }
    out.push(b'}');
    Some(out.len())
}

/// The key columns of an image, those that it holds.
fn write_only(shape: &impl Shape, image: Option<&Image>, json: &[u8], out: &mut Vec<u8>) {
    let Some(image) = image else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'{');
    let mut first = true;
    for &column in shape.key().iter().filter(|&&column| image.holds(column)) {
        out.extend_from_slice(&shape.prefix(column)[usize::from(first)..]);
        out.extend_from_slice(image.value(column, json));
        first = false;
    }
    out.push(b'}');
}

pub fn write_raw<'r>(shape: &impl Shape, raws: impl Iterator<Item = &'r (usize, String)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (number, (column, text)) in raws.enumerate() {
        out.extend_from_slice(&shape.prefix(*column)[usize::from(number == 0)..]);
        write_string(text, out);
    }
    out.push(b'}');
}
