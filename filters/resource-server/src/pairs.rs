//! Header maps as the ABI serializes them: a count, the sizes of all names and values, then each of them with a NUL.

/// The pairs of a map from the host. A map that contradicts itself ends early, so that nothing is read out of place.
pub(crate) fn iter(map: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (count, sizes) = map.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    let count = usize::try_from(u32::from_le_bytes(*count)).unwrap_or_default();
    let (mut sizes, mut data) = sizes.split_at_checked(count.saturating_mul(8)).unwrap_or_default();
    core::iter::from_fn(move || {
        let name_len = take_size(&mut sizes)?;
        let value_len = take_size(&mut sizes)?;
        let name = take_text(&mut data, name_len)?;
        Some((name, take_text(&mut data, value_len)?))
    })
}

/// A map for the host.
pub(crate) fn serialize<'h>(pairs: impl ExactSizeIterator<Item = (&'h str, &'h str)> + Clone) -> Vec<u8> {
    let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut map = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (name, value) in pairs.clone() {
        map.extend(size(name));
        map.extend(size(value));
    }
    for text in pairs.flat_map(|(name, value)| [name, value]) {
        map.extend(text.as_bytes());
        map.push(0);
    }
    map
}

fn take_size(sizes: &mut &[u8]) -> Option<usize> {
    let (size, rest) = sizes.split_first_chunk::<4>()?;
    *sizes = rest;
    usize::try_from(u32::from_le_bytes(*size)).ok()
}

fn take_text<'m>(data: &mut &'m [u8], len: usize) -> Option<&'m [u8]> {
    let (text, rest) = data.split_at_checked(len)?;
    *data = rest.split_first()?.1;
    Some(text)
}
