//! The specification every backend shares: word layout, rule table, numbers.

pub mod number;
pub mod rules;
pub mod word;
