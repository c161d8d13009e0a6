//! Raw events in binlog order → events with their positions, transaction payloads unwrapped. The twin is `streamer.core.stream`.

use std::sync::Arc;

use crate::binlog::event::{self, kind, Header, ARTIFICIAL, CHECKSUM_SIZE, HEADER_SIZE};
use crate::binlog::gtid;
use crate::binlog::payload::PayloadEvents;
use crate::malformed::{malformed, Result};

/// Positions in headers have 32 bits; files may be longer.
const WRAP: u64 = 1 << 32;
const FIRST_OFFSET: u64 = 4;

/// An event and where it stands: its bytes in the file; an event out of a transaction payload has the payload's. It says where its bytes are
/// in the stream, and holds good until the next one is asked for.
#[derive(Clone, Copy)]
pub struct Event {
    pub header: Header,
    pub start: u64,
    pub end: u64,
    begin: usize,
    body_end: usize,
    is_inner: bool,
}

pub struct Stream {
    file: Arc<str>,
    offset: u64,
    checksum: Option<bool>, // unknown before the first FORMAT_DESCRIPTION
    payload_bytes_max: u64,
    fed: Vec<u8>,
    at: usize,
    inner: Vec<u8>,                             // the payload's event under way
    payload: Option<(PayloadEvents, u64, u64)>, // and where it stands
}

impl Stream {
    pub fn new(payload_bytes_max: u64) -> Stream {
        Stream {
            file: "".into(),
            offset: FIRST_OFFSET,
            checksum: None,
            payload_bytes_max,
            fed: Vec::new(),
            at: 0,
            inner: Vec::new(),
            payload: None,
        }
    }

    pub fn position(&self) -> (&str, u64) {
        (&self.file, self.offset)
    }

    /// The file that the event taken last is in.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    pub fn feed(&mut self, events: Vec<u8>) {
        self.fed = events;
        self.at = 0;
    }

    /// The event's header as it came.
    pub fn head(&self, event: &Event) -> &[u8] {
        &self.buffer(event)[event.begin..event.begin + HEADER_SIZE]
    }

    /// The event without header and checksum.
    pub fn body(&self, event: &Event) -> &[u8] {
        &self.buffer(event)[event.begin + HEADER_SIZE..event.body_end]
    }

    fn buffer(&self, event: &Event) -> &[u8] {
        if event.is_inner {
            &self.inner
        } else {
            &self.fed
        }
    }

    /// The next event; None when all that was fed is taken.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some((payload, start, end)) = &mut self.payload {
                if payload.next_event(&mut self.inner)? {
                    let (start, end) = (*start, *end);
                    return self.take_inner(start, end).map(Some);
                }
                self.payload = None;
                self.inner = Vec::new();
            }
            let left = self.fed.len() - self.at;
            if left == 0 {
                self.fed = Vec::new();
                self.at = 0;
                return Ok(None);
            }
            let size = size_at(&self.fed, self.at);
            if size < HEADER_SIZE || size > left {
                return malformed(format!("an event of {size} bytes where {left} are left"));
            }
            let begin = self.at;
            self.at += size;
            if let Some(event) = self.take_outer(begin, size)? {
                return Ok(Some(event));
            }
        }
    }

    /// An event of a file or of the dump; None for a transaction payload, whose events come in its place.
    fn take_outer(&mut self, begin: usize, size: usize) -> Result<Option<Event>> {
        let fed = std::mem::take(&mut self.fed);
        let taken = self.look(&fed[begin..begin + size]);
        self.fed = fed;
        let (header, checksum_size, start, end) = taken?;
        let event = Event {
            header,
            start,
            end,
            begin,
            body_end: begin + size - checksum_size,
            is_inner: false,
        };
        if header.kind == kind::TRANSACTION_PAYLOAD {
            let payload = PayloadEvents::parse(self.body(&event), self.payload_bytes_max)?;
            self.payload = Some((payload, start, end));
            return Ok(None);
        }
        Ok(Some(event))
    }

    fn look(&mut self, raw: &[u8]) -> Result<(Header, usize, u64, u64)> {
        let header = Header::parse(raw)?;
        let checksum_size = self.checksum_size(raw, &header)?;
        let (start, end) = self.advance(&header, &raw[HEADER_SIZE..raw.len() - checksum_size])?;
        Ok((header, checksum_size, start, end))
    }

    fn take_inner(&self, start: u64, end: u64) -> Result<Event> {
        let header = Header::parse(&self.inner)?;
        if matches!(header.kind, kind::TRANSACTION_PAYLOAD | kind::FORMAT_DESCRIPTION | kind::ROTATE) {
            return malformed(format!(
                "transaction payload: an event of type {} cannot be inside one",
                header.kind
            ));
        }
        check(&header, &self.inner[HEADER_SIZE..])?;
        Ok(Event {
            header,
            start,
            end,
            begin: 0,
            body_end: self.inner.len(),
            is_inner: true,
        })
    }

    fn checksum_size(&mut self, raw: &[u8], header: &Header) -> Result<usize> {
        if header.kind == kind::FORMAT_DESCRIPTION {
            let checksum = event::format_description(raw)?;
            if checksum {
                event::verify(raw, header)?;
            }
            self.checksum = Some(checksum);
            return Ok(0);
        }
        let size = match self.checksum {
            // A dump's first event, a rotate of its own making, comes before anything says whether it has a checksum.
            None if !matches!(header.kind, kind::ROTATE | kind::HEARTBEAT | kind::HEARTBEAT_V2) => {
                return malformed(format!("event of type {} before any format description", header.kind));
            }
            None if event::checks(raw) => CHECKSUM_SIZE,
            None | Some(false) => 0,
            Some(true) => {
                event::verify(raw, header)?;
                CHECKSUM_SIZE
            }
        };
        if raw.len() < HEADER_SIZE + size {
            return malformed(format!("event of type {}: {} bytes are too few", header.kind, raw.len()));
        }
        Ok(size)
    }

    /// Where the event stands; moves on behind it.
    fn advance(&mut self, header: &Header, body: &[u8]) -> Result<(u64, u64)> {
        check(header, body)?;
        match header.kind {
            kind::ROTATE => {
                let (file, offset) = event::rotate(body)?;
                let start = self.offset;
                self.file = file.into();
                self.offset = offset;
                return Ok((start, start + u64::from(header.size)));
            }
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                // It names a position the dump has passed, with nothing in between for us.
                let (file, offset) = if header.kind == kind::HEARTBEAT {
                    event::heartbeat(header, body)?
                } else {
                    event::heartbeat_v2(body)?
                };
                let least = if *self.file == *file { self.offset } else { 0 };
                self.offset = offset.max(least);
                if *self.file != *file {
                    self.file = file.into();
                }
                return Ok((self.offset, self.offset));
            }
            _ => {}
        }
        if header.log_pos == 0 || header.flags & ARTIFICIAL != 0 {
            return Ok((self.offset, self.offset)); // FORMAT_DESCRIPTION of a dump that begins inside a file
        }
        let mut offset = self.offset & !(WRAP - 1) | u64::from(header.log_pos);
        if offset < self.offset {
            offset += WRAP;
        }
        self.offset = offset;
        let start = match offset.checked_sub(header.size.into()) {
            Some(start) if header.kind != kind::FORMAT_DESCRIPTION => start,
            _ => FIRST_OFFSET,
        };
        Ok((start, offset))
    }
}

/// The size an event says it has; 0 where its header is cut short.
pub fn size_at(data: &[u8], at: usize) -> usize {
    data.get(at + 9..at + 13)
        .map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
}

/// Refuses types this release does not know: they might hold rows.
fn check(header: &Header, body: &[u8]) -> Result<()> {
    match header.kind {
        kind::PREVIOUS_GTIDS => gtid::check_previous(body),
        kind::QUERY | kind::STOP | kind::ROTATE | kind::FORMAT_DESCRIPTION | kind::XID | kind::EXECUTE_LOAD_QUERY | kind::TABLE_MAP => {
            Ok(())
        }
        kind::HEARTBEAT => event::heartbeat(header, body).map(drop),
        kind::HEARTBEAT_V2 => event::heartbeat_v2(body).map(drop),
        kind::INCIDENT | kind::ROWS_QUERY => Ok(()),
        kind::WRITE_ROWS..=kind::GTID_TAGGED => Ok(()),
        other if kind::ignorable(other) => Ok(()),
        other => malformed(format!(
            "event of unknown type {other}: it may hold changes; this release must learn it first"
        )),
    }
}
