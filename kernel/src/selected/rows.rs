//! Selected rows → records. The twins are `streamer.core.selected.PythonSelectedRows` and `contracts.envelope`, whose field order this keeps.

use std::collections::HashSet;
use std::ops::Range;

use super::fault::{Fault, Result};
use super::packets::{split, RowPackets};
use super::table::Table;
use crate::decoder::chunk::Record;
use crate::decoder::image::Image;
use crate::decoder::record::{write_key, Ending, Origin};
use crate::malformed::Malformed;

/// A record is about so much larger than its row.
const RECORD_BYTES_BESIDE: usize = 480;

/// Which rows of an answer are encoded, and what their envelopes say. `struck`: keys whose rows are left out and take no seq.
pub struct Batch<'a> {
    pub rows: Range<usize>,
    pub struck: &'a HashSet<Vec<u8>>,
    pub origin: Origin<'a>,
    pub first_seq: u64,
    pub now_ms: i64,
}

/// Records in one buffer. `size_bytes`: of their values.
#[derive(Default)]
pub struct Encoded {
    pub arena: Vec<u8>,
    pub records: Vec<Record>,
    pub size_bytes: usize,
    pub left_out: usize,
}

impl Table {
    pub fn encode(&self, packets: &RowPackets, batch: &Batch) -> Result<Encoded> {
        let (mut source, mut source_end) = (Vec::new(), Vec::new());
        batch
            .origin
            .write(&self.source_table, &self.source_schema, &mut source, &mut source_end);
        let count = batch.rows.len().min(packets.rows());
        let mut encoded = Encoded {
            arena: Vec::with_capacity(packets.size_bytes() / packets.rows().max(1) * count * 2 + RECORD_BYTES_BESIDE * count),
            records: Vec::with_capacity(count),
            ..Encoded::default()
        };
        let (mut image, nothing) = (Image::default(), Image::default());
        let mut digits = itoa::Buffer::new();
        for row in batch.rows.clone() {
            let out = &mut encoded.arena;
            let begin = out.len();
            self.write_row(packets.row(row).ok_or(Fault::NoRow)?, row, &mut image, out)?;
            let ending = Ending {
                source: &source,
                source_end: &source_end,
                shape: self,
                ev: row as u64,
                seq: batch.first_seq + encoded.records.len() as u64,
                op: b'r',
                key_change: false,
                now_ms: batch.now_ms,
            };
            ending.write(image.raws.iter(), 0, out, &mut digits);
            let value_end = out.len();
            let key_end = write_key(self, &image, out);
            if key_end.is_some() && !batch.struck.is_empty() && batch.struck.contains(&out[value_end..]) {
                out.truncate(begin);
                encoded.left_out += 1;
                continue;
            }
            let size = out.len() - begin;
            let record = if size > self.record_bytes_max {
                ending.write_small(&nothing, &image, begin, size, out)
            } else {
                Record { begin, value_end, key_end }
            };
            encoded.size_bytes += record.value_end - record.begin;
            encoded.records.push(record);
        }
        Ok(encoded)
    }

    /// Writes `{"before":null,"after":…`.
    fn write_row(&self, data: &[u8], row: usize, image: &mut Image, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"before\":null,\"after\":{");
        image.begin_whole(self.columns.len(), out.len() - 1);
        let mut place = 0;
        let mut wrong: Option<(usize, Malformed)> = None;
        let shape = split(data, self.columns.len() as u64, |text| {
            let column = &self.columns[place];
            out.extend_from_slice(&column.prefix[usize::from(place == 0)..]);
            let begin = out.len();
            match text {
                None => out.extend_from_slice(b"null"),
                Some(text) => {
                    let mut raw = None;
                    match column.decoder.write(text, out, &mut raw) {
                        Ok(()) => {}
                        Err(reason) if wrong.is_none() => wrong = Some((place, reason)),
                        Err(_) => {}
                    }
                    if let Some(text) = raw {
                        image.raws.push((place, text));
                    }
                }
            }
            image.values[place] = (begin, out.len());
            place += 1;
        });
        // A row that cannot be split has no columns that one could be wrong of.
        match (shape, wrong) {
            (Err(reason), _) => Err(Fault::Row { row, column: None, reason }),
            (Ok(()), Some((column, reason))) => Err(Fault::Row {
                row,
                column: Some(column),
                reason,
            }),
            (Ok(()), None) => {
                out.push(b'}');
                image.end = out.len();
                Ok(())
            }
        }
    }
}
