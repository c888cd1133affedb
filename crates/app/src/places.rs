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
    use std::collections::HashMap;

    use super::*;

    /// A value of the data section.
    enum Value {
        Text(&'static str),
        /// Of so many bytes: `u16`, `u32`, `u64`.
        Number(u8, u64),
        Double(f64),
        Bool(bool),
        Map(Vec<(&'static str, Value)>),
        List(Vec<Value>),
    }

    /// Writes values; a text that was written before is a pointer to it where there are pointers.
    #[derive(Default)]
    struct Data {
        bytes: Vec<u8>,
        texts: HashMap<&'static str, usize>,
        has_pointers: bool,
    }

    impl Data {
        fn text(&mut self, text: &'static str) {
            let at = self.bytes.len();
            match self.texts.get(text) {
                // Pointers of 11, 19 and 27 bits; a short text is no longer than a pointer.
                Some(to @ 0..2_048) if text.len() > 1 => {
                    self.bytes.extend([1 << 5 | (to >> 8) as u8, *to as u8]);
                }
                Some(to @ 2_048..526_336) if text.len() > 2 => {
                    let to = to - 2_048;
                    self.bytes.extend([1 << 5 | 1 << 3 | (to >> 16) as u8, (to >> 8) as u8, to as u8]);
                }
                _ => {
                    match text.len() {
                        length @ 0..29 => self.bytes.push(2 << 5 | length as u8),
                        length @ 29..285 => self.bytes.extend([2 << 5 | 29, (length - 29) as u8]),
                        length => panic!("a text of {length} bytes"),
                    }
                    self.bytes.extend_from_slice(text.as_bytes());
                    if self.has_pointers {
                        self.texts.insert(text, at);
                    }
                }
            }
        }

        fn write(&mut self, value: &Value) {
            match value {
                Value::Text(text) => self.text(text),
                Value::Number(bytes, number) => {
                    // Types up to 7 stand in the first byte, others in a second one.
                    match bytes {
                        2 => self.bytes.push(5 << 5 | 2),
                        4 => self.bytes.push(6 << 5 | 4),
                        _ => self.bytes.extend([8, 9 - 7]),
                    }
                    self.bytes.extend_from_slice(&number.to_be_bytes()[8 - usize::from(*bytes)..]);
                }
                Value::Double(number) => {
                    self.bytes.push(3 << 5 | 8);
                    self.bytes.extend(number.to_be_bytes());
                }
                Value::Bool(is_set) => self.bytes.extend([u8::from(*is_set), 14 - 7]),
                Value::Map(pairs) => {
                    self.bytes.push(7 << 5 | pairs.len() as u8);
                    for (key, value) in pairs {
                        self.text(key);
                        self.write(value);
                    }
                }
                Value::List(values) => {
                    self.bytes.extend([values.len() as u8, 11 - 7]);
                    values.iter().for_each(|value| self.write(value));
                }
            }
        }
    }

    /// What a file is like beside its networks.
    struct Shape {
        ip_version: u64,
        record_bits: u64,
        has_pointers: bool,
        database_type: &'static str,
    }

    const SMALL: Shape =
        Shape { ip_version: 4, record_bits: 24, has_pointers: false, database_type: "Test-City" };
    /// That of GeoLite2 City.
    const CITY: Shape =
        Shape { ip_version: 6, record_bits: 28, has_pointers: true, database_type: "GeoLite2-City" };

    /// A network with its record, or the same as another network's.
    enum Leaf {
        Data(Value),
        As(&'static str),
    }

    /// A node's two sides.
    #[derive(Clone, Copy, PartialEq)]
    enum Side {
        Empty,
        Node(usize),
        Data(usize),
    }

    /// The bits of a network as they lead through the tree; IPv4 lies in `::/96` of a tree for IPv6.
    fn bits_of(network: &str, ip_version: u64) -> Vec<usize> {
        let (address, length) = network.split_once('/').unwrap();
        let length: usize = length.parse().unwrap();
        let (bytes, skipped) = match address.parse().unwrap() {
            IpAddr::V4(address) if ip_version == 6 => ([&[0; 12], &address.octets()[..]].concat(), 96),
            IpAddr::V4(address) => (address.octets().to_vec(), 0),
            IpAddr::V6(address) => (address.octets().to_vec(), 0),
        };
        (0..length + skipped).map(|bit| usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1)).collect()
    }

    /// A file of networks: a tree of nodes of two records, the data, and what describes both.
    fn file(shape: &Shape, networks: Vec<(&str, Leaf)>) -> Vec<u8> {
        let mut nodes = vec![[Side::Empty; 2]];
        let mut data = Data { has_pointers: shape.has_pointers, ..Data::default() };
        let count_of_networks = networks.len();
        for (network, leaf) in networks {
            let bits = bits_of(network, shape.ip_version);
            let leaf = match leaf {
                Leaf::Data(value) => {
                    let at = data.bytes.len();
                    data.write(&value);
                    Side::Data(at)
                }
                Leaf::As(other) => bits_of(other, shape.ip_version).iter().fold(Side::Node(0), |at, bit| {
                    let Side::Node(node) = at else { panic!("{other} is not there") };
                    nodes[node][*bit]
                }),
            };
            let (last, way) = bits.split_last().unwrap();
            let mut node = 0;
            for bit in way {
                if nodes[node][*bit] == Side::Empty {
                    nodes[node][*bit] = Side::Node(nodes.len());
                    nodes.push([Side::Empty; 2]);
                }
                let Side::Node(next) = nodes[node][*bit] else { panic!("{network} is in another network") };
                node = next;
            }
            nodes[node][*last] = leaf;
        }
        let count = nodes.len();
        let record = |side: Side| match side {
            Side::Empty => count as u32,
            Side::Node(node) => node as u32,
            Side::Data(offset) => (count + 16 + offset) as u32,
        };
        let mut bytes = Vec::new();
        for [left, right] in nodes {
            let (left, right) = (record(left).to_be_bytes(), record(right).to_be_bytes());
            bytes.extend_from_slice(&left[1..]);
            if shape.record_bits == 28 {
                bytes.push(left[0] << 4 | right[0]);
            }
            bytes.extend_from_slice(&right[1..]);
        }
        bytes.extend([0; 16]);
        bytes.extend(data.bytes);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let mut about = Data::default();
        about.write(&Value::Map(vec![
            ("binary_format_major_version", Value::Number(2, 2)),
            ("binary_format_minor_version", Value::Number(2, 0)),
            ("build_epoch", Value::Number(8, 1_795_867_200)),
            ("database_type", Value::Text(shape.database_type)),
            ("description", Value::Map(vec![("en", Value::Text("networks of a test"))])),
            ("ip_version", Value::Number(2, shape.ip_version)),
            ("languages", Value::List(vec![Value::Text("en")])),
            ("node_count", Value::Number(4, count as u64)),
            ("record_size", Value::Number(2, shape.record_bits)),
        ]));
        assert!(count > count_of_networks);
        bytes.extend(about.bytes);
        bytes
    }

    fn country(code: &'static str) -> (&'static str, Value) {
        ("country", Value::Map(vec![("iso_code", Value::Text(code))]))
    }

    fn two_networks() -> Vec<u8> {
        let names = Value::Map(vec![("names", Value::Map(vec![("en", Value::Text("Tyrol"))]))]);
        let tyrol = Value::Map(vec![country("AT"), ("subdivisions", Value::List(vec![names]))]);
        let holland = Value::Map(vec![country("NL")]);
        file(&SMALL, vec![("203.0.113.0/24", Leaf::Data(tyrol)), ("198.51.100.0/25", Leaf::Data(holland))])
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

    /// A place's record as GeoLite2 City has it, with names in eight languages.
    fn city_record(city: Option<&'static str>, code: &'static str, region: Option<&'static str>) -> Value {
        let names = |en: &'static str| -> (&'static str, Value) {
            let others = ["de", "es", "fr", "ja", "pt-BR", "ru", "zh-CN"];
            let named = others
                .into_iter()
                .map(|language| (language, Value::Text("名前 / Имя / Name of a place in a language")));
            ("names", Value::Map([("en", Value::Text(en))].into_iter().chain(named).collect()))
        };
        let id = |id| ("geoname_id", Value::Number(4, id));
        let state = |is_member: bool| {
            let code = ("iso_code", Value::Text(code));
            Value::Map(vec![
                id(2_782_113),
                ("is_in_european_union", Value::Bool(is_member)),
                code,
                names("A country"),
            ])
        };
        let mut record = Vec::new();
        record.extend(city.map(|city| ("city", Value::Map(vec![id(2_775_220), names(city)]))));
        record.extend([
            ("continent", Value::Map(vec![("code", Value::Text("EU")), id(6_255_148), names("Europe")])),
            ("country", state(true)),
            (
                "location",
                Value::Map(vec![
                    ("accuracy_radius", Value::Number(2, 20)),
                    ("latitude", Value::Double(47.2574)),
                    ("longitude", Value::Double(11.4037)),
                    ("time_zone", Value::Text("Europe/Vienna")),
                ]),
            ),
            ("postal", Value::Map(vec![("code", Value::Text("6020"))])),
            ("registered_country", state(false)),
        ]);
        record.extend(region.map(|region| {
            let region = vec![id(2_763_586), ("iso_code", Value::Text("7")), names(region)];
            ("subdivisions", Value::List(vec![Value::Map(region)]))
        }));
        Value::Map(record)
    }

    #[test]
    fn a_file_of_the_shape_of_geolite2_city_is_read_for_both_kinds_of_addresses() {
        let only_registered = Value::Map(vec![
            ("registered_country", Value::Map(vec![("iso_code", Value::Text("US"))])),
            ("traits", Value::Map(vec![("is_anycast", Value::Bool(true))])),
        ]);
        let networks = vec![
            ("203.0.113.0/24", Leaf::Data(city_record(Some("Innsbruck"), "AT", Some("Tyrol")))),
            ("198.51.100.0/25", Leaf::Data(city_record(None, "NL", None))),
            (
                "2001:db8:7::/48",
                Leaf::Data(city_record(Some("Göteborg"), "SE", Some("Västra Götaland County"))),
            ),
            ("192.0.2.0/24", Leaf::Data(only_registered)),
            // As the published files do it: IPv4 is found under 6to4 and mapped addresses too.
            ("::ffff:0:0/96", Leaf::As("::/96")),
            ("2002::/16", Leaf::As("::/96")),
        ];
        let places = open("city", &file(&CITY, networks)).unwrap();
        let place = |country: &str, region: Option<&str>| {
            Some(Place { country: country.to_owned(), region: region.map(str::to_owned) })
        };
        let expected = [
            ("203.0.113.9", place("AT", Some("Tyrol"))),
            ("::ffff:203.0.113.9", place("AT", Some("Tyrol"))),
            ("2002:cb00:7109::1", place("AT", Some("Tyrol"))),
            ("198.51.100.1", place("NL", None)),
            ("198.51.100.200", None),
            ("2001:db8:7:1::5", place("SE", Some("Västra Götaland County"))),
            ("2001:db8:8::5", None),
            // Where it is registered is not where somebody is.
            ("192.0.2.1", None),
            ("10.0.0.1", None),
        ];
        for (address, place) in expected {
            assert_eq!(places.find(address.parse().unwrap()), place, "{address}");
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
        let number = Value::Map(vec![("asn", Value::Number(4, 64_500))]);
        let without = file(&SMALL, vec![("203.0.113.0/24", Leaf::Data(number))]);
        let without = why(open("without", &without));
        assert!(without.ends_with("knows no countries"), "{without}");
    }
}
