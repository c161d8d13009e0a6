//! The answer to a SELECT → records ready for Kafka. The twin is `streamer.core.selected`, whose order of checks this keeps.

pub mod binding;
mod fault;
mod packets;
mod rows;
mod table;

pub use fault::Fault;
pub use packets::RowPackets;
pub use rows::{Batch, Encoded};
pub use table::{Table, TableSpec};
