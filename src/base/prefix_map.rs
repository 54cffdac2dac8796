//! Values by address prefix or by whole address: a trie over the octets of an address, with a direct branch for
//! each digit. A look-up ends at the first octet that no entry has, so it costs next to nothing for addresses that
//! have no entry, however many entries there are.

/// No such node.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<V> {
    digits: [u32; 10],
    /// Branches for octets that are not digits; few, so a list will do.
    others: Vec<(u8, u32)>,
    prefix: Option<V>,
    exact: Option<V>,
}

impl<V> Node<V> {
    const fn new() -> Self {
        Self { digits: [NONE; 10], others: Vec::new(), prefix: None, exact: None }
    }

    #[inline]
    fn branch(&self, octet: u8) -> u32 {
        match self.digits.get(usize::from(octet.wrapping_sub(b'0'))) {
            Some(&branch) => branch,
            None => {
                self.others.iter().find(|&&(other, _)| other == octet).map_or(NONE, |&(_, branch)| branch)
            }
        }
    }
}

/// A map from prefixes and whole addresses to values. Built once, then only read.
#[derive(Debug)]
pub struct PrefixMap<V> {
    nodes: Vec<Node<V>>,
}

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V> PrefixMap<V> {
    /// An empty map.
    pub fn new() -> Self {
        Self { nodes: vec![Node::new()] }
    }

    /// Gives every address that starts with `prefix` this value, unless a longer prefix or the whole address has
    /// its own. The empty prefix is everybody. An entry that exists stays. Returns the value that now holds.
    pub fn insert_prefix(&mut self, prefix: &[u8], value: V) -> &V {
        let node = self.reach(prefix);
        self.nodes[node].prefix.get_or_insert(value)
    }

    /// Gives exactly this address this value. As [`PrefixMap::insert_prefix`] otherwise.
    pub fn insert_exact(&mut self, address: &[u8], value: V) -> &V {
        let node = self.reach(address);
        self.nodes[node].exact.get_or_insert(value)
    }

    /// The value of the whole address, else of its longest prefix that has one.
    #[inline]
    pub fn find(&self, address: &[u8]) -> Option<&V> {
        let mut node = self.nodes.first()?;
        let mut found = node.prefix.as_ref();
        for &octet in address {
            let Some(next) = self.nodes.get(node.branch(octet) as usize) else { return found };
            node = next;
            found = node.prefix.as_ref().or(found);
        }
        node.exact.as_ref().or(found)
    }

    /// The node for this path, made if need be.
    fn reach(&mut self, path: &[u8]) -> usize {
        let mut node = 0;
        for &octet in path {
            let mut next = self.nodes[node].branch(octet);
            if next == NONE {
                next = self.nodes.len() as u32;
                self.nodes.push(Node::new());
                let parent = &mut self.nodes[node];
                match parent.digits.get_mut(usize::from(octet.wrapping_sub(b'0'))) {
                    Some(branch) => *branch = next,
                    None => parent.others.push((octet, next)),
                }
            }
            node = next as usize;
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_whole_address_wins_then_the_longest_prefix() {
        let mut map = PrefixMap::new();
        assert_eq!(map.find(b"1"), None);
        assert_eq!(map.insert_prefix(b"44", 1), &1);
        assert_eq!(map.insert_prefix(b"4477", 2), &2);
        assert_eq!(map.insert_exact(b"447", 3), &3);
        assert_eq!(map.insert_prefix(b"INFO", 4), &4);
        assert_eq!(map.insert_prefix(b"44", 9), &1);
        for (address, value) in [
            (&b"44"[..], Some(&1)),
            (b"447", Some(&3)),
            (b"4470", Some(&1)),
            (b"44771", Some(&2)),
            (b"4", None),
            (b"INFOLINE", Some(&4)),
            (b"INF", None),
            (b"\xFF", None),
        ] {
            assert_eq!(map.find(address), value, "{address:?}");
        }
        map.insert_prefix(b"", 0);
        assert_eq!(map.find(b""), Some(&0));
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(prefixes in prop::collection::vec("[0-2x+]{0,4}", 0..20), address in "[0-2x+]{0,6}") {
            let mut map = PrefixMap::new();
            for prefix in &prefixes {
                map.insert_prefix(prefix.as_bytes(), prefix.clone());
            }
            let scanned = prefixes.iter().filter(|p| address.starts_with(p.as_str())).max_by_key(|p| p.len());
            prop_assert_eq!(map.find(address.as_bytes()), scanned);
        }
    }
}
