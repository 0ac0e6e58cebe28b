//! What a host counts: the text is what a collector reads, the numbers are what
//! happened, and no count ever goes down.

mod counting;
mod exposition;
mod rows;
mod serving;
