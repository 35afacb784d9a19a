//! The words that the host and the kernels of the parallel engine exchange, and the sizes they agree on: those of
//! `net/heap.cuh`, which a test compares.

/// Makes a constant of each name, and in tests a list of all.
macro_rules! constants {
    ($($name:ident = $value:expr;)*) => {
        $(pub(super) const $name: u32 = $value;)*
        #[cfg(test)]
        const ALL: &[(&str, u32)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    STATUS = 0;
    STATUS_RUNNING = 0;
    STATUS_OUT_OF_GAS = 2;
    STATUS_STALLED = 3;
    ROUND = 1;
    GROUPS_RAN = 3;
    GROUPS_MAX = 4;
    TRIPS = 8;
    STEPS_MAX = 9;
    FUEL = 10;
    N = 12;
    TAKEN = 13;
    PUSHED = 14;
    PUSH_LIMIT = 15;
    DUMPED = 16;
    DUMP_AT = 17;
    BAG_CAPACITY = 18;
    SLACK = 24;
    STALL = 25;
    STALL_NODES = 1;
    STALL_BAG = 4;
    EXPAND_WAITING = 26;
    EXPAND_PLACED = 27;
    HOST_WAITING = 28;
    GAS = 29;
    NODE_HEAD = 32;
    NODE_SEEN = 33;
    NODE_TAIL = 34;
    NODE_MASK = 35;
    NODE_BUMP = 36;
    NODE_CAPACITY = 37;
    DAMAGE = 39;
    COUNTS = 40;
    PAIRS_PEAK = 48;
    PARCHED = 49;
    BARRIER = 50;
    ROUNDS = 51;
    KEPT = 53;
    WORDS = 55;
    HOST_LIST = 55;
    HOST_MAX = 64;
    HOST_ENTRY = 3;
    EXPAND_MAX = 32;
    CONTROL_WORDS = 439;
    THREADS_MAX = 256;
    LOCAL_BAG = 512;
    STACK = 16;
    LOCAL_NODES = 32;
    LOCAL_PAIRS = 4;
    BOOK_HEADER = 4;
    GIVEN = 0x0800_0000;
}

const _: () = assert!(BOOK_HEADER as usize == ffcm::device::net::HEADER);
const _: () = assert!(GIVEN as u64 == ffcm::device::net::GIVEN.0);

/// Most pairs that a block of so many threads leaves at the end of a round.
pub(super) fn slack(threads: u32) -> u64 {
    u64::from(threads * (STACK + 1) + LOCAL_BAG)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn kernels_have_the_same_constants() {
        let text = include_str!("../kernels/net/heap.cuh");
        let header: BTreeMap<&str, u32> = text
            .lines()
            .filter_map(|line| line.strip_prefix("constexpr u32 "))
            .map(|line| {
                let (name, value) = line
                    .strip_suffix(';')
                    .and_then(|line| line.split_once(" = "))
                    .expect("a name and a value");
                (name, value.parse().expect("a number"))
            })
            .collect();
        for (name, value) in ALL {
            assert_eq!(header.get(name), Some(value), "{name}");
        }
        let list = |at: &str, most: &str, entry: &str| header[at] + header[most] * header[entry];
        let expand = list("HOST_LIST", "HOST_MAX", "HOST_ENTRY");
        assert_eq!(header["EXPAND_LIST"], expand);
        assert_eq!(
            list("EXPAND_LIST", "EXPAND_MAX", "EXPAND_ENTRY"),
            CONTROL_WORDS
        );
        for size in ["LOCAL_BAG", "POOL", "STACK"] {
            assert!(header[size].is_power_of_two(), "{size}");
        }
    }
}
