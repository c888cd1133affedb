//! A set of subjects, such as a cohort.

/// A set of dense subject ids, one bit for each id up to the greatest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectSet {
    words: Vec<u64>,
}

impl SubjectSet {
    /// Adds a subject.
    pub fn insert(&mut self, subject: u32) {
        let word = subject as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (subject % 64);
    }

    /// Whether a subject is in the set.
    #[must_use]
    pub fn contains(&self, subject: u32) -> bool {
        self.words.get(subject as usize / 64).is_some_and(|word| word >> (subject % 64) & 1 == 1)
    }

    /// Takes a subject out; whether it was in the set.
    pub fn remove(&mut self, subject: u32) -> bool {
        let is_there = self.contains(subject);
        if is_there {
            self.words[subject as usize / 64] &= !(1 << (subject % 64));
        }
        is_there
    }

    /// Keeps the subjects that are in the other set as well.
    pub fn intersect(&mut self, other: &Self) {
        let rest = other.words.iter().chain(std::iter::repeat(&0));
        self.words.iter_mut().zip(rest).for_each(|(word, other)| *word &= other);
    }

    /// Adds the subjects of the other set.
    pub fn unite(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// The subjects in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().zip((0_u32..).step_by(64)).flat_map(|(word, first)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
        })
    }

    /// Number of subjects.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether there is no subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }
}

impl FromIterator<u32> for SubjectSet {
    fn from_iter<I: IntoIterator<Item = u32>>(subjects: I) -> Self {
        let mut set = Self::default();
        for subject in subjects {
            set.insert(subject);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_nothing_else() {
        let set: SubjectSet = [0, 63, 64, 1_000].into_iter().collect();
        let held: Vec<u32> = (0..2_000).filter(|&subject| set.contains(subject)).collect();
        assert_eq!(held, [0, 63, 64, 1_000]);
        assert_eq!(set.len(), 4);
        assert!(SubjectSet::default().is_empty() && !set.is_empty());
    }

    #[test]
    fn sets_are_put_together_and_taken_apart() {
        let of = |subjects: &[u32]| subjects.iter().copied().collect::<SubjectSet>();
        let (few, many) = (of(&[1, 64]), of(&[0, 1, 65, 900]));
        let (mut both, mut any) = (few.clone(), few.clone());
        both.intersect(&many);
        any.unite(&many);
        assert_eq!(both.iter().collect::<Vec<_>>(), [1]);
        assert_eq!(any.iter().collect::<Vec<_>>(), [0, 1, 64, 65, 900]);
        let mut longer = many;
        longer.intersect(&few);
        assert_eq!(longer.iter().collect::<Vec<_>>(), [1]);
        assert!(any.remove(900) && !any.remove(900) && !any.remove(100_000));
        assert_eq!(any.iter().collect::<Vec<_>>(), [0, 1, 64, 65]);
    }
}
