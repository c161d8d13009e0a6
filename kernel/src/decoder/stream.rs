//! Raw events in binlog order → events with their positions, transaction payloads unwrapped. The twin is `streamer.core.stream`.

use std::sync::Arc;

use crate::binlog::event::{self, kind, Header, ARTIFICIAL, CHECKSUM_SIZE, HEADER_SIZE};
use crate::binlog::gtid;
use crate::binlog::payload::PayloadEvents;
use crate::malformed::{malformed, Result};
use crate::shared::Shared;

/// Positions in headers have 32 bits; files may be longer.
const WRAP: u64 = 1 << 32;
const FIRST_OFFSET: u64 = 4;

/// An event and where it stands: its bytes in the file; an event out of a transaction payload has the payload's. `head`: its header as it
/// came. `body`: without header and checksum.
pub struct Event {
    pub header: Header,
    pub head: [u8; HEADER_SIZE],
    pub body: Shared,
    pub file: Arc<str>,
    pub start: u64,
    pub end: u64,
}

pub struct Stream {
    file: Arc<str>,
    offset: u64,
    checksum: Option<bool>, // unknown before the first FORMAT_DESCRIPTION
    payload_bytes_max: u64,
    fed: Shared,
    at: usize,
    payload: Option<(PayloadEvents, u64, u64)>, // and where it stands
}

impl Stream {
    pub fn new(payload_bytes_max: u64) -> Stream {
        Stream {
            file: "".into(),
            offset: FIRST_OFFSET,
            checksum: None,
            payload_bytes_max,
            fed: Shared::new(Vec::new()),
            at: 0,
            payload: None,
        }
    }

    pub fn position(&self) -> (&str, u64) {
        (&self.file, self.offset)
    }

    pub fn feed(&mut self, events: Vec<u8>) {
        self.fed = Shared::new(events);
        self.at = 0;
    }

    /// The next event; None when all that was fed is taken.
    pub fn next(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some((payload, start, end)) = &mut self.payload {
                let (start, end) = (*start, *end);
                if let Some(raw) = payload.next_event()? {
                    return self.inner(raw, start, end).map(Some);
                }
                self.payload = None;
            }
            let left = self.fed.len() - self.at;
            if left == 0 {
                self.fed = Shared::new(Vec::new());
                self.at = 0;
                return Ok(None);
            }
            let size = self.fed.get(self.at + 9..self.at + 13).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])) as usize;
            if size < HEADER_SIZE || size > left {
                return malformed(format!("an event of {size} bytes where {left} are left"));
            }
            let raw = self.fed.part(self.at..self.at + size);
            self.at += size;
            if let Some(event) = self.outer(raw)? {
                return Ok(Some(event));
            }
        }
    }

    /// An event of a file or of the dump; None for a transaction payload, whose events come in its place.
    fn outer(&mut self, raw: Shared) -> Result<Option<Event>> {
        let header = Header::parse(&raw)?;
        let body = self.body(&raw, &header)?;
        let (start, end) = self.advance(&header, &body)?;
        if header.kind == kind::TRANSACTION_PAYLOAD {
            self.payload = Some((PayloadEvents::parse(body, self.payload_bytes_max)?, start, end));
            return Ok(None);
        }
        Ok(Some(self.event(header, &raw, body, start, end)))
    }

    fn inner(&self, raw: Vec<u8>, start: u64, end: u64) -> Result<Event> {
        let raw = Shared::new(raw);
        let header = Header::parse(&raw)?;
        if matches!(header.kind, kind::TRANSACTION_PAYLOAD | kind::FORMAT_DESCRIPTION | kind::ROTATE) {
            return malformed(format!("transaction payload: an event of type {} cannot be inside one", header.kind));
        }
        let body = raw.from(HEADER_SIZE);
        check(&header, &body)?;
        Ok(self.event(header, &raw, body, start, end))
    }

    fn event(&self, header: Header, raw: &[u8], body: Shared, start: u64, end: u64) -> Event {
        let mut head = [0; HEADER_SIZE];
        head.copy_from_slice(&raw[..HEADER_SIZE]);
        Event {
            header,
            head,
            body,
            file: Arc::clone(&self.file),
            start,
            end,
        }
    }

    fn body(&mut self, raw: &Shared, header: &Header) -> Result<Shared> {
        if header.kind == kind::FORMAT_DESCRIPTION {
            let checksum = event::format_description(raw)?;
            if checksum {
                event::verify(raw, header)?;
            }
            self.checksum = Some(checksum);
            return Ok(raw.from(HEADER_SIZE));
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
        Ok(raw.part(HEADER_SIZE..raw.len() - size))
    }

    /// Where the event stands; moves on behind it.
    fn advance(&mut self, header: &Header, body: &Shared) -> Result<(u64, u64)> {
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

/// Refuses types this release does not know: they might hold rows.
fn check(header: &Header, body: &[u8]) -> Result<()> {
    match header.kind {
        kind::PREVIOUS_GTIDS => gtid::check_previous(body),
        kind::QUERY | kind::STOP | kind::ROTATE | kind::FORMAT_DESCRIPTION | kind::XID | kind::EXECUTE_LOAD_QUERY | kind::TABLE_MAP => Ok(()),
        kind::INCIDENT..=kind::ROWS_QUERY if header.kind != 28 => Ok(()),
        kind::WRITE_ROWS..=kind::GTID_TAGGED => Ok(()),
        other if kind::ignorable(other) => Ok(()),
        other => malformed(format!(
            "event of unknown type {other}: it may hold changes; this release must learn it first"
        )),
    }
}
