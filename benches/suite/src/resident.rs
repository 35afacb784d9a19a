//! Resident memory of this process.

use std::fs;

/// Runs something and says how many MiB the process grew at most while it ran; none where the system does not say.
/// Pages that earlier work left in the process count for nothing, so measure before anything large ran.
pub fn growth<T>(run: impl FnOnce() -> T) -> (T, Option<f64>) {
    // "5" makes the peak the present size (Linux).
    let before = fs::write("/proc/self/clear_refs", "5")
        .ok()
        .and_then(|()| kib("VmRSS:"));
    let value = run();
    let peak = kib("VmHWM:");
    let grown = before.zip(peak);
    let mebibytes = grown.map(|(before, peak)| peak.saturating_sub(before) as f64 / 1024.0);
    (value, mebibytes)
}

/// A line of the process's status, in KiB.
fn kib(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn growth_is_seen_though_the_memory_is_gone_again() {
        let (sum, grown) = growth(|| {
            vec![1u8; 64 << 20]
                .iter()
                .map(|&b| u64::from(b))
                .sum::<u64>()
        });
        assert_eq!(sum, 64 << 20);
        // Other tests run beside this one and may free what they had.
        assert!(grown.is_some_and(|mib| mib > 16.0), "{grown:?}");
    }
}
