//! Prints the adapters of this machine in the order of `wgpu:N`, one a line: index, kind, name, driver, and why it
//! cannot be used if it cannot, separated by tabs.

use ffcm_wgsl::device::adapters;

fn main() {
    for adapter in adapters() {
        let usable = adapter
            .refused
            .map_or_else(|| "usable".to_string(), |error| error.to_string());
        println!(
            "{}\t{}\t{}\t{}\t{usable}",
            adapter.index, adapter.kind, adapter.name, adapter.driver
        );
    }
}
