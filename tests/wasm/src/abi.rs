//! The numbers and byte layouts of proxy-wasm ABI 0.2.1.

/// A status that a host function returns.
pub type Status = u32;

/// Status numbers, named as in the ABI.
pub mod status {
    use super::Status;

    /// Done.
    pub const OK: Status = 0;
    /// No such header, context or buffer.
    pub const NOT_FOUND: Status = 1;
    /// Not in this phase, or not such a value.
    pub const BAD_ARGUMENT: Status = 2;
    /// A serialised header map that cannot be read.
    pub const PARSE_FAILURE: Status = 4;
    /// A pointer outside of the guest's memory.
    pub const INVALID_MEMORY_ACCESS: Status = 6;
    /// The cluster has no endpoint.
    pub const INTERNAL_FAILURE: Status = 10;
}

/// The header maps of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// Headers on the way to the upstream.
    Request,
    /// Headers on the way to the client.
    Response,
    /// Headers of the answer to a `proxy_http_call`.
    CallResponse,
}

impl Map {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Request),
            2 => Some(Self::Response),
            6 => Some(Self::CallResponse),
            _ => None,
        }
    }
}

/// The buffers of the ABI that this host can fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffer {
    RequestBody,
    ResponseBody,
    CallResponseBody,
    VmConfiguration,
    PluginConfiguration,
}

impl Buffer {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::RequestBody),
            1 => Some(Self::ResponseBody),
            4 => Some(Self::CallResponseBody),
            6 => Some(Self::VmConfiguration),
            7 => Some(Self::PluginConfiguration),
            _ => None,
        }
    }
}

/// Envoy's limits for a serialised map that the guest hands over; a larger one counts as empty.
const MAX_PAIRS: usize = 1024;
const MAX_PAIR_BYTES: usize = 1 << 20;

/// Serialises pairs: count, the two sizes of each, then names and values, each NUL-terminated.
pub fn write_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = size(pairs.len()).to_vec();
    for (name, value) in pairs {
        out.extend(size(name.len()));
        out.extend(size(value.len()));
    }
    for (name, value) in pairs {
        out.extend(name);
        out.push(0);
        out.extend(value);
        out.push(0);
    }
    out
}

fn size(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("below 4 GiB").to_le_bytes()
}

/// Reads what [`write_pairs`] writes; `None` where the bytes do not add up.
pub fn read_pairs(bytes: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let word = |at: usize| {
        let raw = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(raw.try_into().ok()?) as usize)
    };
    let count = word(0)?;
    if count > MAX_PAIRS || bytes.len() > MAX_PAIR_BYTES {
        return Some(Vec::new());
    }
    let mut at = 4 + count * 8;
    let mut pairs = Vec::new();
    for index in 0..count {
        let name = terminated(bytes, &mut at, word(4 + index * 8)?)?;
        let value = terminated(bytes, &mut at, word(8 + index * 8)?)?;
        pairs.push((name, value));
    }
    (at == bytes.len()).then_some(pairs)
}

fn terminated(bytes: &[u8], at: &mut usize, length: usize) -> Option<Vec<u8>> {
    let end = at.checked_add(length)?;
    let value = bytes.get(*at..end)?;
    (*bytes.get(end)? == 0).then_some(())?;
    *at = end + 1;
    Some(value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_the_round_trip() {
        let pairs = vec![(b":path".to_vec(), b"/a".to_vec()), (b"x".to_vec(), Vec::new())];
        assert_eq!(read_pairs(&write_pairs(&pairs)), Some(pairs));
    }

    #[test]
    fn a_map_cut_short_or_unterminated_is_refused() {
        let good = write_pairs(&[(b"a".to_vec(), b"b".to_vec())]);
        assert_eq!(read_pairs(&good[..good.len() - 1]), None);
        let mut bad = good;
        *bad.last_mut().unwrap() = b'x';
        assert_eq!(read_pairs(&bad), None);
    }

    #[test]
    fn more_than_1024_pairs_count_as_none_as_in_envoy() {
        let many = vec![(b"a".to_vec(), b"b".to_vec()); 1025];
        assert_eq!(read_pairs(&write_pairs(&many)), Some(Vec::new()));
        assert_eq!(read_pairs(&write_pairs(&many[..1024])).unwrap().len(), 1024);
    }
}
