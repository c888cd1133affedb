//! Names and values out of addresses and forms, and back into addresses.

use axum::extract::{Form, FromRequest, FromRequestParts, Query, Request};
use http::Uri;
use http::request::Parts;

use crate::csrf;
use crate::refusal::Refusal;
use crate::session::Visitor;

/// The most pairs that are looked at.
const PAIRS_MAX: usize = 128;

/// The decoded pairs of a query string or of a form.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// The pairs of a query string that stands in a form.
    pub(crate) fn of_query(query: &str) -> Result<Self, Refusal> {
        let unreadable = || Refusal::Invalid("the question cannot be read".to_owned());
        let uri = Uri::try_from(format!("/?{query}")).map_err(|_| unreadable())?;
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| unreadable())?;
        Ok(Self(pairs.0))
    }

    /// The same with one more.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value of `name`, without surrounding white space; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value of `name` as it was sent, for passwords.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().take(PAIRS_MAX).find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The first value of `name` unless it is empty.
    pub(crate) fn some(&self, name: &str) -> Option<String> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// All values of `name` that are not empty.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let pairs = self.0.iter().take(PAIRS_MAX).filter(|(key, _)| key == name);
        pairs.map(|(_, value)| value.trim()).filter(|value| !value.is_empty()).collect()
    }

    /// Whether a check box was ticked.
    pub(crate) fn is_ticked(&self, name: &str) -> bool {
        !self.raw(name).is_empty()
    }

    /// The lines of a text area that are not empty.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        self.raw(name).lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }
}

/// The query string.
impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Query::<Vec<(String, String)>>::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(_) => Err(Refusal::Invalid(
                "the address has a part after the question mark that cannot be read".to_owned(),
            )),
        }
    }
}

/// A form from somebody who is not signed in; it must not come from another site.
pub(crate) struct OpenForm(pub(crate) Pairs);

impl<S: Send + Sync> FromRequest<S> for OpenForm {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return Err(Refusal::Forged);
        }
        match Form::<Vec<(String, String)>>::from_request(request, state).await {
            Ok(Form(pairs)) => Ok(Self(Pairs(pairs))),
            Err(_) => Err(Refusal::Invalid("the form cannot be read".to_owned())),
        }
    }
}

/// A form of a signed-in visitor, whose anti-forgery value has been checked.
pub(crate) struct CheckedForm(pub(crate) Pairs);

impl<S: Send + Sync> FromRequest<S> for CheckedForm {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let token = request.extensions().get::<Visitor>().and_then(|visitor| visitor.principal.csrf.clone());
        let OpenForm(pairs) = OpenForm::from_request(request, state).await?;
        let is_own = token.is_some_and(|token| csrf::verify(&token, pairs.raw("csrf")));
        if is_own { Ok(Self(pairs)) } else { Err(Refusal::Forged) }
    }
}

/// `path` with the pairs whose values are not empty as its query string.
pub(crate) fn address(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (index, (name, value)) in pairs.iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        address.push(if index == 0 { '?' } else { '&' });
        address.push_str(name);
        address.push('=');
        push_escaped(&mut address, value);
    }
    address
}

/// `text` as one part of an address's path.
pub(crate) fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    push_escaped(&mut segment, text);
    segment
}

fn push_escaped(address: &mut String, text: &str) {
    for byte in text.bytes() {
        // The unreserved characters of RFC 3986.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            address.push(char::from(byte));
        } else {
            address.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_escape_values_and_leave_empty_ones_out() {
        let address = address("/p", &[("q", "a&b=ü \"<"), ("empty", ""), ("after", "1~2-3")]);
        assert_eq!(address, "/p?q=a%26b%3D%C3%BC%20%22%3C&after=1~2-3");
    }

    #[test]
    fn lines_are_trimmed_and_empty_ones_left_out() {
        let pairs =
            Pairs(vec![("origins".to_owned(), " https://a.example \r\n\r\nhttps://b.example".to_owned())]);
        assert_eq!(pairs.lines("origins"), ["https://a.example", "https://b.example"]);
        assert_eq!(
            (pairs.text("origin"), pairs.some("origin"), pairs.is_ticked("origins")),
            ("", None, true)
        );
    }
}
