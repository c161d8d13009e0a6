//! The bindings of envelopes to columns; tidemark_kernel.pyi says what they promise.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

use super::bits::Bits;
use super::column::Column;
use super::{rows, ColumnSpec, Deletes, Form, Rows, RowsSpec};

/// Records taken over from Python at a time: what follows one that is left to the readable way was taken over for nothing.
const AT_A_TIME: usize = 256;

type Buffers<'py> = (Option<Bound<'py, PyBytes>>, Vec<Bound<'py, PyBytes>>);

#[pyclass]
pub struct EnvelopeRows {
    inner: Rows,
}

#[pymethods]
impl EnvelopeRows {
    /// `columns`: (literal, form, first, second, in_key, nullable).
    #[new]
    fn new(
        schema: &str,
        columns: Vec<(Vec<u8>, String, i64, i64, bool, bool)>,
        keyed: bool,
        whole_deletes: bool,
        next_seq: i64,
        record_bytes_max: usize,
    ) -> PyResult<Self> {
        let columns = columns
            .into_iter()
            .map(|(literal, name, first, second, in_key, nullable)| {
                Ok(ColumnSpec {
                    literal,
                    form: form(&name, first, second).ok_or_else(|| PyValueError::new_err(format!("no form {name}({first}, {second})")))?,
                    in_key,
                    nullable,
                })
            })
            .collect::<PyResult<_>>()?;
        let spec = RowsSpec {
            schema: format!("\"{schema}\"").into_bytes(),
            columns,
            deletes: if whole_deletes { Deletes::Whole } else { Deletes::Key },
            keyed,
            record_bytes_max,
        };
        Ok(EnvelopeRows {
            inner: Rows::new(spec, next_seq),
        })
    }

    fn add(
        &mut self,
        py: Python<'_>,
        keys: &Bound<'_, PyList>,
        values: &Bound<'_, PyList>,
        offsets: &Bound<'_, PyList>,
        begin: usize,
    ) -> PyResult<usize> {
        let mut at = begin;
        while at < values.len() && !self.inner.is_full() {
            let stop = values.len().min(at + AT_A_TIME);
            let records = (at..stop)
                .map(|at| {
                    Ok((
                        keys.get_item(at)?.extract::<Option<PyBackedBytes>>()?,
                        values.get_item(at)?.extract::<Option<PyBackedBytes>>()?,
                        offsets.get_item(at)?.extract::<i64>()?,
                    ))
                })
                .collect::<PyResult<Vec<_>>>()?;
            let inner = &mut self.inner;
            let taken = py.detach(|| {
                records
                    .iter()
                    .take_while(|(key, value, offset)| value.as_ref().is_some_and(|value| inner.add(key.as_deref(), value, *offset)))
                    .count()
            });
            at += taken;
            if taken < records.len() {
                break;
            }
        }
        Ok(at - begin)
    }

    fn leave(&mut self, key: Option<&[u8]>, offset: i64, commit_us: i64, size_bytes: usize) {
        self.inner.leave(key, offset, commit_us, size_bytes);
    }

    fn place(&self, row: usize) -> Option<(i64, i64)> {
        self.inner.place(row)
    }

    fn size_bytes(&self, count: usize) -> u64 {
        self.inner.size_bytes(count)
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes()
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn take(&mut self, count: usize) -> EnvelopeColumns {
        EnvelopeColumns {
            inner: self.inner.take(count),
        }
    }
}

#[pyclass]
pub struct EnvelopeColumns {
    inner: rows::Taken,
}

#[pymethods]
impl EnvelopeColumns {
    fn latest<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let inner = &self.inner;
        let bits: Option<Bits> = py.detach(|| inner.latest());
        bits.map(|bits| PyBytes::new(py, bits.as_bytes()))
    }

    fn keys<'py>(&self, py: Python<'py>) -> Buffers<'py> {
        buffers(py, &self.inner.keys)
    }

    /// Each column once: what is copied is let go.
    fn columns<'py>(&mut self, py: Python<'py>) -> Vec<Buffers<'py>> {
        let columns = std::mem::take(&mut self.inner.columns);
        let added = std::mem::take(&mut self.inner.added);
        columns.into_iter().chain(added).map(|column| buffers(py, &column)).collect()
    }

    fn __len__(&self) -> usize {
        self.inner.len
    }
}

fn buffers<'py>(py: Python<'py>, column: &Column) -> Buffers<'py> {
    let (validity, data) = column.buffers();
    (
        validity.map(|bytes| PyBytes::new(py, bytes)),
        data.into_iter().map(|bytes| PyBytes::new(py, bytes)).collect(),
    )
}

fn form(name: &str, first: i64, second: i64) -> Option<Form> {
    let size_bytes_max = usize::try_from(first).unwrap_or(0);
    let integer = |width| Form::Integer {
        width,
        low: first,
        high: second,
    };
    let micros = |factor| Form::Micros {
        factor,
        low: first,
        high: second,
    };
    Some(match name {
        "int16" => integer(2),
        "int32" => integer(4),
        "int64" => integer(8),
        "ms" => micros(1000),
        "us" => micros(1),
        "decimal" => Form::Decimal {
            precision: u32::try_from(first).ok().filter(|precision| (1..=38).contains(precision))?,
            scale: u32::try_from(second).ok().filter(|&scale| i64::from(scale) <= first)?,
        },
        "double" => Form::Double,
        "real" => Form::Real,
        "boolean" => Form::Boolean,
        "bits" => Form::BitField {
            width: usize::try_from(first).ok().filter(|width| matches!(width, 8 | 16))?,
        },
        "timestamp" => Form::Timestamp,
        "text" => Form::Text { size_bytes_max },
        "bytes" => Form::Bytes { size_bytes_max },
        "geometry" => Form::Geometry { size_bytes_max },
        "vector" => Form::Vector { size_bytes_max },
        _ => return None,
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EnvelopeRows>()?;
    module.add_class::<EnvelopeColumns>()
}
