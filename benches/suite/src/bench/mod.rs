//! The matrix: suites by sizes by backends, the same jobs on any coprocessor, every result held against the oracle.
//!
//! [`run()`] takes contenders and gives a [`schema::Report`], which is the JSON, the table ([`text`]) and the page
//! ([`html`]). [`compare`] and [`history`] read several of them.

pub mod ceilings;
pub mod compare;
pub mod crossover;
pub mod generate;
pub mod history;
pub mod html;
mod operators;
mod plot;
mod run;
pub mod schema;
pub mod spread;
mod svg;
pub mod text;
mod wire;
pub mod work;

pub use run::{Contender, Plan, Started, Step, run};
