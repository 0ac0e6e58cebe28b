//! The `odeon` command as its users see it: arguments, output, exit status.
//!
//! Every test has a desk of its own: a folder with a home directory in it and
//! nothing of the tester's environment.

mod components;
mod desk;
mod errors;
mod exit;
mod host;
mod output;
mod run;
mod trust;
