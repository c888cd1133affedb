//! Parameters of a request, each once and all of them known.

use super::answer::Refusal;

/// The most parameters of one request.
const PARAMETERS_MAX: usize = 64;

/// Names and values that nobody has asked for yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The pairs of `application/x-www-form-urlencoded` text.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                return Err(Refusal::bad_request("a parameter is not encoded as it must be"));
            };
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::bad_request(format!("{}: is there twice", shown(&name))));
            }
            if pairs.len() == PARAMETERS_MAX {
                return Err(Refusal::bad_request(format!("more than {PARAMETERS_MAX} parameters")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Takes the value of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    /// Takes a parameter that may be left out.
    pub(super) fn find<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Refusal> {
        let value = self.take(name).map(|text| read(&text)).transpose();
        value.map_err(|why| Refusal::bad_request(format!("{name}: {why}")))
    }

    /// Takes a parameter that must be there.
    pub(super) fn require<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Refusal> {
        self.find(name, read)?.ok_or_else(|| Refusal::bad_request(format!("{name}: is required")))
    }

    /// Refuses whatever is left.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Refusal::bad_request(format!("{}: there is no such parameter here", shown(name))))
            }
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(50).collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn text(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains('\0') { Err("must be text".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

pub(super) fn uuid(text: &str) -> Result<[u8; 16], String> {
    belvedere_xapi::value::uuid(text).ok_or_else(|| "must be a UUID".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_must_be_known_and_single() {
        let mut parameters = Parameters::parse("a=1%2B1+x&b=%C3%BC&c").unwrap();
        assert_eq!(parameters.take("a").as_deref(), Some("1+1 x"));
        assert_eq!(parameters.take("b").as_deref(), Some("ü"));
        assert_eq!(parameters.end().unwrap_err().to_string(), "c: there is no such parameter here");
        assert_eq!(parameters.take("c").as_deref(), Some(""));
        assert!(parameters.end().is_ok());
        for wrong in ["a=1&a=2", "a=%", "a=%zz", "a=%ff", "%61=1&a=1"] {
            assert!(Parameters::parse(wrong).is_err(), "{wrong}");
        }
    }
}
