//! `tidemark_kernel`: what streamer and loader do for every event and every row, without Python. This file holds the streamer's bindings
//! only; tidemark_kernel.pyi says what they promise.

pub mod binlog;
pub mod decoder;
pub mod envelopes;
pub mod malformed;
pub mod probe;
pub mod selected;
pub mod values;

use pyo3::buffer::PyBuffer;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::binlog::{commits, packets};
use crate::decoder::chunk::Record;
use crate::decoder::fault::Fault;
use crate::decoder::split::Done;
use crate::decoder::stream::Event;
use crate::decoder::way::WaySpec;
use crate::decoder::{Settings, Step};

/// Of all bindings; neither service takes another.
const VERSION: u32 = 6;

create_exception!(tidemark_kernel, KernelError, PyException);

fn raised(fault: Fault) -> PyErr {
    match fault {
        Fault::Malformed(malformed) => KernelError::new_err(("malformed", malformed.0)),
        Fault::Absent { database, table, column } => KernelError::new_err(("absent", database, table, column)),
        Fault::OtherRows => KernelError::new_err(("other rows",)),
        Fault::TooFewRows { rows } => KernelError::new_err(("too few rows", rows)),
    }
}

type Progress = (String, u64, String);

#[pyclass]
struct Decoder {
    inner: decoder::Decoder,
    chunk_bytes: usize,
}

#[pymethods]
impl Decoder {
    #[new]
    fn new(
        pipeline: String,
        record_bytes_max: usize,
        in_progress: Option<Progress>,
        payload_bytes_max: u64,
        chunk_bytes: usize,
    ) -> Decoder {
        let inner = decoder::Decoder::new(Settings {
            pipeline,
            record_bytes_max,
            payload_bytes_max,
            chunk_bytes,
            in_progress: in_progress.map(|(gtid, rows, hash)| (gtid, Done { rows, hash })),
        });
        Decoder { inner, chunk_bytes }
    }

    fn feed(&mut self, events: &[u8], now_ms: i64) {
        self.inner.feed(events.to_vec(), now_ms);
    }

    fn next<'py>(&mut self, py: Python<'py>, close_at: i64, stop_at: usize) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let inner = &mut self.inner;
        let Some(step) = py.detach(|| inner.next(close_at, stop_at)).map_err(raised)? else {
            return Ok(None);
        };
        match step {
            Step::Chunk => self.chunk(py).map(Some),
            Step::Unrouted { map, body } => ("unrouted", map, PyBytes::new(py, &body), self.progress())
                .into_pyobject(py)
                .map(Some),
            Step::Shown(event) => self.shown(py, &event).map(Some),
        }
    }

    #[allow(clippy::too_many_arguments)] // the fields of a route, as Python names them
    fn use_map(
        &mut self,
        map: u64,
        topic: String,
        database: String,
        table: String,
        fingerprint: String,
        columns: Vec<Bound<'_, PyAny>>,
        key: Vec<String>,
        next_seq: u64,
    ) -> PyResult<()> {
        let spec = WaySpec {
            topic,
            database,
            table,
            fingerprint,
            columns: columns.iter().map(probe::column_spec).collect::<PyResult<_>>()?,
            key,
            next_seq,
        };
        self.inner.take_way(map, spec).map_err(raised)
    }

    fn ignore_map(&mut self, map: u64) {
        self.inner.ignore(map);
    }

    fn forget(&mut self, topic: &str) {
        self.inner.forget(topic);
    }

    fn began(&mut self) -> PyResult<()> {
        self.inner.began().map_err(raised)
    }

    fn ended(&mut self) -> PyResult<()> {
        self.inner.ended().map_err(raised)
    }

    #[getter]
    fn position(&self) -> (&str, u64) {
        self.inner.position()
    }
}

impl Decoder {
    fn chunk<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let inner = &self.inner;
        let topics = PyList::empty(py);
        for of_topic in &inner.chunk.topics {
            let records = record_list(py, &inner.chunk.arena, &of_topic.records)?;
            topics.append((inner.topic(of_topic.topic), records, of_topic.size_bytes))?;
        }
        let commits = inner.chunk.commits.as_ref().map(|commits| {
            let runs: Vec<_> = commits
                .runs
                .iter()
                .map(|(source, first, last)| (source.to_string(), source.tag.clone(), *first, *last))
                .collect();
            let (file, offset) = &commits.end;
            (
                runs,
                commits.count,
                commits.lowest_us,
                commits.newest_us,
                commits.backstep_us,
                &**file,
                *offset,
            )
        });
        let under_way = inner.under_way().is_some();
        let found = ("chunk", topics, commits, under_way, self.progress()).into_pyobject(py)?;
        self.inner.chunk.clear(2 * self.chunk_bytes);
        Ok(found)
    }

    fn shown<'py>(&self, py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyTuple>> {
        let under_way = self.inner.under_way().map(|found| {
            let gtid = found.gtid;
            (
                (gtid.source.to_string(), gtid.number, gtid.source.tag.clone()),
                gtid.commit_us,
                found.begun,
                found.rows,
            )
        });
        let (head, body, file) = self.inner.shown_bytes(event);
        let (head, body) = (PyBytes::new(py, head), PyBytes::new(py, body));
        ("shown", head, body, file, event.start, event.end, under_way).into_pyobject(py)
    }

    fn progress(&self) -> Option<((String, u64, String), u64, String)> {
        let (gtid, done) = self.inner.in_progress()?;
        Some((
            (gtid.source.to_string(), gtid.number, gtid.source.tag.clone()),
            done.rows,
            done.hash,
        ))
    }
}

/// Records as Python has them: dicts of `key` and `value`.
fn record_list<'py>(py: Python<'py>, arena: &[u8], records: &[Record]) -> PyResult<Bound<'py, PyList>> {
    let (key_name, value_name) = (intern!(py, "key"), intern!(py, "value"));
    let dict = |record: &Record| {
        let dict = PyDict::new(py);
        let key = record.key_end.map(|end| PyBytes::new(py, &arena[record.value_end..end]));
        dict.set_item(key_name, key)?;
        dict.set_item(value_name, PyBytes::new(py, &arena[record.begin..record.value_end]))?;
        Ok(dict)
    };
    PyList::new(py, records.iter().map(dict).collect::<PyResult<Vec<_>>>()?)
}

#[pyclass]
#[derive(Default)]
struct Packets {
    inner: packets::Packets,
}

#[pymethods]
impl Packets {
    #[new]
    fn new() -> Packets {
        Packets::default()
    }

    fn take<'py>(&mut self, py: Python<'py>, received: PyBuffer<u8>) -> PyResult<Bound<'py, PyBytes>> {
        let received = received.to_vec(py)?;
        let mut events = Vec::with_capacity(received.len());
        self.inner.take(&received, &mut events).map_err(|error| raised(error.into()))?;
        Ok(PyBytes::new(py, &events))
    }

    #[getter]
    fn answer<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.inner.answer.as_ref().map(|answer| PyBytes::new(py, answer))
    }
}

type CommitsMet = (usize, Option<u64>, Vec<(String, u64, u64)>, bool);

#[pyfunction]
fn commits_met(py: Python<'_>, block: &[u8], at: usize, since_us: u64) -> PyResult<CommitsMet> {
    let found = py
        .detach(|| commits::scan(block, at, since_us))
        .map_err(|malformed| raised(malformed.into()))?;
    let runs = found.before.iter().map(|run| (run.source.to_string(), run.first, run.stop));
    Ok((found.stop, found.first_us, runs.collect(), found.reached))
}

#[pymodule]
fn tidemark_kernel(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", VERSION)?;
    module.add("KernelError", module.py().get_type::<KernelError>())?;
    module.add_class::<Decoder>()?;
    module.add_class::<Packets>()?;
    module.add_function(wrap_pyfunction!(commits_met, module)?)?;
    envelopes::binding::register(module)?;
    selected::binding::register(module)?;
    probe::register(module)
}
