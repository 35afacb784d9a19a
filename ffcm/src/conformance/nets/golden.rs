//! The golden programs in the binary: the suite runs where there is no source tree.

/// Name and text of every program of `golden/nets`, by name.
pub(super) const PROGRAMS: [(&str, &str); 24] = [
    ("casts.hvm", include_str!("../../../golden/nets/casts.hvm")),
    (
        "casts_32.hvm",
        include_str!("../../../golden/nets/casts_32.hvm"),
    ),
    (
        "church.hvm",
        include_str!("../../../golden/nets/church.hvm"),
    ),
    ("cnots.hvm", include_str!("../../../golden/nets/cnots.hvm")),
    (
        "labels.hvm",
        include_str!("../../../golden/nets/labels.hvm"),
    ),
    (
        "leftovers.hvm",
        include_str!("../../../golden/nets/leftovers.hvm"),
    ),
    ("lists.hvm", include_str!("../../../golden/nets/lists.hvm")),
    (
        "numbers_edges.hvm",
        include_str!("../../../golden/nets/numbers_edges.hvm"),
    ),
    (
        "numbers_f24.hvm",
        include_str!("../../../golden/nets/numbers_f24.hvm"),
    ),
    (
        "numbers_f32.hvm",
        include_str!("../../../golden/nets/numbers_f32.hvm"),
    ),
    (
        "numbers_i24.hvm",
        include_str!("../../../golden/nets/numbers_i24.hvm"),
    ),
    (
        "numbers_i32.hvm",
        include_str!("../../../golden/nets/numbers_i32.hvm"),
    ),
    (
        "numbers_partial.hvm",
        include_str!("../../../golden/nets/numbers_partial.hvm"),
    ),
    (
        "numbers_u24.hvm",
        include_str!("../../../golden/nets/numbers_u24.hvm"),
    ),
    (
        "numbers_u32.hvm",
        include_str!("../../../golden/nets/numbers_u32.hvm"),
    ),
    (
        "references.hvm",
        include_str!("../../../golden/nets/references.hvm"),
    ),
    (
        "references_cloned.hvm",
        include_str!("../../../golden/nets/references_cloned.hvm"),
    ),
    (
        "sort_bitonic.hvm",
        include_str!("../../../golden/nets/sort_bitonic.hvm"),
    ),
    (
        "sort_radix.hvm",
        include_str!("../../../golden/nets/sort_radix.hvm"),
    ),
    (
        "stress.hvm",
        include_str!("../../../golden/nets/stress.hvm"),
    ),
    (
        "sum_rec.hvm",
        include_str!("../../../golden/nets/sum_rec.hvm"),
    ),
    (
        "sum_tree.hvm",
        include_str!("../../../golden/nets/sum_tree.hvm"),
    ),
    (
        "switch.hvm",
        include_str!("../../../golden/nets/switch.hvm"),
    ),
    (
        "tuples.hvm",
        include_str!("../../../golden/nets/tuples.hvm"),
    ),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_list_has_every_program_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/nets");
        let entries = fs::read_dir(folder).expect("the folder is there");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("a readable entry").file_name())
            .map(|name| name.into_string().expect("UTF-8"))
            .filter(|name| name.ends_with(".hvm"))
            .collect();
        names.sort();
        assert_eq!(PROGRAMS.map(|(name, _)| name.to_string()).to_vec(), names);
    }
}
