//! Row images → the JSON of `before` and `after`.
//!
//! Source: MySQL 9.7, libs/mysql/binlog/event/rows_event.h (bitmaps, images) and sql/rpl_record.cc (unpack_row, partial JSON); the twin is
//! `streamer.core.rows`.

use crate::binlog::cursor::Cursor;
use crate::decoder::way::{Plan, Way};
use crate::malformed::{malformed, Malformed, Result};
use crate::values::write_updated;

/// Bit of a partial row's options: diffs may follow.
const PARTIAL_JSON: u64 = 1;

/// One image in a buffer of JSON: where the value of each column lies there (empty where the image does not hold it), the values JSON
/// cannot carry as text, and which columns it does not hold.
#[derive(Default)]
pub struct Image {
    pub begin: usize,
    pub end: usize,
    pub values: Vec<(usize, usize)>,
    pub raws: Vec<(usize, String)>,
    pub absent: Vec<usize>,
    /// Where the binary JSON documents lie in the event; only looked for where diffs may follow.
    documents: Vec<Option<(usize, usize)>>,
    /// Whether each column of the table comes as a diff.
    partial: Vec<bool>,
}

impl Image {
    fn reset(&mut self, way: &Way, plan: &Plan, begin: usize) {
        self.begin = begin;
        self.values.clear();
        self.values.resize(way.columns.len(), (0, 0));
        self.raws.clear();
        self.absent.clear();
        self.absent.extend_from_slice(&plan.absent);
        self.documents.clear();
        self.partial.clear();
    }

    /// Makes room for the values of a whole row, which whoever reads it writes.
    pub fn begin_whole(&mut self, columns: usize, begin: usize) {
        self.begin = begin;
        self.values.clear();
        self.values.resize(columns, (0, 0));
        self.raws.clear();
    }

    pub fn holds(&self, column: usize) -> bool {
        self.values[column].1 > 0
    }

    pub fn value<'a>(&self, column: usize, json: &'a [u8]) -> &'a [u8] {
        let (begin, end) = self.values[column];
        &json[begin..end]
    }

    pub fn raw(&self, column: usize) -> Option<&str> {
        self.raws.iter().find(|(place, _)| *place == column).map(|(_, text)| text.as_str())
    }

    /// Writes the image at `data[at..]` to `out`; returns where it ends. `documents`: remember where the JSON documents are.
    pub fn write(&mut self, way: &Way, plan: &Plan, data: &[u8], at: usize, documents: bool, out: &mut Vec<u8>) -> Result<usize> {
        self.reset(way, plan, out.len());
        if documents {
            self.documents.resize(way.columns.len(), None);
        }
        let (nulls, mut at) = null_bits(plan, data, at)?;
        out.push(b'{');
        for (bit, &place) in plan.present.iter().enumerate() {
            let column = &way.columns[place];
            out.extend_from_slice(&column.prefix[usize::from(bit == 0)..]);
            let begin = out.len();
            if nulls[bit / 8] >> (bit % 8) & 1 == 1 {
                out.extend_from_slice(b"null");
            } else {
                if documents && column.decoder.is_json() {
                    let (document, end) = column.decoder.prefixed(data, at).map_err(|error| named(column, error))?;
                    self.documents[place] = Some((end - document.len(), end));
                }
                at = self.write_value(way, place, data, at, out)?;
            }
            self.values[place] = (begin, out.len());
        }
        out.push(b'}');
        self.end = out.len();
        Ok(at)
    }

    /// Which columns of the after image that comes at `data[at..]` are diffs; false for none. A bit for each JSON column of the table, in the
    /// image or not.
    pub fn read_partial(&mut self, way: &Way, data: &[u8], at: usize) -> Result<(bool, usize)> {
        let rest = data.get(at..).unwrap_or_default();
        let mut c = Cursor::new(rest, "row options");
        let options = c.lenenc()?;
        if options & !PARTIAL_JSON != 0 {
            return malformed(format!("unknown row options {options}"));
        }
        self.partial.clear();
        if options == 0 {
            return Ok((false, at + c.at()));
        }
        let bits = c.take(way.json_columns.len().div_ceil(8) as u64)?;
        self.partial.resize(way.columns.len(), false);
        for (number, &place) in way.json_columns.iter().enumerate() {
            self.partial[place] = bits[number / 8] >> (number % 8) & 1 == 1;
        }
        Ok((self.partial.contains(&true), at + c.at()))
    }

    /// As `write`, where some columns are diffs of the documents of `before`. A column whose document `before` does not hold is absent.
    pub fn write_partial(&mut self, way: &Way, plan: &Plan, data: &[u8], at: usize, before: &Image, out: &mut Vec<u8>) -> Result<usize> {
        self.reset(way, plan, out.len());
        let (nulls, mut at) = null_bits(plan, data, at)?;
        out.push(b'{');
        for (bit, &place) in plan.present.iter().enumerate() {
            let column = &way.columns[place];
            let is_null = nulls[bit / 8] >> (bit % 8) & 1 == 1;
            let mut diffs = None;
            if !is_null && before.partial[place] {
                let (found, end) = column.decoder.prefixed(data, at).map_err(|error| named(column, error))?;
                at = end;
                match before.documents[place] {
                    Some(document) => diffs = Some((document, found)),
                    None => {
                        self.absent.push(place);
                        continue;
                    }
                }
            }
            out.extend_from_slice(&column.prefix[usize::from(out.len() == self.begin + 1)..]);
            let begin = out.len();
            if is_null {
                out.extend_from_slice(b"null");
            } else if let Some(((from, to), diffs)) = diffs {
                write_updated(&data[from..to], diffs, out).map_err(|error| named(column, error))?;
            } else {
                at = self.write_value(way, place, data, at, out)?;
            }
            self.values[place] = (begin, out.len());
        }
        out.push(b'}');
        self.end = out.len();
        Ok(at)
    }

    fn write_value(&mut self, way: &Way, place: usize, data: &[u8], at: usize, out: &mut Vec<u8>) -> Result<usize> {
        let column = &way.columns[place];
        let mut raw = None;
        let end = column
            .decoder
            .write(data, at, out, &mut raw)
            .map_err(|error| named(column, error))?;
        if let Some(text) = raw {
            self.raws.push((place, text));
        }
        Ok(end)
    }

    /// Puts in from `before` what this image does not hold, in column order as a whole image has it. `scratch` is overwritten.
    pub fn complete(&mut self, way: &Way, before: &Image, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
        scratch.clear();
        for (place, column) in way.columns.iter().enumerate() {
            scratch.extend_from_slice(&column.prefix[usize::from(place == 0)..]);
            let image = if self.holds(place) { &*self } else { before };
            let begin = scratch.len();
            scratch.extend_from_slice(image.value(place, out));
            // `before` lies in front of this image, so this value's place there may be overwritten by its own.
            self.values[place] = (self.begin + 1 + begin, self.begin + 1 + scratch.len());
        }
        out.truncate(self.begin + 1);
        out.extend_from_slice(scratch);
        out.push(b'}');
        self.end = out.len();
        for (place, text) in &before.raws {
            if self.absent.contains(place) {
                self.raws.push((*place, text.clone()));
            }
        }
        self.absent.clear();
    }

    /// The image was moved to `begin`.
    pub fn moved(&mut self, begin: usize) {
        let by = begin as isize - self.begin as isize;
        let shift = |at: usize| (at as isize + by) as usize;
        for value in self.values.iter_mut().filter(|value| value.1 > 0) {
            *value = (shift(value.0), shift(value.1));
        }
        self.end = shift(self.end);
        self.begin = begin;
    }
}

fn null_bits<'a>(plan: &Plan, data: &'a [u8], at: usize) -> Result<(&'a [u8], usize)> {
    let end = at + plan.present.len().div_ceil(8);
    match data.get(at..end) {
        Some(bits) => Ok((bits, end)),
        None => malformed("the image ends inside its null bits"),
    }
}

fn named(column: &crate::decoder::way::Column, error: Malformed) -> Malformed {
    Malformed(format!("column {}: {}", column.name, error.0))
}
