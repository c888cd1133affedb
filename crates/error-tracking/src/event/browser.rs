/// Name and, where it is told, main version.
pub(super) type Seen = Option<(&'static str, Option<String>)>;

/// What a User-Agent header says about the visitor, as coarsely as a chart needs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) browser: Seen,
    pub(super) system: Seen,
}

/// Tokens of browsers, the more specific first: nearly all call themselves Chrome and Safari as well.
const BROWSERS: [(&str, &str); 12] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("CriOS/", "Chrome"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("Electron/", "Electron"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
];

/// Tokens of operating systems, the more specific first.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows NT ", "Windows"),
    ("Android ", "Android"),
    ("iPhone OS ", "iOS"),
    ("CPU OS ", "iOS"),
    ("CrOS ", "ChromeOS"),
    ("Mac OS X ", "macOS"),
    ("Android", "Android"),
    ("Linux", "Linux"),
];

/// Reads a User-Agent header.
pub(super) fn recognise(user_agent: &str) -> Client {
    let browser = BROWSERS.iter().find_map(|(token, name)| {
        let (_, rest) = user_agent.split_once(token)?;
        Some((*name, main_version(rest)))
    });
    let browser = browser.or_else(|| {
        let (_, rest) = user_agent.split_once("Version/")?;
        rest.contains("Safari/").then(|| ("Safari", main_version(rest)))
    });
    let system = SYSTEMS.iter().find_map(|(token, name)| {
        let (_, rest) = user_agent.split_once(token)?;
        // Browsers have frozen the versions of these two.
        let version = if matches!(*name, "Android" | "iOS") { main_version(rest) } else { None };
        Some((*name, version))
    });
    Client { browser, system }
}

fn main_version(rest: &str) -> Option<String> {
    let digits: String = rest.chars().take_while(char::is_ascii_digit).take(4).collect();
    (!digits.is_empty()).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_systems_are_recognised() {
        for (user_agent, browser, system) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
                Some(("Chrome", Some("156"))),
                Some(("Linux", None)),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                Some(("Edge", Some("140"))),
                Some(("Windows", None)),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
                Some(("Safari", Some("18"))),
                Some(("iOS", Some("18"))),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                Some(("Firefox", Some("145"))),
                Some(("Linux", None)),
            ),
            ("curl/8.5.0", None, None),
        ] {
            let client = recognise(user_agent);
            let owned = |expected: Option<(&'static str, Option<&str>)>| {
                expected.map(|(name, version)| (name, version.map(str::to_owned)))
            };
            assert_eq!(client.browser, owned(browser), "{user_agent}");
            assert_eq!(client.system, owned(system), "{user_agent}");
        }
    }
}
