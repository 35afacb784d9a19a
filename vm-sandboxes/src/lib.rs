//! Run guest code within limits.
//!
//! Guest code here is a **weight net**: a `.hvm` program whose definition `@weight` turns the stake, age and kind of a
//! link into the weight of an edge. It runs on a [`Coprocessor`](ffcm::coprocessor::Coprocessor), any of which gives the
//! same weights.

pub mod weight;

pub use weight::{
    EdgeAttributes, LoadFailure, Refusal, Weighed, WeightFailure, WeightNet, WeightVerdict,
};
