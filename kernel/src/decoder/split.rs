//! The captured rows of one source transaction, counted and hashed, so that it can be split over several Kafka transactions and taken up
//! again. The twin is `streamer.core.progress.SplitTransaction`.

use xxhash_rust::xxh3::Xxh3;

use crate::decoder::fault::{Fault, Result};

/// What is out of a transaction: how many of its captured rows, and their hash, by which they are known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub rows: u64,
    pub hash: String,
}

pub struct Split {
    pub rows: u64,
    before: Option<Done>,
    hash: Box<Xxh3>, // wants to lie at multiples of 64 bytes, which no Python object can promise
    length: u64,
}

impl Split {
    /// `before`: what is out of it already.
    pub fn new(before: Option<Done>) -> Split {
        Split {
            rows: 0,
            before,
            hash: Box::new(Xxh3::new()),
            length: 0,
        }
    }

    /// Begins another transaction, of which nothing is out.
    pub fn restart(&mut self, before: Option<Done>) {
        self.rows = 0;
        self.before = before;
        self.hash.reset();
        self.length = 0;
    }

    /// Whether the next row is on Kafka already.
    pub fn next_is_out(&self) -> bool {
        self.before.as_ref().is_some_and(|before| self.rows < before.rows)
    }

    /// A part of the next row.
    pub fn add(&mut self, part: &[u8]) {
        self.hash.update(part);
        self.length += part.len() as u64;
    }

    /// The next row is whole.
    pub fn take(&mut self) -> Result<()> {
        self.hash.update(&self.length.to_be_bytes());
        self.length = 0;
        self.rows += 1;
        match &self.before {
            Some(before) if before.rows == self.rows && before.hash != self.digest() => Err(Fault::OtherRows),
            _ => Ok(()),
        }
    }

    /// The last row was taken.
    pub fn finish(&self) -> Result<()> {
        if self.next_is_out() {
            return Err(Fault::TooFewRows { rows: self.rows });
        }
        Ok(())
    }

    /// What is out once the rows taken are; None before the first.
    pub fn so_far(&self) -> Option<Done> {
        if self.next_is_out() {
            return self.before.clone();
        }
        (self.rows > 0).then(|| Done {
            rows: self.rows,
            hash: self.digest(),
        })
    }

    fn digest(&self) -> String {
        format!("{:032x}", self.hash.digest128())
    }
}
