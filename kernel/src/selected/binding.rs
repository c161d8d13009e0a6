//! The bindings of selected rows; tidemark_kernel.pyi says what they promise.

use std::collections::HashSet;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use super::{Batch, Fault, Table, TableSpec};
use crate::decoder::record::Origin;
use crate::values::write_string;
use crate::{probe, record_list, KernelError};

type Source = (String, u32, String, String, u64, u64, u64);

#[pyclass]
#[derive(Default)]
pub struct RowPackets {
    inner: super::RowPackets,
}

#[pymethods]
impl RowPackets {
    #[new]
    fn new() -> RowPackets {
        RowPackets::default()
    }

    fn take(&mut self, py: Python<'_>, received: PyBuffer<u8>) -> PyResult<bool> {
        let received = received.to_vec(py)?;
        let inner = &mut self.inner;
        py.detach(|| inner.take(&received)).map_err(|fault| raised(fault, None))
    }

    #[getter]
    fn rows(&self) -> usize {
        self.inner.rows()
    }

    #[getter]
    fn size_bytes(&self) -> usize {
        self.inner.size_bytes()
    }

    fn last<'py>(&self, py: Python<'py>, columns: Vec<usize>) -> PyResult<Bound<'py, PyTuple>> {
        let texts = self.inner.last().map_err(|fault| raised(fault, None))?;
        let text = |place: usize| match texts.get(place) {
            Some(text) => Ok(text.map(|text| PyBytes::new(py, text))),
            None => Err(PyIndexError::new_err(place)),
        };
        PyTuple::new(py, columns.into_iter().map(text).collect::<PyResult<Vec<_>>>()?)
    }
}

#[pyclass]
pub struct SelectedRows {
    table: Table,
}

#[pymethods]
impl SelectedRows {
    #[new]
    fn new(
        database: String,
        table: String,
        fingerprint: String,
        columns: Vec<Bound<'_, PyAny>>,
        key: Vec<String>,
        record_bytes_max: usize,
    ) -> PyResult<SelectedRows> {
        let spec = TableSpec {
            database,
            table,
            fingerprint,
            columns: columns.iter().map(probe::column_spec).collect::<PyResult<_>>()?,
            key,
            record_bytes_max,
        };
        let table = Table::new(&spec).map_err(|error| raised(error.into(), None))?;
        Ok(SelectedRows { table })
    }

    #[allow(clippy::too_many_arguments)] // those of SelectedRows.encode
    fn encode<'py>(
        &self,
        py: Python<'py>,
        packets: PyRef<'py, RowPackets>,
        struck: &Bound<'py, PyAny>,
        origin: Source,
        first_seq: u64,
        now_ms: i64,
        start: usize,
        stop: usize,
    ) -> PyResult<(Bound<'py, PyList>, usize, usize)> {
        let struck = struck
            .try_iter()?
            .map(|key| key?.extract::<Vec<u8>>())
            .collect::<PyResult<HashSet<_>>>()?;
        let (pipeline, server_id, gtid, file, offset, ts_ms, commit_us) = origin;
        let (mut pipeline_json, mut file_json) = (Vec::new(), Vec::new());
        write_string(&pipeline, &mut pipeline_json);
        write_string(&file, &mut file_json);
        let batch = Batch {
            rows: start..stop,
            struck: &struck,
            origin: Origin {
                pipeline: &pipeline_json,
                ts_ms,
                server_id,
                gtid: &gtid,
                file: &file_json,
                offset,
                commit_us,
            },
            first_seq,
            now_ms,
        };
        let (table, packets) = (&self.table, &packets.inner);
        let encoded = py
            .detach(|| table.encode(packets, &batch))
            .map_err(|fault| raised(fault, Some(table)))?;
        let records = record_list(py, &encoded.arena, &encoded.records)?;
        Ok((records, encoded.size_bytes, encoded.left_out))
    }
}

fn raised(fault: Fault, table: Option<&Table>) -> PyErr {
    match fault {
        Fault::Malformed(malformed) => KernelError::new_err(("malformed", malformed.0)),
        Fault::Refused(packet) => KernelError::new_err(("refused", packet)),
        Fault::Row { row, column, reason } => {
            let column = column.and_then(|place| Some(table?.columns[place].name.clone()));
            KernelError::new_err(("row", row, column, reason.0))
        }
        Fault::NoRow => PyIndexError::new_err("no such row"),
    }
}

/// Puts the classes into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<RowPackets>()?;
    module.add_class::<SelectedRows>()
}
