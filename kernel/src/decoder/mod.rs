//! The decoder: raw events in, records ready for Kafka out, and the few things only its caller can decide.
//!
//! It knows the stream (files, positions, table maps, transactions) and rows. Its twin, and the contract both keep, is
//! `streamer.core.twin.PythonDecoder`, `streamer.core.decoder.Decoder`.

pub mod chunk;
pub mod fault;
pub mod image;
pub mod maps;
mod names;
pub mod record;
mod rows;
pub mod split;
pub mod stream;
pub mod way;

use crate::binlog::event::{self, kind};
use crate::binlog::gtid::{self, Gtid};
use crate::decoder::chunk::Chunk;
use crate::decoder::fault::{malformed, Result};
use crate::decoder::maps::{Known, Maps};
use crate::decoder::names::{FileText, GtidText};
use crate::decoder::record::Origin;
use crate::decoder::rows::{Desk, Place, Rows, RowsEvent};
use crate::decoder::split::{Done, Split};
use crate::decoder::stream::{Event, Stream};
use crate::decoder::way::WaySpec;
use crate::values::write_string;

/// Of a rows event without rows that only ends a statement.
const DUMMY_TABLE_ID: u64 = 0xFF_FFFF;

pub struct Settings {
    pub pipeline: String,
    pub record_bytes_max: usize,
    pub payload_bytes_max: u64,
    pub chunk_bytes: usize,
    /// The transaction whose first rows are on Kafka already.
    pub in_progress: Option<(String, Done)>,
}

/// The transaction whose GTID came last and whose end has not come yet. `rows`: of captured tables, were in it.
pub struct UnderWay<'a> {
    pub gtid: &'a Gtid,
    pub begun: bool,
    pub rows: bool,
}

pub enum Step {
    /// What is in `Decoder::chunk`.
    Chunk,
    /// The next rows are of a table map nothing is known about.
    Unrouted { map: u64, body: Vec<u8> },
    /// An event for the caller to judge; `Decoder::shown_bytes` has its bytes.
    Shown(Event),
}

struct Transaction {
    gtid: Gtid,
    begun: bool,
    ev: u64,
}

pub struct Decoder {
    settings: Settings,
    pipeline: Vec<u8>, // as a JSON string
    stream: Stream,
    maps: Maps,
    transaction: Option<Transaction>,
    gtid: GtidText,
    file: FileText,
    split: Split,
    rows: Option<(Rows, Event, u64)>, // and their event and table map
    held: Option<Event>,              // to be looked at again
    shown: Option<Event>,
    desk: Desk,
    now_ms: i64,
    pub chunk: Chunk,
}

// It lies in a Python object, and Python's memory is aligned to this and no more.
const _: () = assert!(std::mem::align_of::<Decoder>() <= 16);

impl Decoder {
    pub fn new(settings: Settings) -> Decoder {
        let mut pipeline = Vec::new();
        write_string(&settings.pipeline, &mut pipeline);
        Decoder {
            stream: Stream::new(settings.payload_bytes_max),
            settings,
            pipeline,
            maps: Maps::default(),
            transaction: None,
            gtid: GtidText::default(),
            file: FileText::default(),
            split: Split::new(None),
            rows: None,
            held: None,
            shown: None,
            desk: Desk::default(),
            now_ms: 0,
            chunk: Chunk::default(),
        }
    }

    pub fn feed(&mut self, events: Vec<u8>, now_ms: i64) {
        self.stream.feed(events);
        self.now_ms = now_ms;
    }

    /// The next step; None when all that was fed is taken. The caller empties the chunk before the next.
    pub fn next(&mut self, close_at: i64, stop_at: usize) -> Result<Option<Step>> {
        if let Some(event) = self.shown.take() {
            return Ok(Some(Step::Shown(event)));
        }
        while self.chunk.count < stop_at && self.chunk.arena.len() < self.settings.chunk_bytes {
            if let Some((rows, event, map)) = &mut self.rows {
                let (Some(way), Some(transaction)) = (self.maps.way(*map), &mut self.transaction) else {
                    return malformed("a table map was unrouted while its rows were taken");
                };
                let mut place = Place {
                    way,
                    split: &mut self.split,
                    chunk: &mut self.chunk,
                    ev: &mut transaction.ev,
                    now_ms: self.now_ms,
                    record_bytes_max: self.settings.record_bytes_max,
                };
                let body = self.stream.body(event);
                let mut is_done = rows.is_done(body);
                while !is_done && place.chunk.count < stop_at && place.chunk.arena.len() < self.settings.chunk_bytes {
                    rows.take(body, &mut place, &mut self.desk)?;
                    is_done = rows.is_done(body);
                }
                if is_done {
                    self.rows = None;
                }
                continue;
            }
            let event = match self.held.take() {
                Some(event) => event,
                None => match self.stream.next_event()? {
                    Some(event) => event,
                    None => break,
                },
            };
            let commits = self.chunk.commits.as_ref().map_or(0, |commits| commits.count);
            if let Some(step) = self.look(event)? {
                if self.chunk.is_empty() {
                    return Ok(Some(step));
                }
                if let Step::Shown(event) = step {
                    self.shown = Some(event); // an unrouted table is met again
                }
                break;
            }
            let committed = self.chunk.commits.as_ref().map_or(0, |commits| commits.count) > commits;
            if committed && self.chunk.count as i64 >= close_at {
                break;
            }
        }
        Ok((!self.chunk.is_empty()).then_some(Step::Chunk))
    }

    pub fn take_way(&mut self, map: u64, spec: WaySpec) -> Result<()> {
        Ok(self.maps.take_way(map, spec)?)
    }

    pub fn ignore(&mut self, map: u64) {
        self.maps.ignore(map);
    }

    pub fn forget(&mut self, topic: &str) {
        self.maps.forget(topic);
    }

    pub fn began(&mut self) -> Result<()> {
        match &mut self.transaction {
            Some(transaction) => {
                transaction.begun = true;
                Ok(())
            }
            None => malformed("no transaction is under way that could begin"),
        }
    }

    pub fn ended(&mut self) -> Result<()> {
        if self.transaction.take().is_none() {
            return malformed("no transaction is under way that could end");
        }
        self.split.finish()
    }

    pub fn under_way(&self) -> Option<UnderWay<'_>> {
        self.transaction.as_ref().map(|transaction| UnderWay {
            gtid: &transaction.gtid,
            begun: transaction.begun,
            rows: self.split.rows > 0,
        })
    }

    /// The transaction under way and what of its rows is out once those taken are.
    pub fn in_progress(&self) -> Option<(&Gtid, Done)> {
        let transaction = self.transaction.as_ref()?;
        self.split.so_far().map(|done| (&transaction.gtid, done))
    }

    pub fn topic(&self, number: usize) -> &str {
        self.maps.topic(number)
    }

    /// Header and body of the event that was shown last, and the file it is in.
    pub fn shown_bytes(&self, event: &Event) -> (&[u8], &[u8], &str) {
        (self.stream.head(event), self.stream.body(event), self.stream.file())
    }

    /// The file, and where in it the next event begins.
    pub fn position(&self) -> (&str, u64) {
        self.stream.position()
    }

    /// Takes an event of the common run; a step is what the caller has to see first.
    fn look(&mut self, event: Event) -> Result<Option<Step>> {
        let body = self.stream.body(&event);
        match event.header.kind {
            kind::TABLE_MAP => self.maps.see(body)?,
            kind::WRITE_ROWS | kind::UPDATE_ROWS | kind::DELETE_ROWS | kind::PARTIAL_UPDATE_ROWS => return self.begin_rows(event),
            kind::GTID => {
                let gtid = gtid::parse(body)?;
                self.begin_transaction(gtid)?;
            }
            kind::GTID_TAGGED => {
                let gtid = gtid::parse_tagged(body)?;
                self.begin_transaction(gtid)?;
            }
            kind::XID => self.commit(&event)?,
            kind::QUERY | kind::EXECUTE_LOAD_QUERY => {
                match &mut self.transaction {
                    Some(transaction) if !transaction.begun && event.header.kind == kind::QUERY && event::is_begin(body) => {
                        transaction.begun = true;
                    }
                    _ => return Ok(Some(Step::Shown(event))),
                };
            }
            kind::XA_PREPARE | kind::ANONYMOUS_GTID | kind::INCIDENT => return Ok(Some(Step::Shown(event))),
            kind::FORMAT_DESCRIPTION => {
                self.maps.end_statement();
                if self.transaction.is_some() {
                    return malformed(format!(
                        "transaction {} is cut off: a new binlog file begins before its end",
                        self.gtid.text
                    ));
                }
            }
            // Rotates, heartbeats and the heads of files have been read by the stream.
            _ => {}
        }
        Ok(None)
    }

    fn begin_transaction(&mut self, gtid: Gtid) -> Result<()> {
        if self.transaction.is_some() {
            return malformed(format!("transaction {gtid} begins inside {}", self.gtid.text));
        }
        self.gtid.set(&gtid);
        let held = self.settings.in_progress.as_ref();
        let before = held.filter(|(held, _)| *held == self.gtid.text).map(|(_, done)| done.clone());
        self.split.restart(before);
        self.transaction = Some(Transaction { gtid, begun: false, ev: 0 });
        Ok(())
    }

    fn commit(&mut self, event: &Event) -> Result<()> {
        let size = self.stream.body(event).len();
        if size < 8 {
            return malformed(format!("xid event: needs 8 bytes, has {size}"));
        }
        match &self.transaction {
            Some(transaction) if transaction.begun => {
                self.chunk.committed(&transaction.gtid, self.stream.file(), event.end);
                self.ended()
            }
            _ => malformed("the end of a transaction that did not begin"),
        }
    }

    fn begin_rows(&mut self, event: Event) -> Result<Option<Step>> {
        let body = self.stream.body(&event);
        let parsed = RowsEvent::parse(event.header.kind, body)?;
        let Some(map) = self.maps.in_statement(parsed.table_id) else {
            if parsed.table_id != DUMMY_TABLE_ID {
                return malformed(format!(
                    "rows event: no table map for table id {} in this statement",
                    parsed.table_id
                ));
            }
            if parsed.end_of_statement {
                self.maps.end_statement();
            }
            return Ok(None);
        };
        match self.maps.known(map) {
            Known::Unrouted => {
                let body = self.maps.body(map).to_vec();
                self.held = Some(event);
                return Ok(Some(Step::Unrouted { map, body }));
            }
            Known::Ignored => {}
            Known::Used(way) => {
                let Some(transaction) = self.transaction.as_ref().filter(|transaction| transaction.begun) else {
                    return malformed(format!("rows of {}.{} outside a transaction", way.database, way.table));
                };
                let origin = Origin {
                    pipeline: &self.pipeline,
                    ts_ms: u64::from(event.header.timestamp_s) * 1000,
                    server_id: event.header.server_id,
                    gtid: &self.gtid.text,
                    file: self.file.json(self.stream.file()),
                    offset: event.start,
                    commit_us: transaction.gtid.commit_us,
                };
                let rows = Rows::new(&parsed, body, way, &origin, &mut self.desk)?;
                self.rows = Some((rows, event, map));
            }
        }
        if parsed.end_of_statement {
            self.maps.end_statement();
        }
        Ok(None)
    }
}
