//! Event headers, and what of events is read here.

use crate::binlog::cursor::Cursor;
use crate::malformed::{malformed, Result};

pub const HEADER_SIZE: usize = 19;
pub const CHECKSUM_SIZE: usize = 4;
/// Header flag: made for this connection, not in the binlog file.
pub const ARTIFICIAL: u16 = 0x20;
/// Flag of a FORMAT_DESCRIPTION, set in the file after its checksum was computed.
const IN_USE: u8 = 0x1;

/// Type codes of the events this release knows.
pub mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;

    /// Companions of a statement-format QUERY, which is what tells that rows went by unseen, and MySQL's own "ignore me".
    pub fn ignorable(kind: u8) -> bool {
        matches!(kind, 5 | 9 | 11 | 13 | 14 | 17 | 28)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Header {
    pub timestamp_s: u32,
    pub kind: u8,
    pub server_id: u32,
    pub size: u32,
    pub log_pos: u32,
    pub flags: u16,
}

impl Header {
    /// Of one whole event, by its own account too.
    pub fn parse(raw: &[u8]) -> Result<Header> {
        if raw.len() < HEADER_SIZE {
            return malformed(format!("event header: {} bytes, needs {HEADER_SIZE}", raw.len()));
        }
        let u32_at = |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        let header = Header {
            timestamp_s: u32_at(0),
            kind: raw[4],
            server_id: u32_at(5),
            size: u32_at(9),
            log_pos: u32_at(13),
            flags: u16::from_le_bytes([raw[17], raw[18]]),
        };
        if header.size as usize != raw.len() {
            return malformed(format!(
                "event of type {}: header says {} bytes, has {}",
                header.kind,
                header.size,
                raw.len()
            ));
        }
        Ok(header)
    }
}

/// Whether the last four bytes are the CRC32 of those before them.
pub fn checks(raw: &[u8]) -> bool {
    raw.len() >= CHECKSUM_SIZE && {
        let (content, sum) = raw.split_at(raw.len() - CHECKSUM_SIZE);
        crc32fast::hash(content).to_le_bytes() == sum
    }
}

pub fn verify(raw: &[u8], header: &Header) -> Result<()> {
    if raw.len() < HEADER_SIZE + CHECKSUM_SIZE {
        return malformed(format!(
            "event of type {}: {} bytes leave no room for its checksum",
            header.kind,
            raw.len()
        ));
    }
    if checks(raw) {
        return Ok(());
    }
    if header.kind == kind::FORMAT_DESCRIPTION && raw[17] & IN_USE != 0 {
        let mut unused = raw.to_vec();
        unused[17] &= !IN_USE;
        if checks(&unused) {
            return Ok(());
        }
    }
    malformed(format!("event of type {}: its checksum does not match its bytes", header.kind))
}

/// Whether the events after this FORMAT_DESCRIPTION carry a checksum: its last five bytes, algorithm and checksum, are there whatever
/// the algorithm.
pub fn format_description(raw: &[u8]) -> Result<bool> {
    let what = "format description";
    let mut c = Cursor::new(&raw[HEADER_SIZE..], what);
    let version = c.u16()?;
    if version != 4 {
        return malformed(format!(
            "{what}: binlog version {version}; only version 4 (MySQL 5.0 and later) is read"
        ));
    }
    c.take(50 + 4)?;
    let length = c.u8()?;
    if usize::from(length) != HEADER_SIZE {
        return malformed(format!("{what}: headers of {length} bytes; only {HEADER_SIZE} are read"));
    }
    if c.left() < CHECKSUM_SIZE + 1 + usize::from(kind::TABLE_MAP) {
        return malformed(format!(
            "{what}: {} bytes are too few for its table of types and its checksum",
            c.left()
        ));
    }
    match raw[raw.len() - CHECKSUM_SIZE - 1] {
        0 => Ok(false),
        1 => Ok(true),
        algorithm => malformed(format!("{what}: unknown checksum algorithm {algorithm}")),
    }
}

/// The file and the offset in it where the next event is.
pub fn rotate(body: &[u8]) -> Result<(String, u64)> {
    let mut c = Cursor::new(body, "rotate event");
    let offset = checked_offset(c.u64()?, "rotate event")?;
    Ok((file_name(&mut c, "rotate event")?, offset))
}

pub fn heartbeat(header: &Header, body: &[u8]) -> Result<(String, u64)> {
    let what = "heartbeat event";
    Ok((file_name(&mut Cursor::new(body, what), what)?, header.log_pos.into()))
}

pub fn heartbeat_v2(body: &[u8]) -> Result<(String, u64)> {
    let what = "heartbeat event, version 2";
    let mut c = Cursor::new(body, what);
    let (mut file, mut offset) = (None, None);
    while c.left() > 0 {
        let field = c.lenenc()?;
        if field == 0 {
            break;
        }
        let mut value = Cursor::new(c.lenenc_bytes()?, what);
        match field {
            1 => file = Some(file_name(&mut value, what)?),
            2 => offset = Some(checked_offset(value.lenenc()?, what)?),
            _ => {}
        }
    }
    match (file, offset) {
        (Some(file), Some(offset)) => Ok((file, offset)),
        _ => malformed(format!("{what}: file or position is missing")),
    }
}

fn checked_offset(offset: u64, what: &str) -> Result<u64> {
    if offset > i64::MAX as u64 {
        return malformed(format!("{what}: no file is as long as to have an offset of {offset}"));
    }
    Ok(offset)
}

fn file_name(c: &mut Cursor, what: &str) -> Result<String> {
    let name = c.utf8(c.left() as u64)?;
    if name.is_empty() || name.chars().count() > 512 || name.contains('\0') {
        return malformed(format!("{what}: not a file name"));
    }
    Ok(name.to_owned())
}

/// Whether a QUERY is the plain `BEGIN` of a transaction. What is not quite in order is said to be none, and is for Python to read.
pub fn is_begin(body: &[u8]) -> bool {
    const FIXED: usize = 8 + 1 + 2 + 2;
    if body.len() < FIXED {
        return false;
    }
    let schema_size = usize::from(body[8]);
    let status_size = usize::from(u16::from_le_bytes([body[11], body[12]]));
    let schema_at = FIXED + status_size;
    body.get(schema_at + schema_size..) == Some(b"\0BEGIN")
        && simdutf8::basic::from_utf8(&body[schema_at..schema_at + schema_size]).is_ok()
        && check_status_variables(&body[FIXED..schema_at]).is_ok()
}

/// Follows the status variables of a QUERY as far as `streamer.core.events` does: to the client's collation or one of unknown size.
fn check_status_variables(data: &[u8]) -> Result<()> {
    let mut c = Cursor::new(data, "query event, status variables");
    while c.left() > 0 {
        let code = c.u8()?;
        let size = match code {
            0 | 3 => 4,
            1 => 8,
            4 => 6,
            6 => u64::from(c.u8()?), // catalog
            _ => break,
        };
        c.take(size)?;
        if code == 4 {
            break;
        }
    }
    Ok(())
}

/// The table id of a TABLE_MAP_EVENT, type 19, that names a table. What columns it has is for Python to read, once for the same bytes.
pub fn table_map(body: &[u8]) -> Result<u64> {
    let mut c = Cursor::new(body, "table map");
    let id = c.uint(6)?;
    c.u16()?;
    name(&mut c)?; // of the database
    name(&mut c)?;
    Ok(id)
}

fn name<'a>(c: &mut Cursor<'a>) -> Result<&'a str> {
    let size = c.u8()?;
    let name = c.utf8(size.into())?;
    if c.u8()? != 0 || name.is_empty() {
        return malformed("table map: a name that is empty or does not end in NUL");
    }
    Ok(name)
}
