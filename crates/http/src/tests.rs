//! The crate through its routers and sockets.

mod bodies;
mod codecs;
mod server;
