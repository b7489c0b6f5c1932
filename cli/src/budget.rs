//! What one file may cost: aliases make a small file say much, and every text in it may hold another one.

/// A gateway has one for each of its routes at most.
pub(crate) const MAX_CONFIGURATIONS: usize = 1000;
/// Of all texts that are read, the configurations and the files in the file: four times what a file may have.
pub(crate) const MAX_TEXT_BYTES: usize = 16 * 1024 * 1024;
/// A file in a `ConfigMap`, and a file in that one.
pub(crate) const MAX_NESTING: usize = 2;

/// What is left of it.
pub(crate) struct Budget {
    configurations: usize,
    text: usize,
    spent: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self { configurations: MAX_CONFIGURATIONS, text: MAX_TEXT_BYTES, spent: false }
    }
}

impl Budget {
    /// Whether one more configuration may be looked at.
    pub(crate) fn has_configuration(&mut self) -> bool {
        self.spent |= self.configurations == 0;
        self.configurations = self.configurations.saturating_sub(1);
        !self.spent
    }

    /// Whether so much text may be read.
    pub(crate) fn has_text(&mut self, bytes: usize) -> bool {
        self.spent |= bytes > self.text;
        self.text = self.text.saturating_sub(bytes);
        !self.spent
    }

    /// Whether something was not looked at.
    pub(crate) const fn is_spent(&self) -> bool {
        self.spent
    }
}
