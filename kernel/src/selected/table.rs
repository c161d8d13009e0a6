//! How a selected table's rows become records: its columns, its key, and what of their envelopes is the same for all of them.

use crate::decoder::record::{key_places, prefix, source_of_table, Shape};
use crate::malformed::Result;
use crate::values::{ColumnSpec, TextDecoder};

/// What the caller says of a table.
pub struct TableSpec {
    pub database: String,
    pub table: String,
    pub fingerprint: String,
    pub columns: Vec<ColumnSpec>,
    pub key: Vec<String>,
    pub record_bytes_max: usize,
}

pub struct Column {
    pub name: String,
    pub prefix: Vec<u8>,
    pub decoder: TextDecoder,
}

/// `source_table`, `source_schema`: as `source_of_table` gives them.
pub struct Table {
    pub columns: Vec<Column>,
    pub key: Vec<usize>,
    pub source_table: Vec<u8>,
    pub source_schema: Vec<u8>,
    pub record_bytes_max: usize,
}

impl Table {
    pub fn new(spec: &TableSpec) -> Result<Table> {
        let column = |column: &ColumnSpec| {
            Ok(Column {
                name: column.name.clone(),
                prefix: prefix(&column.name),
                decoder: TextDecoder::new(column)?,
            })
        };
        let columns = spec.columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let key = key_places(columns.iter().map(|column| &*column.name), &spec.key)?;
        let (source_table, source_schema) = source_of_table(true, &spec.database, &spec.table, &spec.fingerprint);
        Ok(Table {
            columns,
            key,
            source_table,
            source_schema,
            record_bytes_max: spec.record_bytes_max,
        })
    }
}

impl Shape for Table {
    fn prefix(&self, column: usize) -> &[u8] {
        &self.columns[column].prefix
    }

    fn key(&self) -> &[usize] {
        &self.key
    }
}
