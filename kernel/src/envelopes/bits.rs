//! A bitmap as Arrow has it: least significant bit first, bits past the end zero.

#[derive(Default)]
pub struct Bits {
    bytes: Vec<u8>,
    len: usize,
}

impl Bits {
    pub fn ones(len: usize) -> Bits {
        let mut out = Bits {
            bytes: vec![0xff; len.div_ceil(8)],
            len,
        };
        out.truncate(len);
        out
    }

    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len % 8 == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.len % 8);
        }
        self.len += 1;
    }

    pub fn get(&self, at: usize) -> bool {
        self.bytes[at / 8] >> (at % 8) & 1 == 1
    }

    pub fn truncate(&mut self, len: usize) {
        self.len = len;
        self.bytes.truncate(len.div_ceil(8));
        if let (Some(last), rest @ 1..) = (self.bytes.last_mut(), len % 8) {
            *last &= (1 << rest) - 1;
        }
    }

    /// Keeps the first `len` and returns the others.
    pub fn split_off(&mut self, len: usize) -> Bits {
        let mut out = Bits::default();
        for at in len..self.len {
            out.push(self.get(at));
        }
        self.truncate(len);
        out
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn what_is_cut_off_leaves_no_bit_behind() {
        let wanted: Vec<bool> = (0..40).map(|at| at % 3 != 1).collect();
        for cut in 0..=wanted.len() {
            let mut bits = Bits::default();
            wanted.iter().for_each(|&bit| bits.push(bit));
            let tail = bits.split_off(cut);
            assert_eq!((0..cut).map(|at| bits.get(at)).collect::<Vec<_>>(), wanted[..cut]);
            assert_eq!((0..wanted.len() - cut).map(|at| tail.get(at)).collect::<Vec<_>>(), wanted[cut..]);
            bits.push(true);
            assert!(bits.get(cut));
            assert_eq!(
                bits.as_bytes().iter().map(|byte| byte.count_ones()).sum::<u32>() as usize,
                wanted[..cut].iter().filter(|&&bit| bit).count() + 1
            );
        }
        assert_eq!(Bits::ones(11).as_bytes(), [0xff, 0x07]);
    }
}
