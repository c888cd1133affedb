//! Which transactions are sent: by environment, and by how much their route matters.

use crate::glob;

/// The share of transactions and profiles that are sent from production unless the configuration says otherwise.
const PRODUCTION_RATE: f32 = 0.1;
/// The share elsewhere.
const OTHER_RATE: f32 = 1.0;

/// How much a route matters: the share of its transactions that are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteRate {
    /// The routes meant, with `*` for any characters. A pattern that begins with a slash is compared with the route
    /// alone (`/health*`), any other with method and route (`POST /checkout`), or with the name of a transaction that is
    /// no request.
    pub pattern: String,
    /// From 0.0, none, to 1.0, all.
    pub rate: f32,
}

impl RouteRate {
    /// The rate of the routes of `pattern`.
    #[must_use]
    pub fn new(pattern: impl Into<String>, rate: f32) -> Self {
        Self { pattern: pattern.into(), rate }
    }
}

/// The rate of an environment for which nothing is configured.
pub(crate) fn default_rate(is_production: bool) -> f32 {
    if is_production { PRODUCTION_RATE } else { OTHER_RATE }
}

/// The rate of a transaction called `name`: that of the first rule that matches, else `otherwise`.
///
/// A trace that began elsewhere keeps the decision of its beginning, so that it is seen whole or not at all; only a
/// rule with the rate 0.0 overrules it.
pub(crate) fn rate_of(rules: &[RouteRate], otherwise: f32, name: &str, parent_sampled: Option<bool>) -> f32 {
    let route = name.find('/').map_or(name, |at| &name[at..]);
    let subject = |pattern: &str| if pattern.starts_with('/') { route } else { name };
    let rule = rules.iter().find(|rule| glob::matches(&rule.pattern, subject(&rule.pattern)));
    let rate = rule.map_or(otherwise, |rule| rule.rate);
    match parent_sampled {
        Some(sampled) if rate > 0.0 => f32::from(u8::from(sampled)),
        _ => rate,
    }
}

/// Whether a transaction of this trace is among the `rate` that are profiled: the same for every process of a trace.
pub(crate) fn is_profiled(rate: f32, trace_id: [u8; 16]) -> bool {
    let [.., first, second, third, fourth] = trace_id;
    let point = f64::from(u32::from_be_bytes([first, second, third, fourth])) / f64::from(u32::MAX);
    rate > 0.0 && point <= f64::from(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<RouteRate> {
        vec![
            RouteRate::new("/health*", 0.0),
            RouteRate::new("POST /checkout*", 1.0),
            RouteRate::new("/checkout*", 0.5),
            RouteRate::new("nightly*", 0.25),
        ]
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        for (name, expected) in [
            ("GET /healthz", 0.0),
            ("POST /checkout/pay", 1.0),
            ("GET /checkout/pay", 0.5),
            ("GET /lessons/{id}", 0.1),
            ("nightly report", 0.25),
            ("/health", 0.0),
        ] {
            assert!((rate_of(&rules(), 0.1, name, None) - expected).abs() < f32::EPSILON, "{name}");
        }
    }

    #[test]
    fn a_trace_keeps_the_decision_of_its_beginning_except_for_routes_that_are_never_sent() {
        for (name, parent, expected) in [
            ("GET /lessons/{id}", true, 1.0),
            ("GET /lessons/{id}", false, 0.0),
            ("POST /checkout", false, 0.0),
            ("GET /healthz", true, 0.0),
        ] {
            let rate = rate_of(&rules(), 0.1, name, Some(parent));
            assert!((rate - expected).abs() < f32::EPSILON, "{name} {parent}");
        }
    }

    #[test]
    fn a_tenth_is_sampled_in_production_and_everything_elsewhere() {
        assert!((default_rate(true) - 0.1).abs() < f32::EPSILON);
        assert!((default_rate(false) - 1.0).abs() < f32::EPSILON);
    }

    #[test]
    fn profiles_follow_the_trace() {
        let low = [0; 16];
        let high = [255; 16];
        assert!(is_profiled(0.1, low) && !is_profiled(0.1, high));
        assert!(is_profiled(1.0, high));
        assert!(!is_profiled(0.0, low));
    }
}
