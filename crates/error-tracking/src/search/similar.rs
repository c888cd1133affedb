//! How alike two issues are: frames and words in common, with the reason in words. No I/O.

use std::collections::BTreeSet;

use belvedere_storage::Timestamp;

use super::model::SimilarIssue;
use super::words::words_of;
use crate::IssueId;

/// From how many percent on an issue is worth showing.
const PERCENT_MIN: u8 = 40;

/// How many are shown.
const SIMILAR_MAX: usize = 5;

/// An issue as it is compared.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) id: IssueId,
    pub(crate) number: i64,
    pub(crate) title: String,
    pub(crate) events: u64,
    pub(crate) last_seen: Timestamp,
    /// The values that its events were grouped by, one a line.
    pub(crate) grouping_values: String,
}

/// Those of `candidates` that look like `issue`, the most alike first. `kind` is the type of exception that they share,
/// if they do.
///
/// Frames in common count 60 of 100, words of the title 40, each as the share of what either has (Jaccard's index);
/// without frames on either side the words count alone.
pub(crate) fn rank(issue: &Candidate, candidates: Vec<Candidate>, kind: Option<&str>) -> Vec<SimilarIssue> {
    let (own_frames, own_words) = (frames(issue), title_words(issue));
    let compare = |candidate: Candidate| {
        let (frames, words) = (frames(&candidate), title_words(&candidate));
        let (common, either) = overlap(&own_frames, &frames);
        let (common_words, either_words) = overlap(&own_words, &words);
        let of_words = share(common_words, either_words);
        let percent = match (own_frames.is_empty(), frames.is_empty()) {
            (true, true) => of_words,
            (true, false) | (false, true) => of_words * 40 / 100,
            (false, false) => (share(common, either) * 60 + of_words * 40) / 100,
        };
        let mut reasons = Vec::new();
        reasons.extend(kind.map(|kind| format!("the same type {kind}")));
        if common > 0 {
            reasons.push(format!("{common} of {either} frames in common"));
        }
        if common_words > 0 {
            reasons.push(format!("{common_words} of {either_words} words of the titles"));
        }
        SimilarIssue {
            id: candidate.id,
            number: candidate.number,
            title: candidate.title,
            events: candidate.events,
            last_seen: candidate.last_seen,
            percent: u8::try_from(percent).unwrap_or(100),
            reason: reasons.join(", "),
        }
    };
    let others = candidates.into_iter().filter(|candidate| candidate.id != issue.id);
    let mut similar: Vec<SimilarIssue> =
        others.map(compare).filter(|similar| similar.percent >= PERCENT_MIN).collect();
    similar.sort_by_key(|similar| (std::cmp::Reverse(similar.percent), std::cmp::Reverse(similar.last_seen)));
    similar.truncate(SIMILAR_MAX);
    similar
}

fn frames(candidate: &Candidate) -> BTreeSet<&str> {
    candidate.grouping_values.lines().filter_map(|line| line.strip_prefix("frame: ")).collect()
}

/// Words without digits: ids and amounts tell nothing.
fn title_words(candidate: &Candidate) -> BTreeSet<String> {
    let has_digit = |word: &String| word.bytes().any(|byte| byte.is_ascii_digit());
    words_of(&candidate.title).into_iter().filter(|word| !has_digit(word)).collect()
}

fn overlap<T: Ord>(left: &BTreeSet<T>, right: &BTreeSet<T>) -> (usize, usize) {
    let common = left.intersection(right).count();
    (common, left.len() + right.len() - common)
}

fn share(part: usize, whole: usize) -> usize {
    (part * 100).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use belvedere_storage::Id;

    use super::*;

    fn candidate(number: u8, title: &str, frames: &[&str]) -> Candidate {
        Candidate {
            id: Id::from_bytes([number; 16]),
            number: i64::from(number),
            title: title.to_owned(),
            events: 1,
            last_seen: Timestamp::EPOCH,
            grouping_values: frames.iter().map(|frame| format!("frame: {frame}\n")).collect(),
        }
    }

    #[test]
    fn frames_and_words_in_common_rank_and_explain() {
        let issue = candidate(1, "KeyError: 'status' of order 17", &["a", "b", "c"]);
        let others = vec![
            candidate(1, "itself", &["a", "b", "c"]),
            candidate(2, "KeyError: 'status' of order 4711", &["a", "b", "d"]),
            candidate(3, "KeyError: 'name'", &["x", "y"]),
            candidate(4, "KeyError: 'state' of order", &["a", "b", "c"]),
        ];
        let ranked: Vec<(i64, u8)> =
            rank(&issue, others.clone(), Some("KeyError")).iter().map(|it| (it.number, it.percent)).collect();
        // 4: all frames (60) and 5 of 7 words (28); 2: half of the frames (30) and all words (40).
        assert_eq!(ranked, [(4, 88), (2, 70)]);
        assert_eq!(
            rank(&issue, others, Some("KeyError"))[1].reason,
            "the same type KeyError, 2 of 4 frames in common, 6 of 6 words of the titles"
        );
    }

    #[test]
    fn messages_are_compared_by_their_words() {
        let issue = candidate(1, "could not reach the cache, retrying", &[]);
        let ranked = rank(&issue, vec![candidate(2, "could not reach the queue, retrying", &[])], None);
        assert_eq!((ranked[0].percent, ranked[0].reason.as_str()), (71, "5 of 7 words of the titles"));
    }
}
