//! Why rows are not to be had, by what its caller is to say of it.

use crate::malformed::Malformed;

#[derive(Debug)]
pub enum Fault {
    /// The server's answer is not what it must be.
    Malformed(Malformed),
    /// The server's ERR packet.
    Refused(Vec<u8>),
    /// A row whose bytes are not what they must be. `column`: the place of the one that is at fault; None where the row cannot be split.
    Row {
        row: usize,
        column: Option<usize>,
        reason: Malformed,
    },
    /// There is no such row.
    NoRow,
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Fault {
        Fault::Malformed(malformed)
    }
}

pub type Result<T> = std::result::Result<T, Fault>;
