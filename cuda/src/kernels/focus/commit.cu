// Makes the last y of a warm run the mass: some nodes have waited, so the mass has become another vector. LABELS_PER_BLOCK
// labels to a block. The run is over, so `arrived` is still what arrived from the mass as it was before.
#include "focus_wide.cuh"
#include "focus_control.cuh"

// `teleport` counts where stakes differ, `order` has the node of each label.
extern "C" __global__ void __launch_bounds__(256) commit(
    const u64* control, const u64* arrived, u64* mass, const u64* teleport, const u32* order, u32 capacity) {
    const u64 labels = control[LABELS], pool = control[POOL], left = control[LEFT];
    const u64* const here = arrived + control[POOL_SIDE] * capacity;
    for (u32 step = 0; step < LABELS_PER_BLOCK; step += THREADS) {
        const u64 label = (u64)blockIdx.x * LABELS_PER_BLOCK + step + threadIdx.x;
        if (label > 0 && label < labels) {
            const u32 node = order[label];
            const u64 share = control[STAKES] != 0 ? teleport[label] : control[EACH] + (node < control[MORE] ? 1u : 0u);
            mass[label] = here[label] + pool_part(pool, share) + (node < left ? 1u : 0u);
        }
    }
}
