//! `application/x-www-form-urlencoded` (RFC 6749 appendix B).

use alloc::string::String;
use url::form_urlencoded::{Serializer, byte_serialize};

/// The media type.
pub const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A form that is written field by field.
pub(crate) struct Form(Serializer<'static, String>);

impl Default for Form {
    fn default() -> Self {
        Self(Serializer::new(String::new()))
    }
}

impl Form {
    /// Adds a field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.0.append_pair(name, value);
        self
    }

    /// Adds a field if there is a value.
    pub(crate) fn maybe(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.finish()
    }
}

/// One value alone.
pub(crate) fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
