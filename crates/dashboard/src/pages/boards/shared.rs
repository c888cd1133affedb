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
use belvedere_business_intelligence::insight::{InsightId, LinkId, PEOPLE_MIN, SharedBoard};
use belvedere_storage::Timestamp;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use http::{HeaderName, HeaderValue};

use super::{Files, TileCard, tiles, trouble};
use crate::assets::{self, AssetPaths};
use crate::form::Pairs;
use crate::pages::insights::question::Kind;
use crate::pages::insights::{Asker, file};
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
    confined(page)
}

/// `GET /shared/{link}/{secret}/{insight}`: the numbers of a tile as a file, as far as the link shows them.
pub(in crate::pages) async fn download(
    State(state): State<Arc<DashboardState>>,
    Client(client): Client,
    Extension(openings): Extension<Arc<Openings>>,
    Path((link, secret, insight)): Path<(String, String, String)>,
    pairs: Pairs,
) -> Response {
    let file = match openings.admit(client.address.as_deref(), state.clock.now()) {
        Ok(()) => table(&state, (&link, &secret), &insight, pairs.text("format")).await,
        Err(seconds) => Err(Refusal::TooMany(seconds)),
    };
    confined(file)
}

fn confined(answer: Result<Response, Refusal>) -> Response {
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow"));
    response
}

async fn find(state: &DashboardState, link: &str, secret: &str) -> Result<SharedBoard, Refusal> {
    let link: LinkId = link.parse().map_err(|_| Refusal::NotFound)?;
    if state.business.is_none() || secret.len() > SECRET_CHARS_MAX {
        return Err(Refusal::NotFound);
    }
    state.boards.find_shared(link, secret).await?.ok_or(Refusal::NotFound)
}

async fn board(state: &DashboardState, link: &str, secret: &str) -> Result<Response, Refusal> {
    let shared = find(state, link, secret).await?;
    let calendar = Calendar::find(&shared.time_zone).unwrap_or_default();
    let now = state.clock.now();
    let asker = Asker { state, project: shared.project, calendar: &calendar, now, is_public: true };
    let mut tiles = tiles(asker, &shared.board, &shared.insights).await;
    let shown = shared.board.tiles.iter().filter(|tile| is_known(&shared, tile.insight));
    for (card, tile) in tiles.iter_mut().zip(shown).filter(|(card, _)| card.view.is_some()) {
        let file = |format: &str| format!("/shared/{link}/{secret}/{}?format={format}", tile.insight);
        card.files = Some(Files { csv: file("csv"), json: file("json"), parquet: file("parquet") });
    }
    Ok(respond::page(&SharedPage {
        assets: assets::paths(),
        at: At(now),
        people_min: PEOPLE_MIN,
        tiles,
        name: shared.board.name,
    }))
}

fn is_known(shared: &SharedBoard, insight: InsightId) -> bool {
    shared.insights.iter().any(|it| it.id == insight)
}

async fn table(
    state: &DashboardState,
    (link, secret): (&str, &str),
    insight: &str,
    format: &str,
) -> Result<Response, Refusal> {
    let shared = find(state, link, secret).await?;
    let insight: InsightId = insight.parse().map_err(|_| Refusal::NotFound)?;
    let is_shown = shared.board.tiles.iter().any(|tile| tile.insight == insight);
    let insight = shared.insights.iter().find(|it| it.id == insight && is_shown).ok_or(Refusal::NotFound)?;
    let calendar = Calendar::find(&shared.time_zone).unwrap_or_default();
    let now = state.clock.now();
    let asker = Asker { state, project: shared.project, calendar: &calendar, now, is_public: true };
    let answer = match asker.answer(&insight.question).await {
        Ok(answer) => answer,
        Err(refusal) => return Err(Refusal::Invalid(trouble(refusal, true))),
    };
    let table = answer.table(&insight.question, &calendar);
    file(&table, format, Kind::of(&insight.question).word())
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
