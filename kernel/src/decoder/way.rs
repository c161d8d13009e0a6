//! How rows of a table map travel: their columns, their key, and what of their envelopes is the same for all of them.

use crate::decoder::record::{key_places, prefix, source_of_table, Shape};
use crate::malformed::Result;
use crate::values::{ColumnSpec, Decoder};

/// As many row-image shapes as are kept for a table: sessions write few.
const PLANS_MAX: usize = 64;

/// What the caller says of a table map that it wants.
pub struct WaySpec {
    pub topic: String,
    pub database: String,
    pub table: String,
    pub fingerprint: String,
    pub columns: Vec<ColumnSpec>,
    pub key: Vec<String>,
    pub next_seq: u64,
}

/// `prefix`: as `Shape::prefix`.
pub struct Column {
    pub name: String,
    pub prefix: Vec<u8>,
    pub decoder: Decoder,
}

/// The columns in a row image, by their places in the table, and those that are not.
pub struct Plan {
    pub present: Vec<usize>,
    pub absent: Vec<usize>,
}

/// `topic`: its number. `identities`: what goes into the hash of a row in front of its images, for a create, an update and a delete.
/// `next_seq`: of the topic's next envelope.
pub struct Way {
    pub topic: usize,
    pub identities: [Vec<u8>; 3],
    pub database: String,
    pub table: String,
    pub columns: Vec<Column>,
    pub json_columns: Vec<usize>,
    pub key: Vec<usize>,
    pub next_seq: u64,
    /// As `source_of_table` gives them.
    pub source_table: Vec<u8>,
    pub source_schema: Vec<u8>,
    pub plans: Vec<(Box<[u8]>, Plan)>,
}

impl Shape for Way {
    fn prefix(&self, column: usize) -> &[u8] {
        &self.columns[column].prefix
    }

    fn key(&self) -> &[usize] {
        &self.key
    }
}

impl Way {
    pub fn new(spec: WaySpec, topic: usize) -> Result<Way> {
        let mut columns = Vec::with_capacity(spec.columns.len());
        for column in &spec.columns {
            columns.push(Column {
                name: column.name.clone(),
                prefix: prefix(&column.name),
                decoder: Decoder::new(column)?,
            });
        }
        let key = key_places(columns.iter().map(|column| &*column.name), &spec.key)?;
        let (source_table, source_schema) = source_of_table(false, &spec.database, &spec.table, &spec.fingerprint);
        let json_columns = (0..columns.len()).filter(|&place| columns[place].decoder.is_json()).collect();
        Ok(Way {
            topic,
            identities: ["c", "u", "d"].map(|op| format!("{} {op} ", spec.topic).into_bytes()),
            database: spec.database,
            table: spec.table,
            columns,
            json_columns,
            key,
            next_seq: spec.next_seq,
            source_table,
            source_schema,
            plans: Vec::new(),
        })
    }

    /// The number of the plan for images with these columns present. Numbers hold good until `make_room`.
    pub fn plan(&mut self, present: &[u8]) -> usize {
        if let Some(number) = self.plans.iter().position(|(bits, _)| **bits == *present) {
            return number;
        }
        let is_present = |place: &usize| present.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1);
        let (present_places, absent) = (0..self.columns.len()).partition(is_present);
        let plan = Plan {
            present: present_places,
            absent,
        };
        self.plans.push((present.into(), plan));
        self.plans.len() - 1
    }

    /// Forgets plans where there are many.
    pub fn make_room(&mut self) {
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
    }
}
