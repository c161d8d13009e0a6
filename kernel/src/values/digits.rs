//! Integers as decimal digits.

const PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut out = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        out[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    out
}

/// Appends an integer.
#[inline]
pub fn write_integer<I: itoa::Integer>(value: I, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Puts two digits of a number below a hundred at a place of a text that has room for them.
#[inline]
pub fn write_padded2(text: &mut [u8], at: usize, value: u32) {
    if let (Some(room), Some(pair)) = (text.get_mut(at..at + 2), PAIRS.get(value as usize)) {
        room.copy_from_slice(pair);
    }
}

/// Fills the whole room with a number's last digits, zeros before it.
#[inline]
pub fn fill(room: &mut [u8], mut value: u32) {
    let mut pairs = room.rchunks_exact_mut(2);
    for pair in &mut pairs {
        pair.copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if let [digit] = pairs.into_remainder() {
        *digit = b'0' + (value % 10) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_filled_from_its_end() {
        for (count, value, text) in [(1, 7, "7"), (2, 7, "07"), (3, 123, "123"), (9, 1_000_002, "001000002"), (0, 0, "")] {
            let mut room = vec![b'x'; count];
            fill(&mut room, value);
            assert_eq!(room, text.as_bytes());
        }
    }
}
