//! What ends a stream, by what its caller is to say of it.

use crate::malformed::Malformed;

#[derive(Debug)]
pub enum Fault {
    /// Bytes that are not what they must be.
    Malformed(Malformed),
    /// A row image leaves out a column that a change cannot do without.
    Absent { database: String, table: String, column: String },
    /// A transaction of which a part is on Kafka comes with other rows, or in another order.
    OtherRows,
    /// It comes with fewer rows than are on Kafka.
    TooFewRows { rows: u64 },
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

pub type Result<T> = std::result::Result<T, Fault>;

pub fn malformed<T>(message: impl Into<String>) -> Result<T> {
    Err(Fault::Malformed(Malformed(message.into())))
}
