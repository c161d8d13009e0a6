//! The row changes of one topic and one schema, as they are read, until they are taken for a batch.

use super::bits::Bits;
use super::column::{Column, ColumnSpec};
use super::forms::Form;
use super::latest::latest;
use super::scan::Scan;

/// What a delete leaves of its row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Deletes {
    /// Its key; the other columns are NULL.
    Key,
    /// All of it, as it was before.
    Whole,
}

pub struct RowsSpec {
    /// `"<16 hex digits>"`, as `source.schema` has it.
    pub schema: Vec<u8>,
    pub columns: Vec<ColumnSpec>,
    pub deletes: Deletes,
    /// Rows become the last of their key, so each must have one; else every event is a row.
    pub keyed: bool,
    /// Records of more bytes, key and value, are left to the readable way.
    pub record_bytes_max: usize,
}

/// `_tidemark_op`, `_tidemark_seq`, `_tidemark_commit_ts`, `_tidemark_gtid`; or, of keyed rows, `_tidemark_deleted`.
struct Added {
    op: Column,
    seq: Column,
    commit_us: Column,
    gtid: Column,
    deleted: Column,
}

/// One of each for a row. `ends`: bytes of records up to and with this row; what was taken earlier is counted in `taken_bytes`.
#[derive(Default)]
struct Places {
    offsets: Vec<i64>,
    commits_us: Vec<i64>,
    ends: Vec<u64>,
}

pub struct Rows {
    spec: RowsSpec,
    columns: Vec<Column>,
    added: Added,
    keys: Column,
    places: Places,
    taken_bytes: u64,
    next_seq: i64,
}

/// Rows that left for a batch.
pub struct Taken {
    pub columns: Vec<Column>,
    pub added: Vec<Column>,
    pub keys: Column,
    pub len: usize,
}

impl Taken {
    pub fn latest(&self) -> Option<Bits> {
        latest(&self.keys, self.len)
    }
}

/// Of one record, in the order of the bytes.
struct Header<'a> {
    gtid: &'a [u8],
    seq: i64,
    commit_us: i64,
    snapshot: bool,
}

/// No column may grow past what Arrow's 32-bit offsets reach.
const MEMORY_BYTES_MAX: usize = 1 << 30;

const TEXT: Form = Form::Text {
    size_bytes_max: usize::MAX,
};
const NUMBER: Form = Form::Double; // eight bytes

impl Added {
    fn new() -> Added {
        Added {
            op: Column::new(&TEXT),
            seq: Column::new(&NUMBER),
            commit_us: Column::new(&NUMBER),
            gtid: Column::new(&TEXT),
            deleted: Column::new(&Form::Boolean),
        }
    }

    fn of(&mut self, keyed: bool) -> Vec<&mut Column> {
        if keyed {
            return vec![&mut self.deleted];
        }
        vec![&mut self.op, &mut self.seq, &mut self.commit_us, &mut self.gtid]
    }
}

impl Rows {
    pub fn new(spec: RowsSpec, next_seq: i64) -> Rows {
        Rows {
            columns: spec.columns.iter().map(|column| Column::new(&column.form)).collect(),
            added: Added::new(),
            keys: Column::new(&TEXT),
            places: Places::default(),
            taken_bytes: 0,
            next_seq,
            spec,
        }
    }

    pub fn len(&self) -> usize {
        self.places.offsets.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next row in; false, and nothing has changed, when it is not one of these rows, or must be looked at the readable way.
    pub fn add(&mut self, key: Option<&[u8]>, value: &[u8], offset: i64) -> bool {
        let size_bytes = key.map_or(0, <[u8]>::len) + value.len();
        if size_bytes > self.spec.record_bytes_max {
            return false;
        }
        let len = self.len();
        let added = (key.is_some() || !self.spec.keyed) && simdutf8::basic::from_utf8(value).is_ok() && self.read(value).is_some();
        if !added {
            self.columns.iter_mut().for_each(|column| column.truncate(len));
            self.added.of(self.spec.keyed).into_iter().for_each(|column| column.truncate(len));
            return false;
        }
        match key {
            Some(key) => self.keys.push_bytes(key),
            None => self.keys.push_null(),
        }
        self.placed(offset, size_bytes);
        true
    }

    /// Keeps a place for a row that is formed the readable way. `key`: what names it; none stands alone.
    pub fn leave(&mut self, key: Option<&[u8]>, offset: i64, commit_us: i64, size_bytes: usize) {
        self.columns.iter_mut().for_each(Column::push_null);
        self.added.of(self.spec.keyed).into_iter().for_each(Column::push_null);
        match key {
            Some(key) => self.keys.push_bytes(key),
            None => self.keys.push_null(),
        }
        self.places.commits_us.push(commit_us);
        self.placed(offset, size_bytes);
    }

    fn placed(&mut self, offset: i64, size_bytes: usize) {
        let before = self.places.ends.last().copied().unwrap_or(self.taken_bytes);
        self.places.offsets.push(offset);
        self.places.ends.push(before + size_bytes as u64);
        self.next_seq += 1;
    }

    fn read(&mut self, value: &[u8]) -> Option<()> {
        let mut scan = Scan::new(value, 0);
        scan.literal(b"{\"before\":")?;
        let before = scan.at();
        scan.skip()?;
        scan.literal(b",\"after\":")?;
        let deleted = scan.try_literal(b"null");
        if !deleted {
            self.read_row(&mut scan)?;
        }
        let header = self.read_source(&mut scan)?;
        scan.literal(b",\"op\":")?;
        let op = scan.quoted()?.raw;
        scan.literal(b",\"ts_ms\":")?;
        scan.integer()?;
        scan.literal(b"}")?;
        scan.is_done().then_some(())?;
        match op {
            b"c" | b"u" | b"r" => (!deleted).then_some(())?,
            b"d" => {
                deleted.then_some(())?;
                let mut scan = Scan::new(value, before);
                match self.spec.deletes {
                    Deletes::Key => self.read_key(&mut scan)?,
                    // It tells of a row that was looked for in vain, and not how it was, even where the key is the whole row.
                    Deletes::Whole if header.snapshot => return None,
                    Deletes::Whole => self.read_row(&mut scan)?,
                }
            }
            _ => return None,
        }
        if self.spec.keyed {
            self.added.deleted.push_bytes(&[u8::from(deleted)]);
        } else {
            self.added.op.push_bytes(op);
            self.added.seq.push_bytes(&header.seq.to_le_bytes());
            self.added.commit_us.push_bytes(&header.commit_us.to_le_bytes());
            self.added.gtid.push_bytes(header.gtid);
        }
        self.places.commits_us.push(header.commit_us);
        Some(())
    }

    /// A row of exactly these columns in their order.
    fn read_row(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        for (spec, column) in self.spec.columns.iter().zip(&mut self.columns) {
            scan.literal(&spec.literal)?;
            if scan.try_literal(b"null") {
                spec.nullable.then(|| column.push_null())?;
            } else {
                column.push(&spec.form, scan)?;
            }
        }
        scan.literal(b"}")
    }

    /// Of such a row the key's columns; the others are NULL.
    fn read_key(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        for (spec, column) in self.spec.columns.iter().zip(&mut self.columns) {
            scan.literal(&spec.literal)?;
            if spec.in_key {
                column.push(&spec.form, scan)?;
            } else {
                scan.skip()?;
                column.push_null();
            }
        }
        scan.literal(b"}")
    }

    fn read_source<'a>(&self, scan: &mut Scan<'a>) -> Option<Header<'a>> {
        scan.literal(b",\"source\":{\"version\":\"tidemark-1\",\"connector\":\"mysql\",\"name\":")?;
        scan.quoted()?;
        scan.literal(b",\"ts_ms\":")?;
        scan.integer()?;
        scan.literal(b",\"snapshot\":")?;
        let snapshot = scan.quoted()?.raw == b"true";
        scan.literal(b",\"db\":")?;
        scan.quoted()?;
        scan.literal(b",\"table\":")?;
        scan.quoted()?;
        scan.literal(b",\"server_id\":")?;
        scan.integer()?;
        scan.literal(b",\"gtid\":")?;
        let gtid = scan.quoted().filter(|gtid| !gtid.escaped)?.raw;
        scan.literal(b",\"file\":")?;
        scan.quoted()?;
        scan.literal(b",\"pos\":")?;
        scan.integer()?;
        scan.literal(b",\"row\":")?;
        scan.integer()?;
        scan.literal(b",\"seq\":")?;
        let seq = scan.integer().filter(|&seq| seq == self.next_seq)?;
        scan.literal(b",\"ev\":")?;
        scan.integer()?;
        scan.literal(b",\"commit_ts_us\":")?;
        let commit_us = scan.integer()?;
        scan.literal(b",\"schema\":")?;
        scan.literal(&self.spec.schema)?;
        scan.try_literal(b",\"key_change\":true");
        if scan.try_literal(b",\"raw\":") {
            self.read_raw(scan)?;
        }
        scan.literal(b"}")?;
        Some(Header {
            gtid,
            seq,
            commit_us,
            snapshot,
        })
    }

    /// What MySQL holds where the row has null. A date that is none means NULL; of any other value the readable way says why it is not
    /// loaded. Where NULL is refused, it is refused.
    fn read_raw(&self, scan: &mut Scan<'_>) -> Option<()> {
        scan.literal(b"{")?;
        loop {
            let name = scan.rest();
            scan.quoted()?;
            scan.literal(b":")?;
            let name = &name[..name.len() - scan.rest().len()];
            scan.quoted()?;
            let lost = |column: &ColumnSpec| column.literal.get(1..) == Some(name) && column.form.is_lost_as_null();
            (!self.spec.columns.iter().any(lost)).then_some(())?;
            if scan.try_literal(b"}") {
                return Some(());
            }
            scan.literal(b",")?;
        }
    }

    /// Whether another block of records may push a column past Arrow's reach.
    pub fn is_full(&self) -> bool {
        self.memory_bytes() > MEMORY_BYTES_MAX
    }

    pub fn memory_bytes(&self) -> usize {
        let added = [
            &self.added.op,
            &self.added.seq,
            &self.added.commit_us,
            &self.added.gtid,
            &self.added.deleted,
            &self.keys,
        ];
        let columns: usize = self.columns.iter().chain(added).map(Column::memory_bytes).sum();
        let places = &self.places;
        columns + 8 * (places.offsets.capacity() + places.commits_us.capacity() + places.ends.capacity())
    }

    /// The record's offset, and its commit's time.
    pub fn place(&self, row: usize) -> Option<(i64, i64)> {
        Some((*self.places.offsets.get(row)?, *self.places.commits_us.get(row)?))
    }

    /// Bytes of the records of the first `count` rows.
    pub fn size_bytes(&self, count: usize) -> u64 {
        match count {
            0 => 0,
            _ => self.places.ends.get(count - 1).map_or(0, |end| end - self.taken_bytes),
        }
    }

    /// Removes the first `count` rows, at most all.
    pub fn take(&mut self, count: usize) -> Taken {
        let count = count.min(self.len());
        self.taken_bytes += self.size_bytes(count);
        let keep = |column: &mut Column| {
            let rest = column.split_off(count);
            std::mem::replace(column, rest)
        };
        let places = &mut self.places;
        self.places = Places {
            offsets: places.offsets.split_off(count),
            commits_us: places.commits_us.split_off(count),
            ends: places.ends.split_off(count),
        };
        Taken {
            columns: self.columns.iter_mut().map(keep).collect(),
            added: self.added.of(self.spec.keyed).into_iter().map(keep).collect(),
            keys: keep(&mut self.keys),
            len: count,
        }
    }
}
