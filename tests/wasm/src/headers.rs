//! Header maps as Envoy keeps them: lower-case names, ordered, values are bytes.

use std::fmt;

/// An ordered multimap of headers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// Appends a header; other copies stay.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// Sets a header: afterwards there is exactly one.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.remove(name.as_ref());
        self.add(name, value);
    }

    /// Removes every copy.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        self.0.retain(|(other, _)| *other != name);
    }

    /// The first copy's bytes.
    pub fn bytes(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        let name = name.as_ref().to_ascii_lowercase();
        self.0.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_slice())
    }

    /// The only copy as text. Fails the test if there are several, or if it is not UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        let count = self.0.iter().filter(|(other, _)| other == name.as_bytes()).count();
        assert!(count < 2, "{name} is there {count} times: {self:?}");
        self.bytes(name).map(|value| std::str::from_utf8(value).expect("header is UTF-8"))
    }

    /// Names in order, with repetitions.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned())
    }

    /// The pairs in order.
    pub fn pairs(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.0
    }

    /// How many headers there are, each copy counted.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any name or value contains these bytes.
    pub fn mentions(&self, needle: &str) -> bool {
        let found = |hay: &[u8]| hay.windows(needle.len()).any(|part| part == needle.as_bytes());
        self.0.iter().any(|(name, value)| found(name) || found(value))
    }
}

impl From<Vec<(Vec<u8>, Vec<u8>)>> for Headers {
    fn from(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name, value);
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(name, value)| {
                let shown = &value[..value.len().min(200)];
                (String::from_utf8_lossy(name), String::from_utf8_lossy(shown))
            }))
            .finish()
    }
}
