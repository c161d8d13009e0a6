//! Base64 of RFC 4648, section 4, with padding.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Two characters at a time: of twelve bits.
static PAIRS: [[u8; 2]; 4096] = pairs();

const fn pairs() -> [[u8; 2]; 4096] {
    let mut out = [[0; 2]; 4096];
    let mut bits = 0;
    while bits < 4096 {
        out[bits] = [ALPHABET[bits >> 6], ALPHABET[bits & 63]];
        bits += 1;
    }
    out
}

/// Appends the base64 of `bytes`.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + bytes.len().div_ceil(3) * 4, b'=');
    let groups = bytes.chunks_exact(3);
    let rest = groups.remainder();
    let mut fours = out[at..].chunks_exact_mut(4);
    for (group, four) in groups.zip(&mut fours) {
        let (high, low) = pair(u32::from_be_bytes([0, group[0], group[1], group[2]]));
        four.copy_from_slice(&[high[0], high[1], low[0], low[1]]);
    }
    match (rest, fours.next()) {
        (&[a, b], Some(four)) => {
            let (high, low) = pair(u32::from_be_bytes([0, a, b, 0]));
            four[..3].copy_from_slice(&[high[0], high[1], low[0]]);
        }
        (&[a], Some(four)) => four[..2].copy_from_slice(&pair(u32::from_be_bytes([0, a, 0, 0])).0),
        _ => {}
    }
}

/// The characters of twenty-four bits.
#[inline]
fn pair(bits: u32) -> ([u8; 2], [u8; 2]) {
    (PAIRS[(bits >> 12 & 4095) as usize], PAIRS[(bits & 4095) as usize])
}

/// The base64 of `bytes` and as many zero bytes after it as make it `size` long.
pub fn write_padded(bytes: &[u8], size: usize, out: &mut Vec<u8>) {
    if bytes.len() >= size {
        return write_base64(bytes, out);
    }
    let whole = bytes.len() / 3 * 3;
    let (head, rest) = bytes.split_at(whole);
    write_base64(head, out);
    // At most two bytes are left, and groups of three zeros are `AAAA`.
    let mut group = [0; 3];
    group[..rest.len()].copy_from_slice(rest);
    let left = size - whole;
    write_base64(&group[..left.min(3)], out);
    let zeros = left.saturating_sub(3);
    out.resize(out.len() + zeros / 3 * 4, b'A');
    write_base64(&[0; 3][..zeros % 3], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: &[u8]) -> String {
        let mut out = b"x".to_vec();
        write_base64(bytes, &mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn it_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xef, 0xbe]), "/+++");
    }

    #[test]
    fn padding_is_zero_bytes() {
        for length in 0..10 {
            for size in 0..20 {
                let bytes = vec![0xa5; length];
                let mut padded = bytes.clone();
                padded.resize(size.max(length), 0);
                let mut out = Vec::new();
                write_padded(&bytes, size, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), base64(&padded), "{length} in {size}");
            }
        }
    }
}
