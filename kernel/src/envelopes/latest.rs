//! The last row of each key.

use xxhash_rust::xxh3::xxh3_64;

use super::bits::Bits;
use super::column::Column;

/// Which of `len` rows are the last of their key, if any row is not. A row whose key is NULL stands alone.
pub fn latest(keys: &Column, len: usize) -> Option<Bits> {
    const FREE: u32 = u32::MAX;
    let mask = (len * 2).next_power_of_two().max(2) - 1;
    let mut places = vec![FREE; mask + 1];
    let mut superseded = Vec::new();
    for row in 0..len {
        let Some(key) = keys.varied(row) else { continue };
        let mut place = xxh3_64(key) as usize & mask;
        loop {
            let held = places[place];
            if held == FREE {
                break;
            }
            if keys.varied(held as usize) == Some(key) {
                superseded.push(held as usize);
                break;
            }
            place = (place + 1) & mask;
        }
        places[place] = row as u32;
    }
    if superseded.is_empty() {
        return None;
    }
    superseded.sort_unstable();
    let mut out = Bits::default();
    let mut gone = superseded.into_iter().peekable();
    for row in 0..len {
        out.push(gone.next_if_eq(&row).is_none());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::latest;
    use crate::envelopes::column::Column;
    use crate::envelopes::forms::Form;

    fn kept(keys: &[Option<&str>]) -> Vec<bool> {
        let mut column = Column::new(&Form::Text { size_bytes_max: 1 });
        for key in keys {
            match key {
                Some(key) => column.push_bytes(key.as_bytes()),
                None => column.push_null(),
            }
        }
        match latest(&column, keys.len()) {
            None => vec![true; keys.len()],
            Some(bits) => (0..keys.len()).map(|at| bits.get(at)).collect(),
        }
    }

    #[test]
    fn only_the_last_row_of_a_key_is_kept() {
        assert!(kept(&[]).is_empty());
        assert_eq!(kept(&[Some("a"), Some("b")]), [true, true]);
        assert_eq!(
            kept(&[Some("a"), Some("b"), Some("a"), Some("a"), Some("")]),
            [false, true, false, true, true]
        );
        assert_eq!(kept(&[None, Some("a"), None, Some("a")]), [true, false, true, true]);
    }

    #[test]
    fn many_keys_find_their_places() {
        let names: Vec<String> = (0..3000).map(|at| format!("key {}", at % 1000)).collect();
        let keys: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        assert_eq!(kept(&keys), (0..3000).map(|at| at >= 2000).collect::<Vec<_>>());
    }
}
