// Quota of each slot, at most 2^31.
@group(0) @binding(7) var<storage, read> quotas: array<u32>;

// floor(share * quota / 2^31): a product of at most 58 bits, shifted by 2j - 31, which is odd and so never 0.
fn edge_term(slot: u32, share: u32) -> vec2<u32> {
    let product = multiply32(share & 0x07ffffffu, quotas[slot]);
    let even = (share >> 26u) & 62u;
    if (even >= 32u) {
        let by = even - 31u;
        return vec2<u32>(product.x << by, (product.y << by) | (product.x >> (32u - by)));
    }
    return shift_right64(product, 31u - even);
}
