//! Whatever the bytes: events, records or an error, soon; never a panic, and no more memory than the bytes are worth.
//!
//! `cargo test --no-default-features --test never_panics`; PROPTEST_CASES=100000 for longer.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use tidemark_kernel::binlog::packets::Packets;
use tidemark_kernel::decoder::fault::Fault;
use tidemark_kernel::decoder::split::Done;
use tidemark_kernel::decoder::way::WaySpec;
use tidemark_kernel::decoder::{Decoder, Settings, Step};
use tidemark_kernel::values::{ColumnSpec, TextSpec};

mod checking;

use checking::check;

const HEADER_SIZE: usize = 19;
const FORMAT_DESCRIPTION: u8 = 15;
const NAMES: [&str; 20] = [
    "rotate_of_the_dump",
    "format_description",
    "previous_gtids",
    "previous_gtids_tagged",
    "heartbeat",
    "gtid",
    "query_begin",
    "rows_query",
    "table_map",
    "write_rows",
    "table_map",
    "update_rows",
    "table_map",
    "partial_update_rows",
    "table_map",
    "delete_rows",
    "xid",
    "gtid_tagged",
    "transaction_payload",
    "heartbeat_v2",
];

/// Events captured from a server, as a file without checksums has them: a whole stream.
fn stream() -> Vec<Vec<u8>> {
    NAMES.iter().map(|name| bare(golden(name))).collect()
}

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/golden/binlog/{name}.hex"));
    let text = fs::read_to_string(path).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn bare(mut raw: Vec<u8>) -> Vec<u8> {
    let size = raw.len();
    if raw[4] == FORMAT_DESCRIPTION {
        raw[size - 5] = 0;
    } else {
        raw.truncate(size - 4);
        set_size(&mut raw);
    }
    raw
}

fn set_size(raw: &mut [u8]) {
    let size = (raw.len() as u32).to_le_bytes();
    if let Some(place) = raw.get_mut(9..13) {
        place.copy_from_slice(&size);
    }
}

/// The table of the captured rows.
fn columns() -> Vec<ColumnSpec> {
    let column = |name: &str, type_code, size, precision, scale, text, labels: &[&str]| ColumnSpec {
        name: name.to_owned(),
        type_code,
        size,
        precision,
        scale,
        unsigned: name == "n",
        text,
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
    };
    vec![
        column("id", 3, 0, 0, 0, None, &[]),
        column("name", 15, 80, 0, 0, Some(TextSpec::Utf8), &[]),
        column("price", 246, 5, 10, 2, None, &[]),
        column("state", 247, 1, 0, 0, None, &["new", "old"]),
        column("doc", 245, 4, 0, 0, None, &[]),
        column("made", 18, 3, 0, 0, None, &[]),
        column("at", 17, 6, 0, 0, None, &[]),
        column("n", 8, 0, 0, 0, None, &[]),
        column("b", 254, 4, 0, 0, None, &[]),
        column("bits", 16, 1, 5, 0, None, &[]),
        column("f", 4, 4, 0, 0, None, &[]),
        column("tags", 248, 1, 0, 0, None, &["a", "b"]),
        column("t", 19, 2, 0, 0, None, &[]),
        column("v", 242, 4, 0, 0, None, &[]),
        column("g", 255, 4, 0, 0, None, &[]),
    ]
}

fn decoder(record_bytes_max: usize, chunk_bytes: usize, in_progress: Option<u64>) -> Decoder {
    let hash = "0".repeat(32);
    Decoder::new(Settings {
        pipeline: "p".to_owned(),
        record_bytes_max,
        payload_bytes_max: 1 << 20,
        chunk_bytes,
        in_progress: in_progress.map(|rows| ("d8af01fb-e72c-11f1-bfe0-02fc00000001:2".to_owned(), Done { rows, hash })),
    })
}

/// What a caller does in its turn.
#[derive(Debug, Clone)]
struct Caller {
    stop_at: usize,
    close_at: i64,
    key: usize,
    ignores: bool,
    forgets: bool,
    record_bytes_max: usize,
    chunk_bytes: usize,
    in_progress: Option<u64>,
}

fn caller() -> impl Strategy<Value = Caller> {
    (
        prop_oneof![1..4usize, Just(1000)],
        -1..4i64,
        0..4usize,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop_oneof![Just(0), Just(700), Just(1 << 20)],
        prop_oneof![Just(1), Just(900), Just(1 << 20)],
        prop_oneof![3 => Just(None), 1 => (1..4u64).prop_map(Some)],
    )
        .prop_map(
            |(stop_at, close_at, key, ignores, forgets, record_bytes_max, chunk_bytes, in_progress)| Caller {
                stop_at,
                close_at,
                key,
                ignores,
                forgets,
                record_bytes_max,
                chunk_bytes,
                in_progress,
            },
        )
}

/// What a run gave: records, and whether it ended in an error.
#[derive(Debug, Default, Clone, Copy)]
struct Run {
    records: usize,
    failed: bool,
}

fn run(blocks: &[Vec<u8>], caller: &Caller) -> Result<Run, TestCaseError> {
    let mut decoder = decoder(caller.record_bytes_max, caller.chunk_bytes, caller.in_progress);
    let mut done = Run::default();
    // A payload inflates to at most its limit; a row's JSON is larger than its bytes by the names of its columns.
    let bytes_max = (blocks.iter().map(Vec::len).sum::<usize>() + (1 << 20)) * 64;
    for block in blocks {
        decoder.feed(block.clone(), 1_700_000_000_000);
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 20_000, "no end of steps");
            let step = match decoder.next(caller.close_at, caller.stop_at) {
                Ok(Some(step)) => step,
                Ok(None) => break,
                Err(fault) => {
                    done.failed = true;
                    if let Fault::Malformed(malformed) = fault {
                        prop_assert!(!malformed.0.is_empty());
                    }
                    drop(decoder.next(caller.close_at, caller.stop_at)); // of no use, and yet no panic
                    return Ok(done);
                }
            };
            if answer(&mut decoder, step, caller, &mut done, bytes_max)? {
                return Ok(done);
            }
        }
    }
    Ok(done)
}

/// Answers for a step; true to stop.
fn answer(decoder: &mut Decoder, step: Step, caller: &Caller, done: &mut Run, bytes_max: usize) -> Result<bool, TestCaseError> {
    match step {
        Step::Chunk => {
            let chunk = &decoder.chunk;
            prop_assert!(chunk.arena.len() <= bytes_max);
            for of_topic in &chunk.topics {
                for record in &of_topic.records {
                    let end = record.key_end.unwrap_or(record.value_end);
                    let text = std::str::from_utf8(&chunk.arena[record.begin..end]);
                    let is_record = text.is_ok_and(|text| text.starts_with(r#"{"before":"#) && text.ends_with('}'));
                    prop_assert!(is_record);
                    prop_assert_eq!(record.key_end.is_some(), caller.key > 0);
                    done.records += 1;
                }
            }
            decoder.in_progress();
            decoder.chunk.clear(caller.chunk_bytes);
            if caller.forgets && decoder.under_way().is_none() {
                decoder.forget("t");
            }
        }
        Step::Unrouted { map, .. } if caller.ignores => decoder.ignore(map),
        Step::Unrouted { map, .. } => {
            let taken = decoder.take_way(
                map,
                WaySpec {
                    topic: "t".to_owned(),
                    database: "shop".to_owned(),
                    table: "goods".to_owned(),
                    fingerprint: "f".to_owned(),
                    columns: columns(),
                    key: ["id", "name", "made"][..caller.key.min(3)]
                        .iter()
                        .map(|&name| name.to_owned())
                        .collect(),
                    next_seq: 0,
                },
            );
            prop_assert!(taken.is_ok());
        }
        Step::Shown(event) => {
            let (head, _, _) = decoder.shown_bytes(&event);
            prop_assert_eq!(head.len(), HEADER_SIZE);
            let begun = decoder.under_way().map(|under_way| under_way.begun);
            let answered = match begun {
                None => return Ok(true), // the caller refuses it
                Some(false) => decoder.began(),
                Some(true) => decoder.ended(),
            };
            if answered.is_err() {
                done.failed = true;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Wide(Index, u8, usize),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let lie = prop::sample::select(vec![0, 1, 2, 127, 128, 250, 251, 252, 253, 254, 255]);
    prop_oneof![
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), lie.clone()).prop_map(|(at, value)| Change::Set(at, value)),
        (any::<Index>(), lie, 2..9usize).prop_map(|(at, value, width)| Change::Wide(at, value, width)),
        (any::<Index>(), 1..9usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(change: &Change, from: usize, data: &mut Vec<u8>) {
    if data.len() <= from {
        return;
    }
    let place = |at: &Index| from + at.index(data.len() - from);
    match change {
        Change::Flip(at, bit) => {
            let at = place(at);
            data[at] ^= 1 << bit;
        }
        Change::Set(at, value) => {
            let at = place(at);
            data[at] = *value;
        }
        Change::Wide(at, value, width) => {
            let at = place(at);
            let end = data.len().min(at + width);
            data[at..end].fill(*value);
        }
        Change::Remove(at, count) => {
            let at = place(at);
            let end = data.len().min(at + count);
            data.drain(at..end);
        }
        Change::Insert(at, bytes) => {
            let at = place(at);
            data.splice(at..at, bytes.iter().copied());
        }
        Change::Cut(at) => {
            let at = place(at);
            data.truncate(at);
        }
    }
}

#[test]
fn the_stream_gives_its_rows_before_anything_is_wrong_with_it() {
    let caller = Caller {
        stop_at: 1000,
        close_at: 1000,
        key: 1,
        ignores: false,
        forgets: false,
        record_bytes_max: 1 << 20,
        chunk_bytes: 1 << 20,
        in_progress: None,
    };
    for blocks in [stream(), vec![stream().concat()]] {
        let done = run(&blocks, &caller).unwrap();
        assert_eq!((done.records, done.failed), (6, false)); // one of them out of the payload
    }
}

#[test]
fn changed_events_are_records_or_an_error() {
    let changes = prop::collection::vec((any::<Index>(), change()), 1..4);
    check(2000, (changes, caller(), any::<bool>()), |(changes, caller, at_once)| {
        let mut events = stream();
        for (which, change) in &changes {
            let event = which.get(&events).clone();
            let place = which.index(events.len());
            let mut event = event;
            apply(change, HEADER_SIZE, &mut event);
            set_size(&mut event);
            events[place] = event;
        }
        let blocks = if at_once { vec![events.concat()] } else { events };
        run(&blocks, &caller).map(drop)
    });
}

#[test]
fn changed_orders_of_events_are_records_or_an_error() {
    let moves = prop::collection::vec((any::<Index>(), any::<Index>(), 0..3), 1..5);
    check(2000, (moves, caller()), |(moves, caller)| {
        let mut events = stream();
        for (from, to, kind) in &moves {
            let (from, to) = (from.index(events.len()), to.index(events.len()));
            match kind {
                0 => events.swap(from, to),
                1 => events.insert(to, events[from].clone()),
                _ => drop(events.remove(from)),
            }
        }
        run(&[events.concat()], &caller).map(drop)
    });
}

#[test]
fn changed_blocks_are_records_or_an_error() {
    check(1500, (prop::collection::vec(change(), 1..4), caller()), |(changes, caller)| {
        let mut block = stream().concat();
        for change in &changes {
            apply(change, 0, &mut block);
        }
        run(&[block], &caller).map(drop)
    });
}

#[test]
fn any_body_of_any_type_is_records_or_an_error() {
    let byte = || prop_oneof![2 => 0..20u8, 1 => Just(255u8), 1 => any::<u8>()];
    let event = (0..48u8, prop::collection::vec(byte(), 0..80)).prop_map(|(kind, body)| {
        let mut raw = vec![0; HEADER_SIZE];
        raw[4] = kind;
        raw.extend(body);
        set_size(&mut raw);
        raw
    });
    check(
        2000,
        (prop::collection::vec(event, 1..4), 0..12usize, caller()),
        |(events, before, caller)| {
            let mut blocks = stream();
            blocks.truncate(before);
            blocks.extend(events);
            run(&blocks, &caller).map(drop)
        },
    );
}

#[test]
fn any_bytes_are_records_or_an_error() {
    let bytes = prop::collection::vec(prop_oneof![0..30u8, any::<u8>()], 0..300);
    check(2000, (bytes, caller()), |(bytes, caller)| run(&[bytes], &caller).map(drop));
}

/// Packets as a server sends events, and what else it may send.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => (0..NAMES.len()).prop_map(|which| [vec![0], stream().swap_remove(which)].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    prop::collection::vec(payload, 0..6).prop_map(|payloads| {
        let mut data = Vec::new();
        for (sequence, payload) in payloads.iter().enumerate() {
            data.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
            data.push(sequence as u8);
            data.extend_from_slice(payload);
        }
        data
    })
}

/// The events of a connection's bytes cut at some places, the answer, and whether it failed.
fn taken(data: &[u8], cuts: &[Index]) -> (Vec<u8>, Option<Vec<u8>>, bool) {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
    places.extend([0, data.len()]);
    places.sort_unstable();
    let (mut packets, mut events) = (Packets::default(), Vec::new());
    for pair in places.windows(2) {
        let mut some = Vec::new();
        if packets.take(&data[pair[0]..pair[1]], &mut some).is_err() {
            return (events, packets.answer, true);
        }
        events.extend(some);
    }
    (events, packets.answer, false)
}

#[test]
fn any_bytes_are_packets_or_an_error_however_they_are_cut() {
    let cuts = prop::collection::vec(any::<Index>(), 0..8);
    let changes = prop::collection::vec(change(), 0..3);
    check(2000, (packets(), changes, cuts), |(mut data, changes, cuts)| {
        for change in &changes {
            apply(change, 0, &mut data);
        }
        let (events, answer, failed) = taken(&data, &[]);
        let (others, other_answer, other_failed) = taken(&data, &cuts);
        prop_assert_eq!((&answer, failed), (&other_answer, other_failed));
        // Before an error, what came in pieces has been handed on in part.
        let same = if failed { others.starts_with(&events) } else { events == others };
        prop_assert!(same);
        prop_assert!(others.len() <= data.len());
        Ok(())
    });
}
