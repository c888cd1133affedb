//! Tests of the whole: the real binaries over real sockets, the schema, and the rules of the house.

mod api;
mod browser;
mod database_away;
mod disk_full;
mod end_to_end;
mod kill;
mod schema;
mod tidy;
