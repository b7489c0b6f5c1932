//! (being written)
use mcp_oauth::gate::Verdict;

use crate::support::{gate, good_token, inline_config, present};

#[test]
fn the_good_token_is_accepted() {
    let verdict = present(&mut gate(&inline_config()), &good_token());
    assert!(matches!(verdict, Verdict::Forward(_)), "{verdict:?}");
}
