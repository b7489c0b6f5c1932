//! The proxy's side of the ABI (proxy-wasm 0.2.1): the only file that names host calls, and with `exports.rs` the only
//! one with unsafe code.
//!
//! Bytes in, bytes out, and a [`Status`] for whatever the host answers: no host call can panic here. The SDK's wrappers
//! do, on bytes that are not UTF-8 and on statuses that they do not expect (docs/decisions/0001-own-abi-layer.md).

#![expect(unsafe_code, reason = "host calls are foreign functions, and the host hands memory over as raw pointers")]

use std::{alloc::Layout, ptr};

use mcp_oauth::time::UnixTime;

use crate::pairs;

/// Anything but success: one of the ABI's codes, or one that the host made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u32);

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;

type Result<T> = core::result::Result<T, Status>;

/// A header map of the stream, or of the answer to an HTTP call.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    Request = 0,
    Response = 2,
    HttpCallResponse = 6,
}

/// A buffer of the host.
#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    HttpCallResponseBody = 4,
    PluginConfiguration = 7,
}

/// The levels of the proxy's log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
    Critical = 5,
}

mod sys {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn proxy_log(level: u32, message: *const u8, len: usize) -> u32;
        pub(super) fn proxy_get_log_level(level: *mut u32) -> u32;
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            most: usize,
            data: *mut *mut u8,
            len: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            replaced: usize,
            data: *const u8,
            len: usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize) -> u32;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_len: usize,
            data: *mut *mut u8,
            len: *mut usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_len: usize,
            value: *const u8,
            value_len: usize,
        ) -> u32;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_len: usize,
            value: *const u8,
            value_len: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_len: usize,
            body: *const u8,
            body_len: usize,
            headers: *const u8,
            headers_len: usize,
            grpc_status: i32,
        ) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_http_call(
            cluster: *const u8,
            cluster_len: usize,
            headers: *const u8,
            headers_len: usize,
            body: *const u8,
            body_len: usize,
            trailers: *const u8,
            trailers_len: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
        pub(super) fn proxy_call_foreign_function(
            name: *const u8,
            name_len: usize,
            argument: *const u8,
            argument_len: usize,
            data: *mut *mut u8,
            len: *mut usize,
        ) -> u32;
        pub(super) fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize) -> u32;
        pub(super) fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize) -> u32;
        pub(super) fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32) -> u32;
        pub(super) fn proxy_increment_metric(id: u32, by: i64) -> u32;
        pub(super) fn proxy_record_metric(id: u32, value: u64) -> u32;
    }
}

/// Writes to the proxy's log. A log that fails has nowhere to complain.
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: pointer and length are of one live slice.
    unsafe { sys::proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// Whether the proxy would keep a message of this level; when in doubt, yes.
pub(crate) fn logs(level: Level) -> bool {
    let mut least = 0;
    // SAFETY: the host writes one u32.
    let status = unsafe { sys::proxy_get_log_level(&raw mut least) };
    status != OK || level as u32 >= least
}

/// The proxy's clock.
pub(crate) fn now() -> Result<UnixTime> {
    Ok(UnixTime(now_nanoseconds()?.wrapping_div(1_000_000_000)))
}

/// The proxy's clock, as fine as it goes.
pub(crate) fn now_nanoseconds() -> Result<u64> {
    let mut nanoseconds = 0;
    // SAFETY: the host writes one u64.
    done(unsafe { sys::proxy_get_current_time_nanoseconds(&raw mut nanoseconds) })?;
    Ok(nanoseconds)
}

/// Calls `proxy_on_tick` of the current root context that often; 0 stops it.
pub(crate) fn set_tick_period(milliseconds: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    done(unsafe { sys::proxy_set_tick_period_milliseconds(milliseconds) })
}

/// At most `most` bytes of a buffer.
pub(crate) fn buffer(buffer: Buffer, most: usize) -> Result<Vec<u8>> {
    // SAFETY: `received` passes places for the pointer and the length.
    received(|data, len| unsafe { sys::proxy_get_buffer_bytes(buffer as u32, 0, most, data, len) })
}

/// Replaces the first `replaced` bytes of a buffer.
pub(crate) fn set_buffer(buffer: Buffer, replaced: usize, data: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are of one live slice.
    done(unsafe { sys::proxy_set_buffer_bytes(buffer as u32, 0, replaced, data.as_ptr(), data.len()) })
}

/// All header lines, serialized: see [`pairs::Pairs`].
pub(crate) fn header_pairs(map: Map) -> Result<Vec<u8>> {
    // SAFETY: as above.
    received(|data, len| unsafe { sys::proxy_get_header_map_pairs(map as u32, data, len) })
}

/// The first line of a header, if there is one.
pub(crate) fn header(map: Map, name: &str) -> Result<Option<Vec<u8>>> {
    let value = received(|data, len| {
        // SAFETY: as above; name and length are of one live slice.
        unsafe { sys::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, len) }
    });
    found(value)
}

fn found(value: Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Status(NOT_FOUND)) => Ok(None),
        Err(status) => Err(status),
    }
}

/// Makes this the only line of a header.
pub(crate) fn replace_header(map: Map, name: &str, value: &[u8]) -> Result<()> {
    // SAFETY: pointers and lengths are of live slices.
    done(unsafe {
        sys::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Adds a line to those of a header.
pub(crate) fn add_header(map: Map, name: &str, value: &[u8]) -> Result<()> {
    // SAFETY: pointers and lengths are of live slices.
    done(unsafe { sys::proxy_add_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// Removes every line of a header; one that is not there counts as removed.
pub(crate) fn remove_header(map: Map, name: &[u8]) -> Result<()> {
    // SAFETY: pointer and length are of one live slice.
    match done(unsafe { sys::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) }) {
        // Not every host says so, and of a host that is wrong about it the token must not be believed gone.
        Err(Status(NOT_FOUND)) if is_absent(map, name) => Ok(()),
        other => other,
    }
}

fn is_absent(map: Map, name: &[u8]) -> bool {
    str::from_utf8(name).is_ok_and(|name| header(map, name) == Ok(None))
}

/// Answers the current stream. `details` is what access logs show as `%RESPONSE_CODE_DETAILS%`.
pub(crate) fn send_local_response<'h>(
    status: u16,
    details: &str,
    headers: impl ExactSizeIterator<Item = (&'h str, &'h str)> + Clone,
    body: &[u8],
) -> Result<()> {
    const NO_GRPC_STATUS: i32 = -1;
    let headers = pairs::serialize(headers);
    // SAFETY: pointers and lengths are of live slices.
    done(unsafe {
        sys::proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    })
}

/// Lets the paused request of the current stream go on.
pub(crate) fn continue_request() -> Result<()> {
    const HTTP_REQUEST: u32 = 0;
    // SAFETY: no memory is involved.
    done(unsafe { sys::proxy_continue_stream(HTTP_REQUEST) })
}

/// Makes the following calls act on another context; fails when it is gone.
pub(crate) fn set_effective_context(context: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    done(unsafe { sys::proxy_set_effective_context(context) })
}

/// Sends a request to a cluster of the proxy; its end arrives as `proxy_on_http_call_response` with this token.
pub(crate) fn http_call<'h>(
    cluster: &str,
    headers: impl ExactSizeIterator<Item = (&'h str, &'h str)> + Clone,
    body: &[u8],
    timeout_milliseconds: u32,
) -> Result<u32> {
    let headers = pairs::serialize(headers);
    let no_trailers = pairs::serialize([].into_iter());
    let mut token = 0;
    // SAFETY: pointers and lengths are of live slices; the host writes one u32.
    done(unsafe {
        sys::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            no_trailers.as_ptr(),
            no_trailers.len(),
            timeout_milliseconds,
            &raw mut token,
        )
    })?;
    Ok(token)
}

/// What the proxy knows of the current stream at this path, whose parts are separated by NUL, if it is there.
pub(crate) fn property(path: &str) -> Result<Option<Vec<u8>>> {
    // SAFETY: as above; path and length are of one live slice.
    found(received(|data, len| unsafe { sys::proxy_get_property(path.as_ptr(), path.len(), data, len) }))
}

/// Tells the proxy something about the current stream.
pub(crate) fn set_property(path: &str, value: &str) -> Result<()> {
    // SAFETY: pointers and lengths are of live slices.
    done(unsafe { sys::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

/// Calls a function that this proxy has beyond the ABI.
pub(crate) fn call_foreign_function(name: &str, argument: &[u8]) -> Result<Vec<u8>> {
    received(|data, len| {
        // SAFETY: as above; pointers and lengths are of live slices.
        unsafe {
            sys::proxy_call_foreign_function(name.as_ptr(), name.len(), argument.as_ptr(), argument.len(), data, len)
        }
    })
}

/// What a metric is.
#[derive(Clone, Copy)]
pub(crate) enum Metric {
    Counter = 0,
    Gauge = 1,
}

/// Defines a metric, or finds the one of this name.
pub(crate) fn define(kind: Metric, name: &str) -> Result<u32> {
    let mut id = 0;
    // SAFETY: pointer and length are of one live slice; the host writes one u32.
    done(unsafe { sys::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a metric; a gauge may also be taken from.
pub(crate) fn increment(metric: u32, by: i64) -> Result<()> {
    // SAFETY: no memory is involved.
    done(unsafe { sys::proxy_increment_metric(metric, by) })
}

/// Sets a gauge.
pub(crate) fn record(gauge: u32, value: u64) -> Result<()> {
    // SAFETY: no memory is involved.
    done(unsafe { sys::proxy_record_metric(gauge, value) })
}

/// Memory that the host fills and [`received`] takes over. Null, which hosts report as a failed call, when there is
/// none: running out of memory must not trap.
pub(crate) fn allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: the layout is not empty.
        Ok(layout) if size > 0 => unsafe { std::alloc::alloc(layout) },
        _ => ptr::null_mut(),
    }
}

const fn done(status: u32) -> Result<()> {
    if status == OK { Ok(()) } else { Err(Status(status)) }
}

/// Takes over what the host wrote into memory from [`allocate`].
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>> {
    let mut data = ptr::null_mut();
    let mut len = 0;
    done(call(&raw mut data, &raw mut len))?;
    if data.is_null() || len == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the host got `data` from `allocate(len)`, filled it and gave it up: the ABI's contract.
    Ok(unsafe { Vec::from_raw_parts(data, len, len) })
}
