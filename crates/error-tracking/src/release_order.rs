//! Which of two releases is the later one.
//!
//! Versions of one package, written as Semantic Versioning has them, follow its rules of precedence
//! (<https://semver.org/>, section 11), with the build code as the last word. Everything else follows the time at
//! which it was first seen.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use belvedere_storage::Timestamp;

/// The longest run of digits that is a number of a version.
const DIGITS_MAX: usize = 18;

/// A release's version taken apart: `package@1.2.3-rc.1+456`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SemanticRelease<'a> {
    /// What stands before the `@`; empty where nothing does.
    pub package: &'a str,
    /// Major, minor, patch and revision; those not written are 0.
    pub numbers: [u64; 4],
    /// What stands after the `-`, between its dots; empty for a release proper.
    pub pre_release: Vec<&'a str>,
    /// What stands after the `+`.
    pub build: Option<&'a str>,
}

impl<'a> SemanticRelease<'a> {
    /// Takes a version apart; `None` for what is no semantic version, such as a commit's hash or a date without dots.
    ///
    /// Accepts a `v` before the numbers, and from one to four numbers; without a package at least two.
    #[must_use]
    pub fn parse(version: &'a str) -> Option<Self> {
        let (package, rest) = version.rsplit_once('@').unwrap_or(("", version));
        let rest = rest.strip_prefix('v').unwrap_or(rest);
        let (rest, build) = match rest.split_once('+') {
            Some((rest, build)) => (rest, Some(build)),
            None => (rest, None),
        };
        let (core, pre_release) = match rest.split_once('-') {
            Some((core, pre_release)) => (core, Some(pre_release)),
            None => (rest, None),
        };
        let mut numbers = [0; 4];
        let mut count = 0;
        for part in core.split('.') {
            let is_number =
                (1..=DIGITS_MAX).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            *numbers.get_mut(count).filter(|_| is_number)? = part.parse().ok()?;
            count += 1;
        }
        let is_word = |text: &&str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let pre_release: Vec<&str> = pre_release.map(|text| text.split('.').collect()).unwrap_or_default();
        let is_sound = pre_release.iter().all(is_word)
            && build.is_none_or(|build| build.split('.').collect::<Vec<_>>().iter().all(is_word))
            && (!package.is_empty() || count > 1);
        is_sound.then_some(Self { package, numbers, pre_release, build })
    }

    /// Precedence between two versions, whatever their packages.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| compare_pre_releases(&self.pre_release, &other.pre_release))
            .then_with(|| compare_builds(self.build, other.build))
    }
}

/// A release proper comes after its pre-releases; of two pre-releases the first identifier that differs decides, and
/// more identifiers come after fewer.
fn compare_pre_releases(left: &[&str], right: &[&str]) -> Ordering {
    match (left, right) {
        ([], []) => Ordering::Equal,
        ([], _) => Ordering::Greater,
        (_, []) => Ordering::Less,
        _ => left
            .iter()
            .zip(right)
            .map(|(left, right)| compare_identifiers(left, right))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left.len().cmp(&right.len())),
    }
}

/// Section 11 leaves build codes out; those of mobile applications are counted up while the version stands still.
fn compare_builds(left: Option<&str>, right: Option<&str>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left
            .split('.')
            .zip(right.split('.'))
            .map(|(left, right)| compare_identifiers(left, right))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| left.split('.').count().cmp(&right.split('.').count())),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

/// Numbers by their value and before words; words by their bytes.
fn compare_identifiers(left: &str, right: &str) -> Ordering {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (number(left), number(right)) {
        (true, true) => {
            let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
            left.len().cmp(&right.len()).then_with(|| left.cmp(right))
        }
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.cmp(right),
    }
}

/// A release as far as its order is concerned: its version and when it was first seen.
pub type Placed<'a> = (&'a str, Timestamp);

/// Which of two releases is the later one; equal only for the same version.
///
/// Two semantic versions of one package compare by precedence, anything else by the time first seen. Between three
/// releases of different kinds this need not be transitive; use [`sort_releases`] for lists.
#[must_use]
pub fn compare_releases(left: Placed<'_>, right: Placed<'_>) -> Ordering {
    let by_precedence = match (SemanticRelease::parse(left.0), SemanticRelease::parse(right.0)) {
        (Some(left), Some(right)) if left.package == right.package => left.precedence(&right),
        _ => Ordering::Equal,
    };
    by_precedence.then_with(|| left.1.cmp(&right.1)).then_with(|| left.0.cmp(right.0))
}

/// Sorts releases, the latest first.
///
/// They stand by the time first seen, and among the places that semantic versions of one package have there, these
/// stand by precedence: a patch of an old line that was released last does not become the newest.
pub fn sort_releases<T>(releases: &mut Vec<T>, placed: impl Fn(&T) -> Placed<'_>) {
    releases.sort_by(|left, right| {
        let (left, right) = (placed(left), placed(right));
        (right.1, right.0).cmp(&(left.1, left.0))
    });
    let mut places_of: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, release) in releases.iter().enumerate() {
        if let Some(semantic) = SemanticRelease::parse(placed(release).0) {
            places_of.entry(semantic.package.to_owned()).or_default().push(index);
        }
    }
    let mut from: Vec<usize> = (0..releases.len()).collect();
    for places in places_of.into_values() {
        let mut sorted = places.clone();
        sorted.sort_by(|left, right| compare_releases(placed(&releases[*right]), placed(&releases[*left])));
        for (place, index) in places.into_iter().zip(sorted) {
            from[place] = index;
        }
    }
    let mut taken: Vec<Option<T>> = releases.drain(..).map(Some).collect();
    releases.extend(from.into_iter().filter_map(|index| taken[index].take()));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn versions_are_taken_apart() {
        let release = SemanticRelease::parse("@scope/shop@v2.14.0-rc.1+build.7").unwrap();
        assert_eq!(release.package, "@scope/shop");
        assert_eq!(release.numbers, [2, 14, 0, 0]);
        assert_eq!(release.pre_release, ["rc", "1"]);
        assert_eq!(release.build, Some("build.7"));
        assert_eq!(SemanticRelease::parse("app@42").unwrap().numbers, [42, 0, 0, 0]);
        assert_eq!(SemanticRelease::parse("1.2.3.4").unwrap().numbers, [1, 2, 3, 4]);
        for other in [
            "",
            "8fea2d6",
            "20261125",
            "shop@",
            "shop@main",
            "shop@1.2.3.4.5",
            "shop@1..2",
            "1.0-",
            "1.0+",
            "a@1.0-x_y",
            "shop@99999999999999999999",
        ] {
            assert_eq!(SemanticRelease::parse(other), None, "{other}");
        }
    }

    #[test]
    fn precedence_is_that_of_semantic_versioning() {
        // The examples of section 11, and what build codes and revisions add.
        let ascending = [
            "app@0.9.0",
            "app@1.0.0-alpha",
            "app@1.0.0-alpha.1",
            "app@1.0.0-alpha.beta",
            "app@1.0.0-beta",
            "app@1.0.0-beta.2",
            "app@1.0.0-beta.11",
            "app@1.0.0-rc.1",
            "app@1.0.0",
            "app@1.0.0+9",
            "app@1.0.0+10",
            "app@1.0.0+10.1",
            "app@1.0.0.1",
            "app@1.0.1",
            "app@1.9.0",
            "app@1.10.0",
            "app@2.0.0",
        ];
        for (index, earlier) in ascending.iter().enumerate() {
            for later in &ascending[index + 1..] {
                // However late the lower version is seen.
                assert_eq!(
                    compare_releases((earlier, at(9)), (later, at(1))),
                    Ordering::Less,
                    "{earlier} {later}"
                );
                assert_eq!(compare_releases((later, at(1)), (earlier, at(9))), Ordering::Greater);
            }
        }
    }

    #[test]
    fn other_names_and_other_packages_follow_the_time_first_seen() {
        assert_eq!(compare_releases(("8fea2d6", at(1)), ("01aa52c", at(2))), Ordering::Less);
        assert_eq!(compare_releases(("api@2.0.0", at(1)), ("web@1.0.0", at(2))), Ordering::Less);
        assert_eq!(compare_releases(("app@2.0.0", at(1)), ("8fea2d6", at(2))), Ordering::Less);
        assert_eq!(compare_releases(("b", at(1)), ("a", at(1))), Ordering::Greater);
        assert_eq!(compare_releases(("a", at(1)), ("a", at(1))), Ordering::Equal);
    }

    #[test]
    fn a_late_patch_of_an_old_line_does_not_become_the_newest() {
        let mut releases =
            vec![("app@1.0.0", at(1)), ("app@2.0.0", at(2)), ("8fea2d6", at(3)), ("app@1.0.1", at(4))];
        sort_releases(&mut releases, |release| *release);
        assert_eq!(
            releases.iter().map(|release| release.0).collect::<Vec<_>>(),
            ["app@2.0.0", "8fea2d6", "app@1.0.1", "app@1.0.0"]
        );
    }

    fn version() -> impl Strategy<Value = String> {
        prop_oneof![
            "(app|web)@[0-2]\\.[0-2](\\.[0-2])?(-(rc|beta)(\\.[0-9]{1,2})?)?(\\+[0-9]{1,2})?",
            "[0-9a-f]{4}",
            ".{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn comparing_is_antisymmetric(left in version(), right in version(), first in 0..5_i64, second in 0..5_i64) {
            let (left, right) = ((left.as_str(), at(first)), (right.as_str(), at(second)));
            prop_assert_eq!(compare_releases(left, right), compare_releases(right, left).reverse());
        }

        #[test]
        fn the_order_of_a_list_does_not_depend_on_how_it_came(
            mut releases in proptest::collection::vec((version(), 0..5_i64), 0..12), seed in any::<prop::sample::Index>(),
        ) {
            releases.sort();
            releases.dedup_by(|left, right| left.0 == right.0);
            let mut turned = releases.clone();
            if !turned.is_empty() {
                let by = seed.index(turned.len());
                turned.rotate_left(by);
            }
            let by = |release: &(String, i64)| -> (String, Timestamp) { (release.0.clone(), at(release.1)) };
            let mut first: Vec<_> = releases.iter().map(by).collect();
            let mut second: Vec<_> = turned.iter().map(by).collect();
            sort_releases(&mut first, |release| (&release.0, release.1));
            sort_releases(&mut second, |release| (&release.0, release.1));
            prop_assert_eq!(&first, &second);
            prop_assert_eq!(first.len(), releases.len());
        }
    }
}
