mod append;
mod concurrent;
mod faults;
mod fixtures;
mod foreign;
mod random;
mod upkeep;
