use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::PrivacyError;

/// Separates this product's derived keys from those of any other use of the same bytes.
const SALT: &[u8] = b"belvedere master key v1";

/// The secret outside the database, without which nothing sealed in it can be read: 32 random bytes.
///
/// Losing it loses every identity and every audit detail; whoever has it and the database has them all.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The key of these bytes, which must be random.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new key from the operating system's random numbers.
    ///
    /// # Errors
    /// [`PrivacyError::MasterKey`] when the system has none to give.
    pub fn generate() -> Result<Self, PrivacyError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| PrivacyError::MasterKey(format!("no random numbers: {error}")))?;
        Ok(Self(bytes))
    }

    /// Reads the key from the file at `path` (64 hexadecimal digits), or makes a new one there.
    ///
    /// The file is readable by its owner alone (0600). Of several processes that start at once, one makes the key and
    /// all use it.
    ///
    /// # Errors
    /// [`PrivacyError::MasterKey`] when the file can be read by others, holds something else, or cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Self, PrivacyError> {
        match Self::load(path)? {
            Some(key) => Ok(key),
            None => {
                Self::generate()?.create(path).map_err(|error| at(path, &error))?;
                // Whoever came first made it.
                Self::load(path)?
                    .ok_or_else(|| PrivacyError::MasterKey(format!("{} vanished", path.display())))
            }
        }
    }

    fn load(path: &Path) -> Result<Option<Self>, PrivacyError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path, &error)),
        };
        let mode = file.metadata().map_err(|error| at(path, &error))?.permissions().mode();
        if mode & 0o077 != 0 {
            let why =
                format!("{} can be read by others (mode {:o}); chmod 600 it", path.display(), mode & 0o777);
            return Err(PrivacyError::MasterKey(why));
        }
        let mut text = String::new();
        file.take(200).read_to_string(&mut text).map_err(|error| at(path, &error))?;
        text.trim().parse().map(Some)
    }

    /// Writes the key beside `path` and links it there, so that a key file is never seen half-written.
    fn create(&self, path: &Path) -> Result<(), std::io::Error> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}", std::process::id()));
        let draft = path.with_file_name(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(self.to_hex().as_bytes())?;
        file.sync_all()?;
        let linked = match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            result => result,
        };
        fs::remove_file(&draft)?;
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        linked
    }

    fn to_hex(&self) -> String {
        let mut text: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        text
    }

    /// A key for one purpose: HKDF-SHA-256 (RFC 5869) of the master key with `label` as info, 32 bytes.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let pseudorandom = hmac_sha256(SALT, &[&self.0]);
        hmac_sha256(&pseudorandom, &[label.as_bytes(), &[1]])
    }
}

/// 64 hexadecimal digits.
impl FromStr for MasterKey {
    type Err = PrivacyError;

    fn from_str(text: &str) -> Result<Self, PrivacyError> {
        let wrong =
            || PrivacyError::MasterKey(format!("not 64 hexadecimal digits but {} characters", text.len()));
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

fn at(path: &Path, error: &std::io::Error) -> PrivacyError {
    PrivacyError::MasterKey(format!("{}: {error}", path.display()))
}

/// HMAC-SHA-256 (RFC 2104) of the concatenated `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    KeyedHash::new(key).hash(parts)
}

/// HMAC-SHA-256 whose key has been absorbed already, which halves the work of short messages.
#[derive(Clone)]
pub(crate) struct KeyedHash(Hmac<Sha256>);

impl KeyedHash {
    pub(crate) fn new(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of every length"))
    }

    pub(crate) fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> std::path::PathBuf {
        let name = belvedere_storage::Id::<()>::generate(belvedere_storage::Timestamp::EPOCH);
        let path = std::env::temp_dir().join(format!("belvedere-master-{name}"));
        fs::create_dir(&path).unwrap();
        path
    }

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_gives_the_standard_value() {
        let mac = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    /// The expected bytes were computed with Python's hmac module.
    #[test]
    fn derived_keys_differ_by_label_and_never_change() {
        let key = MasterKey::from_bytes([7; 32]);
        assert_ne!(key.derive("a"), key.derive("b"));
        assert_eq!(key.derive("vault"), DERIVED_VAULT);
    }

    const DERIVED_VAULT: [u8; 32] = [
        0x02, 0x7a, 0x3a, 0x98, 0x1b, 0x87, 0x61, 0xf7, 0x02, 0x2f, 0xf8, 0x25, 0xbe, 0x7c, 0x33, 0xa9, 0x4f,
        0xed, 0x68, 0x13, 0xfe, 0x9d, 0xf7, 0xc3, 0xb7, 0xef, 0x25, 0xea, 0xcb, 0x91, 0x82, 0x59,
    ];

    #[test]
    fn a_new_file_is_private_and_found_again() {
        let directory = directory();
        let path = directory.join("master.key");
        let key = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::load_or_create(&path).unwrap().0, key.0);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_others_can_read_or_that_holds_no_key_is_refused() {
        let directory = directory();
        let path = directory.join("master.key");
        fs::write(&path, "00".repeat(32)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("mode 640"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "00".repeat(31)).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err().to_string();
        assert_eq!(error, "master key: not 64 hexadecimal digits but 62 characters");
        fs::remove_dir_all(directory).unwrap();
    }
}
