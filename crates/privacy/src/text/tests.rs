use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static KEYS: LazyLock<KeyRules> = LazyLock::new(|| KeyRules::new(&["matrikel".to_owned()], &[]));

fn scrubbed(text: &str, looks: Looks) -> String {
    scrub(text, looks, &KEYS, |_| ()).unwrap_or_else(|| text.to_owned())
}

/// Each line is a text, ` => ` and what becomes of it.
fn check(looks: Looks, cases: &str) {
    for case in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
        let (text, expected) = case.split_once(" => ").unwrap();
        assert_eq!(scrubbed(text, looks), expected, "from {text}");
    }
}

fn check_unchanged(looks: Looks, cases: &str) {
    for text in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
        assert_eq!(scrub(text, looks, &KEYS, |_| ()), None, "{text}");
    }
}

#[test]
fn email_addresses_are_removed() {
    check(
        Looks::TEXT,
        "mail to Ada.Lovelace+x@mail.example.co.uk. Thanks => mail to [email]. Thanks
        <ada@example.com>,bob@example.org => <[email]>,[email]
        'ada@example.com' is taken => '[email]' is taken
        o'brien@example.com => [email]
        to=ada%40example.com&x=1 => to=[email]&x=1
        jürgen@exämple.de ging => [email] ging
        user@xn--exmple-cua.com => [email]
        ada@example.com-old => [email]-old
        ada@example.com/path => [email]/path
        mailto:ada@example.com => mailto:[email]",
    );
    check_unchanged(
        Looks::TEXT,
        "@app.route is a decorator
        react@18.2.0 and lodash@4.17.21
        icon@2x.png
        node_modules/@sentry/browser/index.js
        git@github.com:org/repo.git
        user@localhost
        a @ b.com
        @
        x@y",
    );
}

#[test]
fn ip_addresses_of_somebody_are_removed() {
    check(
        Looks::TEXT,
        "from 203.0.113.7:8080 => from [ip]:8080
        (10.1.2.3) => ([ip])
        192.168.0.17/24 => [ip]/24
        203.0.113.7. Next => [ip]. Next
        203.0.113.7.isp.example => [ip].isp.example
        10.0.0.1-10.0.0.9 => [ip]-[ip]
        https://203.0.113.7/x => https://[ip]/x
        https://example.com/lookup/203.0.113.7 => https://example.com/lookup/[ip]
        2001:db8::8a2e:370:7334 => [ip]
        [2001:0DB8:0:0:0:8A2E:0370:7334]:443 => [[ip]]:443
        fe80::1 is up => [ip] is up
        ::ffff:203.0.113.7 => [ip]
        peer 2001:db8:1::5: closed => peer [ip]: closed",
    );
    check_unchanged(
        Looks::TEXT,
        "127.0.0.1 and 0.0.0.0 and ::1 and 255.255.255.0
        Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36
        MyApp/1.2.3.4 (build 7)
        Edg/120.0.2210.91
        django==1.2.3.4
        version 1.2.3.4
        v1.2.3.4
        pkg-1.2.3.4.tar.gz
        1.2.3.4-beta
        1.2.3.4.5
        300.1.2.3
        at 12:30:45 or 2026-11-23T12:25:53.604852Z
        std::fmt::add and a::b and dead::beef
        aa:bb:cc:dd:ee:ff
        0x7ff4a4709910",
    );
    check_unchanged(Looks::VERSION, "203.0.113.7");
}

#[test]
fn card_numbers_are_removed() {
    check(
        Looks::TEXT,
        "card 4111111111111111 declined => card [card] declined
        4111 1111 1111 1111 => [card]
        4111-1111-1111-1111, => [card],
        5555555555554444 => [card]
        378282246310005 => [card]
        3782 822463 10005 => [card]
        6011111111111117 => [card]
        3056930009020004 => [card]
        3530111333300000 => [card]
        '4012888888881881' => '[card]'
        4111 1111 1111 1111 203 => [card] 203",
    );
    check_unchanged(
        Looks::TEXT,
        "4111111111111112
        1700000000000
        1234567890123456
        0.4111111111111111
        4111111111111111.5
        41111111-1111-1111-1111-111111111111
        4111 1111 1111 111
        4111 1111-1111 1111
        id_4111111111111111
        41111111111111114111111111111111
        0000000000000000",
    );
}

#[test]
fn times_in_every_unit_are_no_card_numbers() {
    for at in 1_700_000_000_000_u64..1_700_000_000_400 {
        for scale in [1, 1_000, 1_000_000] {
            assert!(!is_card_number(at * scale), "{}", at * scale);
        }
    }
}

#[test]
fn social_security_numbers_are_removed() {
    check(Looks::TEXT, "ssn is 123-45-6789. => ssn is [ssn].");
    check_unchanged(
        Looks::TEXT,
        "123456789\n000-45-6789\n666-45-6789\n923-45-6789\n123-45-67890\n123-45-6789-1",
    );
}

#[test]
fn keys_and_tokens_are_removed() {
    check(
        Looks::TEXT,
        "-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY----- end => [private_key] end
        key: -----BEGIN PRIVATE KEY-----\\nMIIEv => key: [private_key]
        got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk! => got [token]!
        curl -H 'Bearer abc123def' => curl -H 'Bearer [token]'
        bearer abc.DEF-ghi => bearer [token]
        Basic dXNlcjpwYXNz => Basic [token]",
    );
    check_unchanged(
        Looks::TEXT,
        "-----BEGIN CERTIFICATE-----
        basic authentication failed
        the bearer of bad news
        Basic Information
        eyJhbGciOiJIUzI1NiJ9 alone
        ----------",
    );
}

#[test]
fn credentials_in_addresses_are_removed() {
    check(
        Looks::TEXT,
        "postgres://app:hunter2@db.example.com:5432/shop => postgres://[Filtered]@db.example.com:5432/shop
        redis://:pa/ss@cache/0 => redis://[Filtered]@cache/0
        https://0123456789abcdef@o1.example.com/7 => https://[Filtered]@o1.example.com/7
        amqp://u:p@ss@mq/ => amqp://[Filtered]@mq/",
    );
    check_unchanged(
        Looks::TEXT,
        "https://example.com:8080/@scope/pkg\nhttps://[::1]:80/\nhttps://example.com/a:b",
    );
}

#[test]
fn secrets_in_query_strings_and_assignments_are_removed() {
    check(
        Looks::TEXT,
        "/login?token=abc&next=%2F => /login?token=[Filtered]&next=%2F
        https://x.example/?a=1&access_token=abc#top => https://x.example/?a=1&access_token=[Filtered]
        user%5Bpassword%5D=hunter2&x=1 => user%5Bpassword%5D=[Filtered]&x=1
        user[password]=hunter2 => user[password]=[Filtered]
        Login(user='ada', password='hunter2') => Login(user='ada', password='[Filtered]')
        password = \"hun\\\"ter2\" => password = \"[Filtered]\"
        Matrikel-Nr=4711 => Matrikel-Nr=[Filtered]
        Authorization=Bearer abcdefgh => Authorization=[Filtered]
        X-Amz-Signature=0a1b&X-Amz-Date=2026 => X-Amz-Signature=[Filtered]&X-Amz-Date=2026",
    );
    assert_eq!(
        scrubbed("['password' => 'hunter2', 'a' => 1]", Looks::TEXT),
        "['password' => '[Filtered]', 'a' => 1]"
    );
    check_unchanged(
        Looks::TEXT,
        "if token == other
        password != stored
        token_count=5&tokens=12
        password=
        password=null, token=None
        PWD=/home/app
        author=ada",
    );
}

#[test]
fn secrets_in_json_within_text_are_removed() {
    check(
        Looks::TEXT,
        r#"{"user":"ada","password":"hun\"ter2","n":1} => {"user":"ada","password":"[Filtered]","n":1}
        {"pin": 1, "password": 123456} => {"pin": 1, "password": [Filtered]}
        {\"password\": \"hunter2\", \"a\": \"b\"} => {\"password\": \"[Filtered]\", \"a\": \"b\"}
        {'password': 'hunter2', 'token': None} => {'password': '[Filtered]', 'token': None}
        {"credentials": {"a": "}", "b": [1]}, "c": 2} => {"credentials": [Filtered], "c": 2}
        {"credentials": {"a": "cut => {"credentials": [Filtered]
        {password: "hunter2"} => {password: "[Filtered]"}
        {'data': b'x', 'secret': b'abc'} => {'data': b'x', 'secret': b'[Filtered]'}"#,
    );
    check_unchanged(
        Looks::TEXT,
        r#"{"password": null, "token": true, "secret": "", "tokens": [1, 2]}
        invalid password: must be longer
        unexpected token: '}'
        docker auth:5432"#,
    );
}

#[test]
fn secrets_in_headers_within_text_are_removed() {
    check(
        Looks::TEXT,
        "Authorization: Basic abc => Authorization: [Filtered]
        Cookie: a=b; sessionid=c => Cookie: [Filtered]
        X-Api-Key: abc123 => X-Api-Key: [Filtered]
        password: hunter2 => password: [Filtered]",
    );
    assert_eq!(scrubbed("Cookie: a=b\r\nHost: x", Looks::TEXT), "Cookie: [Filtered]\r\nHost: x");
}

#[test]
fn code_keeps_its_assignments_and_hosts() {
    check_unchanged(
        Looks::CODE,
        "password = request.form['password']
        HOST = '10.1.2.3'
        token = jwt.encode(payload)",
    );
    check(
        Looks::CODE,
        "ADMIN = 'ada@example.com' => ADMIN = '[email]'\nCARD = 4111111111111111 => CARD = [card]",
    );
}

#[test]
fn locations_lose_their_secret_parts_only() {
    check(
        Looks::LOCATION,
        "https://u:p@10.1.2.3/app.js?token=abc => https://[Filtered]@10.1.2.3/app.js?token=[Filtered]",
    );
    check_unchanged(
        Looks::LOCATION,
        "/srv/ada@example.com/4111111111111111/1.2.3.4/app.py\nhttps://10.1.2.3/app.js?v=2",
    );
}

#[test]
fn hostile_texts_take_linear_time() {
    for fragment in [
        "eyJ",
        "eyJabcdefgh.",
        "-----BEGIN ",
        "a@",
        "1.",
        "::",
        "1:",
        "://",
        "password=",
        "\"token\":{",
        "'",
        "4111 ",
    ] {
        let text = fragment.repeat(400_000 / fragment.len());
        // Quadratic time would be minutes.
        let scrubbed = scrubbed(&text, Looks::TEXT);
        assert!(scrubbed.len() <= text.len() * 4, "{fragment}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn scrubbing_never_panics_and_a_second_time_changes_nothing(parts in prop::collection::vec(part(), 0..12)) {
        let once = scrubbed(&parts.concat(), Looks::TEXT);
        prop_assert_eq!(scrub(&once, Looks::TEXT, &KEYS, |_| ()), None);
    }

    #[test]
    fn planted_secrets_do_not_survive_between_other_text(
        before in prop::collection::vec(part(), 0..6),
        after in prop::collection::vec(part(), 0..6),
        secret in secret(),
    ) {
        let text = format!("{} {} {}", before.concat(), secret, after.concat());
        prop_assert!(!scrubbed(&text, Looks::TEXT).contains(secret), "{}", text);
    }
}

fn secret() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "zoe.quinn@mail.example",
        "198.51.100.23",
        "2001:db8:85a3::8a2e:370:7334",
        "4012888888881881",
        "4012 8888 8888 1881",
        "219-09-9999",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ6b2UifQ.c2lnbmF0dXJl",
    ])
}

fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => prop::sample::select(vec![
            "password", "token", "auth", "=", ":", "\"", "'", "\\", "{", "}", "[", "]", "@", ".", "://", " ", "-----BEGIN ",
            "PRIVATE KEY-----", "-----END ", "eyJ", "Bearer ", "[Filtered]", "[ip]", "Cookie: ", "%40", "=>", "\n", "null",
            "ada@example.com", "203.0.113.7", "4111111111111111", "2001:db8::1", "x", "1", "é", "::", "&", "-", "/",
        ]).prop_map(str::to_owned),
        1 => "\\PC{0,8}",
        1 => "[a-zA-Z0-9_.:=@-]{0,12}",
    ]
}
