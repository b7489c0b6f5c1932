//! Which of the names of an object are the same, when there are many of them.

use alloc::vec::Vec;

use super::text::Text;

/// The first so many names of an object are compared with each other at once, and with the rest when the object ends:
/// comparing each with each would cost the square.
pub(super) const FEW_NAMES: usize = 24;

/// As many members may the objects that are open at a time have: each name is kept until its object ends, at 12 bytes in a
/// 32-bit module, and all of a body's bytes could be names.
pub(crate) const MAX_NAMES: usize = 16_384;

/// The one that stands last of two names that say the same.
#[cold]
pub(super) fn find_same<'j>(names: &mut [Text<'j>]) -> Option<Text<'j>> {
    if names.iter().any(|name| name.escaped) {
        // To decode a name costs more than to compare it, so it is done once for each and not in each comparison.
        let mut keyed: Vec<_> = names.iter().map(|name| (name.digest(), *name)).collect();
        keyed.sort_unstable_by(|(key, one), (other_key, other)| key.cmp(other_key).then_with(|| one.cmp(*other)));
        names.iter_mut().zip(keyed).for_each(|(slot, (_, name))| *slot = name);
    } else {
        names.sort_unstable_by_key(|name| name.written);
    }
    names.windows(2).find_map(|pair| match pair {
        [one, other] if one.is(*other) => [*one, *other].into_iter().max_by_key(|name| name.written.as_ptr()),
        _ => None,
    })
}
