//! Every kernel's text as a WGSL compiler reads it: valid without extensions, within the limits that every WebGPU
//! implementation guarantees, with the bindings its host code expects, and with no float in any expression.

use std::collections::BTreeMap;

use ffcm::coprocessor::self_test;
use ffcm_jit::Target;
use ffcm_jit::lane::golden::{CALLS, KERNELS};
use ffcm_wgsl::device::{Binding, Options, Source};
use ffcm_wgsl::{RULES, WgpuCoprocessor, kernels};
use naga::proc::TypeResolution;
use naga::valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator};
use naga::{
    AddressSpace, Arena, Expression, Function, Literal, Module, ScalarKind, StorageAccess,
    TypeInner,
};

const STORAGE_BUFFERS: usize = 8;
const UNIFORM_BUFFERS: usize = 12;
const WORKGROUP_BYTES: u32 = 16 * 1024;
const INVOCATIONS: u32 = 256;
const INVOCATIONS_Z: u32 = 64;

/// What is wrong with a kernel, in words.
fn problems(source: &Source) -> Vec<String> {
    let module = match naga::front::wgsl::parse_str(&source.text) {
        Ok(module) => module,
        Err(error) => return vec![error.emit_to_string(&source.text)],
    };
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info = match validator.validate(&module) {
        Ok(info) => info,
        Err(error) => return vec![error.emit_to_string(&source.text)],
    };
    let mut problems = vec![];
    entry(source, &module, &mut problems);
    bindings(source, &module, &mut problems);
    workgroup_memory(&module, &mut problems);
    floats(&module, &info, &mut problems);
    problems
}

/// One entry point, of the right name and a size that every device can run.
fn entry(source: &Source, module: &Module, problems: &mut Vec<String>) {
    let [entry] = &module.entry_points[..] else {
        problems.push(format!("{} entry points", module.entry_points.len()));
        return;
    };
    if entry.name != source.entry {
        problems.push(format!("entry point {}, not {}", entry.name, source.entry));
    }
    let [x, y, z] = entry.workgroup_size;
    if x * y * z > INVOCATIONS || z > INVOCATIONS_Z {
        problems.push(format!("workgroups of {x} * {y} * {z} invocations"));
    }
}

/// The module's buffers are those of [`Source::bindings`], and not too many.
fn bindings(source: &Source, module: &Module, problems: &mut Vec<String>) {
    let mut declared = BTreeMap::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(place) = variable.binding else {
            continue;
        };
        let read_write = StorageAccess::LOAD | StorageAccess::STORE;
        let kind = match variable.space {
            AddressSpace::Uniform => Binding::Uniform,
            AddressSpace::Storage { access } if access == StorageAccess::LOAD => Binding::Read,
            AddressSpace::Storage { access } if access == read_write => Binding::Write,
            other => {
                problems.push(format!("a binding in {other:?}"));
                continue;
            }
        };
        if declared
            .insert((place.group, place.binding), kind)
            .is_some()
        {
            problems.push(format!("two variables at {place:?}"));
        }
    }
    let expected: BTreeMap<(u32, u32), Binding> = (0..)
        .zip(source.bindings)
        .map(|(index, kind)| ((0, index), *kind))
        .collect();
    if declared != expected {
        problems.push(format!("bindings {declared:?}, not {expected:?}"));
    }
    let uniforms = declared
        .values()
        .filter(|kind| **kind == Binding::Uniform)
        .count();
    let storage = declared.len() - uniforms;
    if storage > STORAGE_BUFFERS || uniforms > UNIFORM_BUFFERS {
        problems.push(format!("{storage} storage and {uniforms} uniform buffers"));
    }
}

/// Workgroup memory as WebGPU counts it: each variable rounded up to 16 bytes.
fn workgroup_memory(module: &Module, problems: &mut Vec<String>) {
    let sizes = module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
        .map(|(_, variable)| {
            module.types[variable.ty]
                .inner
                .size(module.to_ctx())
                .next_multiple_of(16)
        });
    let bytes: u32 = sizes.sum();
    if bytes > WORKGROUP_BYTES {
        problems.push(format!("{bytes} bytes of workgroup memory"));
    }
}

/// No type, literal or intermediate value is a float.
fn floats(module: &Module, info: &ModuleInfo, problems: &mut Vec<String>) {
    for (_, kind) in module.types.iter() {
        if is_float(&kind.inner) {
            problems.push(format!("float type {:?}", kind.inner));
        }
    }
    float_literals("a constant", &module.global_expressions, problems);
    for (handle, function) in module.functions.iter() {
        float_values(function, &info[handle], problems);
    }
    for (index, entry) in module.entry_points.iter().enumerate() {
        float_values(&entry.function, info.get_entry_point(index), problems);
    }
}

fn float_values(function: &Function, info: &FunctionInfo, problems: &mut Vec<String>) {
    let name = function.name.as_deref().unwrap_or("a function");
    float_literals(name, &function.expressions, problems);
    for (handle, expression) in function.expressions.iter() {
        if let TypeResolution::Value(inner) = &info[handle].ty
            && is_float(inner)
        {
            problems.push(format!("{name}: float value of {expression:?}"));
        }
    }
}

fn float_literals(place: &str, expressions: &Arena<Expression>, problems: &mut Vec<String>) {
    for (_, expression) in expressions.iter() {
        if let Expression::Literal(
            literal @ (Literal::F16(_)
            | Literal::F32(_)
            | Literal::F64(_)
            | Literal::AbstractFloat(_)),
        ) = expression
        {
            problems.push(format!("{place}: {literal:?}"));
        }
    }
}

/// Whether a scalar, vector, matrix or atomic is of floats. What is made of these is a type of its own in the module.
fn is_float(inner: &TypeInner) -> bool {
    match inner {
        TypeInner::Scalar(scalar)
        | TypeInner::Atomic(scalar)
        | TypeInner::Vector { scalar, .. }
        | TypeInner::Matrix { scalar, .. }
        | TypeInner::ValuePointer { scalar, .. } => {
            matches!(scalar.kind, ScalarKind::Float | ScalarKind::AbstractFloat)
        }
        _ => false,
    }
}

#[test]
fn every_kernel_keeps_the_rules() {
    let sources = kernels::all();
    let mut names: Vec<_> = sources.iter().map(|source| source.name).collect();
    println!("{names:?}");
    assert!(!names.is_empty());
    for source in &sources {
        let found = problems(source);
        assert!(found.is_empty(), "{}: {}", source.name, found.join("\n"));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sources.len(), "two kernels of one name");
}

/// The list is kept by hand: what the self-test compiles is what serves.
#[test]
fn every_kernel_that_serves_is_in_the_list() {
    let device = WgpuCoprocessor::open(&Options::default()).expect("an adapter");
    self_test(&device).expect("the device computes right");
    let listed: Vec<&str> = kernels::all().iter().map(|source| source.name).collect();
    let compiled = device.gpu().compile_times();
    assert!(compiled.len() > 15, "{compiled:?}");
    for (kernel, _) in compiled {
        assert!(listed.contains(&kernel), "{kernel} is not in {listed:?}");
    }
}

#[test]
fn arithmetic_on_numbers_keeps_the_rules() {
    let text = [
        RULES,
        include_str!("../src/kernels/number.wgsl"),
        include_str!("number_test.wgsl"),
    ];
    let source = Source {
        name: "test.number",
        text: text.concat(),
        entry: "main",
        bindings: &[Binding::Read, Binding::Write],
    };
    assert_eq!(problems(&source), [] as [String; 0]);
}

#[test]
fn kernels_for_rows_of_numbers_keep_the_rules() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for golden in KERNELS {
        let path = root.join(golden.path(Target::Wgsl));
        let text = std::fs::read_to_string(&path).expect("a kernel that is kept");
        let found = problems(&kernels::rows(&text));
        assert!(found.is_empty(), "{}: {}", golden.name, found.join("\n"));
    }
}

#[test]
fn the_reducer_with_lane_functions_keeps_the_rules() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for golden in CALLS {
        let path = root.join(golden.path(Target::Wgsl));
        let text = std::fs::read_to_string(&path).expect("a text that is kept");
        let found = problems(&kernels::nets(&text));
        assert!(found.is_empty(), "{}: {}", golden.name, found.join("\n"));
    }
}

/// A kernel of one binding with this in its body.
fn kernel(globals: &str, size: &str, body: &str) -> Source {
    let text = format!(
        "@group(0) @binding(0) var<storage, read_write> data: array<u32>;
        {globals}
        @compute @workgroup_size({size})
        fn main(@builtin(local_invocation_index) lane: u32) {{ {body} }}"
    );
    Source {
        name: "test.kernel",
        text,
        entry: "main",
        bindings: &[Binding::Write],
    }
}

#[test]
fn what_breaks_a_rule_is_found() {
    let add = "data[lane] += 1u;";
    assert_eq!(problems(&kernel("", "256", add)), [] as [String; 0]);
    let many: String = (1..9)
        .map(|index| format!("@group(0) @binding({index}) var<storage, read> b{index}: u32;\n"))
        .collect();
    for (expected, globals, size, body) in [
        ("expected", "", "64", "data[lane] += ;"),
        (
            "Capabilities",
            "var<immediate> x: u32;",
            "64",
            "data[lane] += x;",
        ),
        ("invocations", "", "16, 17", add),
        ("invocations", "", "1, 1, 65", add),
        (
            "entry points",
            "@compute @workgroup_size(1) fn other() {}",
            "64",
            add,
        ),
        ("storage and", &many, "64", add),
        (
            "bindings",
            "@group(1) @binding(0) var<uniform> size: u32;",
            "64",
            add,
        ),
        (
            "workgroup memory",
            "var<workgroup> shared_words: array<u32, 4097>;",
            "64",
            add,
        ),
        ("float type", "var<private> x: vec2<f32>;", "64", add),
        (
            "float value",
            "",
            "64",
            "data[lane] = u32(i32(bitcast<f32>(lane) < bitcast<f32>(3u)));",
        ),
        ("F32", "", "64", "let x = 1.5; data[lane] = u32(x);"),
    ] {
        let found = problems(&kernel(globals, size, body));
        assert!(
            found.iter().any(|problem| problem.contains(expected)),
            "{expected}: {found:?}"
        );
    }
    let mut read_only = kernel("", "64", add);
    read_only.bindings = &[Binding::Read];
    assert_eq!(problems(&read_only).len(), 1);
    let mut renamed = kernel("", "64", add);
    renamed.entry = "other";
    assert_eq!(problems(&renamed).len(), 1);
}
