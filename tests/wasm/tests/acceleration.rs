//! Signatures that the host checks: believed where it is right, and nowhere else.

use serde_json::json;
use wasm_host_tests::{
    Fault, Idp, Key, PATH, Request, STATUSES, SUBJECT, Token, VERIFY, VerifySignature, Vm, fetching_config,
    inline_config,
};

const FALLBACKS: &str = "mcp_oauth.verify_signature_fallback";
const KEYS: [Key; 2] = [Key::Rsa, Key::P256(3)];

/// One of each algorithm that a host can be asked about.
const ALL: [Key; 5] = [Key::Rsa, Key::Rsa384, Key::Rsa512, Key::P256(3), Key::P384(4)];

/// As many tokens in a row may find no help before the host is given up.
const PATIENCE: u32 = 3;

/// Known good, known bad.
const PROOF: u32 = 2;

/// A VM whose keys are in its configuration, on a host with this function.
fn vm(host: VerifySignature) -> Vm {
    let mut vm = Vm::start(inline_config(&[&ALL[..], &[Key::GOOD]].concat()).to_string());
    vm.world().verify_signature = host;
    vm
}

/// Tokens of one key, each another one, so that none is known from before.
struct Tokens {
    key: Key,
    made: u32,
}

impl Tokens {
    fn of(key: Key) -> Self {
        Self { key, made: 0 }
    }

    fn next(&mut self) -> Token {
        self.made += 1;
        Token::good().signed_by(self.key).claim("jti", self.made)
    }

    /// One that is forwarded.
    #[track_caller]
    fn accepted(&mut self, vm: &mut Vm) {
        let stream = vm.request(Request::post(PATH).bearer(&self.next().sign()));
        assert_eq!(vm.forwarded(stream).get("x-mcp-subject"), Some(SUBJECT), "{:?}", self.key);
    }

    /// One with another one's signature.
    #[track_caller]
    fn refused(&mut self, vm: &mut Vm) {
        let signature = Token::good().signed_by(self.key).sign();
        let stream = vm.request(Request::post(PATH).bearer(&self.next().with_signature_of(&signature)));
        let reply = vm.replied(stream);
        assert_eq!(reply.status, 401, "{:?}: {reply:?}", self.key);
        reply.refuses(401, "invalid_token");
    }
}

/// After some more tokens at the latest the host is given up, and what it said or would say has no effect.
#[track_caller]
fn assert_given_up(vm: &mut Vm, key: Key, after: u32) {
    let mut tokens = Tokens { key, made: 100 };
    (0..after).for_each(|_| tokens.accepted(vm));
    let asked = vm.world().asked_to_verify();
    tokens.refused(vm);
    tokens.accepted(vm);
    assert_eq!(vm.world().asked_to_verify(), asked, "{key:?}: asked again");
}

#[test]
fn a_host_that_is_right_decides() {
    for key in ALL {
        let mut vm = vm(VerifySignature::Real);
        let mut tokens = Tokens::of(key);
        tokens.accepted(&mut vm);
        assert_eq!(vm.world().asked_to_verify(), PROOF + 1, "{key:?}");
        tokens.refused(&mut vm);
        tokens.accepted(&mut vm);
        assert_eq!(vm.world().asked_to_verify(), PROOF + 3, "{key:?}: proved once, then asked once per token");
        assert_eq!(vm.world().metric(FALLBACKS), 0, "{key:?}");
    }
}

#[test]
fn a_forgery_is_refused_also_as_the_first_token() {
    for key in KEYS {
        let mut vm = vm(VerifySignature::Real);
        Tokens::of(key).refused(&mut vm);
        assert_eq!(vm.world().asked_to_verify(), PROOF + 1, "{key:?}");
        assert_eq!(vm.world().metric(FALLBACKS), 0, "{key:?}");
    }
}

#[test]
fn an_ecdsa_signature_of_another_length_does_not_reach_the_host() {
    let mut vm = vm(VerifySignature::Real);
    let mut tokens = Tokens::of(Key::P256(3));
    tokens.accepted(&mut vm);
    let asked = vm.world().asked_to_verify();
    let rsa = Token::good().signed_by(Key::Rsa).sign();
    let token = tokens.next().with_signature_of(&rsa);
    let stream = vm.request(Request::post(PATH).bearer(&token));
    vm.replied(stream).refuses(401, "invalid_token");
    assert_eq!(vm.world().asked_to_verify(), asked);
}

#[test]
fn an_algorithm_that_the_host_does_not_know_is_not_asked_about() {
    let mut vm = vm(VerifySignature::AlwaysGood);
    Tokens::of(Key::GOOD).accepted(&mut vm);
    Tokens::of(Key::GOOD).refused(&mut vm);
    assert_eq!(vm.world().asked_to_verify(), 0);
    assert_eq!(vm.world().metric(FALLBACKS), 0);
}

#[test]
fn a_host_that_calls_everything_good_is_not_believed() {
    for key in KEYS {
        let mut vm = vm(VerifySignature::AlwaysGood);
        Tokens::of(key).refused(&mut vm);
        assert_eq!(vm.world().metric(FALLBACKS), 1, "{key:?}");
        assert_eq!(vm.world().asked_to_verify(), PROOF, "{key:?}: only about known signatures");
        assert_given_up(&mut vm, key, 0);
        assert_eq!(vm.world().metric(FALLBACKS), 1, "{key:?}");
    }
}

#[test]
fn a_host_that_is_never_right_costs_only_time() {
    let mut hosts = vec![
        VerifySignature::Absent,
        VerifySignature::AlwaysGood,
        VerifySignature::AlwaysBad,
        VerifySignature::Garbage,
        VerifySignature::Empty,
    ];
    hosts.extend(STATUSES.map(VerifySignature::Fails));
    for host in hosts {
        for key in KEYS {
            let mut vm = vm(host);
            // One that calls a known signature wrong is given up at once.
            let wrong = [VerifySignature::AlwaysGood, VerifySignature::AlwaysBad].contains(&host);
            let patience = if wrong { 1 } else { PATIENCE };
            assert_given_up(&mut vm, key, patience);
            assert_eq!(vm.world().metric(FALLBACKS), u64::from(patience), "{host:?}, {key:?}");
        }
    }
}

#[test]
fn each_algorithm_is_proved_and_given_up_for_itself() {
    let mut vm = vm(VerifySignature::Real);
    Tokens::of(Key::Rsa).accepted(&mut vm);
    vm.world().verify_signature = VerifySignature::AlwaysGood;
    Tokens::of(Key::P256(3)).refused(&mut vm);
    assert_eq!(vm.world().metric(FALLBACKS), 1);
    vm.world().verify_signature = VerifySignature::Real;
    let asked = vm.world().asked_to_verify();
    Tokens { key: Key::Rsa, made: 10 }.accepted(&mut vm);
    Tokens { key: Key::Rsa, made: 20 }.refused(&mut vm);
    assert_eq!(vm.world().asked_to_verify(), asked + 2, "RS256 is still the host's");
    assert_given_up(&mut vm, Key::P256(3), 0);
}

#[test]
fn a_host_that_stops_making_sense_is_given_up() {
    let mut hosts = vec![VerifySignature::Garbage, VerifySignature::Empty, VerifySignature::Absent];
    hosts.extend(STATUSES.map(VerifySignature::Fails));
    for host in hosts {
        for key in KEYS {
            // The first token after the change is a forgery, or a good one.
            for forged in [true, false] {
                let mut vm = vm(VerifySignature::Real);
                let mut tokens = Tokens::of(key);
                tokens.accepted(&mut vm);
                assert_eq!(vm.world().metric(FALLBACKS), 0);
                vm.world().verify_signature = host;
                if forged {
                    tokens.refused(&mut vm)
                } else {
                    tokens.accepted(&mut vm)
                }
                assert_eq!(vm.world().metric(FALLBACKS), 1, "{host:?}, {key:?}");
                (1..PATIENCE).for_each(|_| tokens.accepted(&mut vm));
                // It does not come back, not even when it is right again.
                vm.world().verify_signature = VerifySignature::Real;
                assert_given_up(&mut vm, key, 0);
                assert_eq!(vm.world().metric(FALLBACKS), u64::from(PATIENCE), "{host:?}, {key:?}");
            }
        }
    }
}

#[test]
fn one_failed_call_is_one_fallback_and_no_wrong_verdict() {
    for n in 1..=PROOF + 1 {
        for forged in [true, false] {
            let mut vm = vm(VerifySignature::Real);
            vm.world().fault(Fault::nth(VERIFY, n, 10));
            let mut tokens = Tokens::of(Key::Rsa);
            if forged {
                tokens.refused(&mut vm)
            } else {
                tokens.accepted(&mut vm)
            }
            assert_eq!(vm.world().metric(FALLBACKS), 1, "call {n}");
            // It proves itself again, and is asked as before.
            let asked = vm.world().asked_to_verify();
            tokens.refused(&mut vm);
            tokens.accepted(&mut vm);
            assert_eq!(vm.world().asked_to_verify(), asked + PROOF + 2, "call {n}");
            assert_eq!(vm.world().metric(FALLBACKS), 1, "call {n}");
        }
    }
}

#[test]
fn never_means_never() {
    let mut config = inline_config(&KEYS);
    config["verify_signature"] = json!("never");
    for host in [VerifySignature::Real, VerifySignature::AlwaysGood] {
        let mut vm = Vm::start(config.to_string());
        vm.world().verify_signature = host;
        for key in KEYS {
            let mut tokens = Tokens::of(key);
            tokens.accepted(&mut vm);
            tokens.refused(&mut vm);
        }
        assert_eq!(vm.world().asked_to_verify(), 0, "{host:?}");
        assert_eq!(vm.world().metric(FALLBACKS), 0, "{host:?}");
    }
}

#[test]
fn requests_that_waited_for_their_keys_are_checked_alike() {
    for (host, fallbacks) in [(VerifySignature::Real, 0), (VerifySignature::AlwaysGood, 1)] {
        let mut vm = Vm::start(fetching_config().to_string());
        vm.world().verify_signature = host;
        let token = Token::good().signed_by(Key::Rsa);
        let good = vm.request(Request::post(PATH).bearer(&token.sign()));
        let forged = token.clone().claim("jti", "two").with_signature_of(&token.sign());
        let forged = vm.request(Request::post(PATH).bearer(&forged));
        Idp::with_keys(&[Key::Rsa]).serve(&mut vm);
        vm.forwarded(good);
        vm.replied(forged).refuses(401, "invalid_token");
        // What was found out on the root context is counted with the next request at the latest.
        Tokens::of(Key::Rsa).accepted(&mut vm);
        assert_eq!(vm.world().metric(FALLBACKS), fallbacks, "{host:?}");
    }
}
