use std::net::IpAddr;

/// Where an address is, no finer than a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The country, ISO 3166-1 alpha-2.
    pub country: String,
    /// The English name of the region, the first part of the country that the address lies in.
    pub region: Option<String>,
}

/// The address of who sent a request, where it is that of a browser: other requests come from servers, and say nothing of
/// where their users are.
#[must_use]
pub fn browser_address(user_agent: Option<&str>, address: Option<&str>) -> Option<IpAddr> {
    let is_browser = user_agent.is_some_and(|agent| agent.starts_with("Mozilla/"));
    address.filter(|_| is_browser)?.parse().ok()
}

/// Who knows where addresses are. An address is asked for where its owner consents to location, and not kept.
pub trait Places: Send + Sync {
    /// The place of an address; none where it is not known.
    fn find(&self, address: IpAddr) -> Option<Place>;
}
