//! Fetching ahead what lies where no processor guesses it.

/// Has the cache fetch `items[at]`, if there is one.
#[inline(always)]
pub(super) fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        debug_assert!(items.as_ptr_range().contains(&std::ptr::from_ref(item)));
        // SAFETY: the address is that of an item, and nothing is read or written there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, at);
}
