//! What the demo links.

use std::path::Path;

use ffcm_formats::{Format, LabeledGraph, Limits, read, read_path};

use super::failure::Failure;

/// The packages this very program is made of: particles are packages, links are dependencies.
const OWN_PACKAGES: &str = include_str!("../../../../Cargo.lock");

/// One link to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Label of the source.
    pub(crate) source: String,
    /// Label of the target.
    pub(crate) target: String,
    /// Weight of the edge, at most 2^32 - 1.
    pub(crate) weight: u64,
}

/// Links in a fixed order.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    /// Where they come from, for people.
    pub(crate) name: String,
    /// The links.
    pub(crate) links: Vec<Link>,
    /// A hash of all of them in order: equal feeds continue each other.
    pub(crate) digest: [u8; 32],
}

impl Feed {
    /// The links of the file at `edges`, or else of the packages this program is made of.
    pub(crate) fn load(edges: Option<&Path>) -> Result<Feed, Failure> {
        let limits = Limits::default();
        let (name, graph) = match edges {
            Some(path) => (path.display().to_string(), read_path(path, None, &limits)?),
            None => (
                "its own Cargo.lock".to_owned(),
                read(OWN_PACKAGES.as_bytes(), Some(Format::CargoLock), &limits)?,
            ),
        };
        let feed = Feed::of(name, &graph);
        if feed.links.is_empty() {
            return Err(Failure::file(feed.name, "no edges to link"));
        }
        Ok(feed)
    }

    fn of(name: String, graph: &LabeledGraph) -> Feed {
        let mut hasher = blake3::Hasher::new_derive_key("focus-flow v1 demo feed");
        let mut links = Vec::new();
        for (source, target, weight) in graph.links() {
            let weight = weight.min(u32::MAX.into());
            for label in [source, target] {
                hasher.update(&(label.len() as u64).to_le_bytes());
                hasher.update(label.as_bytes());
            }
            hasher.update(&weight.to_le_bytes());
            links.push(Link {
                source: source.to_owned(),
                target: target.to_owned(),
                weight,
            });
        }
        Feed {
            name,
            links,
            digest: *hasher.finalize().as_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_packages_are_a_feed() {
        let feed = Feed::load(None).unwrap();
        let again = Feed::load(None).unwrap();
        assert_eq!(feed.digest, again.digest);
        let own = |link: &Link| link.source.starts_with("focus-node");
        assert!(feed.links.iter().any(own));
        assert!(feed.links.iter().all(|link| link.weight == 1));
    }

    #[test]
    fn other_weights_are_another_feed() {
        let folder = tempfile::tempdir().unwrap();
        let load = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Feed::load(Some(&path))
        };
        let one = load("a.el", "x y 3\n").unwrap();
        let two = load("b.el", "x y 4\n").unwrap();
        assert_ne!(one.digest, two.digest);
        assert_eq!(two.links[0].weight, 4);
        assert!(load("c.el", "").is_err());
    }
}
