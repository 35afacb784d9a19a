//! What is prepared once per graph, for backends that keep their own layout of it.

pub use super::arith::{QUOTA_ONE, Ratio, quota};
pub use super::teleport::Teleport;
