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
}
