//! Where addresses are, by a file in the MaxMind DB format (maxmind.github.io/MaxMind-DB, version 2.0).

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use belvedere_kernel::{Place, Places};
use maxminddb::{LookupResult, MaxMindDbError, Reader, path};

/// A file that was read and found whole.
pub(crate) struct PlacesFile(Reader<Vec<u8>>);

fn country_of<'a>(found: &LookupResult<'a, Vec<u8>>) -> Result<Option<&'a str>, MaxMindDbError> {
    found.decode_path(&path!["country", "iso_code"])
}

impl PlacesFile {
    /// Reads a file whole, and looks at everything in it that will be asked for.
    ///
    /// # Errors
    /// Says why the file cannot be used: it is not there, is no such file, is damaged, or knows no countries.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let shown = file.display();
        let reader = Reader::open_readfile(file)
            .with_context(|| format!("geo.database: {shown} cannot be read as a MaxMind DB file"))?;
        let damaged = || format!("geo.database: {shown} is damaged");
        let (mut seen, mut has_countries) = (HashSet::new(), false);
        for found in reader.networks(Default::default()).with_context(damaged)? {
            let found = found.with_context(damaged)?;
            // Many networks share a record.
            if found.offset().is_some_and(|offset| seen.insert(offset)) {
                has_countries |= country_of(&found).with_context(damaged)?.is_some();
            }
        }
        ensure!(has_countries, "geo.database: {shown} knows no countries");
        Ok(Self(reader))
    }
}

impl Places for PlacesFile {
    fn find(&self, address: IpAddr) -> Option<Place> {
        let found = self.0.lookup(address.to_canonical()).ok()?;
        let country = country_of(&found).ok()??.to_owned();
        let region: Option<&str> = found.decode_path(&path!["subdivisions", 0, "names", "en"]).ok().flatten();
        Some(Place { country, region: region.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of the data section.
    enum Value {
        Text(&'static str),
        /// Of so many bytes: `u16`, `u32`, `u64`.
        Number(u8, u64),
        Map(Vec<(&'static str, Value)>),
        List(Vec<Value>),
    }

    fn write(value: &Value, into: &mut Vec<u8>) {
        match value {
            Value::Text(text) => {
                assert!(text.len() < 29);
                into.push(2 << 5 | text.len() as u8);
                into.extend_from_slice(text.as_bytes());
            }
            Value::Number(bytes, number) => {
                // Types up to 7 stand in the first byte, others in a second one.
                match bytes {
                    2 => into.push(5 << 5 | 2),
                    4 => into.push(6 << 5 | 4),
                    _ => into.extend([8, 9 - 7]),
                }
                into.extend_from_slice(&number.to_be_bytes()[8 - usize::from(*bytes)..]);
            }
            Value::Map(pairs) => {
                into.push(7 << 5 | pairs.len() as u8);
                for (key, value) in pairs {
                    write(&Value::Text(key), into);
                    write(value, into);
                }
            }
            Value::List(values) => {
                into.extend([values.len() as u8, 11 - 7]);
                values.iter().for_each(|value| write(value, into));
            }
        }
    }

    /// A file of IPv4 networks, each with its record: a tree of nodes of two 24-bit records, the data, and what describes
    /// both.
    fn file(networks: &[([u8; 4], u8, Value)]) -> Vec<u8> {
        const EMPTY: usize = usize::MAX;
        let (mut nodes, mut data) = (vec![[EMPTY; 2]], Vec::new());
        let mut leaves = Vec::new();
        for (address, length, value) in networks {
            let bits = u32::from_be_bytes(*address);
            let mut node = 0;
            for depth in 0..*length {
                let side = (bits >> (31 - depth) & 1) as usize;
                if depth + 1 == *length {
                    leaves.push((node, side, data.len()));
                } else {
                    if nodes[node][side] == EMPTY {
                        nodes[node][side] = nodes.len();
                        nodes.push([EMPTY; 2]);
                    }
                    node = nodes[node][side];
                }
            }
            write(value, &mut data);
        }
        let count = nodes.len();
        for node in &mut nodes {
            node.iter_mut().filter(|record| **record == EMPTY).for_each(|record| *record = count);
        }
        for (node, side, offset) in leaves {
            nodes[node][side] = count + 16 + offset;
        }
        let records = nodes.iter().flatten().flat_map(|record| (*record as u32).to_be_bytes()[1..].to_vec());
        let mut bytes: Vec<u8> = records.collect();
        bytes.extend([0; 16]);
        bytes.extend(data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let about = Value::Map(vec![
            ("binary_format_major_version", Value::Number(2, 2)),
            ("binary_format_minor_version", Value::Number(2, 0)),
            ("build_epoch", Value::Number(8, 1_795_867_200)),
            ("database_type", Value::Text("Test-City")),
            ("description", Value::Map(vec![("en", Value::Text("two networks"))])),
            ("ip_version", Value::Number(2, 4)),
            ("languages", Value::List(vec![Value::Text("en")])),
            ("node_count", Value::Number(4, count as u64)),
            ("record_size", Value::Number(2, 24)),
        ]);
        write(&about, &mut bytes);
        bytes
    }

    fn country(code: &'static str) -> (&'static str, Value) {
        ("country", Value::Map(vec![("iso_code", Value::Text(code))]))
    }

    fn two_networks() -> Vec<u8> {
        let names = Value::Map(vec![("names", Value::Map(vec![("en", Value::Text("Tyrol"))]))]);
        let tyrol = Value::Map(vec![country("AT"), ("subdivisions", Value::List(vec![names]))]);
        file(&[([203, 0, 113, 0], 24, tyrol), ([198, 51, 100, 0], 25, Value::Map(vec![country("NL")]))])
    }

    /// Opens a file of these bytes.
    fn open(name: &str, bytes: &[u8]) -> Result<PlacesFile> {
        let path = std::env::temp_dir().join(format!("belvedere-places-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let opened = PlacesFile::open(&path);
        std::fs::remove_file(&path).unwrap();
        opened
    }

    #[test]
    fn an_address_is_in_a_country_and_a_region() {
        let places = open("whole", &two_networks()).unwrap();
        let find = |address: &str| places.find(address.parse().unwrap());
        let tyrol = Place { country: "AT".to_owned(), region: Some("Tyrol".to_owned()) };
        assert_eq!(find("203.0.113.9"), Some(tyrol.clone()));
        assert_eq!(find("::ffff:203.0.113.9"), Some(tyrol));
        assert_eq!(find("198.51.100.127"), Some(Place { country: "NL".to_owned(), region: None }));
        for nowhere in ["198.51.100.128", "203.0.114.1", "127.0.0.1", "2001:db8::1"] {
            assert_eq!(find(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let why = |opened: Result<PlacesFile>| format!("{:#}", opened.err().unwrap());
        let missing = why(PlacesFile::open(Path::new("/nonexistent/city.mmdb")));
        assert!(missing.starts_with("geo.database: /nonexistent/city.mmdb cannot be read"), "{missing}");
        let whole = two_networks();
        let other = why(open("other", b"country,AT\n"));
        assert!(other.contains("cannot be read as a MaxMind DB file"), "{other}");
        let half = why(open("half", &whole[..whole.len() / 2]));
        assert!(half.contains("cannot be read as a MaxMind DB file"), "{half}");
        let mut damaged = whole.clone();
        let record = damaged.windows(7).position(|bytes| bytes == b"country").unwrap() - 2;
        damaged[record..record + 2].fill(0xff);
        let damaged = why(open("damaged", &damaged));
        assert!(damaged.contains("is damaged"), "{damaged}");
        let without = file(&[([203, 0, 113, 0], 24, Value::Map(vec![("asn", Value::Number(4, 64_500))]))]);
        let without = why(open("without", &without));
        assert!(without.ends_with("knows no countries"), "{without}");
    }
}
