//! Which devices a suite could run on, a line each, for scripts.

use ffcm::coprocessor::ProvidedDevice;

use crate::gpu::PROVIDERS;

/// Prints backend, `usable`, `refused` or `absent`, `hardware` or `software`, and name or reason, with tabs between.
pub fn print() {
    for provider in PROVIDERS {
        let devices = provider.devices();
        if devices.is_empty() {
            println!("{}", absent(provider.name(), &why(provider.name())));
        }
        for device in devices {
            println!("{}", line(provider.name(), &device));
        }
    }
}

/// Why a family has no device.
fn why(family: &str) -> String {
    match (family, ffcm_cuda::device::devices()) {
        ("cuda", Err(error)) => error.to_string(),
        ("cuda", Ok(_)) => "the driver lists no device".into(),
        _ => format!("no adapter was found; {}", ffcm_wgsl::device::INSTALL_HINT),
    }
}

fn absent(family: &str, reason: &str) -> String {
    format!("{family}\tabsent\t-\t{}", one_line(reason))
}

fn line(family: &str, device: &ProvidedDevice) -> String {
    let ProvidedDevice {
        index,
        name,
        software,
        refused,
    } = device;
    let state = refused.as_ref().map_or("usable", |_| "refused");
    let kind = if *software { "software" } else { "hardware" };
    let words = match refused {
        Some(reason) => format!("{name}: {reason}"),
        None => name.clone(),
    };
    format!("{family}:{index}\t{state}\t{kind}\t{}", one_line(&words))
}

/// Words of a driver may have tabs and line ends of their own.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_four_fields() {
        let device = |refused: Option<&str>| ProvidedDevice {
            index: 2,
            name: "A\tcard".into(),
            software: refused.is_none(),
            refused: refused.map(str::to_owned),
        };
        assert_eq!(
            line("wgpu", &device(None)),
            "wgpu:2\tusable\tsoftware\tA card"
        );
        assert_eq!(
            line("cuda", &device(Some("too\nold"))),
            "cuda:2\trefused\thardware\tA card: too old"
        );
        assert_eq!(absent("cuda", "no\ndriver"), "cuda\tabsent\t-\tno driver");
    }
}
