//! Whatever the bytes: a value or an error.

use std::sync::Arc;

use proptest::prelude::*;

use super::numbers::decimal_size;
use super::*;

fn specs() -> Vec<ColumnSpec> {
    let spec = |type_code, size, precision, scale, text: Option<TextSpec>, count: usize| ColumnSpec {
        name: "c".to_owned(),
        type_code,
        size,
        precision,
        scale,
        unsigned: count % 2 == 1,
        text,
        labels: (0..count).map(|place| format!("label \"{place}\"")).collect(),
    };
    let texts = || {
        let mut table = Box::new([None; 256]);
        for (byte, cell) in table.iter_mut().enumerate().take(200) {
            *cell = char::from_u32(byte as u32 * 257);
        }
        let foreign: Foreign = Arc::new(|bytes| Ok(std::str::from_utf8(bytes).ok().map(str::to_owned)));
        [
            TextSpec::Utf8,
            TextSpec::Ucs2,
            TextSpec::Utf16Be,
            TextSpec::Utf16Le,
            TextSpec::Utf32Be,
            TextSpec::Single(table),
            TextSpec::Foreign(foreign),
        ]
    };
    let mut specs = Vec::new();
    for type_code in 0..=255 {
        for size in 0..9 {
            for count in [0, 3, 64] {
                specs.push(spec(type_code, size, 1, 0, None, count));
                specs.push(spec(type_code, size, 14, 4, None, count));
            }
            specs.extend(texts().map(|text| spec(type_code, size, 0, 0, Some(text), 0)));
        }
        specs.push(spec(type_code, 300, 0, 0, None, 0));
    }
    for precision in 1..=65 {
        for scale in 0..=precision.min(30) {
            specs.push(spec(
                code::DECIMAL,
                decimal_size(precision as usize, scale as usize) as u32,
                precision,
                scale,
                None,
                0,
            ));
        }
    }
    specs
}

fn decoders() -> Vec<Decoder> {
    specs().iter().filter_map(|spec| Decoder::new(spec).ok()).collect()
}

#[test]
fn no_bytes_make_a_decoder_panic_or_write_what_is_no_text() {
    let decoders = decoders();
    assert!(decoders.len() > 2000);
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        prop::collection::vec(prop_oneof![0..16u8, Just(255)], 0..64),
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(
            &(bytes, prop_oneof![0..4usize, Just(usize::MAX), Just(usize::MAX - 3)]),
            |(data, at)| {
                let mut out = Vec::new();
                for decoder in &decoders {
                    out.clear();
                    let mut raw = None;
                    let end = decoder.write(&data, at, &mut out, &mut raw);
                    if let Ok(end) = end {
                        prop_assert!(end <= data.len() && std::str::from_utf8(&out).is_ok());
                        prop_assert!(raw.is_none() || out == b"null");
                    }
                }
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn no_text_makes_a_decoder_panic_or_write_what_is_no_text() {
    let decoders: Vec<_> = specs().iter().filter_map(|spec| TextDecoder::new(spec).ok()).collect();
    assert!(decoders.len() > 2000);
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "-?[0-9]{0,21}[-.:e ]?[0-9]{0,9}".prop_map(String::into_bytes)
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    runner
        .run(&text, |text| {
            let mut out = Vec::new();
            for decoder in &decoders {
                out.clear();
                let mut raw = None;
                if decoder.write(&text, &mut out, &mut raw).is_ok() {
                    prop_assert!(std::str::from_utf8(&out).is_ok());
                    prop_assert!(raw.is_none() || out == b"null");
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_bytes_make_a_document_or_its_diffs_panic() {
    // Mostly small numbers: types, counts and offsets that lead somewhere.
    let byte = || prop_oneof![4 => 0..16u8, 1 => any::<u8>()];
    let document = || prop::collection::vec(byte(), 0..80);
    let path = prop_oneof!["(\\$)?(\\.[a-c]|\\[[0-3]\\]|\\[last(-[0-3])?\\]){0,3}", "\\PC{0,6}"];
    let diff = (0..3u8, path, document()).prop_map(|(operation, path, value)| {
        let mut diff = vec![operation, path.len() as u8];
        diff.extend_from_slice(path.as_bytes());
        if operation != 2 {
            diff.push(value.len() as u8);
            diff.extend_from_slice(&value);
        }
        diff
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(6000));
    runner
        .run(
            &(document(), prop::collection::vec(diff, 0..4), document()),
            |(document, diffs, tail)| {
                let mut out = Vec::new();
                let plain = jsonb::write_document(&document, &mut out).is_ok();
                prop_assert!(!plain || std::str::from_utf8(&out).is_ok());
                prop_assert!(out.len() <= 64 + 16 * document.len());
                let mut same = Vec::new();
                prop_assert_eq!(write_updated(&document, b"", &mut same).is_ok(), plain);
                if plain {
                    prop_assert_eq!(&same[1..same.len() - 1], &out[..]);
                }
                let mut diffs = diffs.concat();
                drop(write_updated(&document, &diffs, &mut out));
                diffs.extend_from_slice(&tail);
                drop(write_updated(&document, &diffs, &mut out));
                Ok(())
            },
        )
        .unwrap();
}
