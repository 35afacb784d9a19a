//! Hand-written functions against a worker that is only imitated.

mod arithmetic;
mod fuser;
mod insts;
mod mock;
mod programs;
mod take;
