//! Help, exit codes, and what is said of misuse.

use crate::support::{configuration, file, run, run_with};

#[test]
fn help_says_what_exit_codes_mean() {
    for arguments in
        [&["--help"][..], &["check", "--help"], &["explain", "-h"], &["discover", "--help"], &["init", "--help"]]
    {
        let help = run(arguments);
        assert!(help.code == 0 && help.err.is_empty() && help.out.contains("exit codes: 0 "), "{help:?}");
    }
    // What the filter answers itself is no refusal, and does not go upstream.
    let config = file("a.json", configuration().to_string());
    let path = "/.well-known/oauth-protected-resource/mcp";
    assert!(run(&["explain", "--help"]).out.contains("0 it goes upstream, or the filter answers it with a document"));
    for (method, code) in [("GET", 0), ("DELETE", 1)] {
        assert_eq!(run(&["explain", "--config", &config, "--method", method, "--path", path]).code, code, "{method}");
    }
    assert!(run(&["--version"]).out.starts_with("mcp-oauth "));
    assert_eq!(run(&["schema", "--help"]).code, 0);
}

#[test]
fn misuse_is_two_and_has_a_cure() {
    let config = file("a.json", "{}");
    let cases: [&[&str]; 20] = [
        &[],
        &["chekc"],
        &["check"],
        &["check", "/no/such/file"],
        &["check", "/"],
        &["check", "--env", "X"],
        &["check", "--bogus"],
        &["explain"],
        &["explain", "--config"],
        &["explain", "--config", &config],
        &["explain", "--config", &config, "--exchange"],
        &["explain", "--config", &config, "--ca", &config],
        &["explain", "--config", &config, "--fetch", "--ca", "/dev/zero"],
        &["discover"],
        &["discover", "mcp.example.com"],
        &["discover", "https://user@mcp.example.com/"],
        &["discover", "https://[::1/mcp"],
        &["discover", "https://mcp.example.com:port/mcp"],
        &["discover", "https://mcp.example.com/%\"<>"],
        &["discover", "--timeout", "never", "https://mcp.example.com/"],
    ];
    for arguments in cases {
        let told = run(arguments);
        assert!(told.code == 2 && told.out.is_empty(), "{arguments:?}: {told:?}");
        assert!(told.err.starts_with("mcp-oauth: ") && told.err.contains("\n   cure: "), "{arguments:?}: {told:?}");
        // Machines find it there too.
        let machine = run(&[&["--json"], arguments].concat());
        assert_eq!((machine.code, machine.err), (2, told.err), "{arguments:?}");
    }
}

#[test]
fn there_are_no_colours_without_a_terminal() {
    let told = run(&["check", &file("a.json", "{}")]);
    assert!(!told.out.contains('\x1b') && !told.err.contains('\x1b'), "{told:?}");
}

#[test]
fn what_cannot_be_written_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let told = std::process::Command::new(env!("CARGO_BIN_EXE_mcp-oauth")).arg("schema").stdout(full).output();
    let told = told.expect("it ends");
    assert!(told.status.code() == Some(2) && String::from_utf8_lossy(&told.stderr).contains("cure: "), "{told:?}");
}

#[test]
fn standard_input_is_a_file_too() {
    let told = run_with(&["check", "-"], "{ \"resources\": [] }");
    assert!(told.code == 1 && told.out.contains("<stdin>:1:"), "{told:?}");
}
