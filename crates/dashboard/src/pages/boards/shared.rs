//! A dashboard for whoever has a link to it: its numbers, and nothing else of the project.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use belvedere_business_intelligence::calendar::Calendar;
use belvedere_business_intelligence::insight::{LinkId, PEOPLE_MIN};
use belvedere_storage::Timestamp;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderName, HeaderValue};

use super::{TileCard, tiles};
use crate::assets::{self, AssetPaths};
use crate::pages::insights::Asker;
use crate::refusal::Refusal;
use crate::respond;
use crate::session::Client;
use crate::state::DashboardState;
use crate::wording::At;

/// How often somebody at an address may open such pages in a minute.
const PER_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// Addresses that are remembered; one that was forgotten begins anew.
const ADDRESSES_MAX: usize = 10_000;

/// The most characters of a secret that are looked at.
const SECRET_CHARS_MAX: usize = 200;

/// The page has no script and no form.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'none'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// How often the pages of links were opened from each address in its present minute. Counts of this process alone.
#[derive(Default)]
pub(in crate::pages) struct Openings(Mutex<HashMap<String, (Timestamp, u32)>>);

impl Openings {
    /// Counts an opening, or says in how many seconds the next one is let in.
    fn admit(&self, address: Option<&str>, now: Timestamp) -> Result<(), u64> {
        let mut opened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began: Timestamp| now.since(began) >= MINUTE || began > now;
        let address = subscriber(address.unwrap_or_default());
        if opened.len() >= ADDRESSES_MAX && !opened.contains_key(&address) {
            opened.retain(|_, (began, _)| !is_over(*began));
            if opened.len() >= ADDRESSES_MAX {
                opened.clear();
            }
        }
        let (began, count) = opened.entry(address).or_insert((now, 0));
        if is_over(*began) {
            (*began, *count) = (now, 0);
        }
        if *count >= PER_MINUTE {
            return Err(MINUTE.saturating_sub(now.since(*began)).as_secs().max(1));
        }
        *count += 1;
        Ok(())
    }
}

/// What one subscriber is given: an IPv4 address, or the first 64 bits of an IPv6 address.
fn subscriber(address: &str) -> String {
    match address.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => format!("{:?}", &address.segments()[..4]),
        _ => address.to_owned(),
    }
}

#[derive(Template)]
#[template(path = "boards/shared.html")]
struct SharedPage {
    assets: &'static AssetPaths,
    name: String,
    at: At,
    people_min: u64,
    tiles: Vec<TileCard>,
}

/// `GET /shared/{link}/{secret}`: for whoever has the link. One that is unknown, revoked or expired, and a wrong secret,
/// are answered alike.
pub(in crate::pages) async fn show(
    State(state): State<Arc<DashboardState>>,
    Client(client): Client,
    Extension(openings): Extension<Arc<Openings>>,
    Path((link, secret)): Path<(String, String)>,
) -> Response {
    let page = match openings.admit(client.address.as_deref(), state.clock.now()) {
        Ok(()) => board(&state, &link, &secret).await,
        Err(seconds) => Err(Refusal::TooMany(seconds)),
    };
    let mut response = page.unwrap_or_else(IntoResponse::into_response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow"));
    response
}

async fn board(state: &DashboardState, link: &str, secret: &str) -> Result<Response, Refusal> {
    let link: LinkId = link.parse().map_err(|_| Refusal::NotFound)?;
    if state.business.is_none() || secret.len() > SECRET_CHARS_MAX {
        return Err(Refusal::NotFound);
    }
    let shared = state.boards.find_shared(link, secret).await?.ok_or(Refusal::NotFound)?;
    let calendar = Calendar::find(&shared.time_zone).unwrap_or_default();
    let now = state.clock.now();
    let asker = Asker { state, project: shared.project, calendar: &calendar, now, is_public: true };
    Ok(respond::page(&SharedPage {
        assets: assets::paths(),
        at: At(now),
        people_min: PEOPLE_MIN,
        tiles: tiles(asker, &shared.board, &shared.insights).await,
        name: shared.board.name,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_opens_so_many_pages_in_a_minute() {
        let openings = Openings::default();
        let start: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for _ in 0..PER_MINUTE {
            assert_eq!(openings.admit(Some("2001:db8:1:2::1"), start), Ok(()));
        }
        let later = start.plus(Duration::from_secs(20));
        assert_eq!(openings.admit(Some("2001:db8:1:2:3::4"), later), Err(40));
        assert_eq!(openings.admit(Some("2001:db8:1:3::1"), later), Ok(()));
        assert_eq!(openings.admit(None, later), Ok(()));
        assert_eq!(openings.admit(Some("2001:db8:1:2::1"), start.plus(MINUTE)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_by_the_number_of_addresses() {
        let openings = Openings::default();
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for number in 0..=ADDRESSES_MAX {
            assert_eq!(openings.admit(Some(&format!("a{number}")), now), Ok(()));
        }
        assert!(openings.0.lock().unwrap().len() <= ADDRESSES_MAX);
    }
}
