// What the build without lane functions does where another one runs them; see call.wgsl.

// Turns of loops that a trip takes, divisions aside; with them, and whatever lane functions may take at the same time.
const TRIP_TURNS: u32 = 2u;
const TRIP_COST: u32 = 11u;

fn is_call(pair: vec4<u32>) -> bool {
    return false;
}

fn is_ready(definition: u32, meets: vec2<u32>) -> bool {
    return false;
}

fn set_out_calls(room: u32, solo: bool) {}

fn is_late_for_calls() -> bool {
    return false;
}

fn called_turns() -> u32 {
    return 0u;
}

fn work_and_call(trips: u32, share: bool, only_links: bool) {
    work(trips, share, only_links, false);
}

fn leave_called() {}
