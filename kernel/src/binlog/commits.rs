//! Who committed when, read from events that lie back to back, without making anything of what lies between.

use crate::binlog::cursor::Cursor;
use crate::binlog::event::{kind, HEADER_SIZE};
use crate::binlog::gtid::{self, Source};
use crate::malformed::{malformed, Result};

/// Transactions of one source that follow each other: numbers [first, stop).
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub source: Source,
    pub first: u64,
    pub stop: u64,
}

/// `stop`: where it ends. `first_us`: when the first transaction met was committed. `before`: those met that were committed before the moment.
/// `reached`: one was met that was not; then it is the last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Commits {
    pub stop: usize,
    pub first_us: Option<u64>,
    pub before: Vec<Run>,
    pub reached: bool,
}

/// Reads from `at` on, as far as the first transaction committed at `since_us` or later, or the first event that only the stream as a whole
/// makes sense of: a file's head, a transaction with a tag, one without a GTID.
pub fn scan(block: &[u8], at: usize, since_us: u64) -> Result<Commits> {
    let mut found = Commits {
        stop: at,
        ..Commits::default()
    };
    while found.stop < block.len() && !found.reached {
        let event = whole(&block[found.stop..])?;
        match event[4] {
            kind::ROTATE | kind::FORMAT_DESCRIPTION | kind::GTID_TAGGED | kind::ANONYMOUS_GTID => break,
            kind::GTID => found.met(gtid::parse_head(&event[HEADER_SIZE..])?, since_us),
            _ => {}
        }
        found.stop += event.len();
    }
    Ok(found)
}

impl Commits {
    fn met(&mut self, gtid: gtid::Gtid, since_us: u64) {
        self.first_us.get_or_insert(gtid.commit_us);
        if gtid.commit_us >= since_us {
            self.reached = true;
            return;
        }
        let (first, stop) = (gtid.number, gtid.number + 1);
        match self.before.last_mut() {
            Some(run) if run.stop == first && run.source == gtid.source => run.stop = stop,
            _ => self.before.push(Run {
                source: gtid.source,
                first,
                stop,
            }),
        }
    }
}

/// The event that begins here.
fn whole(rest: &[u8]) -> Result<&[u8]> {
    let mut c = Cursor::new(rest.get(9..).unwrap_or_default(), "event header");
    let size = c.uint(4)? as usize;
    if (HEADER_SIZE..=rest.len()).contains(&size) {
        Ok(&rest[..size])
    } else {
        malformed(format!("an event of {size} bytes where {} are left", rest.len()))
    }
}
