//! Which files are checked, and how they are named.

use serde_json::json;

use crate::support::{configuration, file, own, run, run_with};

#[test]
fn one_file_that_cannot_be_read_hides_no_other() {
    let good = file("good.json", configuration().to_string());
    let bad = file("bad.json", "{ \"authorization_servers\": [], \"resources\": [] }");
    let broken = file("broken.json", "{");
    let checked = run(&["check", "nowhere.yaml", &bad, &own("cli"), &broken, &good]);
    assert_eq!(checked.code, 2, "{checked:?}");
    for part in ["nowhere.yaml: cannot be read", "cli: is a directory", "cure: name a file that can be read"] {
        assert!(checked.err.contains(part), "{part}: {checked:?}");
    }
    assert!(checked.out.contains(&format!("{bad}:1:28: error: authorization_servers: is empty")), "{checked:?}");
    assert!(checked.out.contains(&format!("{broken}:1:2: error: ")), "{checked:?}");
    let checked = run(&["check", "--json", &good, "nowhere.yaml"]);
    let document = checked.json();
    assert_eq!((checked.code, &document["count"], &document["configurations"]), (2, &json!(0), &json!(1)));
    assert_eq!((&document["unread"][0]["file"], &document["unread"][1]), (&json!("nowhere.yaml"), &json!(null)));
    // The siblings that can be read.
    assert_eq!(run(&["check", &good, &bad, &broken]).code, 1);
    assert_eq!(run(&["check", "--json", &good]).json()["unread"], json!([]));
}

#[test]
fn a_name_that_may_be_a_secret_is_not_repeated() {
    let secret = "Zm9vYmFyMTIzNDU2Nzg5MFNFQ1JFVA";
    let checked = run(&["check", "--json", secret]);
    assert!(checked.code == 2 && !checked.out.contains(secret) && !checked.err.contains(secret), "{checked:?}");
    assert_eq!(run(&["check", "--json", "nowhere.yaml"]).json()["unread"][0]["file"], "nowhere.yaml");
}

#[test]
fn standard_input_is_read_once() {
    let good = configuration().to_string();
    let checked = run_with(&["check", "-", "-"], &good);
    assert!(checked.code == 2 && checked.err.contains("standard input is named twice"), "{checked:?}");
    let checked = run_with(&["check", "-"], &good);
    assert_eq!((checked.code, &*checked.out), (0, "no findings: 1 configuration in 1 file\n"));
    let [one, two] = [file("a.json", &good), file("b.json", &good)];
    assert!(run(&["check", &one, &two]).out.ends_with("no findings: 2 configurations in 2 files\n"));
}
