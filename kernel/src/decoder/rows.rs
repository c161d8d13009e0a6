//! Rows of one event → records: one a row, or two where the key changes.
//!
//! The twins are `streamer.core.rows`, `streamer.core.translate` and `contracts.envelope`, whose field order this keeps.

use crate::binlog::cursor::Cursor;
use crate::binlog::event::kind;
use crate::decoder::chunk::{Chunk, Record};
use crate::decoder::fault::{Fault, Result};
use crate::decoder::image::Image;
use crate::decoder::record::{write_key, write_raw, Ending, Origin};
use crate::decoder::split::Split;
use crate::decoder::way::Way;
use crate::malformed::{self, malformed, Malformed};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Insert,
    Update,
    Delete,
}

/// A rows event as parsed, its table map not looked at.
pub struct RowsEvent {
    pub table_id: u64,
    pub end_of_statement: bool,
    change: Change,
    partial: bool,
    width: u64,
    present_before: (usize, usize),
    present_after: (usize, usize),
    data: usize,
}

const STATEMENT_END: u16 = 1;

impl RowsEvent {
    pub fn parse(event_kind: u8, body: &[u8]) -> malformed::Result<RowsEvent> {
        let mut c = Cursor::new(body, "rows event");
        let table_id = c.uint(6)?;
        let flags = c.u16()?;
        let extra = c.u16()?;
        if extra < 2 {
            return malformed(format!("rows event: extra data of {extra} bytes, which counts its own length of 2"));
        }
        c.take(u64::from(extra) - 2)?;
        let width = c.lenenc()?;
        let change = match event_kind {
            kind::WRITE_ROWS => Change::Insert,
            kind::DELETE_ROWS => Change::Delete,
            _ => Change::Update,
        };
        let mut bitmap = |is_there: bool| -> malformed::Result<(usize, usize)> {
            let begin = c.at();
            if is_there {
                c.take(width.div_ceil(8))?;
            }
            Ok((begin, c.at()))
        };
        let present_before = bitmap(change != Change::Insert)?;
        let present_after = bitmap(change != Change::Delete)?;
        Ok(RowsEvent {
            table_id,
            end_of_statement: flags & STATEMENT_END != 0,
            change,
            partial: event_kind == kind::PARTIAL_UPDATE_ROWS,
            width,
            present_before,
            present_after,
            data: c.at(),
        })
    }
}

/// The rows of an event that are still to be taken: from `at` on in its body. `before`, `after`: the plans of their images.
pub struct Rows {
    at: usize,
    number: u64,
    change: Change,
    partial: bool,
    before: usize,
    after: usize,
}

/// What is kept from row to row and from event to event. `source`, `source_end`: as `Origin::write` wrote them.
#[derive(Default)]
pub struct Desk {
    before: Image,
    after: Image,
    source: Vec<u8>,
    source_end: Vec<u8>,
    scratch: Vec<u8>,
    digits: itoa::Buffer,
}

/// Where the records of a row go.
pub struct Place<'a> {
    pub way: &'a mut Way,
    pub split: &'a mut Split,
    pub chunk: &'a mut Chunk,
    pub ev: &'a mut u64,
    pub now_ms: i64,
    pub record_bytes_max: usize,
}

impl Rows {
    pub fn new(event: &RowsEvent, body: &[u8], way: &mut Way, origin: &Origin, desk: &mut Desk) -> malformed::Result<Rows> {
        if event.width != way.columns.len() as u64 {
            return malformed(format!(
                "rows event of {}.{}: {} columns, its table map has {}",
                way.database,
                way.table,
                event.width,
                way.columns.len()
            ));
        }
        if event.data == body.len() {
            return malformed(format!("rows event of {}.{}: no rows", way.database, way.table));
        }
        origin.write(&way.source_table, &way.source_schema, &mut desk.source, &mut desk.source_end);
        way.make_room();
        let bits = |(begin, end): (usize, usize)| &body[begin..end];
        Ok(Rows {
            at: event.data,
            number: 0,
            change: event.change,
            partial: event.partial,
            before: way.plan(bits(event.present_before)),
            after: way.plan(bits(event.present_after)),
        })
    }

    pub fn is_done(&self, body: &[u8]) -> bool {
        self.at >= body.len()
    }

    /// Takes the next row.
    pub fn take(&mut self, body: &[u8], place: &mut Place, desk: &mut Desk) -> Result<()> {
        let begin = place.chunk.arena.len();
        let is_out = place.split.next_is_out();
        let end = self.images(body, place, desk).map_err(|error| {
            Malformed(format!(
                "rows event of {}.{}: row {}, {}",
                place.way.database, place.way.table, self.number, error.0
            ))
        })?;
        if end == self.at {
            return Err(Malformed(format!(
                "rows event of {}.{}: a row without bytes",
                place.way.database, place.way.table
            ))
            .into());
        }
        self.at = end;
        self.number += 1;
        self.records(place, desk, begin, is_out)?;
        place.split.take()?;
        if is_out {
            place.chunk.arena.truncate(begin);
        }
        Ok(())
    }

    /// Writes `{"before":…,"after":…` as the row has them; returns where its bytes end.
    fn images(&self, data: &[u8], place: &mut Place, desk: &mut Desk) -> malformed::Result<usize> {
        let (way, out) = (&*place.way, &mut place.chunk.arena);
        let (before, after) = (&way.plans[self.before].1, &way.plans[self.after].1);
        let mut at = self.at;
        out.extend_from_slice(b"{\"before\":");
        if self.change == Change::Insert {
            out.extend_from_slice(b"null");
        } else {
            at = desk.before.write(way, before, data, at, self.partial, out)?;
        }
        out.extend_from_slice(b",\"after\":");
        if self.change == Change::Delete {
            out.extend_from_slice(b"null");
            return Ok(at);
        }
        if self.partial {
            let (has_diffs, end) = desk.before.read_partial(way, data, at)?;
            if has_diffs {
                return desk.after.write_partial(way, after, data, end, &desk.before, out);
            }
            at = end;
        }
        desk.after.write(way, after, data, at, false, out)
    }

    /// Makes the records of the row whose images lie in the arena from `begin` on.
    fn records(&self, place: &mut Place, desk: &mut Desk, begin: usize, is_out: bool) -> Result<()> {
        let way = &*place.way;
        if self.change != Change::Insert && !desk.before.absent.is_empty() {
            let keyless_delete = way.key.is_empty() && self.change == Change::Delete;
            require(
                way,
                desk.before.absent.iter().find(|column| keyless_delete || way.key.contains(column)),
            )?;
        }
        match self.change {
            Change::Insert => {
                require(way, desk.after.absent.first())?;
                self.record(place, desk, begin, b'c', false, is_out);
            }
            Change::Delete => self.record(place, desk, begin, b'd', false, is_out),
            Change::Update => {
                if !desk.after.absent.is_empty() {
                    require(way, desk.after.absent.iter().find(|&&column| !desk.before.holds(column)))?;
                    let Desk {
                        before, after, scratch, ..
                    } = desk;
                    after.complete(way, before, &mut place.chunk.arena, scratch);
                }
                if same_key(way, &desk.before, &desk.after, &place.chunk.arena) {
                    self.record(place, desk, begin, b'u', false, is_out);
                } else {
                    // The old key deleted, the new one created, adjacent.
                    let arena = &mut place.chunk.arena;
                    desk.scratch.clear();
                    desk.scratch.extend_from_slice(&arena[desk.after.begin..desk.after.end]);
                    arena.truncate(desk.before.end);
                    arena.extend_from_slice(b",\"after\":null");
                    self.record(place, desk, begin, b'd', true, is_out);
                    let arena = &mut place.chunk.arena;
                    let begin = arena.len();
                    arena.extend_from_slice(b"{\"before\":null,\"after\":");
                    desk.after.moved(arena.len());
                    arena.extend_from_slice(&desk.scratch);
                    self.record(place, desk, begin, b'c', true, is_out);
                }
            }
        }
        Ok(())
    }

    /// Ends the record that begins at `begin` with its images, and hands it on unless it is out already.
    fn record(&self, place: &mut Place, desk: &mut Desk, begin: usize, op: u8, key_change: bool, is_out: bool) {
        let way = &mut *place.way;
        let out = &mut place.chunk.arena;
        let image = if op == b'd' { &desk.before } else { &desk.after };
        let [create, update, delete] = &way.identities;
        place.split.add(match op {
            b'c' => create,
            b'u' => update,
            _ => delete,
        });
        place.split.add(&out[begin..]);
        if image.raws.is_empty() {
            place.split.add(b"}{}");
        } else {
            let mut raw = vec![b'}'];
            write_raw(way, image.raws.iter(), &mut raw);
            place.split.add(&raw);
        }
        let ev = *place.ev;
        *place.ev += 1;
        if is_out {
            return;
        }
        let seq = way.next_seq;
        way.next_seq += 1;
        let ending = Ending {
            source: &desk.source,
            source_end: &desk.source_end,
            shape: way,
            ev,
            seq,
            op,
            key_change,
            now_ms: place.now_ms,
        };
        ending.write(image.raws.iter(), 0, out, &mut desk.digits);
        let value_end = out.len();
        let key_end = write_key(way, image, out);
        let size = key_end.unwrap_or(value_end) - begin;
        let record = if size > place.record_bytes_max {
            ending.write_small(&desk.before, &desk.after, begin, size, out)
        } else {
            Record { begin, value_end, key_end }
        };
        place.chunk.add(way.topic, record);
    }
}

fn require(way: &Way, absent: Option<&usize>) -> Result<()> {
    match absent {
        None => Ok(()),
        Some(&column) => Err(Fault::Absent {
            database: way.database.clone(),
            table: way.table.clone(),
            column: way.columns[column].name.clone(),
        }),
    }
}

fn same_key(way: &Way, before: &Image, after: &Image, json: &[u8]) -> bool {
    way.key
        .iter()
        .all(|&column| before.value(column, json) == after.value(column, json) && before.raw(column) == after.raw(column))
}
