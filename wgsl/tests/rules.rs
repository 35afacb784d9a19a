//! The rules header as a WGSL compiler reads it, against `ffcm`.

use std::collections::BTreeMap;

use ffcm_jit::{Target, differences, render};
use ffcm_wgsl::RULES;
use naga::{Expression, Literal, Module};

/// Every constant of a module as numbers.
fn decode(text: &str) -> BTreeMap<String, Vec<u32>> {
    let module = naga::front::wgsl::parse_str(text).expect("the header is WGSL");
    naga::valid::Validator::new(
        naga::valid::ValidationFlags::all(),
        naga::valid::Capabilities::empty(),
    )
    .validate(&module)
    .expect("the header is valid");
    let constants = module.constants.iter().map(|(_, constant)| {
        let name = constant
            .name
            .clone()
            .expect("every constant of the header has a name");
        (name, values(&module, constant.init))
    });
    constants.collect()
}

fn values(module: &Module, handle: naga::Handle<Expression>) -> Vec<u32> {
    match &module.global_expressions[handle] {
        Expression::Literal(Literal::U32(value)) => vec![*value],
        Expression::Compose { components, .. } => components
            .iter()
            .flat_map(|component| values(module, *component))
            .collect(),
        other => panic!("neither a u32 nor a list of them: {other:?}"),
    }
}

#[test]
fn every_cell_is_that_of_the_machine() {
    let decoded = decode(RULES);
    assert_eq!(decoded["RULES"].len(), 64);
    assert_eq!(differences(&decoded), [] as [String; 0]);
}

#[test]
fn the_header_is_fresh() {
    assert!(
        RULES == render(Target::Wgsl),
        "stale: run `cargo xtask codegen`"
    );
}

#[test]
fn a_wrong_cell_is_found() {
    let decoded = decode(RULES);
    for (name, values) in &decoded {
        for index in 0..values.len() {
            let mut wrong = decoded.clone();
            wrong.get_mut(name).unwrap()[index] ^= 1;
            assert!(
                !differences(&wrong).is_empty(),
                "{name}[{index}] may be anything"
            );
        }
        let mut without = decoded.clone();
        without.remove(name);
        assert!(!differences(&without).is_empty(), "{name} may be missing");
    }
}
