//! Envelopes to columns: the row changes of one table and one schema, from their Kafka values straight into Arrow's buffers.
//!
//! Only what the project's own streamer writes, field by field in its fixed order, and only rows every value of which fits its column.
//! Whatever else comes is not wrong: it is left to the loader's readable way, which knows what to say about it.

pub mod binding;
mod bits;
mod column;
mod forms;
mod latest;
mod rows;
mod scan;

pub use column::ColumnSpec;
pub use forms::Form;
pub use rows::{Deletes, Rows, RowsSpec};
