//! The server's answer to one SELECT → its rows, each as its packet has it.
//!
//! Source: MySQL internals, "Text Resultset"; the twin is `streamer.core.selected.PythonRowPackets`.

use super::fault::{Fault, Result};
use crate::binlog::cursor::Cursor;
use crate::binlog::packets::{join, packet_end, PACKET_SIZE_MAX, PREFIX};
use crate::malformed::malformed;

const NULL: u8 = 0xFB;
const EOF: u8 = 0xFE;
const ERR: u8 = 0xFF;
/// With warnings and status; an OK packet in its place has at least two bytes more.
const EOF_SIZE: usize = 5;

/// What the next packet is.
#[derive(Default)]
enum Next {
    #[default]
    Head,
    Column {
        left: u64,
    },
    /// A row, or the end of the columns, told only once.
    FirstRow,
    Row,
    Nothing,
}

/// Takes an answer as it comes, and keeps its rows.
#[derive(Default)]
pub struct RowPackets {
    buffer: Vec<u8>, // what is not a whole packet yet
    next: Next,
    columns: u64,
    rows: Vec<u8>,
    ends: Vec<usize>,
}

impl RowPackets {
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    pub fn size_bytes(&self) -> usize {
        self.rows.len()
    }

    pub fn row(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)?;
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.rows[begin..end])
    }

    /// The texts of the last row, by column.
    pub fn last(&self) -> Result<Vec<Option<&[u8]>>> {
        let row = self.rows().checked_sub(1).and_then(|last| self.row(last)).ok_or(Fault::NoRow)?;
        let mut texts = Vec::new();
        split(row, self.columns, |text| texts.push(text))?;
        Ok(texts)
    }

    /// True once the answer has ended.
    pub fn take(&mut self, received: &[u8]) -> Result<bool> {
        if self.buffer.is_empty() {
            // The usual case: what is left over is small, and all else is copied once.
            let used = self.take_packets(received)?;
            self.buffer.extend_from_slice(&received[used..]);
        } else {
            self.buffer.extend_from_slice(received);
            let buffer = std::mem::take(&mut self.buffer);
            let used = self.take_packets(&buffer)?;
            self.buffer = buffer;
            self.buffer.drain(..used);
        }
        let ended = matches!(self.next, Next::Nothing);
        if ended && !self.buffer.is_empty() {
            return Ok(malformed("bytes after the end of the answer to a SELECT")?);
        }
        Ok(ended)
    }

    fn take_packets(&mut self, data: &[u8]) -> Result<usize> {
        let mut at = 0;
        while !matches!(self.next, Next::Nothing) {
            let Some(end) = packet_end(data, at) else { break };
            if end - at < PREFIX + PACKET_SIZE_MAX {
                self.take_packet(&data[at + PREFIX..end])?;
            } else {
                let mut packet = Vec::with_capacity(end - at);
                join(data, at, end, &mut packet);
                self.take_packet(&packet)?;
            }
            at = end;
        }
        Ok(at)
    }

    fn take_packet(&mut self, packet: &[u8]) -> Result<()> {
        match (packet.first(), &mut self.next) {
            (None, _) => Ok(malformed("an empty packet in the answer to a SELECT")?),
            (Some(&ERR), _) if packet.len() < 3 => Ok(malformed("an error of the server is cut short")?),
            (Some(&ERR), _) => Err(Fault::Refused(packet.to_vec())),
            (_, Next::Head) => {
                let mut c = Cursor::new(packet, "the head of the answer to a SELECT");
                self.columns = c.lenenc()?;
                if c.left() > 0 || self.columns == 0 {
                    return Ok(malformed("the answer to a SELECT has no columns")?);
                }
                self.next = Next::Column { left: self.columns };
                Ok(())
            }
            (_, Next::Column { left }) => {
                *left -= 1;
                if *left == 0 {
                    self.next = Next::FirstRow;
                }
                Ok(())
            }
            (Some(&EOF), next) if packet.len() < PACKET_SIZE_MAX => {
                *next = match next {
                    Next::FirstRow if packet.len() == EOF_SIZE => Next::Row,
                    _ => Next::Nothing,
                };
                Ok(())
            }
            (_, next) => {
                *next = Next::Row;
                self.rows.extend_from_slice(packet);
                self.ends.push(self.rows.len());
                Ok(())
            }
        }
    }
}

/// Shows the texts of a row of so many columns one after another, None for NULL. Those before a failure were shown.
#[inline]
pub fn split<'a>(row: &'a [u8], columns: u64, mut show: impl FnMut(Option<&'a [u8]>)) -> crate::malformed::Result<()> {
    let mut c = Cursor::new(row, "a selected row");
    for _ in 0..columns {
        if row.get(c.at()) == Some(&NULL) {
            c.take(1)?;
            show(None);
        } else {
            show(Some(c.lenenc_bytes()?));
        }
    }
    match c.left() {
        0 => Ok(()),
        left => malformed(format!("a selected row: {left} bytes are left over behind its {columns} columns")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Vec<u8> {
        let mut out = (payload.len() as u32).to_le_bytes().to_vec(); // the sequence number is nobody's
        out.extend_from_slice(payload);
        out
    }

    fn answer(rows: &[&[u8]]) -> Vec<u8> {
        let mut out = [packet(b"\x02"), packet(b"\x03def"), packet(b"\x03def"), packet(b"\xfe\0\0\x02\0")].concat();
        rows.iter().for_each(|row| out.extend(packet(row)));
        out.extend(packet(b"\xfe\0\0\x02\0"));
        out
    }

    #[test]
    fn rows_are_the_same_however_the_answer_is_cut() {
        let data = answer(&[b"\x01a\x01b", b"\xfb\x02cc"]);
        for size in 1..=data.len() {
            let mut packets = RowPackets::default();
            let ends: Vec<_> = data.chunks(size).map(|part| packets.take(part).unwrap()).collect();
            assert_eq!(ends.iter().position(|&ended| ended), Some(ends.len() - 1));
            assert_eq!((packets.rows(), packets.size_bytes()), (2, 8));
            assert_eq!(packets.last().unwrap(), [None, Some(&b"cc"[..])]);
        }
    }

    #[test]
    fn nothing_comes_behind_the_end() {
        let mut data = answer(&[]);
        data.push(0);
        assert!(RowPackets::default().take(&data).is_err());
        assert!(RowPackets::default().last().is_err());
    }

    #[test]
    fn a_row_has_neither_fewer_nor_more_texts_than_columns() {
        for row in [
            &b"\x01a"[..],
            b"\x01a\x01b\x01c",
            b"\x01a\xff",
            b"\x01a\xfc\x01",
            b"\x01a\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(split(row, 2, |_| ()).is_err(), "{row:?}");
        }
    }
}
