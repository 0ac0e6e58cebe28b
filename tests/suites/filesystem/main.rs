//! Components in a granted directory: what they reach, what they may change,
//! and what they may use up. Guests speak raw `wasi:filesystem`.

mod grants;
mod ground;
mod indexer;
mod limits;
mod links;
mod names;
mod paths;
