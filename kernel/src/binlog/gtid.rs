//! GTIDs as the binlog writes them: of one transaction, untagged and tagged, and the set at a file's head.
//!
//! Source: MySQL 9.7, libs/mysql/binlog/event/control_events.h (Gtid_event, Previous_gtids_event) and libs/mysql/serialization.

use std::fmt;

use crate::binlog::cursor::Cursor;
use crate::malformed::{malformed, Result};

const MORE_7: u64 = 1 << 55; // set in the immediate commit timestamp: the original one follows
const TAG_LENGTH_MAX: u64 = 32;
const GTID_EVENT: &str = "GTID event";

/// Who numbers transactions: a server, and a tag ("" for none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub server: [u8; 16],
    pub tag: String,
}

/// Begins a transaction. `commit_us`: on the server we read from, microseconds since the epoch.
#[derive(Debug, Clone)]
pub struct Gtid {
    pub source: Source,
    pub number: u64,
    pub commit_us: u64,
}

impl fmt::Display for Source {
    /// The server's UUID as MySQL spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.server.iter().enumerate() {
            let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source.tag.as_str() {
            "" => write!(f, "{}:{}", self.source, self.number),
            tag => write!(f, "{}:{tag}:{}", self.source, self.number),
        }
    }
}

/// GTID_LOG_EVENT, type 33.
pub fn parse(body: &[u8]) -> Result<Gtid> {
    let mut c = Cursor::new(body, GTID_EVENT);
    let (gtid, more) = head(&mut c)?;
    if more {
        c.uint(7)?;
    }
    c.lenenc()?; // length of the transaction
    Ok(gtid)
}

/// What whoever looks at a million of them needs: no further.
pub fn parse_head(body: &[u8]) -> Result<Gtid> {
    Ok(head(&mut Cursor::new(body, GTID_EVENT))?.0)
}

/// As far as its commit time, and whether the original one follows.
fn head(c: &mut Cursor) -> Result<(Gtid, bool)> {
    c.u8()?; // flags: whether the transaction may hold statement-format changes
    let server = uuid(c.take(16)?);
    let number = transaction_number(c.u64()?)?;
    let form = c.u8()?;
    if form != 2 {
        return malformed(format!("{GTID_EVENT}: logical timestamps of unknown kind {form}"));
    }
    c.take(16)?; // last committed, sequence number
    let immediate = c.uint(7)?;
    let source = Source {
        server,
        tag: String::new(),
    };
    let commit_us = immediate & !MORE_7;
    Ok((Gtid { source, number, commit_us }, commit_us != immediate))
}

/// GTID_TAGGED_LOG_EVENT, type 42: a message of numbered fields, a field left out has its default.
pub fn parse_tagged(body: &[u8]) -> Result<Gtid> {
    let what = "tagged GTID event";
    let mut c = Cursor::new(body, what);
    let version = c.varlen()?;
    if version != 1 {
        return malformed(format!("{what}: serialization version {version}; this release reads version 1"));
    }
    c.varlen()?; // size of the message
    let needed = c.varlen()?; // fields up to this number must be understood
    let (mut server, mut number, mut tag, mut commit_us) = (None, 0, String::new(), None);
    while c.left() > 0 {
        match c.varlen()? {
            1 => {
                let mut octets = [0; 16];
                for octet in &mut octets {
                    *octet = u8::try_from(c.varlen()?).or_else(|_| malformed(format!("{what}: the server UUID holds more than bytes")))?;
                }
                server = Some(octets);
            }
            2 => number = transaction_number(c.varlen_signed()? as u64)?,
            3 => {
                let length = c.varlen()?;
                if length > TAG_LENGTH_MAX {
                    return malformed(format!("{what}: a tag of {length} characters"));
                }
                tag = c.utf8(length)?.to_owned();
            }
            4 | 5 => {
                c.varlen_signed()?;
            }
            6 => commit_us = Some(c.varlen()?),
            field if field <= 11 => {
                c.varlen()?;
            }
            field if field > needed => break, // fields of a newer server that it says may be ignored come last
            field => return malformed(format!("{what}: unknown field {field} that must not be ignored")),
        }
    }
    match (server, number, commit_us) {
        (Some(server), 1.., Some(commit_us)) => Ok(Gtid {
            source: Source { server, tag },
            number,
            commit_us,
        }),
        _ => malformed(format!("{what}: server, number or commit time is missing")),
    }
}

/// PREVIOUS_GTIDS_LOG_EVENT, type 35: only whether it is one, for nothing is done with it.
pub fn check_previous(body: &[u8]) -> Result<()> {
    let what = "previous GTIDs event";
    let mut c = Cursor::new(body, what);
    let mut count = c.u64()?;
    let form = count >> 56;
    if form == 1 {
        count = count >> 8 & 0xFFFF_FFFF_FFFF;
    } else if form != 0 {
        return malformed(format!("{what}: GTID set of unknown form {form}"));
    }
    for _ in 0..count {
        c.take(16)?;
        if form == 1 {
            let length = c.varlen()?;
            if length > TAG_LENGTH_MAX {
                return malformed(format!("{what}: a tag of {length} characters"));
            }
            c.utf8(length)?;
        }
        for _ in 0..c.u64()? {
            let (start, stop) = (c.u64()?, c.u64()?);
            if start < 1 || start >= stop {
                return malformed(format!("{what}: need 1 <= start < stop, got [{start}, {stop})"));
            }
        }
    }
    if c.left() > 0 {
        return malformed(format!("{what}: {} bytes after its end", c.left()));
    }
    Ok(())
}

fn uuid(bytes: &[u8]) -> [u8; 16] {
    let mut server = [0; 16];
    server.copy_from_slice(bytes);
    server
}

fn transaction_number(number: u64) -> Result<u64> {
    if (1..=i64::MAX as u64).contains(&number) {
        Ok(number)
    } else {
        malformed(format!("GTID event: transaction number {}", number as i64))
    }
}
