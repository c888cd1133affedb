//! How often each bit is set over many words.

/// Words that are added at once.
const BLOCK: usize = 8;

/// Planes of sums: enough for 2^32 words.
const PLANES: usize = 32;

/// Counts of the 64 bits, kept bit by bit: plane `k` holds bit `k` of all 64 sums, so that one word operation adds to
/// all of them. Eight words are first added up among themselves with carry-save adders (Harley and Seal).
#[derive(Clone, Debug)]
pub(crate) struct BitCounts {
    planes: [u64; PLANES],
    waiting: [u64; BLOCK],
    count: usize,
}

impl BitCounts {
    pub(crate) fn new() -> Self {
        Self { planes: [0; PLANES], waiting: [0; BLOCK], count: 0 }
    }

    /// Counts the bits of a word.
    #[inline]
    pub(crate) fn add(&mut self, word: u64) {
        self.waiting[self.count] = word;
        self.count += 1;
        if self.count == BLOCK {
            self.add_up();
        }
    }

    fn add_up(&mut self) {
        let [a, b, c, d, e, f, g, h] = std::mem::take(&mut self.waiting);
        self.count = 0;
        let [ones, twos, fours, ..] = self.planes;
        let (ones, first) = full_add(ones, a, b);
        let (ones, second) = full_add(ones, c, d);
        let (ones, third) = full_add(ones, e, f);
        let (ones, fourth) = full_add(ones, g, h);
        let (twos, of_four) = full_add(twos, first, second);
        let (twos, of_eight) = full_add(twos, third, fourth);
        let (fours, mut carry) = full_add(fours, of_four, of_eight);
        (self.planes[0], self.planes[1], self.planes[2]) = (ones, twos, fours);
        for plane in &mut self.planes[3..] {
            if carry == 0 {
                break;
            }
            (*plane, carry) = (*plane ^ carry, *plane & carry);
        }
    }

    /// The count of each bit.
    pub(crate) fn finish(mut self) -> [u64; 64] {
        self.add_up();
        let of =
            |bit: usize| self.planes.iter().enumerate().map(|(plane, word)| (word >> bit & 1) << plane).sum();
        std::array::from_fn(of)
    }
}

/// The sum and the carry of three bits, for 64 of them at once.
#[inline]
fn full_add(a: u64, b: u64, c: u64) -> (u64, u64) {
    let either = a ^ b;
    (either ^ c, a & b | either & c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::Random;

    #[test]
    fn bits_are_counted_as_one_by_one() {
        let mut random = Random::new(6);
        for _ in 0..300 {
            let (mut counts, mut expected) = (BitCounts::new(), [0; 64]);
            for _ in 0..random.range::<usize>(0, 90) {
                let word = random.next() & random.next() | random.range::<u64>(0, 2);
                counts.add(word);
                expected.iter_mut().enumerate().for_each(|(bit, count)| *count += word >> bit & 1);
            }
            assert_eq!(counts.finish(), expected);
        }
    }
}
