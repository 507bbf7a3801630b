//! The state tree as its definition says it, to check proofs against.

use std::collections::BTreeMap;

use pocket_types::codec::List;
use pocket_types::hash::Hash;
use pocket_types::merkle::{Proof, Terminal};

/// The definition, word for word: an empty subtree is zero, a subtree of one leaf is that leaf, an
/// inner node hashes its halves. Built by paths as bit strings and by plain BLAKE3, without the
/// functions under test.
#[derive(Clone, Default)]
pub struct Tree(BTreeMap<String, (Hash, Hash)>);

fn bits(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:08b}")).collect()
}

pub fn plain(parts: &[&[u8]]) -> Hash {
    Hash(*blake3::hash(&parts.concat()).as_bytes())
}

impl Tree {
    pub fn of<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let leaves = entries.into_iter().map(|(key, value)| {
            let (path, value) = (plain(&[key]), plain(&[value]));
            (bits(&path.0), (path, value))
        });
        Self(leaves.collect())
    }

    fn under(&self, prefix: &str) -> Vec<&(Hash, Hash)> {
        self.0.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(_, leaf)| leaf).collect()
    }

    fn node(&self, prefix: &str) -> Hash {
        match self.under(prefix)[..] {
            [] => Hash([0; 32]),
            [(path, value)] => {
                let prefix =
                    b"pocket v1 state tree leaf: prefix, path, hash of the value.\0\0\0\0\0";
                plain(&[prefix, &path.0, &value.0])
            }
            _ => {
                let half = |bit| self.node(&format!("{prefix}{bit}")).0;
                plain(&[&half('0'), &half('1')])
            }
        }
    }

    pub fn root(&self) -> Hash {
        self.node("")
    }

    pub fn prove(&self, key: &[u8]) -> Proof {
        let path = bits(&plain(&[key]).0);
        let mut depth = 0;
        while self.under(&path[..depth]).len() > 1 {
            depth += 1;
        }
        let terminal = match self.under(&path[..depth])[..] {
            [(path, value_hash)] => Terminal::Leaf { path: *path, value_hash: *value_hash },
            _ => Terminal::Empty,
        };
        let sibling = |level: usize| {
            let other = if &path[level..=level] == "0" { '1' } else { '0' };
            self.node(&format!("{}{other}", &path[..level]))
        };
        Proof { siblings: List::new((0..depth).rev().map(sibling).collect()).unwrap(), terminal }
    }
}
