//! What the driver answers, as errors of this crate.

use std::ffi::c_int;

use cudarc::driver::sys::CUresult;

use crate::device::CudaError;

/// The driver's `CUresult`.
pub type Status = c_int;

pub const OUT_OF_MEMORY: Status = CUresult::CUDA_ERROR_OUT_OF_MEMORY as Status;

/// After these the context is of no use any more: the manual says of most that the process must be
/// started anew. The others tell that the device or the driver has gone away.
const LOST: [CUresult; 20] = [
    CUresult::CUDA_ERROR_DEINITIALIZED,
    CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE,
    CUresult::CUDA_ERROR_INVALID_CONTEXT,
    CUresult::CUDA_ERROR_ECC_UNCORRECTABLE,
    CUresult::CUDA_ERROR_CONTAINED,
    CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE,
    CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
    CUresult::CUDA_ERROR_LAUNCH_TIMEOUT,
    CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    CUresult::CUDA_ERROR_ASSERT,
    CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR,
    CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    CUresult::CUDA_ERROR_MISALIGNED_ADDRESS,
    CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    CUresult::CUDA_ERROR_INVALID_PC,
    CUresult::CUDA_ERROR_LAUNCH_FAILED,
    CUresult::CUDA_ERROR_TENSOR_MEMORY_LEAK,
    CUresult::CUDA_ERROR_MPS_CLIENT_TERMINATED,
    CUresult::CUDA_ERROR_EXTERNAL_DEVICE,
    CUresult::CUDA_ERROR_UNKNOWN,
];

/// A launch that this device cannot take, whatever runs on it.
const BAD_LAUNCH: [CUresult; 3] = [
    CUresult::CUDA_ERROR_INVALID_VALUE,
    CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES,
    CUresult::CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
];

fn is_one_of(status: Status, list: &[CUresult]) -> bool {
    list.iter().any(|&one| one as Status == status)
}

/// A call that the driver did not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its name.
    pub call: &'static str,
    /// The driver's number for the reason.
    pub status: Status,
    /// The driver's name for it, if it has one.
    pub name: Option<String>,
    /// The driver's words for it, if it has any.
    pub text: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.call)?;
        match &self.name {
            Some(name) => f.write_str(name)?,
            None => write!(f, "error {}", self.status)?,
        }
        match &self.text {
            Some(text) => write!(f, ", {text}"),
            None => Ok(()),
        }
    }
}

impl Refusal {
    /// Whether nothing on the device can be used any more.
    pub fn is_loss(&self) -> bool {
        is_one_of(self.status, &LOST)
    }

    /// While starting the driver: there is nothing yet that could be lost.
    pub fn starting(self) -> CudaError {
        let message = self.to_string();
        match self.status == CUresult::CUDA_ERROR_NO_DEVICE as Status {
            true => CudaError::NoDevice { message },
            false => CudaError::Driver { message },
        }
    }

    /// While opening a device.
    pub fn opening(self, device: &str) -> CudaError {
        CudaError::Open {
            device: device.into(),
            message: self.to_string(),
        }
    }

    /// While asking for `bytes` of memory for `what`.
    pub fn allocating(self, what: &str, bytes: u64) -> CudaError {
        match self.status {
            OUT_OF_MEMORY => CudaError::OutOfMemory {
                what: what.into(),
                bytes,
            },
            _ => self.working(),
        }
    }

    /// While loading a unit; `log` is what the driver's compiler said.
    pub fn loading(self, unit: &str, log: &str) -> CudaError {
        if self.is_loss() || self.status == OUT_OF_MEMORY {
            return self.working();
        }
        let separator = if log.is_empty() { "" } else { ": " };
        CudaError::Kernel {
            kernel: unit.into(),
            message: format!("{self}{separator}{log}"),
        }
    }

    /// While launching a kernel.
    pub fn launching(self, kernel: &str) -> CudaError {
        match is_one_of(self.status, &BAD_LAUNCH) {
            true => CudaError::BadLaunch {
                kernel: kernel.into(),
                message: self.to_string(),
            },
            false => self.working(),
        }
    }

    /// In any other call.
    pub fn working(self) -> CudaError {
        let message = self.to_string();
        match self.status {
            // The driver does not tell how much it wanted.
            OUT_OF_MEMORY => CudaError::OutOfMemory {
                what: self.call.into(),
                bytes: 0,
            },
            _ if self.is_loss() => CudaError::Lost { message },
            _ => CudaError::Driver { message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: CUresult) -> Refusal {
        Refusal {
            call: "cuCall",
            status: status as Status,
            name: Some("CUDA_ERROR_X".into()),
            text: Some("some words".into()),
        }
    }

    #[test]
    fn the_message_has_what_the_driver_says() {
        let known = refusal(CUresult::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(known.to_string(), "cuCall: CUDA_ERROR_X, some words");
        let unknown = Refusal {
            status: 12_345,
            name: None,
            text: None,
            ..known
        };
        assert_eq!(unknown.to_string(), "cuCall: error 12345");
        assert!(matches!(unknown.working(), CudaError::Driver { .. }));
    }

    #[test]
    fn losses_are_losses_wherever_they_show() {
        for status in LOST {
            let lost = |error| matches!(error, CudaError::Lost { .. });
            assert!(lost(refusal(status).working()), "{status:?}");
            assert!(lost(refusal(status).launching("k")), "{status:?}");
            assert!(lost(refusal(status).loading("u", "")), "{status:?}");
            assert!(lost(refusal(status).allocating("b", 1)), "{status:?}");
        }
        assert!(!refusal(CUresult::CUDA_ERROR_INVALID_VALUE).is_loss());
        assert!(!refusal(CUresult::CUDA_ERROR_OUT_OF_MEMORY).is_loss());
    }

    #[test]
    fn each_error_says_what_was_being_done() {
        let memory = || refusal(CUresult::CUDA_ERROR_OUT_OF_MEMORY);
        assert_eq!(
            memory().allocating("the nodes", 12),
            CudaError::OutOfMemory {
                what: "the nodes".into(),
                bytes: 12
            }
        );
        let out = |error| matches!(error, CudaError::OutOfMemory { .. });
        assert!(out(memory().loading("u", "")) && out(memory().launching("k")));
        match refusal(CUresult::CUDA_ERROR_INVALID_PTX).loading("u", "line 3") {
            CudaError::Kernel { kernel, message } => {
                assert_eq!(kernel, "u");
                assert!(message.ends_with("some words: line 3"), "{message}");
            }
            other => panic!("{other}"),
        }
        for status in BAD_LAUNCH {
            let error = refusal(status).launching("k");
            assert!(matches!(error, CudaError::BadLaunch { .. }), "{status:?}");
        }
        let none = refusal(CUresult::CUDA_ERROR_NO_DEVICE).starting();
        assert!(matches!(none, CudaError::NoDevice { .. }));
        let other = refusal(CUresult::CUDA_ERROR_UNKNOWN).starting();
        assert!(matches!(other, CudaError::Driver { .. }));
        let open = refusal(CUresult::CUDA_ERROR_OUT_OF_MEMORY).opening("card");
        assert!(matches!(open, CudaError::Open { .. }));
    }
}
