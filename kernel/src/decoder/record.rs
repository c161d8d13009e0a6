//! A record's bytes: what comes behind the images of its value, and its key. The twin is `contracts.envelope`, whose field order this keeps.

use crate::decoder::chunk::Record;
use crate::decoder::image::Image;
use crate::decoder::way::Way;
use crate::values::write_string;

/// What of a record comes behind its images.
pub struct Ending<'a> {
    pub source: &'a [u8],
    pub source_end: &'a [u8],
    pub way: &'a Way,
    pub ev: u64,
    pub seq: u64,
    pub op: u8,
    pub key_change: bool,
    pub now_ms: i64,
}

impl Ending<'_> {
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
            write_raw(self.way, raws, out);
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
            (b'c', _) => (false, true),
            _ => (true, true),
        };
        let mut small = b"{\"before\":".to_vec();
        write_only(self.way, has_before.then_some(before), out, &mut small);
        small.extend_from_slice(b",\"after\":");
        write_only(self.way, has_after.then_some(after), out, &mut small);
        let image = if self.op == b'd' { before } else { after };
        let raws: Vec<_> = image
            .raws
            .iter()
            .filter(|(column, _)| self.way.key.contains(column))
            .cloned()
            .collect();
        self.write(raws.iter(), size, &mut small, &mut itoa::Buffer::new());
        let value_size = small.len();
        let has_key = !self.way.key.is_empty();
        if has_key {
            write_only(self.way, Some(image), out, &mut small);
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
pub fn write_key(way: &Way, image: &Image, out: &mut Vec<u8>) -> Option<usize> {
    if way.key.is_empty() {
        return None;
    }
    out.push(b'{');
    for (number, &column) in way.key.iter().enumerate() {
        out.extend_from_slice(&way.columns[column].prefix[usize::from(number == 0)..]);
        let (begin, end) = image.values[column];
        out.extend_from_within(begin..end);
    }
    out.push(b'}');
    Some(out.len())
}

/// The key columns of an image, those that it holds.
fn write_only(way: &Way, image: Option<&Image>, json: &[u8], out: &mut Vec<u8>) {
    let Some(image) = image else {
        out.extend_from_slice(b"null");
        return;
    };
    out.push(b'{');
    let mut first = true;
    for &column in way.key.iter().filter(|&&column| image.holds(column)) {
        out.extend_from_slice(&way.columns[column].prefix[usize::from(first)..]);
        out.extend_from_slice(image.value(column, json));
        first = false;
    }
    out.push(b'}');
}

pub fn write_raw<'r>(way: &Way, raws: impl Iterator<Item = &'r (usize, String)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (number, (column, text)) in raws.enumerate() {
        out.extend_from_slice(&way.columns[*column].prefix[usize::from(number == 0)..]);
        write_string(text, out);
    }
    out.push(b'}');
}
