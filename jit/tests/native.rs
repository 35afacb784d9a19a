//! The CPU engine with native code against the reference.

#![cfg(feature = "native")]

use std::sync::Arc;

use ffcm::conformance::Suite;
use ffcm::cpu::native::{Fused, Fuser};
use ffcm::cpu::{Compiled, CpuCoprocessor};
use ffcm::net::Book;
use ffcm_jit::native::{Native, Options};

/// Native code from the beginning, so that tests do not depend on when it is ready.
struct AtOnce(Native);

impl Fuser for AtOnce {
    fn fuse(&self, book: &Book, compiled: &Compiled) -> Option<Arc<dyn Fused>> {
        let fused = self.0.fuse(book, compiled);
        self.0.wait();
        fused
    }
}

fn at_once() -> Arc<AtOnce> {
    let options = Options {
        samples: 0,
        ..Options::default()
    };
    Arc::new(AtOnce(
        Native::new(options).expect("this machine has native code"),
    ))
}

#[test]
fn the_suite_of_nets_passes() {
    for threads in [1, 2] {
        let fuser = at_once();
        let native: Arc<dyn Fuser> = Arc::clone(&fuser) as Arc<dyn Fuser>;
        let backend = CpuCoprocessor::with_fuser(threads, native).unwrap();
        Suite::Nets.run(&backend).unwrap();
        let done = fuser.0.statistics();
        assert!(done.functions > 0 && done.failed == 0, "{done:?}");
    }
}
