//! MySQL's packets → the raw binlog events in them.
//!
//! Source: MySQL internals, "Protocol Basics"; the twin is `streamer.core.packets`.

use crate::binlog::event::HEADER_SIZE;
use crate::malformed::{malformed, Result};

pub const PACKET_SIZE_MAX: usize = 0xFF_FFFF;
pub const PREFIX: usize = 4;

/// Takes the bytes of one dump connection as they come.
#[derive(Default)]
pub struct Packets {
    buffer: Vec<u8>,
    /// The packet that is no event, if the server has sent one: nothing comes after it.
    pub answer: Option<Vec<u8>>,
}

impl Packets {
    /// Appends to `events` the raw events that are whole by now, back to back.
    pub fn take(&mut self, received: &[u8], events: &mut Vec<u8>) -> Result<()> {
        if self.buffer.is_empty() {
            // The usual case: what is left over is small, and all else is copied once.
            let used = self.split(received, events)?;
            self.buffer.extend_from_slice(&received[used..]);
            return Ok(());
        }
        self.buffer.extend_from_slice(received);
        let buffer = std::mem::take(&mut self.buffer);
        let used = self.split(&buffer, events)?;
        self.buffer = buffer;
        self.buffer.drain(..used);
        if self.buffer.capacity() > 4 * PACKET_SIZE_MAX && self.buffer.len() < PACKET_SIZE_MAX {
            self.buffer.shrink_to(PACKET_SIZE_MAX); // a huge event has passed
        }
        Ok(())
    }

    fn split(&mut self, data: &[u8], events: &mut Vec<u8>) -> Result<usize> {
        let mut at = 0;
        while self.answer.is_none() {
            let Some(end) = packet_end(data, at) else { break };
            let begin = events.len();
            join(data, at, end, events);
            at = end;
            let packet = &events[begin..];
            let Some(&first) = packet.first() else {
                return malformed("an empty packet in the binlog dump");
            };
            if first != 0 {
                self.answer = Some(packet.to_vec());
                events.truncate(begin);
                break;
            }
            let size = packet.get(10..14).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let has = packet.len() - 1;
            if has < HEADER_SIZE || size as usize != has {
                return malformed(format!(
                    "a packet of {has} bytes in the binlog dump holds an event that says it has {size}"
                ));
            }
            events.copy_within(begin + 1.., begin);
            events.truncate(begin + has);
        }
        Ok(at)
    }
}

/// Where the packet that begins at `at` ends, with what continues it; None while it is incomplete.
pub fn packet_end(data: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let prefix = data.get(at..at + PREFIX)?;
        let size = usize::from(prefix[0]) | usize::from(prefix[1]) << 8 | usize::from(prefix[2]) << 16;
        at += PREFIX + size;
        if at > data.len() {
            return None;
        }
        if size < PACKET_SIZE_MAX {
            return Some(at);
        }
    }
}

/// Appends the payload of the packet in `data[at..end]`.
pub fn join(data: &[u8], mut at: usize, end: usize, out: &mut Vec<u8>) {
    while at < end {
        let stop = end.min(at + PREFIX + PACKET_SIZE_MAX);
        out.extend_from_slice(&data[at + PREFIX..stop]);
        at = stop;
    }
}
