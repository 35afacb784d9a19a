//! Hand-written functions against a worker that is only imitated.

mod mock;
mod programs;
