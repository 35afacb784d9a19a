// What the build without lane functions does where another one runs them; see calls_lane.wgsl.

fn run_call(pair: vec4<u32>) -> bool {
    return false;
}
