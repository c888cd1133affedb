//! Where a list goes on: what was asked for, resolved to keys that name nobody, and a seal that only this installation
//! can make.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use belvedere_kernel::XapiKey;
use belvedere_storage::Id;

use crate::secrets::Secrets;
use crate::statement::Format;

const VERSION: u8 = 1;
const SEAL_LEN: usize = 16;

/// A question for statements, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Each condition: keys of which one must fit.
    pub(crate) conditions: Vec<Vec<i64>>,
    /// Keys of which one must have stored it; empty for any.
    pub(crate) authorities: Vec<Id<XapiKey>>,
    /// The first instant and the last, both included.
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) ascending: bool,
    pub(crate) limit: usize,
    pub(crate) format: Format,
    pub(crate) attachments: bool,
}

impl Plan {
    /// The rest of the list as text for an address, for the same key only.
    pub(crate) fn seal(&self, secrets: &Secrets, key: Id<XapiKey>) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(key.to_bytes());
        let format = match self.format {
            Format::Exact => 0,
            Format::Ids => 1,
            Format::Canonical => 2,
        };
        bytes.push(format | u8::from(self.ascending) << 2 | u8::from(self.attachments) << 3);
        bytes.extend(u32::try_from(self.limit).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.last.to_be_bytes());
        bytes.push(u8::try_from(self.authorities.len()).unwrap_or(u8::MAX));
        self.authorities.iter().take(255).for_each(|key| bytes.extend(key.to_bytes()));
        for condition in &self.conditions {
            bytes.push(u8::try_from(condition.len()).unwrap_or(u8::MAX));
            condition.iter().for_each(|key| bytes.extend(key.to_be_bytes()));
        }
        let seal = secrets.seal(&bytes);
        bytes.extend(seal);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The reverse; none if it was not made by [`Plan::seal`] for this key.
    pub(crate) fn open(text: &str, secrets: &Secrets, key: Id<XapiKey>) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (token, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_LEN)?)?;
        if !secrets.is_sealed(token, seal) {
            return None;
        }
        let mut rest = token;
        let mut take = |length: usize| {
            let (taken, others) = rest.split_at_checked(length)?;
            rest = others;
            Some(taken)
        };
        let is_ours = take(1)? == [VERSION] && take(16)? == key.to_bytes();
        let flags = *take(1)?.first()?;
        let limit = u32::from_be_bytes(*take(4)?.first_chunk()?) as usize;
        let first = i64::from_be_bytes(*take(8)?.first_chunk()?);
        let last = i64::from_be_bytes(*take(8)?.first_chunk()?);
        let count = usize::from(*take(1)?.first()?);
        let authorities =
            take(count * 16)?.as_chunks::<16>().0.iter().map(|key| Id::from_bytes(*key)).collect();
        let mut conditions = Vec::new();
        while let Some(count) = take(1).and_then(<[u8]>::first) {
            let keys = take(usize::from(*count) * 8)?;
            conditions.push(keys.as_chunks::<8>().0.iter().map(|key| i64::from_be_bytes(*key)).collect());
        }
        let format = match flags & 3 {
            0 => Format::Exact,
            1 => Format::Ids,
            _ => Format::Canonical,
        };
        let (ascending, attachments) = (flags & 4 != 0, flags & 8 != 0);
        is_ours.then_some(Self {
            conditions,
            authorities,
            first,
            last,
            ascending,
            limit,
            format,
            attachments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_for_a_key_opens_for_it() {
        let secrets = Secrets::new([7; 32]);
        let plan = Plan {
            conditions: vec![vec![1, -2], vec![i64::MIN]],
            authorities: vec![Id::from_bytes([3; 16])],
            first: -5,
            last: 1_795_435_445_250_001,
            ascending: true,
            limit: 50,
            format: Format::Canonical,
            attachments: true,
        };
        let key = Id::from_bytes([1; 16]);
        let text = plan.seal(&secrets, key);
        assert_eq!(Plan::open(&text, &secrets, key), Some(plan));
        assert_eq!(Plan::open(&text, &secrets, Id::from_bytes([2; 16])), None);
        assert_eq!(Plan::open(&text, &Secrets::new([8; 32]), key), None);
        for at in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'Q' } else { b'A' };
            assert_eq!(Plan::open(&String::from_utf8(altered).unwrap(), &secrets, key), None, "{at}");
        }
        assert_eq!(Plan::open("", &secrets, key), None);
    }
}
