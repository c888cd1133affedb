/// Which edition of the specification a request follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// 1.0.x, as 1.0.3 words it.
    One,
    /// 2.0.x (IEEE 9274.1.1).
    Two,
}

impl Version {
    /// The edition that a value of `X-Experience-API-Version`, or of a statement's `version`, names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (edition, patch) = match text.split_at_checked(3)? {
            ("1.0", patch) => (Self::One, patch),
            ("2.0", patch) => (Self::Two, patch),
            _ => return None,
        };
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        (patch.is_empty() || patch.strip_prefix('.').is_some_and(is_number)).then_some(edition)
    }

    /// The newest version of the edition, as answers name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "1.0.3",
            Self::Two => "2.0.0",
        }
    }

    /// What a statement without a version counts as.
    #[must_use]
    pub fn of_statements(self) -> &'static str {
        match self {
            Self::One => "1.0.0",
            Self::Two => "2.0.0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_an_edition() {
        for (text, version) in [
            ("1.0", Some(Version::One)),
            ("1.0.3", Some(Version::One)),
            ("1.0.12", Some(Version::One)),
            ("2.0.0", Some(Version::Two)),
            ("2.0", Some(Version::Two)),
            ("0.9", None),
            ("1.1", None),
            ("1.0.", None),
            ("1.0.x", None),
            ("", None),
            ("2.1.0", None),
            ("10", None),
        ] {
            assert_eq!(Version::parse(text), version, "{text}");
        }
    }
}
