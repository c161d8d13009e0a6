//! Whatever is read as an envelope: a row or none, never a panic; and one that is refused leaves nothing behind.
//!
//! `cargo test --no-default-features --test envelopes_never_panic`; PROPTEST_CASES=100000 for longer.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseResult;

use tidemark_kernel::envelopes::{ColumnSpec, Deletes, Form, Rows, RowsSpec};

mod checking;

use checking::check;

const LOW: i64 = i64::MIN;
const HIGH: i64 = i64::MAX;

/// A column of each form, with values as JSON that are of it.
fn columns() -> Vec<(Form, &'static [&'static str])> {
    vec![
        (
            Form::Integer {
                width: 4,
                low: -5,
                high: 1 << 30,
            },
            &["1", "-5", "1073741824"],
        ),
        (
            Form::Integer {
                width: 8,
                low: LOW,
                high: HIGH,
            },
            &["-9223372036854775808", "0"],
        ),
        (
            Form::Micros {
                factor: 1000,
                low: LOW,
                high: HIGH,
            },
            &["-62135596800000", "0"],
        ),
        (Form::Decimal { precision: 38, scale: 10 }, &["\"-12345678901.5\"", "\"0\""]),
        (Form::Double, &["1.5", "-0.0", "5e-324", "1.7976931348623157e308"]),
        (Form::Real, &["3.4028235e38", "16777216"]),
        (Form::Boolean, &["true", "false"]),
        (Form::BitField { width: 8 }, &["\"AQI=\""]),
        (Form::BitField { width: 16 }, &["\"//////////8=\"", "\"\""]),
        (Form::Timestamp, &["\"2024-02-29T23:59:59.123456Z\"", "\"0001-01-01T00:00:00Z\""]),
        (
            Form::Text { size_bytes_max: 20 },
            &["\"\"", "\"it's\"", "\"\\\"\\\\\\n\\u00e9\\ud83d\\ude00\"", "\"}é],\""],
        ),
        (Form::Bytes { size_bytes_max: 6 }, &["\"\"", "\"Zm9vYmFy\"", "\"Zg==\""]),
        (
            Form::Geometry { size_bytes_max: 12 },
            &["{\"wkb\":\"Zm8=\",\"srid\":4326}", "{\"wkb\":\"\",\"srid\":null}"],
        ),
        (Form::Vector { size_bytes_max: 30 }, &["[]", "[1.5,-0.25]", "[3.4028235e+38]"]),
    ]
}

fn rows(keyed: bool, whole_deletes: bool) -> Rows {
    let columns = columns().into_iter().enumerate();
    let spec = |(at, (form, _))| ColumnSpec {
        literal: format!("{}\"c{at}\":", if at == 0 { '{' } else { ',' }).into_bytes(),
        form,
        in_key: at == 0 || at == 10,
        nullable: at != 0 && at != 10,
    };
    Rows::new(
        RowsSpec {
            schema: b"\"0123456789abcdef\"".to_vec(),
            columns: columns.map(spec).collect(),
            deletes: if whole_deletes { Deletes::Whole } else { Deletes::Key },
            keyed,
            record_bytes_max: usize::MAX,
        },
        0,
    )
}

/// Which value of each column; past them, null.
fn image(picks: &[Index]) -> String {
    let value = |(at, (pick, (_, values))): (usize, (&Index, (Form, &'static [&'static str])))| {
        let nullable = at != 0 && at != 10;
        let text = values.get(pick.index(values.len() + usize::from(nullable))).unwrap_or(&"null");
        format!("\"c{at}\":{text}")
    };
    let values: Vec<String> = picks.iter().zip(columns()).enumerate().map(value).collect();
    format!("{{{}}}", values.join(","))
}

#[derive(Debug, Clone)]
struct Envelope {
    op: &'static str,
    picks: Vec<Index>,
    raw: bool,
}

impl Envelope {
    fn written(&self, seq: usize) -> Vec<u8> {
        let row = image(&self.picks);
        let (before, after) = match self.op {
            "d" => (row.as_str(), "null"),
            "u" => ("{\"id\":[\"}\"]}", row.as_str()),
            _ => ("null", row.as_str()),
        };
        let more = if self.raw {
            ",\"key_change\":true,\"raw\":{\"c1\":\"0000\"}"
        } else {
            ""
        };
        format!(
            "{{\"before\":{before},\"after\":{after},\"source\":{{\"version\":\"tidemark-1\",\"connector\":\"mysql\",\"name\":\"p\",\
             \"ts_ms\":1,\"snapshot\":\"false\",\"db\":\"s\",\"table\":\"t\",\"server_id\":1,\"gtid\":\"3e11:7\",\"file\":\"b.1\",\"pos\":4,\
             \"row\":0,\"seq\":{seq},\"ev\":0,\"commit_ts_us\":17{seq},\"schema\":\"0123456789abcdef\"{more}}},\"op\":\"{}\",\"ts_ms\":2}}",
            self.op
        )
        .into_bytes()
    }
}

fn envelope() -> impl Strategy<Value = Envelope> {
    let picks = prop::collection::vec(any::<Index>(), columns().len());
    (prop::sample::select(vec!["c", "u", "r", "d"]), picks, any::<bool>()).prop_map(|(op, picks, raw)| Envelope { op, picks, raw })
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![3 => prop::sample::select(b"\"\\{}[]:,0159-.eEnu \n\0\x7f\xc3\xff".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), byte()).prop_map(|(at, value)| Change::Set(at, value)),
        (any::<Index>(), 1..9usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<Index>(), prop::collection::vec(byte(), 1..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(change: &Change, data: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    let size = data.len();
    match change {
        Change::Flip(at, bit) => data[at.index(size)] ^= 1 << bit,
        Change::Set(at, value) => data[at.index(size)] = *value,
        Change::Remove(at, count) => drop(data.drain(at.index(size)..size.min(at.index(size) + count))),
        Change::Insert(at, bytes) => drop(data.splice(at.index(size)..at.index(size), bytes.iter().copied())),
        Change::Cut(at) => data.truncate(at.index(size)),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Whole(Envelope, bool),
    Changed(Envelope, Vec<Change>),
    Bytes(Vec<u8>),
    Leave(bool),
    Take(Index),
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop::collection::vec(
        prop_oneof![prop::sample::select(b"{}[]\",:\\0123nulltruefals".to_vec()), any::<u8>()],
        0..200,
    );
    prop_oneof![
        4 => (envelope(), prop::bool::weighted(0.9)).prop_map(|(envelope, keyed)| Step::Whole(envelope, keyed)),
        6 => (envelope(), prop::collection::vec(change(), 1..4)).prop_map(|(envelope, changes)| Step::Changed(envelope, changes)),
        1 => text.prop_map(Step::Bytes),
        1 => any::<bool>().prop_map(Step::Leave),
        1 => any::<Index>().prop_map(Step::Take),
    ]
}

/// What rows come to, value by value, however they are taken.
#[derive(Debug, Default, PartialEq)]
struct Content {
    places: Vec<Option<(i64, i64)>>,
    values: Vec<Vec<Option<Vec<u8>>>>,
    size_bytes: u64,
}

impl Content {
    fn take(&mut self, rows: &mut Rows, count: usize) {
        self.places.extend((0..count).map(|row| rows.place(row)));
        self.size_bytes += rows.size_bytes(count);
        let taken = rows.take(count);
        drop(taken.latest());
        let columns: Vec<_> = taken.columns.iter().chain(&taken.added).chain([&taken.keys]).collect();
        self.values.resize_with(columns.len(), Vec::new);
        for (column, values) in columns.into_iter().zip(&mut self.values) {
            let (validity, buffers) = column.buffers();
            values.extend((0..count).map(|row| validity.is_none_or(|bits| bit(bits, row)).then(|| value(&buffers, row, count))));
        }
    }
}

fn bit(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 == 1
}

/// Of an Arrow array of `len` values.
fn value(buffers: &[&[u8]], at: usize, len: usize) -> Vec<u8> {
    let end = |at: usize| u32::from_le_bytes(buffers[0][at * 4..at * 4 + 4].try_into().unwrap()) as usize;
    match buffers {
        [_, bytes] => bytes[end(at)..end(at + 1)].to_vec(),
        [bits] if bits.len() == len.div_ceil(8) => vec![u8::from(bit(bits, at))],
        [bytes] => bytes[at * bytes.len() / len..(at + 1) * bytes.len() / len].to_vec(),
        _ => panic!("no column has {} buffers", buffers.len()),
    }
}

/// Steps on rows that are offered everything and taken in parts; and on rows that are offered only what the first took in, and taken whole.
fn compare(steps: &[Step], keyed: bool, whole_deletes: bool) -> TestCaseResult {
    let (mut all, mut accepted) = (rows(keyed, whole_deletes), rows(keyed, whole_deletes));
    let (mut found, mut wanted) = (Content::default(), Content::default());
    let mut seq = 0;
    for step in steps {
        let (key, value) = match step {
            Step::Whole(envelope, has_key) => (has_key.then_some(envelope.picks[0].index(3).to_string()), envelope.written(seq)),
            Step::Changed(envelope, changes) => {
                let mut value = envelope.written(seq);
                changes.iter().for_each(|change| apply(change, &mut value));
                (Some("changed".to_owned()), value)
            }
            Step::Bytes(bytes) => (Some("bytes".to_owned()), bytes.clone()),
            Step::Leave(has_key) => {
                let key = has_key.then_some(&b"left"[..]);
                all.leave(key, seq as i64, 5, 77);
                accepted.leave(key, seq as i64, 5, 77);
                seq += 1;
                continue;
            }
            Step::Take(count) => {
                let count = count.index(all.len() + 1);
                found.take(&mut all, count);
                continue;
            }
        };
        let key = key.as_deref().map(str::as_bytes);
        let before = all.len();
        let added = all.add(key, &value, seq as i64);
        prop_assert_eq!(all.len(), before + usize::from(added));
        if added {
            prop_assert!(accepted.add(key, &value, seq as i64));
            seq += 1;
        } else {
            let whole = matches!(step, Step::Whole(..)) && (key.is_some() || !keyed);
            prop_assert!(!whole, "refused: {}", String::from_utf8_lossy(&value));
        }
        prop_assert!(all.memory_bytes() < 1 << 20);
    }
    let (rest, total) = (all.len(), accepted.len());
    found.take(&mut all, rest);
    wanted.take(&mut accepted, total);
    prop_assert_eq!(found, wanted);
    prop_assert_eq!(all.memory_bytes(), rows(keyed, whole_deletes).memory_bytes());
    Ok(())
}

#[test]
fn a_refused_record_leaves_nothing_behind() {
    let steps = prop::collection::vec(step(), 1..30);
    check(1000, (steps, any::<bool>(), any::<bool>()), |(steps, keyed, whole_deletes)| {
        compare(&steps, keyed, whole_deletes)
    });
}

#[test]
fn an_envelope_cut_anywhere_is_refused() {
    check(200, (envelope(), any::<bool>()), |(envelope, whole_deletes)| {
        let whole = envelope.written(0);
        let mut rows = rows(false, whole_deletes);
        for size in 0..whole.len() {
            prop_assert!(!rows.add(None, &whole[..size], 0));
        }
        prop_assert!(rows.add(None, &whole, 0));
        prop_assert_eq!(rows.size_bytes(1), whole.len() as u64);
        Ok(())
    });
}
