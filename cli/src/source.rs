//! A file as it was written, and where in it the characters of a text inside a text stand.

use std::path::Path;

use crate::node::Style;

/// More than any manifest has.
pub(crate) const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A file.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    chars: Vec<char>,
    /// Where lines begin.
    lines: Vec<usize>,
    /// Whether it began with a byte order mark.
    pub(crate) is_marked: bool,
}

impl Source {
    pub(crate) fn new(name: &str, text: String) -> Self {
        let is_marked = text.starts_with('\u{feff}');
        let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
        let chars: Vec<char> = text.chars().collect();
        let nexts = chars.iter().skip(1).map(Some).chain([None]);
        // CR and LF end one line together.
        let is_end =
            |(_, (c, next)): &(usize, (&char, Option<&char>))| **c == '\n' || (**c == '\r' && *next != Some(&'\n'));
        let ends = chars.iter().zip(nexts).enumerate().filter(is_end).map(|(at, _)| at.saturating_add(1));
        let lines = std::iter::once(0).chain(ends).collect();
        Self { name: name.to_owned(), text, chars, lines, is_marked }
    }

    /// Line and column of a character, from 1.
    pub(crate) fn place(&self, at: usize) -> (usize, usize) {
        let at = at.min(self.chars.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        (line, at.saturating_sub(start).saturating_add(1))
    }

    fn char(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    /// Of each character of a YAML or JSON text that begins at `at`, where it stands in the file. All styles drop or fold white
    /// space only, or escape single characters, so the visible ones come in the same order.
    pub(crate) fn align(&self, at: usize, style: Style, text: &str) -> Vec<usize> {
        let mut here = self.past_properties(at);
        match style {
            Style::Block => {
                // The header: `|`, `>`, their indicators, a comment.
                if matches!(self.char(here), Some('|' | '>')) {
                    while self.char(here).is_some_and(|c| !matches!(c, '\n' | '\r')) {
                        here = here.saturating_add(1);
                    }
                }
            }
            Style::Single | Style::Double => {
                if matches!(self.char(here), Some('"' | '\'')) {
                    here = here.saturating_add(1);
                }
            }
            Style::Plain | Style::Tagged => {}
        }
        let mut places = Vec::with_capacity(text.len());
        for c in text.chars() {
            if c.is_whitespace() {
                places.push(here);
                continue;
            }
            here = self.skip(here, style);
            places.push(here);
            here = here.saturating_add(self.width(here, style));
        }
        places.push(here);
        places
    }

    /// Past tag and anchor, and the comments behind them.
    fn past_properties(&self, mut at: usize) -> usize {
        let past = |mut at: usize, is_in: fn(char) -> bool| {
            while self.char(at).is_some_and(is_in) {
                at = at.saturating_add(1);
            }
            at
        };
        let start = at;
        loop {
            at = match self.char(at) {
                Some('!' | '&') => past(past(at, |c| !c.is_whitespace()), char::is_whitespace),
                Some('#') if at > start => past(past(at, |c| !matches!(c, '\n' | '\r')), char::is_whitespace),
                _ => return at,
            };
        }
    }

    /// Past white space, written or escaped.
    fn skip(&self, mut at: usize, style: Style) -> usize {
        loop {
            match self.char(at) {
                Some(c) if c.is_whitespace() => at = at.saturating_add(1),
                Some('\\') if style == Style::Double && self.is_escaped_space(at) => {
                    at = at.saturating_add(self.width(at, style));
                }
                _ => return at,
            }
        }
    }

    fn is_escaped_space(&self, at: usize) -> bool {
        let code = |digits: usize| {
            let digits = (2..digits.saturating_add(2)).filter_map(|n| self.char(at.saturating_add(n)));
            u32::from_str_radix(&digits.collect::<String>(), 16).ok().and_then(char::from_u32)
        };
        let escaped = match self.char(at.saturating_add(1)) {
            Some('n' | 't' | 'r' | 'f' | 'v' | 'N' | '_' | 'L' | 'P') => Some(' '),
            Some('x') => code(2),
            Some('u') => code(4),
            Some('U') => code(8),
            other => other,
        };
        escaped.is_some_and(char::is_whitespace)
    }

    /// How many characters of the file make one of the text.
    fn width(&self, at: usize, style: Style) -> usize {
        match (style, self.char(at)) {
            (Style::Single, Some('\'')) => 2,
            (Style::Double, Some('\\')) => match self.char(at.saturating_add(1)) {
                Some('x') => 4,
                Some('u') => {
                    let digits: String = (2..6).filter_map(|n| self.char(at.saturating_add(n))).collect();
                    // The first half of a pair has the other one behind it.
                    let is_half = u32::from_str_radix(&digits, 16).is_ok_and(|code| (0xD800..0xDC00).contains(&code));
                    if is_half { 12 } else { 6 }
                }
                Some('U') => 10,
                _ => 2,
            },
            _ => 1,
        }
    }
}

/// Reads a text file, or standard input for `-`; what is wrong with it, and whether it is there at all.
pub(crate) fn read(name: &str) -> Result<Source, ReadError> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    let most = MAX_FILE_BYTES.saturating_add(1);
    let read = if name == "-" {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        if Path::new(name).is_dir() {
            return Err(ReadError::Unreadable("is a directory".to_owned()));
        }
        std::fs::File::open(name).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| ReadError::Unreadable(format!("cannot be read: {error}")))?;
    if u64::try_from(bytes.len()).map_or(true, |size| size > MAX_FILE_BYTES) {
        return Err(ReadError::Content(format!("is larger than {} MiB", MAX_FILE_BYTES / 1024 / 1024)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        ReadError::Content(format!("is no text: byte {at} is not UTF-8"))
    })?;
    if text.contains('\0') {
        return Err(ReadError::Content("is no text: it has NUL characters".to_owned()));
    }
    Ok(Source::new(if name == "-" { "<stdin>" } else { name }, text))
}

/// Why there is nothing to look at.
pub(crate) enum ReadError {
    /// Misuse: there is no such file.
    Unreadable(String),
    /// A finding: the file is there.
    Content(String),
}
