//! One value at a time, for the tests that hold the kernel beside the readable decoder.

use std::sync::Arc;

use pyo3::exceptions::{PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::malformed::Malformed;
use crate::values::{write_updated, ColumnSpec, Decoder, Foreign, TextSpec};

/// What a byte that stands for nothing has in a table of charsets.plan.
const UNDEFINED: char = '\u{fffe}';

type Fields<'py> = (String, u8, u32, u32, u32, bool, Option<(String, Bound<'py, PyAny>)>, Vec<String>);

/// A column from (name, type, size, precision, scale, unsigned, charset plan or None for bytes, labels); the plan is charsets.plan's.
pub fn column_spec(column: &Bound<'_, PyAny>) -> PyResult<ColumnSpec> {
    let (name, type_code, size, precision, scale, unsigned, plan, labels): Fields<'_> = column.extract()?;
    let text = plan.map(|(form, detail)| text_spec(&form, &detail)).transpose()?;
    Ok(ColumnSpec {
        name,
        type_code,
        size,
        precision,
        scale,
        unsigned,
        text,
        labels,
    })
}

fn text_spec(form: &str, detail: &Bound<'_, PyAny>) -> PyResult<TextSpec> {
    Ok(match form {
        "utf8" => TextSpec::Utf8,
        "ucs2" => TextSpec::Ucs2,
        "utf16" => TextSpec::Utf16Be,
        "utf16le" => TextSpec::Utf16Le,
        "utf32" => TextSpec::Utf32Be,
        "single" => {
            let table: String = detail.extract()?;
            let mut characters = Box::new([None; 256]);
            if table.chars().count() != characters.len() {
                return Err(PyValueError::new_err("a character set's table is not of 256 characters"));
            }
            for (cell, character) in characters.iter_mut().zip(table.chars()) {
                *cell = Some(character).filter(|&character| character != UNDEFINED);
            }
            TextSpec::Single(characters)
        }
        "foreign" => TextSpec::Foreign(foreign(detail.clone().unbind())),
        other => return Err(PyValueError::new_err(format!("a plan of unknown form: {other}"))),
    })
}

/// Calls back into Python. Whoever decodes need not be attached to it.
fn foreign(decode: Py<PyAny>) -> Foreign {
    Arc::new(move |bytes| {
        Python::attach(|py| {
            match decode
                .call1(py, (PyBytes::new(py, bytes),))
                .and_then(|text| text.extract::<String>(py))
            {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.is_instance_of::<PyUnicodeDecodeError>(py) => Ok(None),
                Err(error) => Err(Malformed(format!("a character set's decoder failed: {error}"))),
            }
        })
    })
}

fn value_error(error: Malformed) -> PyErr {
    PyValueError::new_err(error.0)
}

/// The JSON of the value at `at`, the text of what JSON cannot carry, and where the value ends. Raises ValueError.
#[pyfunction]
pub fn decode_value<'py>(
    py: Python<'py>,
    column: &Bound<'py, PyAny>,
    data: &[u8],
    at: usize,
) -> PyResult<(Bound<'py, PyBytes>, Option<String>, usize)> {
    let decoder = Decoder::new(&column_spec(column)?).map_err(value_error)?;
    let mut out = Vec::new();
    let mut raw = None;
    let end = decoder.write(data, at, &mut out, &mut raw).map_err(value_error)?;
    Ok((PyBytes::new(py, &out), raw, end))
}

/// A JSON document after diffs, as the JSON string an envelope carries. Raises ValueError.
#[pyfunction]
pub fn updated_json<'py>(py: Python<'py>, document: &[u8], diffs: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let mut out = Vec::new();
    write_updated(document, diffs, &mut out).map_err(value_error)?;
    Ok(PyBytes::new(py, &out))
}

/// Puts the probes into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(decode_value, module)?)?;
    module.add_function(wrap_pyfunction!(updated_json, module)?)
}
