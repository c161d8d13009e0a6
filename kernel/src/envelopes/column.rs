//! One column while it grows: Arrow's buffers, and a validity bitmap from the first NULL on.

use super::bits::Bits;
use super::forms::{Form, Sink};
use super::scan::Scan;

pub struct ColumnSpec {
    /// What stands before its value: an opening brace or a comma, the name as the envelope writes it, a colon.
    pub literal: Vec<u8>,
    pub form: Form,
    pub in_key: bool,
    pub nullable: bool,
}

pub enum Data {
    Fixed { width: usize, bytes: Vec<u8> },
    Bool(Bits),
    Varied { ends: Vec<u8>, bytes: Vec<u8> },
}

pub struct Column {
    data: Data,
    validity: Option<Bits>,
    len: usize,
}

const END_BYTES: usize = 4;

impl Data {
    fn empty(form: &Form) -> Data {
        match form.width() {
            Some(0) => Data::Bool(Bits::default()),
            Some(width) => Data::Fixed { width, bytes: Vec::new() },
            None => Data::Varied {
                ends: vec![0; END_BYTES],
                bytes: Vec::new(),
            },
        }
    }

    fn push_empty(&mut self) {
        match self {
            Data::Fixed { width, bytes } => bytes.resize(bytes.len() + *width, 0),
            Data::Bool(bits) => bits.push(false),
            Data::Varied { ends, bytes } => push_end(ends, bytes.len()),
        }
    }
}

fn push_end(ends: &mut Vec<u8>, end: usize) {
    // Whoever fills columns stops long before 2 GiB.
    ends.extend_from_slice(&(end as u32).to_le_bytes());
}

fn end_at(ends: &[u8], at: usize) -> usize {
    let at = at * END_BYTES;
    ends[at..at + END_BYTES]
        .try_into()
        .map_or(0, |four| u32::from_le_bytes(four) as usize)
}

impl Column {
    pub fn new(form: &Form) -> Column {
        Column {
            data: Data::empty(form),
            validity: None,
            len: 0,
        }
    }

    pub fn push_null(&mut self) {
        self.data.push_empty();
        let len = self.len;
        self.validity.get_or_insert_with(|| Bits::ones(len)).push(false);
        self.len += 1;
    }

    /// Reads a value of the form. On None the column may hold a part of it: truncate it.
    #[inline]
    pub fn push(&mut self, form: &Form, scan: &mut Scan<'_>) -> Option<()> {
        match &mut self.data {
            Data::Fixed { bytes, .. } => form.read(scan, Sink::Bytes(bytes))?,
            Data::Bool(bits) => form.read(scan, Sink::Bits(bits))?,
            Data::Varied { ends, bytes } => {
                form.read(scan, Sink::Bytes(bytes))?;
                push_end(ends, bytes.len());
            }
        }
        self.pushed();
        Some(())
    }

    /// A value that is known already, as its bytes in Arrow's form.
    pub fn push_bytes(&mut self, value: &[u8]) {
        match &mut self.data {
            Data::Fixed { bytes, .. } => bytes.extend_from_slice(value),
            Data::Bool(bits) => bits.push(value == [1]),
            Data::Varied { ends, bytes } => {
                bytes.extend_from_slice(value);
                push_end(ends, bytes.len());
            }
        }
        self.pushed();
    }

    fn pushed(&mut self) {
        if let Some(validity) = &mut self.validity {
            validity.push(true);
        }
        self.len += 1;
    }

    /// Forgets everything from row `len` on, also what a failed read has left.
    pub fn truncate(&mut self, len: usize) {
        match &mut self.data {
            Data::Fixed { width, bytes } => bytes.truncate(len * *width),
            Data::Bool(bits) => bits.truncate(len),
            Data::Varied { ends, bytes } => {
                bytes.truncate(end_at(ends, len));
                ends.truncate((len + 1) * END_BYTES);
            }
        }
        if let Some(validity) = self.validity.as_mut().filter(|_| self.len > len) {
            validity.truncate(len);
        }
        self.len = self.len.min(len);
    }

    /// Keeps the first `len` rows and returns the others.
    pub fn split_off(&mut self, len: usize) -> Column {
        let data = match &mut self.data {
            Data::Fixed { width, bytes } => Data::Fixed {
                width: *width,
                bytes: bytes.split_off(len * *width),
            },
            Data::Bool(bits) => Data::Bool(bits.split_off(len)),
            Data::Varied { ends, bytes } => {
                let begin = end_at(ends, len);
                let mut rest = Vec::with_capacity(ends.len() - len * END_BYTES);
                (len..=self.len).for_each(|at| push_end(&mut rest, end_at(ends, at) - begin));
                ends.truncate((len + 1) * END_BYTES);
                Data::Varied {
                    ends: rest,
                    bytes: bytes.split_off(begin),
                }
            }
        };
        let rest = Column {
            data,
            validity: self.validity.as_mut().map(|validity| validity.split_off(len)),
            len: self.len - len,
        };
        self.len = len;
        rest
    }

    pub fn memory_bytes(&self) -> usize {
        let data = match &self.data {
            Data::Fixed { bytes, .. } => bytes.capacity(),
            Data::Bool(bits) => bits.capacity_bytes(),
            Data::Varied { ends, bytes } => ends.capacity() + bytes.capacity(),
        };
        data + self.validity.as_ref().map_or(0, Bits::capacity_bytes)
    }

    /// The value of a column of varied length.
    pub fn varied(&self, at: usize) -> Option<&[u8]> {
        let Data::Varied { ends, bytes } = &self.data else { return None };
        let valid = self.validity.as_ref().is_none_or(|validity| validity.get(at));
        valid.then(|| &bytes[end_at(ends, at)..end_at(ends, at + 1)])
    }

    /// Arrow's buffers in Arrow's order, validity first: None where no value is NULL.
    pub fn buffers(&self) -> (Option<&[u8]>, Vec<&[u8]>) {
        let data: Vec<&[u8]> = match &self.data {
            Data::Fixed { bytes, .. } => vec![bytes],
            Data::Bool(bits) => vec![bits.as_bytes()],
            Data::Varied { ends, bytes } => vec![ends, bytes],
        };
        (self.validity.as_ref().map(Bits::as_bytes), data)
    }
}
