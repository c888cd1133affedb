//! Which ids a segment may have: sorted prefixes of hashes, in a bit over three bytes an id.
//!
//! A prefix that is found by chance costs a look at the segment, so the prefixes are long enough that of a million new
//! ids about one has it.

const MAGIC: &[u8; 4] = b"BVI1";

/// How many ids a bucket has at most on average; with 24 bits after the bucket that is one chance hit in 2^19 or fewer.
const BUCKET_IDS: usize = 32;

/// Hashes of ids, cut to a bucket and 24 bits.
#[derive(Debug, PartialEq)]
pub(crate) struct IdFilter {
    /// The bucket is this many leading bits of a hash.
    bucket_bits: u32,
    /// Where each bucket ends among `rests`.
    ends: Vec<u32>,
    /// The 24 bits after those of the bucket, sorted within a bucket.
    rests: Vec<[u8; 3]>,
}

/// A hash of an id, whose own bits may be a time and hence not spread.
pub(crate) fn hash_of(id: &[u8; 16]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let number = u128::from_le_bytes(*id);
    let mixed = fold(number as u64 ^ 0x9e37_79b9_7f4a_7c15, (number >> 64) as u64 ^ 0xe703_7ed1_a0b4_28db);
    fold(mixed ^ 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3)
}

/// Whether sorted parts of hashes have this one: they are spread evenly, so it lies close to where its number says.
fn has(rests: &[[u8; 3]], rest: [u8; 3]) -> bool {
    let number = |[a, b, c]: [u8; 3]| u32::from_be_bytes([0, a, b, c]);
    let wanted = number(rest);
    let guess = (u64::from(wanted) * rests.len() as u64) >> 24;
    let (before, after) = rests.split_at(guess as usize);
    let mut above = after.iter().map(|rest| number(*rest)).skip_while(|other| *other < wanted);
    let mut below = before.iter().rev().map(|rest| number(*rest)).skip_while(|other| *other > wanted);
    above.next() == Some(wanted) || below.next() == Some(wanted)
}

impl IdFilter {
    pub(crate) fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        let bucket_bits = (hashes.len() / BUCKET_IDS).max(1).ilog2() + 1;
        let mut ends = Vec::with_capacity(1 << bucket_bits);
        let mut rests = Vec::with_capacity(hashes.len());
        for hash in hashes {
            let (bucket, rest) = parts(hash, bucket_bits);
            ends.resize(bucket, u32::try_from(rests.len()).unwrap_or(u32::MAX));
            rests.push(rest);
        }
        ends.resize(1 << bucket_bits, u32::try_from(rests.len()).unwrap_or(u32::MAX));
        Self { bucket_bits, ends, rests }
    }

    /// Whether an id with this hash may be there; `false` is certain.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        let (bucket, rest) = parts(hash, self.bucket_bits);
        let end = |bucket: usize| self.ends.get(bucket).map_or(0, |end| *end as usize);
        let start = bucket.checked_sub(1).map_or(0, end);
        self.rests.get(start..end(bucket)).is_some_and(|rests| has(rests, rest))
    }

    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.ends.len() * 4 + self.rests.len() * 3
    }

    /// Magic, bits of the bucket (u32), count (u32), ends (u32 each), rests, CRC-32 of all; little endian.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.weight() + 16);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.bucket_bits.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.rests.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.ends.iter().for_each(|end| bytes.extend_from_slice(&end.to_le_bytes()));
        bytes.extend_from_slice(self.rests.as_flattened());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// The filter of these bytes, if they are whole and of `count` ids.
    pub(crate) fn from_bytes(bytes: &[u8], count: u64) -> Option<Self> {
        let (bytes, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(bytes) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (bits, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        let (ids, rest) = rest.split_first_chunk::<4>()?;
        let (bucket_bits, ids) = (u32::from_le_bytes(*bits), u32::from_le_bytes(*ids));
        let ends_bytes = 4_usize.checked_shl(bucket_bits).filter(|_| bucket_bits < 32)?;
        let (ends, rests) = rest.split_at_checked(ends_bytes)?;
        let filter = Self {
            bucket_bits,
            ends: ends.as_chunks::<4>().0.iter().map(|end| u32::from_le_bytes(*end)).collect(),
            rests: rests.as_chunks::<3>().0.to_vec(),
        };
        (u64::from(ids) == count && filter.rests.len() as u64 == count).then_some(filter)
    }
}

fn parts(hash: u64, bucket_bits: u32) -> (usize, [u8; 3]) {
    let [_, _, _, _, _, a, b, c] = (hash << bucket_bits >> 40).to_be_bytes();
    ((hash >> (64 - bucket_bits)) as usize, [a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_hardly_anything_else() {
        let id = |number: u64| {
            let mut id = [7; 16];
            id[8..].copy_from_slice(&number.to_be_bytes());
            id
        };
        for count in [0, 1, 31, 100_000] {
            let filter = IdFilter::new((0..count).map(|number| hash_of(&id(number))).collect());
            assert!((0..count).all(|number| filter.may_have(hash_of(&id(number)))));
            let by_chance =
                (count..count + 100_000).filter(|number| filter.may_have(hash_of(&id(*number)))).count();
            assert!(by_chance <= 3, "{by_chance} of 100,000 with {count} ids");
            let bytes = filter.to_bytes();
            assert_eq!(IdFilter::from_bytes(&bytes, count).as_ref(), Some(&filter));
            assert_eq!(IdFilter::from_bytes(&bytes, count + 1), None);
            assert_eq!(IdFilter::from_bytes(&bytes[1..], count), None);
            assert!(bytes.len() as u64 <= 40 + count * 35 / 10, "{} bytes for {count} ids", bytes.len());
        }
    }
}
