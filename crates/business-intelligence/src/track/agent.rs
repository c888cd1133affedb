//! What a user agent says of the visitor, as coarsely as a chart needs it. No I/O.

use std::collections::HashMap;
use std::sync::LazyLock;

use woothee::parser::Parser;

static PARSER: LazyLock<Parser> = LazyLock::new(Parser::new);

/// Families of browser and operating system, and the class of the device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) browser: Option<String>,
    pub(crate) os: Option<String>,
    /// `desktop`, `mobile`, `tablet`, `appliance` or `crawler`.
    pub(crate) device: Option<String>,
}

/// User agents that were read; a batch has few different ones.
#[derive(Default)]
pub(crate) struct Agents(HashMap<String, Agent>);

impl Agents {
    pub(crate) fn read(&mut self, user_agent: &str) -> &Agent {
        if !self.0.contains_key(user_agent) {
            self.0.insert(user_agent.to_owned(), recognise(user_agent));
        }
        &self.0[user_agent]
    }
}

fn recognise(user_agent: &str) -> Agent {
    let Some(seen) = PARSER.parse(user_agent) else { return Agent::default() };
    let device = match seen.category {
        "pc" => "desktop",
        // Tablets with Android call themselves the same without this word.
        "smartphone" if seen.os == "iPad" || seen.os == "Android" && !user_agent.contains("Mobile") => {
            "tablet"
        }
        "smartphone" | "mobilephone" => "mobile",
        "appliance" => "appliance",
        "crawler" => return Agent { device: Some("crawler".to_owned()), ..Agent::default() },
        // Libraries of programs, feed readers: nobody's browser.
        _ => return Agent::default(),
    };
    let known = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty() && word != "UNKNOWN");
    Agent {
        browser: known(match seen.name {
            "SamsungBrowser" => "Samsung Internet",
            name => name,
        }),
        os: known(seen.os).map(|os| os_family(&os)),
        device: Some(device.to_owned()),
    }
}

/// One name for the versions and spellings of an operating system.
pub(crate) fn os_family(name: &str) -> String {
    let small = name.to_ascii_lowercase();
    let family = match small.as_str() {
        "iphone" | "ipad" | "ipod" | "ios" | "iphone os" | "ipados" => "iOS",
        "chromeos" | "chrome os" => "ChromeOS",
        _ if small.starts_with("mac") => "macOS",
        _ if small.starts_with("windows phone") => "Windows Phone",
        _ if small.starts_with("windows") => "Windows",
        _ if small.starts_with("android") => "Android",
        _ => name,
    };
    family.to_owned()
}

/// The class of a device, as clients call it.
pub(crate) fn device_class(name: &str) -> String {
    let small = name.to_ascii_lowercase();
    match small.as_str() {
        "ios" | "android" | "phone" | "smartphone" => "mobile".to_owned(),
        _ => small,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_browsers_are_told_apart() {
        let apple = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let mut agents = Agents::default();
        for (user_agent, expected) in [
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {apple} Chrome/143.0.0.0 Safari/537.36"),
                ["Chrome", "Windows", "desktop"],
            ),
            (
                format!("Mozilla/5.0 (Windows NT 10.0) {apple} Chrome/143.0 Safari/537.36 Edg/143.0"),
                ["Edge", "Windows", "desktop"],
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0".to_owned(),
                ["Firefox", "Linux", "desktop"],
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/26.1 Safari/605.1.15"
                    .to_owned(),
                ["Safari", "macOS", "desktop"],
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/26.1 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                ["Safari", "iOS", "mobile"],
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 16; Pixel 9) {apple} Chrome/143.0.0.0 Mobile Safari/537.36"),
                ["Chrome", "Android", "mobile"],
            ),
            (
                format!("Mozilla/5.0 (Linux; Android 16; SM-X510) {apple} Chrome/143.0.0.0 Safari/537.36"),
                ["Chrome", "Android", "tablet"],
            ),
        ] {
            let seen = agents.read(&user_agent);
            let seen = [&seen.browser, &seen.os, &seen.device].map(|word| word.as_deref().unwrap_or_default());
            assert_eq!(seen, expected, "{user_agent}");
        }
        let crawler = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
        assert_eq!(agents.read(crawler).device.as_deref(), Some("crawler"));
        for nobody in ["", "python-requests/2.32", "analytics-python/2.4.0", "node"] {
            assert_eq!(agents.read(nobody), &Agent::default(), "{nobody}");
        }
    }

    #[test]
    fn clients_spellings_are_one_family() {
        for (name, family) in [
            ("Mac OS X", "macOS"),
            ("Windows 11", "Windows"),
            ("iPadOS", "iOS"),
            ("Chrome OS", "ChromeOS"),
            ("Haiku", "Haiku"),
        ] {
            assert_eq!(os_family(name), family);
        }
        assert_eq!((device_class("Tablet"), device_class("ios")), ("tablet".to_owned(), "mobile".to_owned()));
    }
}
