//! Sets of subjects whose numbers share their upper 16 bits, as sorted lists or as bitmaps, whichever is smaller: the
//! containers of a roaring bitmap, kept together by block so that a question reads one block of all sets at a time.

use super::bytes::{Reader, put_u16, put_u32, put_u64};

/// 64-bit words of a bitmap over a block.
pub(crate) const WORDS: usize = 1_024;

/// The most members of a list; a bitmap takes as much from then on.
const LIST_MAX: usize = 4_096;

/// A set of subjects of one block, by the lower 16 bits of their numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Set<'a> {
    /// Ascending.
    List(&'a [u16]),
    /// [`WORDS`] of them.
    Bits { words: &'a [u64], len: u32 },
}

impl Set<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Bits { len, .. } => *len as usize,
        }
    }
}

/// Adds the members of a set to a bitmap.
pub(crate) fn add_set(bits: &mut [u64], set: Set<'_>) {
    match set {
        Set::List(list) => {
            for low in list {
                if let Some(word) = bits.get_mut(usize::from(low >> 6)) {
                    *word |= 1 << (low & 63);
                }
            }
        }
        Set::Bits { words, .. } => bits.iter_mut().zip(words).for_each(|(into, word)| *into |= word),
    }
}

/// How many members a bitmap has.
pub(crate) fn count_bits(bits: &[u64]) -> u64 {
    bits.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Counts members of unions, in memory of its own.
#[derive(Debug)]
pub(crate) struct Union(Vec<u64>);

impl Union {
    pub(crate) fn new() -> Self {
        Self(vec![0; WORDS])
    }

    /// How many members the union of sets has.
    pub(crate) fn count(&mut self, sets: &[Set<'_>]) -> u64 {
        /// So many members cost as much as a look at all words.
        const FEW: usize = 1_000;
        if let [set] = sets {
            return set.len() as u64;
        }
        let members: usize = sets.iter().map(Set::len).sum();
        if members > FEW || sets.iter().any(|set| matches!(set, Set::Bits { .. })) {
            sets.iter().for_each(|set| add_set(&mut self.0, *set));
            let count = count_bits(&self.0);
            self.0.fill(0);
            return count;
        }
        let mut count = 0;
        let lists = || sets.iter().flat_map(|set| if let Set::List(list) = set { *list } else { &[] });
        for low in lists() {
            if let Some(word) = self.0.get_mut(usize::from(low >> 6)) {
                count += !(*word >> (low & 63)) & 1;
                *word |= 1 << (low & 63);
            }
        }
        for low in lists() {
            if let Some(word) = self.0.get_mut(usize::from(low >> 6)) {
                *word = 0;
            }
        }
        count
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct SetAt {
    cell: u32,
    len: u32,
    /// Where it begins among lists or words.
    at: u32,
}

/// The subjects of one block in every cell that has any.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Block {
    /// The upper 16 bits of their numbers.
    pub(crate) key: u16,
    sets: Vec<SetAt>,
    lists: Vec<u16>,
    words: Vec<u64>,
}

impl Block {
    pub(crate) fn new(key: u16) -> Self {
        Self { key, ..Self::default() }
    }

    /// Adds the set of a cell, ascending.
    pub(crate) fn push(&mut self, cell: u32, members: &[u16]) {
        let len = members.len() as u32;
        if members.len() <= LIST_MAX {
            self.sets.push(SetAt { cell, len, at: self.lists.len() as u32 });
            self.lists.extend_from_slice(members);
            return;
        }
        let at = self.words.len();
        self.sets.push(SetAt { cell, len, at: at as u32 });
        self.words.resize(at + WORDS, 0);
        add_set(self.words.get_mut(at..).unwrap_or_default(), Set::List(members));
    }

    /// How many sets there are.
    pub(crate) fn len(&self) -> usize {
        self.sets.len()
    }

    /// The cells and their sets.
    pub(crate) fn sets(&self) -> impl Iterator<Item = (u32, Set<'_>)> {
        self.sets.iter().map(|set| {
            let at = set.at as usize;
            let members = if set.len as usize <= LIST_MAX {
                Set::List(self.lists.get(at..at + set.len as usize).unwrap_or_default())
            } else {
                Set::Bits { words: self.words.get(at..at + WORDS).unwrap_or_default(), len: set.len }
            };
            (set.cell, members)
        })
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.sets.len() * size_of::<SetAt>() + self.lists.len() * 2 + self.words.len() * 8
    }

    /// Number, then cell and length of each set, then their members: the gaps of a list, the words of a bitmap.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes =
            Vec::with_capacity(4 + self.sets.len() * 8 + self.lists.len() * 2 + self.words.len() * 8);
        put_u32(&mut bytes, self.sets.len() as u32);
        for set in &self.sets {
            put_u32(&mut bytes, set.cell);
            put_u32(&mut bytes, set.len);
        }
        for (_, set) in self.sets() {
            match set {
                Set::List(list) => {
                    let mut before = 0;
                    for low in list {
                        put_u16(&mut bytes, low.wrapping_sub(before));
                        before = *low;
                    }
                }
                Set::Bits { words, .. } => words.iter().for_each(|word| put_u64(&mut bytes, *word)),
            }
        }
        bytes
    }

    /// The block of those bytes, unless they are none or name a cell beyond `cells`.
    pub(crate) fn from_bytes(key: u16, bytes: &[u8], cells: usize) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(8)?;
        let mut heads = Vec::with_capacity(count);
        for _ in 0..count {
            let (cell, len) = (reader.u32()?, reader.u32()?);
            if cell as usize >= cells || len == 0 || len > 1 << 16 {
                return None;
            }
            heads.push((cell, len));
        }
        let mut block = Self::new(key);
        for (cell, len) in heads {
            if len as usize <= LIST_MAX {
                block.sets.push(SetAt { cell, len, at: block.lists.len() as u32 });
                let mut before = 0_u16;
                for place in 0..len {
                    let low = before.checked_add(reader.u16()?)?;
                    if place > 0 && low == before {
                        return None;
                    }
                    block.lists.push(low);
                    before = low;
                }
            } else {
                let at = block.words.len();
                block.sets.push(SetAt { cell, len, at: at as u32 });
                for _ in 0..WORDS {
                    block.words.push(reader.u64()?);
                }
                if count_bits(block.words.get(at..)?) != u64::from(len) {
                    return None;
                }
            }
        }
        reader.is_at_end().then_some(block)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tests::fixtures::Random;

    fn members(random: &mut Random) -> BTreeSet<u16> {
        let count = [0, 1, 3, 40, 4_095, 4_096, 4_097, 30_000][random.below(8) as usize];
        (0..count).map(|_| random.below(1 << 16) as u16).chain([u16::MAX]).collect()
    }

    fn list(set: Set<'_>) -> BTreeSet<u16> {
        let mut bits = vec![0; WORDS];
        add_set(&mut bits, set);
        let all: BTreeSet<u16> =
            (0..=u16::MAX).filter(|low| bits[usize::from(low >> 6)] >> (low & 63) & 1 == 1).collect();
        assert_eq!((set.len() as u64, all.len()), (count_bits(&bits), set.len()));
        all
    }

    #[test]
    fn sets_come_back_from_a_block_and_from_its_bytes() {
        let mut random = Random(11);
        for _ in 0..60 {
            let sets: Vec<BTreeSet<u16>> = (0..random.below(6)).map(|_| members(&mut random)).collect();
            let mut block = Block::new(3);
            for (cell, set) in (0..).zip(&sets) {
                block.push(cell, &set.iter().copied().collect::<Vec<_>>());
            }
            let read: Vec<_> = block.sets().map(|(_, set)| list(set)).collect();
            assert_eq!(read, sets);
            let bytes = block.to_bytes();
            assert_eq!(Block::from_bytes(3, &bytes, sets.len()), Some(block.clone()));
            assert!(sets.is_empty() || Block::from_bytes(3, &bytes, sets.len() - 1).is_none());
            assert_eq!(Block::from_bytes(3, &bytes[..bytes.len() - 1], sets.len()), None);
            let union: BTreeSet<u16> = sets.iter().flatten().copied().collect();
            let all: Vec<Set<'_>> = block.sets().map(|(_, set)| set).collect();
            let mut counter = Union::new();
            assert_eq!(counter.count(&all), union.len() as u64);
            assert_eq!(counter.count(&all), union.len() as u64);
        }
    }
}
