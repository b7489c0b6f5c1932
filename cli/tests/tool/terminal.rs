//! What is asked on a terminal.

use crate::support::{Run, python};

/// The tool on a terminal where these answers are typed.
fn on_terminal(answers: &str, arguments: &[&str]) -> Run {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal.py");
    let output = python(&[&[script, answers, env!("CARGO_BIN_EXE_mcp-oauth")], arguments].concat()).output();
    let output = output.expect("Python runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn init_asks_four_questions() {
    let answers = r"istio\nhttps://mcp.example.com/mcp\nhttps://idp.example.com\nmcp:read mcp:write\n";
    let told = on_terminal(answers, &["init"]);
    assert_eq!(told.code, 0, "{told:?}");
    for part in ["[envoy] istio", "kind: WasmPlugin", "outbound|443||idp.example.com", r#"["mcp:read", "mcp:write"]"#] {
        assert!(told.out.contains(part), "{part}: {told:?}");
    }
    assert_eq!(told.out.matches("? ").count(), 4, "{told:?}");
}

#[test]
fn init_asks_for_what_is_not_given_and_an_empty_answer_is_the_default() {
    let given = ["init", "--resource", "https://mcp.example.com/mcp", "--issuer", "https://idp.example.com"];
    let told = on_terminal(r"\n\n", &given);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.contains("- name: mcp_resource_server") && told.out.contains(r#""required": []"#), "{told:?}");
    assert_eq!(told.out.matches("? ").count(), 2, "{told:?}");
}

#[test]
fn init_says_which_answer_was_not_good() {
    let cases = [
        (r"nginx\n", 2, "an unknown kind"),
        (r"\n\n", 2, "--resource is needed"),
        (r"\n\x04\n", 2, "--resource is needed"),
        (r"\nmcp.example.com/mcp\nhttps://idp.example.com\n\n", 1, "--resource: `mcp.example.com/mcp` is not"),
    ];
    for (answers, code, part) in cases {
        let told = on_terminal(answers, &["init"]);
        assert!(told.code == code && told.out.contains(part), "{answers}: {told:?}");
    }
}

#[test]
fn what_is_being_done_names_no_secret() {
    for (name, is_shown) in [("no/such/envoy.yaml", true), ("Zm9vYmFyMTIzNDU2Nzg5MFNFQ1JFVA", false)] {
        let told = on_terminal("", &["check", name]);
        assert!(told.code == 2 && told.out.contains("... reading "), "{told:?}");
        assert_eq!(told.out.contains(name), is_shown, "{told:?}");
    }
}
