//! Listing and choosing adapters.

use wgpu::{Adapter, DeviceType, DownlevelFlags, Features, Instance, InstanceDescriptor, Limits};

use super::GpuError;

/// What to do when there is no adapter.
pub const INSTALL_HINT: &str = "install the Vulkan driver of your GPU, or a software one: on Debian or Ubuntu \
    `apt-get install mesa-vulkan-drivers libvulkan1`";

/// An adapter as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSummary {
    /// Index that `wgpu:N` takes.
    pub index: u32,
    /// Name the driver gives it.
    pub name: String,
    /// Driver and its version.
    pub driver: String,
    /// The native interface: `vulkan`, `metal`, `dx12`.
    pub interface: String,
    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `CPU` or `other`.
    pub kind: &'static str,
    /// Limits that matter here, as `(WebGPU name, value)`.
    pub limits: Vec<(&'static str, u64)>,
    /// Whether kernels can be timed on the device.
    pub timestamps: bool,
    /// Why it cannot be used, if it cannot.
    pub refused: Option<GpuError>,
}

/// Every adapter of this machine, in the order of `wgpu:N`.
pub fn adapters() -> Vec<AdapterSummary> {
    let found = enumerate();
    (0..)
        .zip(&found)
        .map(|(index, adapter)| summary(index, adapter))
        .collect()
}

fn enumerate() -> Vec<Adapter> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle());
    let mut found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    // Real devices first; the sort is stable, so the driver's order stands among equals.
    found.sort_by_key(|adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    found
}

/// The adapter with this index, or the first usable one.
pub(super) fn choose(index: Option<u32>) -> Result<(Adapter, AdapterSummary), GpuError> {
    let mut found = enumerate();
    let count = found.len();
    if count == 0 {
        return Err(GpuError::NoAdapter { hint: INSTALL_HINT });
    }
    let summaries: Vec<AdapterSummary> = (0..)
        .zip(&found)
        .map(|(index, adapter)| summary(index, adapter))
        .collect();
    let at = match index {
        Some(index) if index as usize >= count => {
            return Err(GpuError::NoSuchAdapter { index, count });
        }
        Some(index) => index as usize,
        None => summaries
            .iter()
            .position(|s| s.refused.is_none())
            .unwrap_or(0),
    };
    let summary = summaries[at].clone();
    match summary.refused {
        Some(error) => Err(error),
        None => Ok((found.swap_remove(at), summary)),
    }
}

/// The smallest supported profile: what every WebGPU implementation guarantees.
pub(super) fn smallest_profile() -> Limits {
    Limits::default()
}

fn summary(index: u32, adapter: &Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let driver = match (info.driver.is_empty(), info.driver_info.is_empty()) {
        (true, true) => "unknown driver".to_string(),
        (false, true) => info.driver.clone(),
        (true, false) => info.driver_info.clone(),
        (false, false) => format!("{} {}", info.driver, info.driver_info),
    };
    AdapterSummary {
        index,
        refused: refusal(
            &info.name,
            adapter.get_downlevel_capabilities().flags,
            &limits,
        ),
        name: info.name,
        driver,
        interface: info.backend.to_string(),
        kind: match info.device_type {
            DeviceType::DiscreteGpu => "discrete GPU",
            DeviceType::IntegratedGpu => "integrated GPU",
            DeviceType::VirtualGpu => "virtual GPU",
            DeviceType::Cpu => "CPU",
            DeviceType::Other => "other",
        },
        limits: needed(&limits).map(|(name, value)| (name, value)).to_vec(),
        timestamps: adapter.features().contains(Features::TIMESTAMP_QUERY),
    }
}

/// The limits that the kernels depend on.
fn needed(limits: &Limits) -> [(&'static str, u64); 8] {
    [
        ("maxBufferSize", limits.max_buffer_size),
        (
            "maxStorageBufferBindingSize",
            limits.max_storage_buffer_binding_size,
        ),
        (
            "maxStorageBuffersPerShaderStage",
            limits.max_storage_buffers_per_shader_stage.into(),
        ),
        (
            "maxComputeWorkgroupStorageSize",
            limits.max_compute_workgroup_storage_size.into(),
        ),
        (
            "maxComputeInvocationsPerWorkgroup",
            limits.max_compute_invocations_per_workgroup.into(),
        ),
        (
            "maxComputeWorkgroupSizeX",
            limits.max_compute_workgroup_size_x.into(),
        ),
        (
            "maxComputeWorkgroupsPerDimension",
            limits.max_compute_workgroups_per_dimension.into(),
        ),
        (
            "maxUniformBufferBindingSize",
            limits.max_uniform_buffer_binding_size,
        ),
    ]
}

/// Why an adapter that offers this cannot be used.
fn refusal(name: &str, flags: DownlevelFlags, limits: &Limits) -> Option<GpuError> {
    if !flags.contains(DownlevelFlags::COMPUTE_SHADERS) {
        return Some(GpuError::NoCompute {
            adapter: name.into(),
        });
    }
    too_small(limits).map(|(limit, has, needs)| GpuError::LimitTooSmall {
        adapter: name.into(),
        limit,
        has,
        needs,
    })
}

/// The first limit below the smallest profile, what it is and what it must be.
pub(super) fn too_small(limits: &Limits) -> Option<(&'static str, u64, u64)> {
    let least = needed(&smallest_profile());
    let mut pairs = needed(limits).into_iter().zip(least);
    pairs.find_map(|((name, has), (_, needs))| (has < needs).then_some((name, has, needs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_below_the_profile_is_named() {
        type Lower = (&'static str, fn(&mut Limits));
        let all = DownlevelFlags::all();
        let lower: [Lower; 8] = [
            ("maxBufferSize", |l| l.max_buffer_size -= 1),
            ("maxStorageBufferBindingSize", |l| {
                l.max_storage_buffer_binding_size -= 1;
            }),
            ("maxStorageBuffersPerShaderStage", |l| {
                l.max_storage_buffers_per_shader_stage -= 1;
            }),
            ("maxComputeWorkgroupStorageSize", |l| {
                l.max_compute_workgroup_storage_size -= 1;
            }),
            ("maxComputeInvocationsPerWorkgroup", |l| {
                l.max_compute_invocations_per_workgroup -= 1;
            }),
            ("maxComputeWorkgroupSizeX", |l| {
                l.max_compute_workgroup_size_x -= 1;
            }),
            ("maxComputeWorkgroupsPerDimension", |l| {
                l.max_compute_workgroups_per_dimension -= 1;
            }),
            ("maxUniformBufferBindingSize", |l| {
                l.max_uniform_buffer_binding_size -= 1;
            }),
        ];
        assert_eq!(refusal("a", all, &smallest_profile()), None);
        for ((name, lower), (needed, least)) in lower.iter().zip(needed(&smallest_profile())) {
            assert_eq!(*name, needed);
            let mut limits = smallest_profile();
            lower(&mut limits);
            let expected = GpuError::LimitTooSmall {
                adapter: "a".into(),
                limit: name,
                has: least - 1,
                needs: least,
            };
            assert_eq!(refusal("a", all, &limits), Some(expected));
        }
        // What kernels do not use may be missing.
        let mut limits = smallest_profile();
        limits.max_texture_dimension_3d = 0;
        assert_eq!(refusal("a", all, &limits), None);
    }

    #[test]
    fn an_adapter_without_compute_is_refused() {
        let flags = DownlevelFlags::all() - DownlevelFlags::COMPUTE_SHADERS;
        assert_eq!(
            refusal("a", flags, &smallest_profile()),
            Some(GpuError::NoCompute {
                adapter: "a".into()
            })
        );
    }
}
