use std::net::IpAddr;

/// Where an address is, no finer than a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The country, ISO 3166-1 alpha-2.
    pub country: String,
    /// The English name of the region, the first part of the country that the address lies in.
    pub region: Option<String>,
}

/// Who knows where addresses are. An address is asked for where its owner consents to location, and not kept.
pub trait Places: Send + Sync {
    /// The place of an address; none where it is not known.
    fn find(&self, address: IpAddr) -> Option<Place>;
}
