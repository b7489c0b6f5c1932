//! The `Authorization` header: a token is read of exactly what the grammar says, and printed by nothing.

#![no_main]

use mcp_oauth::bearer::{Authorization, CredentialsError, MAX_TOKEN_BYTES, Scheme};

const NAMES: [(&str, Scheme); 2] = [("bearer", Scheme::Bearer), ("dpop", Scheme::Dpop)];

/// What RFC 6750 section 2.1 makes of the lines: the scheme and the token's length.
fn expected(lines: &[&[u8]], schemes: &[Scheme]) -> Result<Option<(Scheme, usize)>, CredentialsError> {
    let named = |text: &[u8]| {
        let word = text.split(|byte| *byte == b' ').next().unwrap_or_default().to_ascii_lowercase();
        let found = NAMES.into_iter().find(|(name, _)| name.as_bytes() == word);
        found.map(|(_, scheme)| scheme).filter(|scheme| schemes.contains(scheme))
    };
    let line = match lines {
        [] => return Ok(None),
        [line] => *line,
        _ => return Err(CredentialsError::Doubled),
    };
    let Some(scheme) = named(line) else {
        let hides = line.split(|byte| *byte == b',').skip(1).any(|part| named(part.trim_ascii()).is_some());
        return if hides { Err(CredentialsError::Doubled) } else { Ok(None) };
    };
    if line.contains(&b',') {
        return Err(CredentialsError::Doubled);
    }
    let behind = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let spaces = line[behind..].iter().take_while(|byte| **byte == b' ').count();
    let token = &line[behind + spaces..];
    if token.len() > MAX_TOKEN_BYTES {
        return Err(CredentialsError::TooLong(token.len()));
    }
    let letters = token.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte)).count();
    let is_formed = letters > 0 && token[letters..].iter().all(|byte| *byte == b'=');
    if is_formed { Ok(Some((scheme, token.len()))) } else { Err(CredentialsError::Malformed) }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // No header line has a line feed.
    let lines: Vec<&[u8]> = if data.is_empty() { Vec::new() } else { data.split(|byte| *byte == b'\n').collect() };
    let authorization = lines.iter().fold(Authorization::default(), |all, line| all.and(line));
    for schemes in [&[Scheme::Bearer][..], &[Scheme::Dpop], &[Scheme::Bearer, Scheme::Dpop]] {
        let found = authorization.token(schemes);
        // `Debug` is all that there is of a token, and tells its length.
        let printed = found.map(|found| found.map(|(scheme, token)| (scheme, format!("{token:?}"))));
        let expected = expected(&lines, schemes)
            .map(|found| found.map(|(scheme, bytes)| (scheme, format!("BearerToken(<{bytes} bytes>)"))));
        assert_eq!(printed, expected, "{}", data.escape_ascii());
    }
});
