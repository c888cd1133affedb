//! Which blocks cannot contain a text: a Bloom filter over the three-byte sequences of their bodies, and over their
//! traces. (B. H. Bloom, Space/time trade-offs in hash coding with allowable errors, 1970.) A block that the filter
//! lets through may contain the text; one that it stops does not.

/// The largest filter.
const BYTES_MAX: usize = 16 << 10;

const BYTES_MIN: usize = 64;

/// How many bits stand for one sequence.
const PROBES: u32 = 2;

/// A filter that is being filled.
pub(super) struct Trigrams(Vec<u8>);

impl Trigrams {
    /// A filter for about so many bytes of text.
    pub(super) fn for_bytes(bytes: usize) -> Self {
        Self(vec![0; bytes.next_power_of_two().clamp(BYTES_MIN, BYTES_MAX)])
    }

    pub(super) fn add_text(&mut self, text: &str) {
        trigrams(text.as_bytes()).for_each(|hash| self.set(hash));
    }

    pub(super) fn add_trace(&mut self, trace: &[u8; 16]) {
        self.set(of_trace(trace));
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn set(&mut self, hash: u64) {
        for bit in bits(hash, self.0.len()) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }
}

/// What a block must have to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needed(Vec<u64>);

impl Needed {
    pub(super) fn add_text(&mut self, text: &str) {
        self.0.extend(trigrams(text.as_bytes()));
    }

    pub(super) fn add_trace(&mut self, trace: &[u8; 16]) {
        self.0.push(of_trace(trace));
    }

    /// Whether a block with this filter may have all of it.
    pub(super) fn may_be_in(&self, filter: &[u8]) -> bool {
        if !filter.len().is_power_of_two() {
            return true;
        }
        let has = |bit: usize| filter[bit / 8] >> (bit % 8) & 1 == 1;
        self.0.iter().all(|hash| bits(*hash, filter.len()).all(has))
    }
}

/// The sequences of a text, without regard to the case of ASCII letters.
fn trigrams(text: &[u8]) -> impl Iterator<Item = u64> {
    text.windows(3).map(|three| {
        let [a, b, c] = [three[0], three[1], three[2]].map(|byte| u64::from(byte.to_ascii_lowercase()));
        mix(a << 16 | b << 8 | c)
    })
}

fn of_trace(trace: &[u8; 16]) -> u64 {
    let (high, low) = trace.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    mix(number(high) ^ number(low).rotate_left(17) ^ 0x5bd1_e995_0000_0000)
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of `value`.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

fn bits(hash: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let mask = bytes as u64 * 8 - 1;
    (0..PROBES).map(move |probe| usize::try_from(hash >> (probe * 32) & mask).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_block_is_never_stopped_and_most_else_is() {
        let mut filter = Trigrams::for_bytes(40_000);
        for number in 0..400 {
            filter.add_text(&format!("GET /orders/{number} answered 200 in {} ms", number * 7));
        }
        filter.add_trace(&[9; 16]);
        let filter = filter.into_bytes();
        assert_eq!(filter.len(), BYTES_MAX);
        let may = |text: &str| {
            let mut needed = Needed::default();
            needed.add_text(text);
            needed.may_be_in(&filter)
        };
        assert!(may("orders/399") && may("get /ORDERS") && may("us") && may(""));
        assert!(!may("timeout") && !may("payment declined"));
        let may_trace = |trace: [u8; 16]| {
            let mut needed = Needed::default();
            needed.add_trace(&trace);
            needed.may_be_in(&filter)
        };
        assert!(may_trace([9; 16]));
        let false_hits = (0..=255).filter(|byte| *byte != 9 && may_trace([*byte; 16])).count();
        assert!(false_hits < 5, "{false_hits}");
    }
}
