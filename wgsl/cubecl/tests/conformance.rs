//! The suites that every backend joins. A driver without an adapter is a failure.

use ffcm_cubecl::CubeclCoprocessor;

ffcm::conformance!(cubecl, || CubeclCoprocessor::open(None)
    .expect("an adapter for the tests"));
