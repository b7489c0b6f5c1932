//! Faults: a host function that returns a status instead of doing its work.

use crate::abi::Status;

/// The host function behind which `verify_signature` is.
pub const VERIFY: &str = "proxy_call_foreign_function";

/// Every host function of the `env` module that the filter may import, and nothing else.
pub const HOST_FUNCTIONS: [&str; 21] = [
    "proxy_log",
    "proxy_get_log_level",
    "proxy_get_current_time_nanoseconds",
    "proxy_set_tick_period_milliseconds",
    "proxy_get_buffer_bytes",
    "proxy_set_buffer_bytes",
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_add_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_send_local_response",
    "proxy_continue_stream",
    "proxy_set_effective_context",
    "proxy_http_call",
    VERIFY,
    "proxy_get_property",
    "proxy_set_property",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_record_metric",
];

/// Every status of the ABI but Ok, and one that it does not know.
pub const STATUSES: [Status; 13] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99];

/// Which calls fail, and how.
#[derive(Clone, Debug)]
pub struct Fault {
    function: Option<&'static str>,
    status: Status,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    Always,
    /// Counts down; the call that finds 1 fails.
    Once(u32),
    /// This call and all after it.
    From(u32),
}

impl Fault {
    /// Every call to the function returns the status.
    pub fn always(function: &'static str, status: Status) -> Self {
        Self { function: Some(function), status, when: When::Always }
    }

    /// Only the n-th call (from 1) to the function returns the status.
    pub fn nth(function: &'static str, n: u32, status: Status) -> Self {
        Self { function: Some(function), status, when: When::Once(n) }
    }

    /// From the n-th host call on, whichever it is, everything returns the status.
    pub fn everything_from(n: u32, status: Status) -> Self {
        Self { function: None, status, when: When::From(n) }
    }

    /// Whether a call to the function may return this status.
    pub fn may_return(&self, function: &str, status: Status) -> bool {
        self.status == status && self.function.is_none_or(|name| name == function)
    }

    /// Counts this call, and says whether it fails.
    pub(crate) fn strikes(&mut self, function: &str) -> Option<Status> {
        if self.function.is_some_and(|name| name != function) {
            return None;
        }
        let struck = match &mut self.when {
            When::Always => true,
            When::Once(left) | When::From(left) if *left > 1 => {
                *left -= 1;
                false
            }
            When::Once(left) => std::mem::take(left) == 1,
            When::From(_) => true,
        };
        struck.then_some(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_call_and_only_that_one_fails() {
        let mut fault = Fault::nth("proxy_log", 2, 7);
        let seen: Vec<_> = (0..4).map(|_| fault.strikes("proxy_log")).collect();
        assert_eq!(seen, [None, Some(7), None, None]);
        assert_eq!(fault.strikes("proxy_http_call"), None);
    }

    #[test]
    fn everything_from_the_nth_call_fails() {
        let mut fault = Fault::everything_from(2, 9);
        assert_eq!(fault.strikes("proxy_log"), None);
        assert_eq!(fault.strikes("proxy_http_call"), Some(9));
        assert_eq!(fault.strikes("proxy_log"), Some(9));
    }
}
