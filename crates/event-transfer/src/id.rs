//! Ids of events from what a file says.

use sha2::{Digest, Sha256};

/// The id that a row gives: 32 hexadecimal digits, with or without hyphens as a UUID has them, are the id itself; any other
/// text is hashed.
pub(crate) fn given(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    if digits.len() == 32
        && let Ok(number) = u128::from_str_radix(&digits, 16)
    {
        return number.to_be_bytes();
    }
    hashed(b"id", 0, text.as_bytes())
}

/// The id of a row without one: of its place in the file, counted from 1, and its content.
pub(crate) fn of_row(place: u64, content: &[u8]) -> [u8; 16] {
    hashed(b"row", place, content)
}

/// An id as files have it.
pub(crate) fn text(id: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}

fn hashed(kind: &[u8], place: u64, content: &[u8]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(kind);
    hasher.update([0]);
    hasher.update(place.to_be_bytes());
    hasher.update(content);
    let digest: [u8; 32] = hasher.finalize().into();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(into, byte)| *into = byte);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_ids_stay_and_others_are_hashed() {
        let id = given("000102030405060708090a0b0c0d0e0f");
        assert_eq!(id, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(given("00010203-0405-0607-0809-0a0b0c0d0e0f"), id);
        assert_eq!(given(&text(&id)), id);
        assert_ne!(given("message-1"), given("message-2"));
        assert_ne!(of_row(1, b"x"), of_row(2, b"x"));
        assert_ne!(of_row(1, b"x"), of_row(1, b"y"));
        assert_eq!(of_row(1, b"x"), of_row(1, b"x"));
    }
}
