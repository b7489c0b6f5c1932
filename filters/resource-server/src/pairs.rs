//! Header maps as the ABI serializes them: a count, the sizes of all names and values, then each of them with a NUL.

/// The pairs of a map from the host. One that contradicts itself ends early, so that nothing is read out of place:
/// [`Pairs::is_whole`] tells.
pub(crate) struct Pairs<'m> {
    left: usize,
    sizes: &'m [u8],
    data: &'m [u8],
}

impl<'m> Pairs<'m> {
    pub(crate) fn new(map: &'m [u8]) -> Self {
        let (count, sizes) = map.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let left = usize::try_from(u32::from_le_bytes(*count)).unwrap_or_default();
        let (sizes, data) = sizes.split_at_checked(left.saturating_mul(8)).unwrap_or_default();
        Self { left, sizes, data }
    }

    /// Whether every pair was read, and nothing is left over.
    pub(crate) const fn is_whole(&self) -> bool {
        self.left == 0 && self.data.is_empty()
    }
}

impl<'m> Iterator for Pairs<'m> {
    type Item = (&'m [u8], &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let name_len = take_size(&mut self.sizes)?;
        let value_len = take_size(&mut self.sizes)?;
        let name = take_text(&mut self.data, name_len)?;
        let value = take_text(&mut self.data, value_len)?;
        self.left = self.left.saturating_sub(1);
        Some((name, value))
    }
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
