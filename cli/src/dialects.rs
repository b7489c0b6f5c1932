//! What the readers of YAML do not agree about: Envoy's, Kubernetes' (YAML 1.1), and this tool's (1.2).

use crate::node::SyntaxError;

/// Characters that end a line for one reader and not for another, or that one of them refuses: in a comment, the first hide a
/// setting from whoever does not know them.
pub(crate) fn characters(text: &str) -> Result<(), SyntaxError> {
    let is_disputed = |c: char| {
        matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}')
            || (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
    };
    let Some((at, c)) = text.chars().enumerate().find(|(_, c)| is_disputed(*c)) else { return Ok(()) };
    let code = u32::from(c);
    let reason = match c {
        '\u{85}' | '\u{2028}' | '\u{2029}' => {
            format!(
                "U+{code:04X} ends a line for some readers of YAML, and not for others: what follows may be a setting"
            )
        }
        _ => format!("U+{code:04X} is refused by some readers of YAML"),
    };
    Err(SyntaxError { at, reason })
}

/// Where lines begin that are within a value, and may begin as they like.
#[derive(Default)]
pub(crate) struct Covered {
    /// From and to, in their order, none within another.
    spans: Vec<(usize, usize)>,
}

impl Covered {
    /// The end is that of the last value so far.
    pub(crate) fn add(&mut self, from: usize, to: usize) {
        while self.spans.last().is_some_and(|(start, _)| *start >= from) {
            self.spans.pop();
        }
        self.spans.push((from, to));
    }

    /// Lines that Kubernetes' reader refuses or divides the file at, and this one passes over.
    pub(crate) fn lines(&self, text: &str) -> Result<(), SyntaxError> {
        // Where the line began, as long as nothing but spaces is in it.
        let mut line = Some(0);
        for (at, c) in text.chars().enumerate() {
            let reason = match (line, c) {
                (Some(start), '%') if start == at => Some("kubectl refuses directives"),
                (Some(_), '\t') => Some("kubectl refuses a tab where a line begins"),
                _ => None,
            };
            line = match c {
                '\n' | '\r' => Some(at.saturating_add(1)),
                ' ' => line,
                _ => None,
            };
            if let Some(reason) = reason.filter(|_| !self.has(at)) {
                return Err(SyntaxError { at, reason: reason.to_owned() });
            }
        }
        Ok(())
    }

    fn has(&self, at: usize) -> bool {
        let before = self.spans.partition_point(|(from, _)| *from <= at);
        before.checked_sub(1).and_then(|index| self.spans.get(index)).is_some_and(|(_, to)| at < *to)
    }
}

/// Whether Kubernetes' YAML (1.1) or Envoy's makes a truth value or a number of what is a text in YAML 1.2 and its JSON schema.
pub(crate) fn is_read_otherwise(text: &str) -> bool {
    const TRUTHS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let number = text.strip_prefix(['+', '-']).unwrap_or(text).replace('_', "").to_ascii_lowercase();
    let has_base = |base: &str, radix| {
        let digits = number.strip_prefix(base).filter(|digits| !digits.is_empty());
        digits.is_some_and(|digits| digits.chars().all(|c| c.is_digit(radix)))
    };
    let is_number = number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.parse::<f64>().is_ok();
    TRUTHS.iter().any(|word| text.eq_ignore_ascii_case(word))
        || matches!(number.as_str(), ".inf" | ".nan")
        || has_base("0x", 16)
        || has_base("0o", 8)
        || has_base("0b", 2)
        || is_number
}
