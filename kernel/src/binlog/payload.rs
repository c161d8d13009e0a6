//! Transaction payload: the events of one transaction in one event, compressed or not.
//!
//! Source: MySQL 9.7, libs/mysql/binlog/event/codecs/binary.cpp, "transaction_payload": fields of type, length, value, all length-encoded
//! integers, ended by type 0; then the payload. Compression 0 is zstd, 255 none. Inner events have headers, no checksums.

use std::io::{self, Read};

use crate::binlog::cursor::Cursor;
use crate::binlog::event::HEADER_SIZE;
use crate::malformed::{malformed, Malformed, Result};

const ZSTD: u64 = 0;
const NONE: u64 = 255;
/// What zstd's highest level uses: 128 MiB.
const WINDOW_LOG_MAX: u32 = 27;
/// A size that lies must not reserve memory: it grows by steps as bytes come.
const STEP: usize = 1 << 20;

/// Inflates the inner events one at a time: memory is one event and zstd's window.
pub struct PayloadEvents {
    stream: Box<dyn Read + Send + Sync>,
    left: u64,
}

impl PayloadEvents {
    /// TRANSACTION_PAYLOAD_EVENT, type 40. Refuses what says that it inflates to more than `size_max`.
    pub fn parse(body: &[u8], size_max: u64) -> Result<PayloadEvents> {
        let what = "transaction payload";
        let mut c = Cursor::new(body, what);
        let (mut compression, mut inflated, mut size) = (NONE, None, None);
        loop {
            let kind = c.lenenc()?;
            if kind == 0 {
                break;
            }
            let mut value = Cursor::new(c.lenenc_bytes()?, what);
            match kind {
                1 => size = Some(value.lenenc()?),
                2 => compression = value.lenenc()?,
                3 => inflated = Some(value.lenenc()?),
                _ => {}
            }
        }
        let has = c.left();
        if size != Some(has as u64) {
            return malformed(format!("{what}: the size it says is not the {has} bytes it has"));
        }
        let Some(left) = inflated.or((compression == NONE).then_some(has as u64)) else {
            return malformed(format!("{what}: does not say its inflated size"));
        };
        if left > size_max {
            return malformed(format!(
                "{what}: {left} bytes when inflated, over the limit of {size_max}; raise the limit if this transaction is genuine"
            ));
        }
        let data = io::Cursor::new(c.rest().to_vec());
        let stream: Box<dyn Read + Send + Sync> = match compression {
            NONE => Box::new(data),
            ZSTD => {
                let mut stream = zstd::stream::read::Decoder::with_buffer(data).map_err(damaged)?;
                stream.window_log_max(WINDOW_LOG_MAX).map_err(damaged)?;
                Box::new(stream)
            }
            _ => return malformed(format!("{what}: unknown compression {compression}")),
        };
        Ok(PayloadEvents { stream, left })
    }

    /// Puts the next raw event into `raw`; false after the last.
    pub fn next_event(&mut self, raw: &mut Vec<u8>) -> Result<bool> {
        if self.left == 0 {
            return match self.stream.read(&mut [0]).map_err(damaged)? {
                0 => Ok(false),
                _ => malformed("transaction payload: inflates to more than it says"),
            };
        }
        raw.clear();
        self.read(raw, HEADER_SIZE.min(self.left as usize))?;
        let size = raw
            .get(9..13)
            .map_or(0, |b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
        if size < HEADER_SIZE as u64 || size > self.left {
            return malformed(format!(
                "transaction payload: an inner event of {size} bytes where {} are left",
                self.left
            ));
        }
        self.read(raw, size as usize - HEADER_SIZE)?;
        self.left -= size;
        Ok(true)
    }

    fn read(&mut self, out: &mut Vec<u8>, mut count: usize) -> Result<()> {
        while count > 0 {
            let begin = out.len();
            out.resize(begin + count.min(STEP), 0);
            let got = self.stream.read(&mut out[begin..]).map_err(damaged)?;
            out.truncate(begin + got);
            if got == 0 {
                return malformed("transaction payload: ends inside an inner event");
            }
            count -= got;
        }
        Ok(())
    }
}

fn damaged(error: io::Error) -> Malformed {
    Malformed(format!("transaction payload: {error}"))
}
