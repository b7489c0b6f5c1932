//! Which of the names of an object are the same, when there are many of them.

use core::cmp::Ordering;

use alloc::collections::BinaryHeap;

use super::text::Text;

/// The first so many names of an object are compared with each other at once, and with the rest when the object ends:
/// comparing each with each would cost the square.
pub(super) const FEW_NAMES: usize = 24;

/// As many members may the objects that are open at a time have: each name is kept until its object ends, at 12 bytes in a
/// 32-bit module, and all of a body's bytes could be names.
pub(crate) const MAX_NAMES: usize = 16_384;

/// A name that is decoded once, and not in each comparison: first its digest is compared.
struct Keyed<'j>(u64, Text<'j>);

impl Ord for Keyed<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0).then_with(|| self.1.cmp(other.1))
    }
}

impl PartialOrd for Keyed<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Keyed<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Keyed<'_> {}

/// The one that stands last of two names that say the same. (A heap is a fifth of the code of `sort`.)
#[cold]
pub(super) fn find_same<'j>(names: &[Text<'j>]) -> Option<Text<'j>> {
    let keyed: BinaryHeap<_> = names.iter().map(|name| Keyed(name.digest(), *name)).collect();
    keyed.into_sorted_vec().windows(2).find_map(|pair| match pair {
        [one, other] if one == other => [one.1, other.1].into_iter().max_by_key(|name| name.written.as_ptr()),
        _ => None,
    })
}
