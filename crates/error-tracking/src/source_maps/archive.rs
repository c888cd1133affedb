//! Bundles as sentry-cli uploads them: 8 bytes (`SYSB` and a version), then a ZIP with `manifest.json` in it.
//!
//! Only what a bundle needs of APPNOTE.TXT 6.3: no encryption, no parts, no ZIP64; stored and deflated files. The
//! directory at the end is what counts. Nothing is ever written to a path that an archive names; such names are
//! refused all the same, because they are no mistake.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, SeekFrom};

use serde::Deserialize;

use super::debug_id::DebugId;
use super::model::FileKind;

/// The most files of one bundle.
pub(crate) const FILES_MAX: usize = 10_000;

/// The largest file of a bundle, unpacked.
pub(crate) const FILE_BYTES_MAX: u64 = 48 << 20;

/// All files of a bundle together, unpacked.
pub(crate) const UNPACKED_BYTES_MAX: u64 = 1 << 30;

/// How much larger than in the archive a file of more than a megabyte may become. Scripts and maps shrink to a third
/// or a fifth; deflate at its utmost to a thousandth.
const RATIO_MAX: u64 = 100;
const RATIO_FROM_BYTES: u64 = 1 << 20;

/// The largest directory, which is read whole.
const DIRECTORY_BYTES_MAX: u64 = 4 << 20;

/// The largest manifest, unpacked.
const MANIFEST_BYTES_MAX: u64 = 8 << 20;

/// The longest name or address of a file, in bytes.
const NAME_BYTES_MAX: usize = 1_000;

/// Why an archive is no bundle.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidBundle {
    /// It is not a ZIP archive, or a damaged one.
    #[error("not a bundle: {0}")]
    Damaged(&'static str),
    /// A name that leads out of the archive.
    #[error("the file name {0:?} leads out of the bundle")]
    Path(String),
    /// Two files of one name.
    #[error("the file name {0:?} occurs twice")]
    Repeated(String),
    /// It is larger than it may be.
    #[error("{what} of more than {max} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit in bytes.
        max: u64,
    },
    /// There are more files than there may be.
    #[error("more than {FILES_MAX} files")]
    TooManyFiles,
    /// It grows like a bomb.
    #[error("the file {0:?} unpacks to more than {RATIO_MAX} times its size")]
    Bomb(String),
    /// The manifest cannot be read.
    #[error("manifest.json: {0}")]
    Manifest(String),
    /// Reading failed, by no fault of the bundle.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// A file that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundledFile {
    pub(crate) kind: FileKind,
    /// `~/main.js`, or a whole address.
    pub(crate) url: String,
    pub(crate) debug_id: Option<DebugId>,
    /// Where its map is, relative to `url`.
    pub(crate) map_reference: Option<String>,
    name: String,
}

/// What the manifest says.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) release: Option<String>,
    pub(crate) dist: Option<String>,
    /// In the order of their names.
    pub(crate) files: Vec<BundledFile>,
    /// How many files of kinds that resolve nothing were passed over.
    pub(crate) files_left_out: usize,
}

#[derive(Deserialize)]
struct RawManifest {
    #[serde(default)]
    files: BTreeMap<String, RawFile>,
    release: Option<String>,
    dist: Option<String>,
}

#[derive(Deserialize)]
struct RawFile {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    url: String,
    #[serde(default)]
    headers: HashMap<String, String>,
}

/// Where a file is in the archive.
#[derive(Debug, Clone, Copy)]
struct Place {
    header_at: u64,
    packed: u64,
    unpacked: u64,
    crc: u32,
    is_deflated: bool,
}

/// An open bundle.
pub(crate) struct Archive<R> {
    reader: R,
    places: HashMap<String, Place>,
    unpacked: u64,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the directory of an archive of `length` bytes.
    ///
    /// # Errors
    /// [`InvalidBundle`].
    pub(crate) fn open(mut reader: R, length: u64) -> Result<Self, InvalidBundle> {
        let tail_length = length.min(22 + 0xffff);
        let tail = read_at(&mut reader, length - tail_length, tail_length)?;
        let end =
            memchr::memmem::rfind(&tail, b"PK\x05\x06").ok_or(InvalidBundle::Damaged("no ZIP archive"))?;
        let record = tail.get(end..end + 22).ok_or(InvalidBundle::Damaged("its end is missing"))?;
        let (count, size, offset) =
            (u16_at(record, 10), u64::from(u32_at(record, 12)), u64::from(u32_at(record, 16)));
        if size == 0xffff_ffff || offset == 0xffff_ffff || count == 0xffff {
            return Err(InvalidBundle::Damaged("ZIP64 archives are not read"));
        }
        if usize::from(count) > FILES_MAX + 1 {
            return Err(InvalidBundle::TooManyFiles);
        }
        if size > DIRECTORY_BYTES_MAX {
            return Err(InvalidBundle::TooLarge { what: "a directory".to_owned(), max: DIRECTORY_BYTES_MAX });
        }
        let end_at = length - tail_length + end as u64;
        let start = end_at.checked_sub(size).ok_or(InvalidBundle::Damaged("its directory is missing"))?;
        // Places count from where the archive began before something was put in front of it.
        let shift = start.checked_sub(offset).ok_or(InvalidBundle::Damaged("its directory is elsewhere"))?;
        let directory = read_at(&mut reader, start, size)?;
        let places = read_directory(&directory, usize::from(count), shift)?;
        Ok(Self { reader, places, unpacked: 0 })
    }

    /// Reads `manifest.json`; the names in it are checked against the directory.
    ///
    /// # Errors
    /// [`InvalidBundle`].
    pub(crate) fn read_manifest(&mut self) -> Result<Manifest, InvalidBundle> {
        let place =
            *self.places.get("manifest.json").ok_or(InvalidBundle::Manifest("is missing".to_owned()))?;
        let bytes = self.unpack("manifest.json", place, MANIFEST_BYTES_MAX)?;
        let raw: RawManifest =
            serde_json::from_slice(&bytes).map_err(|error| InvalidBundle::Manifest(error.to_string()))?;
        if raw.files.len() > FILES_MAX {
            return Err(InvalidBundle::TooManyFiles);
        }
        let mut manifest = Manifest { release: raw.release, dist: raw.dist, ..Manifest::default() };
        for (name, file) in raw.files {
            check_name(&name)?;
            if !self.places.contains_key(&name) {
                return Err(InvalidBundle::Manifest(format!("names {name:?}, which is not in the bundle")));
            }
            let kind = match file.kind.as_deref() {
                Some("minified_source") => FileKind::Script,
                Some("source_map") => FileKind::Map,
                Some("source") => FileKind::Source,
                _ => {
                    manifest.files_left_out += 1;
                    continue;
                }
            };
            let header = |name: &str| {
                let found = file.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
            };
            let debug_id = header("debug-id").map(|text| {
                text.parse()
                    .map_err(|error| InvalidBundle::Manifest(format!("debug-id of {name:?}: {error}")))
            });
            let map_reference = header("sourcemap").or_else(|| header("x-sourcemap")).map(str::to_owned);
            if file.url.len() > NAME_BYTES_MAX
                || map_reference.as_ref().is_some_and(|url| url.len() > NAME_BYTES_MAX)
            {
                return Err(InvalidBundle::Manifest(format!(
                    "the address of {name:?} is longer than {NAME_BYTES_MAX} bytes"
                )));
            }
            manifest.files.push(BundledFile {
                kind,
                url: file.url,
                debug_id: debug_id.transpose()?,
                map_reference,
                name,
            });
        }
        Ok(manifest)
    }

    /// Unpacks a file of the manifest.
    ///
    /// # Errors
    /// [`InvalidBundle`].
    pub(crate) fn read_file(&mut self, file: &BundledFile) -> Result<Vec<u8>, InvalidBundle> {
        let place = *self.places.get(&file.name).ok_or(InvalidBundle::Damaged("a file is missing"))?;
        self.unpack(&file.name, place, FILE_BYTES_MAX)
    }

    fn unpack(&mut self, name: &str, place: Place, bytes_max: u64) -> Result<Vec<u8>, InvalidBundle> {
        if place.unpacked > bytes_max {
            return Err(InvalidBundle::TooLarge { what: format!("the file {name:?}"), max: bytes_max });
        }
        if place.unpacked > RATIO_FROM_BYTES && place.unpacked / place.packed.max(1) > RATIO_MAX {
            return Err(InvalidBundle::Bomb(name.to_owned()));
        }
        self.unpacked += place.unpacked;
        if self.unpacked > UNPACKED_BYTES_MAX {
            return Err(InvalidBundle::TooLarge { what: "files".to_owned(), max: UNPACKED_BYTES_MAX });
        }
        let header = read_at(&mut self.reader, place.header_at, 30)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(InvalidBundle::Damaged("a file is not where the directory says"));
        }
        let data_at = place.header_at + 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        self.reader.seek(SeekFrom::Start(data_at))?;
        let packed = (&mut self.reader).take(place.packed);
        // One byte more than announced shows a lie.
        let mut bytes = Vec::new();
        if place.is_deflated {
            flate2::read::DeflateDecoder::new(packed).take(place.unpacked + 1).read_to_end(&mut bytes)
        } else {
            packed.take(place.unpacked + 1).read_to_end(&mut bytes)
        }
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                InvalidBundle::Damaged("a file cannot be unpacked")
            }
            _ => InvalidBundle::Read(error),
        })?;
        if bytes.len() as u64 != place.unpacked || crc32fast::hash(&bytes) != place.crc {
            return Err(InvalidBundle::Damaged("a file is not what the directory says"));
        }
        Ok(bytes)
    }
}

fn read_directory(
    directory: &[u8],
    count: usize,
    shift: u64,
) -> Result<HashMap<String, Place>, InvalidBundle> {
    let mut places = HashMap::with_capacity(count);
    let mut rest = directory;
    for _ in 0..count {
        let damaged = InvalidBundle::Damaged("its directory is damaged");
        let Some(head) = rest.get(..46).filter(|head| head.starts_with(b"PK\x01\x02")) else {
            return Err(damaged);
        };
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
        let Some(name) = rest.get(46..46 + lengths[0]) else { return Err(damaged) };
        let name = String::from_utf8(name.to_vec())
            .map_err(|_| InvalidBundle::Damaged("a file name is not UTF-8"))?;
        rest = rest.get(46 + lengths.iter().sum::<usize>()..).unwrap_or_default();
        check_name(&name)?;
        // A folder holds nothing.
        if name.ends_with('/') {
            continue;
        }
        if u16_at(head, 8) & 1 == 1 {
            return Err(InvalidBundle::Damaged("a file is encrypted"));
        }
        let is_deflated = match u16_at(head, 10) {
            0 => false,
            8 => true,
            _ => return Err(InvalidBundle::Damaged("a file is packed in another way than deflate")),
        };
        let place = Place {
            header_at: u64::from(u32_at(head, 42)) + shift,
            packed: u64::from(u32_at(head, 20)),
            unpacked: u64::from(u32_at(head, 24)),
            crc: u32_at(head, 16),
            is_deflated,
        };
        if places.contains_key(&name) {
            return Err(InvalidBundle::Repeated(name));
        }
        places.insert(name, place);
    }
    Ok(places)
}

fn check_name(name: &str) -> Result<(), InvalidBundle> {
    let is_plain = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('/')
        && !name.contains(['\\', '\0', ':'])
        && !name.split('/').any(|step| step == "..");
    if is_plain { Ok(()) } else { Err(InvalidBundle::Path(name.chars().take(200).collect())) }
}

fn read_at<R: Read + Seek>(reader: &mut R, at: u64, length: u64) -> Result<Vec<u8>, InvalidBundle> {
    reader.seek(SeekFrom::Start(at))?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    reader.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => InvalidBundle::Damaged("it is cut off"),
        _ => InvalidBundle::Read(error),
    })?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A bundle with these entries, as the tool writes it: 8 bytes, then a ZIP of deflated files.
    pub(crate) fn pack(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = Vec::new();
        let mut directory = Vec::new();
        for (name, bytes) in entries {
            let mut packed = Vec::new();
            let level = flate2::Compression::best();
            flate2::read::DeflateEncoder::new(*bytes, level).read_to_end(&mut packed).unwrap();
            let mut facts = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0];
            facts.extend(crc32fast::hash(bytes).to_le_bytes());
            facts.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
            facts.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
            facts.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            facts.extend([0, 0]);
            directory.extend(b"PK\x01\x02\x14\0");
            directory.extend(&facts);
            directory.extend([0; 10]);
            directory.extend(u32::try_from(zip.len()).unwrap().to_le_bytes());
            directory.extend(name.as_bytes());
            zip.extend(b"PK\x03\x04");
            zip.extend(&facts);
            zip.extend(name.as_bytes());
            zip.extend(packed);
        }
        let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
        let (start, size) = (zip.len(), directory.len());
        zip.extend(&directory);
        zip.extend(b"PK\x05\x06\0\0\0\0");
        zip.extend([count, count].concat());
        zip.extend(u32::try_from(size).unwrap().to_le_bytes());
        zip.extend(u32::try_from(start).unwrap().to_le_bytes());
        zip.extend([0, 0]);
        [b"SYSB\x02\0\0\0", zip.as_slice()].concat()
    }

    /// A bundle with a manifest over the files, each of which is (name in the manifest, its entry, content).
    pub(crate) fn bundle(files: &[(&str, Value, &[u8])]) -> Vec<u8> {
        let named: serde_json::Map<String, Value> =
            files.iter().map(|(name, entry, _)| ((*name).to_owned(), entry.clone())).collect();
        let manifest = json!({ "files": named }).to_string();
        let mut entries: Vec<(&str, &[u8])> = files.iter().map(|(name, _, bytes)| (*name, *bytes)).collect();
        entries.push(("manifest.json", manifest.as_bytes()));
        pack(&entries)
    }

    type Opened = (Archive<Cursor<Vec<u8>>>, Manifest);

    fn open(bytes: &[u8]) -> Result<Opened, InvalidBundle> {
        let mut archive = Archive::open(Cursor::new(bytes.to_vec()), bytes.len() as u64)?;
        let manifest = archive.read_manifest()?;
        Ok((archive, manifest))
    }

    fn refusal(bytes: &[u8]) -> String {
        match open(bytes) {
            Ok((mut archive, manifest)) => {
                let read =
                    manifest.files.iter().map(|file| archive.read_file(file)).collect::<Result<Vec<_>, _>>();
                read.unwrap_err().to_string()
            }
            Err(error) => error.to_string(),
        }
    }

    fn script() -> Value {
        json!({"type": "minified_source", "url": "~/main.js", "headers": {"Debug-Id": "9c4cb8aa-72e9-571d-a188-195453d1898f", "Sourcemap": "main.js.map"}})
    }

    #[test]
    fn files_are_what_the_manifest_names() {
        let bytes = pack(&[
            (
                "manifest.json",
                json!({"release": "shop@1", "dist": "7", "files": {
                    "files/_/_/main.js": script(), "ram": {"type": "indexed_ram_bundle", "url": "~/ram"},
                }})
                .to_string()
                .as_bytes(),
            ),
            ("files/_/_/main.js", b"alert(1)"),
            ("files/_/_/other.js", b"not named"),
            ("ram", b"x"),
        ]);
        let (mut archive, manifest) = open(&bytes).unwrap();
        assert_eq!(
            (manifest.release.as_deref(), manifest.dist.as_deref(), manifest.files_left_out),
            (Some("shop@1"), Some("7"), 1)
        );
        let [file] = manifest.files.as_slice() else { panic!("{:?}", manifest.files) };
        assert_eq!(
            (file.kind, file.url.as_str(), file.map_reference.as_deref()),
            (FileKind::Script, "~/main.js", Some("main.js.map"))
        );
        assert_eq!(file.debug_id.unwrap().to_string(), "9c4cb8aa-72e9-571d-a188-195453d1898f");
        assert_eq!(archive.read_file(file).unwrap(), b"alert(1)");
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../../etc/cron.d/x", "/etc/passwd", "files/../../x", "C:/x", "files\\..\\x", ".."] {
            assert_eq!(
                refusal(&pack(&[(name, b"x")])),
                format!("the file name {name:?} leads out of the bundle")
            );
        }
        let in_manifest = json!({"files": {"../x": script()}}).to_string();
        assert_eq!(
            refusal(&pack(&[("manifest.json", in_manifest.as_bytes())])),
            "the file name \"../x\" leads out of the bundle"
        );
        assert_eq!(refusal(&pack(&[("a", b"1"), ("a", b"2")])), "the file name \"a\" occurs twice");
    }

    #[test]
    fn bombs_are_refused() {
        let zeros = vec![b' '; 8 << 20];
        assert_eq!(
            refusal(&bundle(&[("main.js", script(), &zeros)])),
            "the file \"main.js\" unpacks to more than 100 times its size"
        );
        let large = vec![b' '; usize::try_from(FILE_BYTES_MAX).unwrap() + 1];
        assert_eq!(
            refusal(&bundle(&[("main.js", script(), &large)])),
            format!("the file \"main.js\" of more than {FILE_BYTES_MAX} bytes")
        );
        // A file that is larger than it says.
        let mut lying = bundle(&[("main.js", script(), &zeros)]);
        let at = memchr::memmem::find(&lying, b"PK\x01\x02").unwrap();
        lying[at + 24..at + 28].copy_from_slice(&1_000_u32.to_le_bytes());
        assert_eq!(refusal(&lying), "not a bundle: a file is not what the directory says");
        let files: Vec<(String, Value)> =
            (0..=FILES_MAX).map(|number| (format!("f{number}"), script())).collect();
        let files: Vec<(&str, Value, &[u8])> =
            files.iter().map(|(name, entry)| (name.as_str(), entry.clone(), &b""[..])).collect();
        assert_eq!(refusal(&bundle(&files)), "more than 10000 files");
    }

    #[test]
    fn the_files_together_are_limited() {
        let mut state = 1_u64;
        let mut noise = vec![0_u8; 4 << 20];
        for byte in &mut noise {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_le_bytes()[7];
        }
        let bytes = bundle(&[("main.js", script(), &noise)]);
        let (mut archive, manifest) = open(&bytes).unwrap();
        let error = (0..300).find_map(|_| archive.read_file(&manifest.files[0]).err()).unwrap();
        assert_eq!(error.to_string(), format!("files of more than {UNPACKED_BYTES_MAX} bytes"));
    }

    #[test]
    fn damage_is_an_error_that_says_what_is_damaged() {
        for (bytes, why) in [
            (b"".to_vec(), "not a bundle: no ZIP archive"),
            (b"SYSB\x02\0\0\0".to_vec(), "not a bundle: no ZIP archive"),
            (pack(&[]), "manifest.json: is missing"),
            (
                pack(&[("manifest.json", b"{")]),
                "manifest.json: EOF while parsing an object at line 1 column 1",
            ),
            (
                pack(&[("manifest.json", br#"{"files":{"a":{"type":"source"}}}"#)]),
                "manifest.json: names \"a\", which is not in the bundle",
            ),
            (
                bundle(&[("a", json!({"type": "source", "headers": {"debug-id": "no"}}), b"")]),
                "manifest.json: debug-id of \"a\": not a debug id (32 hexadecimal digits, hyphens allowed)",
            ),
        ] {
            assert_eq!(refusal(&bytes), why);
        }
    }

    proptest! {
        #[test]
        fn any_damage_gets_an_answer(at in 0_usize..400, byte in any::<u8>(), cut in 0_usize..400) {
            let mut bytes = bundle(&[("main.js", script(), b"alert(1)")]);
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % 8);
            if let Ok((mut archive, manifest)) = open(&bytes) {
                for file in &manifest.files {
                    let _ = archive.read_file(file);
                }
            }
        }
    }
}
