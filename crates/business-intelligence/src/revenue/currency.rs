//! Currencies, and amounts as people write them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The most minor units of one amount: ten billion of most currencies.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// Currencies without minor unit (ISO 4217, list one).
const NO_DIGITS: [&str; 17] = [
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
    "XOF", "XPF",
];
/// Those with a thousand minor units.
const THREE_DIGITS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of a code of three letters, in capitals or not; none for any other text.
    #[must_use]
    pub fn find(code: &str) -> Option<Self> {
        let letters: [u8; 3] = code.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Self(letters.map(|it| it.to_ascii_uppercase())))
    }

    /// The code in capitals.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimals an amount has: 2 for most (ISO 4217).
    #[must_use]
    pub fn digits(&self) -> u32 {
        let code = self.as_str();
        match code {
            _ if NO_DIGITS.contains(&code) => 0,
            _ if THREE_DIGITS.contains(&code) => 3,
            "CLF" | "UYW" => 4,
            _ => 2,
        }
    }

    /// The minor units of an amount such as `29`, `29.9` or `29.90`; 0 to [`AMOUNT_MINOR_MAX`].
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read_amount(&self, text: &str) -> Result<i64, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(part) || text.ends_with('.') {
            return Err("must be an amount such as 29.90, without sign and separators".to_owned());
        }
        let part = part.trim_end_matches('0');
        let digits = self.digits() as usize;
        if part.len() > digits {
            return Err(format!("has more decimals than {self} has: {digits}"));
        }
        let minor = format!("{whole}{part:0<digits$}").parse::<i64>().ok();
        minor
            .filter(|minor| *minor <= AMOUNT_MINOR_MAX)
            .ok_or_else(|| format!("must be at most {}", self.show(AMOUNT_MINOR_MAX)))
    }

    /// The minor units of an amount as a JSON number, to the nearest; 0 to [`AMOUNT_MINOR_MAX`].
    ///
    /// # Errors
    /// What is wrong with the number.
    pub fn round_amount(&self, amount: f64) -> Result<i64, String> {
        let minor = (amount * f64::from(10_u32.pow(self.digits()))).round();
        if !(0.0..=AMOUNT_MINOR_MAX as f64).contains(&minor) {
            return Err(format!("must be from 0 to {}", self.show(AMOUNT_MINOR_MAX)));
        }
        Ok(minor as i64)
    }

    /// An amount with its decimals, such as `-29.90`.
    #[must_use]
    pub fn show(&self, minor: i64) -> String {
        let (digits, sign) = (self.digits() as usize, if minor < 0 { "-" } else { "" });
        let text = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
        let (whole, part) = text.split_at(text.len() - digits);
        if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Self::find(&code).ok_or_else(|| de::Error::custom("must be an ISO 4217 code such as EUR"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Currency {
        Currency::find(code).unwrap()
    }

    #[test]
    fn amounts_are_read_to_the_minor_unit_and_shown_again() {
        for (code, text, minor, shown) in [
            ("EUR", "29.90", 2_990, "29.90"),
            ("eur", "29.9", 2_990, "29.90"),
            ("USD", "0.05", 5, "0.05"),
            ("JPY", "1200", 1_200, "1200"),
            ("JPY", "1200.00", 1_200, "1200"),
            ("KWD", "1.234", 1_234, "1.234"),
        ] {
            assert_eq!(of(code).read_amount(text), Ok(minor), "{code} {text}");
            assert_eq!(of(code).show(minor), shown);
        }
        assert_eq!(of("EUR").show(-1_205), "-12.05");
        assert_eq!(of("EUR").round_amount(29.99), Ok(2_999));
        assert_eq!(of("EUR").round_amount(0.1 + 0.2), Ok(30));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".5", "5.", "-1", "1,000", "1e3", "12.345", "99999999999999999999", "10000000000.01"]
        {
            assert!(of("EUR").read_amount(text).is_err(), "{text}");
        }
        assert!(of("JPY").read_amount("1.5").unwrap_err().contains("decimals"));
        assert!(of("EUR").round_amount(f64::NAN).is_err());
        assert!(of("EUR").round_amount(-1.0).is_err());
        assert_eq!((Currency::find("EURO"), Currency::find("E1R"), Currency::find("")), (None, None, None));
    }
}
