//! The host functions of the `env` module, with Envoy's rules.

use crate::abi::{Status, read_pairs, status, write_pairs};
use crate::fault::VERIFY;
use crate::guest::{Guest, Outcome};
use crate::headers::Headers;
use crate::reply::Reply;
use crate::world::{EmptyBuffer, LogLine, World};
use wasmi::{Caller, Linker};

type C<'a> = Caller<'a, World>;

/// The kind of a metric that only goes up.
const COUNTER: u32 = 0;

/// Counts the call, lets a fault strike, and turns the outcome into a status.
fn call(mut caller: C, name: &'static str, work: impl FnOnce(&mut Guest) -> Outcome<()>) -> Status {
    if let Some(struck) = caller.data_mut().enter(name) {
        return struck;
    }
    match work(&mut Guest::new(&mut caller)) {
        Ok(()) => status::OK,
        Err(status) => status,
    }
}

fn as_outcome(status: Status) -> Outcome<()> {
    if status == status::OK { Ok(()) } else { Err(status) }
}

pub(crate) fn define(linker: &mut Linker<World>) -> Result<(), wasmi::Error> {
    define_basics(linker)?;
    define_maps(linker)?;
    define_properties(linker)?;
    define_effects(linker)
}

fn define_basics(linker: &mut Linker<World>) -> Result<(), wasmi::Error> {
    let env = "env";
    linker.func_wrap(env, "proxy_log", |c: C, level: u32, text: u32, length: u32| {
        call(c, "proxy_log", |guest| {
            let text = guest.text(text, length)?;
            guest.world().logs.push(LogLine { level, text });
            Ok(())
        })
    })?;
    linker.func_wrap(env, "proxy_get_log_level", |c: C, result: u32| {
        call(c, "proxy_get_log_level", |guest| guest.write_u32(result, 0))
    })?;
    linker.func_wrap(env, "proxy_get_current_time_nanoseconds", |c: C, result: u32| {
        call(c, "proxy_get_current_time_nanoseconds", |guest| {
            let nanoseconds = guest.world().now * 1_000_000_000;
            guest.write(result, &nanoseconds.to_le_bytes())
        })
    })?;
    linker.func_wrap(env, "proxy_set_tick_period_milliseconds", |c: C, period: u32| {
        call(c, "proxy_set_tick_period_milliseconds", |guest| {
            let world = guest.world();
            // From any context it sets the root's timer.
            let root = world.root();
            world.ticks.insert(root, period);
            Ok(())
        })
    })?;
    linker.func_wrap(
        env,
        "proxy_get_buffer_bytes",
        |c: C, kind: u32, start: u32, length: u32, pointer: u32, size: u32| {
            call(c, "proxy_get_buffer_bytes", |guest| {
                let buffer = guest.world().buffer(kind).ok_or(status::NOT_FOUND)?;
                let end = start.checked_add(length).ok_or(status::BAD_ARGUMENT)? as usize;
                let end = end.min(buffer.len());
                let bytes = buffer.get(start as usize..end).unwrap_or_default().to_vec();
                match guest.world().empty_buffer {
                    EmptyBuffer::Untouched if bytes.is_empty() => Ok(()),
                    EmptyBuffer::NotFound if bytes.is_empty() => Err(status::NOT_FOUND),
                    _ => guest.give(&bytes, pointer, size),
                }
            })
        },
    )?;
    linker.func_wrap(
        env,
        "proxy_set_buffer_bytes",
        |c: C, kind: u32, start: u32, replaced: u32, data: u32, length: u32| {
            call(c, "proxy_set_buffer_bytes", |guest| {
                let data = guest.bytes(data, length)?;
                as_outcome(guest.world().set_buffer(kind, start, replaced, &data))
            })
        },
    )?;
    linker.func_wrap(env, "proxy_define_metric", |c: C, kind: u32, name: u32, length: u32, id: u32| {
        call(c, "proxy_define_metric", |guest| {
            let name = guest.text(name, length)?;
            if kind > 2 {
                return Err(status::BAD_ARGUMENT);
            }
            guest.world().metric_values.entry(name.clone()).or_default();
            guest.world().metrics.push((name, kind));
            let number = u32::try_from(guest.world().metrics.len()).expect("few metrics");
            guest.write_u32(id, number)
        })
    })?;
    linker.func_wrap(env, "proxy_increment_metric", |c: C, id: u32, offset: u64| {
        call(c, "proxy_increment_metric", |guest| {
            let by = offset.cast_signed();
            match guest.world().metric_of(id) {
                None => Err(status::NOT_FOUND),
                // Envoy: a counter goes up, a gauge both ways.
                Some((COUNTER, _)) if by <= 0 => Err(status::BAD_ARGUMENT),
                Some((_, value)) => {
                    *value += by;
                    Ok(())
                }
            }
        })
    })?;
    linker.func_wrap(env, "proxy_record_metric", |c: C, id: u32, to: u64| {
        call(c, "proxy_record_metric", |guest| match guest.world().metric_of(id) {
            None => Err(status::NOT_FOUND),
            // Envoy takes no notice where it is a counter.
            Some((COUNTER, _)) => Err(status::BAD_ARGUMENT),
            Some((_, value)) => {
                *value = to.cast_signed();
                Ok(())
            }
        })
    })?;
    Ok(())
}

fn define_maps(linker: &mut Linker<World>) -> Result<(), wasmi::Error> {
    let env = "env";
    linker.func_wrap(env, "proxy_get_header_map_pairs", |c: C, map: u32, pointer: u32, size: u32| {
        call(c, "proxy_get_header_map_pairs", |guest| {
            let pairs = guest.world().map(map).map(|map| map.pairs().to_vec());
            match pairs {
                Some(pairs) if !pairs.is_empty() => {
                    let map = write_pairs(&pairs);
                    let kept = map.len().saturating_sub(guest.world().cut_pairs);
                    guest.give(&map[..kept], pointer, size)
                }
                _ => guest.give(&[], pointer, size),
            }
        })
    })?;
    linker.func_wrap(
        env,
        "proxy_get_header_map_value",
        |c: C, map: u32, name: u32, length: u32, pointer: u32, size: u32| {
            call(c, "proxy_get_header_map_value", |guest| {
                let name = guest.bytes(name, length)?;
                let map = guest.world().map(map).ok_or(status::BAD_ARGUMENT)?;
                let value = map.bytes(&name).ok_or(status::NOT_FOUND)?.to_vec();
                guest.give(&value, pointer, size)
            })
        },
    )?;
    linker.func_wrap(
        env,
        "proxy_replace_header_map_value",
        |c: C, map: u32, name: u32, name_length: u32, value: u32, value_length: u32| {
            call(c, "proxy_replace_header_map_value", |guest| {
                let name = guest.bytes(name, name_length)?;
                let value = guest.bytes(value, value_length)?;
                check_header(guest.world(), &name, &value);
                guest.world().map(map).ok_or(status::BAD_ARGUMENT)?.set(&name, &value);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        env,
        "proxy_add_header_map_value",
        |c: C, map: u32, name: u32, name_length: u32, value: u32, value_length: u32| {
            call(c, "proxy_add_header_map_value", |guest| {
                let name = guest.bytes(name, name_length)?;
                let value = guest.bytes(value, value_length)?;
                check_header(guest.world(), &name, &value);
                guest.world().map(map).ok_or(status::BAD_ARGUMENT)?.add(&name, &value);
                Ok(())
            })
        },
    )?;
    linker.func_wrap(env, "proxy_remove_header_map_value", |c: C, map: u32, name: u32, length: u32| {
        call(c, "proxy_remove_header_map_value", |guest| {
            let name = guest.bytes(name, length)?;
            guest.world().map(map).ok_or(status::BAD_ARGUMENT)?.remove(&name);
            Ok(())
        })
    })?;
    Ok(())
}

fn define_effects(linker: &mut Linker<World>) -> Result<(), wasmi::Error> {
    let env = "env";
    linker.func_wrap(
        env,
        "proxy_send_local_response",
        |c: C, code: u32, d: u32, dn: u32, b: u32, bn: u32, h: u32, hn: u32, _grpc: u32| {
            call(c, "proxy_send_local_response", |guest| {
                let details = guest.text(d, dn)?;
                let body = guest.bytes(b, bn)?;
                let extra = headers(guest, h, hn)?;
                let reply = Reply { status: code, details, headers: local_headers(code, &body, extra), body };
                as_outcome(guest.world().send_reply(reply))
            })
        },
    )?;
    linker.func_wrap(env, "proxy_continue_stream", |mut c: C, stream: u32| {
        // An attempt counts as forwarding even if a fault stops it.
        c.data_mut().note_continue();
        call(c, "proxy_continue_stream", |guest| match stream {
            0 => as_outcome(guest.world().continue_stream()),
            _ => Err(status::BAD_ARGUMENT),
        })
    })?;
    linker.func_wrap(env, "proxy_set_effective_context", |c: C, id: u32| {
        call(c, "proxy_set_effective_context", |guest| {
            let world = guest.world();
            if !world.is_alive(id) {
                return Err(status::BAD_ARGUMENT);
            }
            world.effective = id;
            Ok(())
        })
    })?;
    linker.func_wrap(
        env,
        "proxy_http_call",
        |c: C,
         cluster: u32,
         cluster_length: u32,
         h: u32,
         hn: u32,
         body: u32,
         body_length: u32,
         _trailers: u32,
         _trailers_length: u32,
         timeout: u32,
         token_at: u32| {
            call(c, "proxy_http_call", |guest| {
                let cluster = guest.text(cluster, cluster_length)?;
                let headers = headers(guest, h, hn)?;
                let body = guest.bytes(body, body_length)?;
                let token = guest.world().http_call(&cluster, headers, body, timeout)?;
                guest.write_u32(token_at, token)
            })
        },
    )?;
    linker.func_wrap(env, VERIFY, |c: C, name: u32, nn: u32, argument: u32, an: u32, result: u32, size: u32| {
        call(c, VERIFY, |guest| {
            let (name, argument) = (guest.text(name, nn)?, guest.bytes(argument, an)?);
            if name != "verify_signature" {
                guest.world().violation(format!("a call of the foreign function `{name}`"));
                return Err(status::NOT_FOUND);
            }
            let result_bytes = guest.world().verify_signature.call(&argument)?;
            guest.give(&result_bytes, result, size)
        })
    })?;
    Ok(())
}

fn define_properties(linker: &mut Linker<World>) -> Result<(), wasmi::Error> {
    let env = "env";
    linker.func_wrap(env, "proxy_get_property", |c: C, path: u32, length: u32, pointer: u32, size: u32| {
        call(c, "proxy_get_property", |guest| {
            let path = guest.bytes(path, length)?;
            let value = guest.world().property(&path)?;
            guest.give(&value, pointer, size)
        })
    })?;
    linker.func_wrap(env, "proxy_set_property", |c: C, path: u32, length: u32, value: u32, value_length: u32| {
        call(c, "proxy_set_property", |guest| {
            let path = guest.text(path, length)?;
            let value = guest.bytes(value, value_length)?;
            as_outcome(guest.world().set_property(&path, value))
        })
    })?;
    Ok(())
}

fn headers(guest: &mut Guest, pointer: u32, length: u32) -> Outcome<Headers> {
    let raw = guest.bytes(pointer, length)?;
    let Some(pairs) = read_pairs(&raw) else {
        guest.world().violation("a header map that cannot be read");
        return Err(status::PARSE_FAILURE);
    };
    for (name, value) in &pairs {
        check_header(guest.world(), name, value);
    }
    Ok(Headers::from(pairs))
}

/// Envoy would write such a header to the wire as it is.
fn check_header(world: &mut World, name: &[u8], value: &[u8]) {
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(byte);
    let plain = name.strip_prefix(b":").unwrap_or(name);
    let named = !plain.is_empty() && plain.iter().all(token);
    if !named || value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        world.violation(format!("a header that breaks the message: {name}: {value}"));
    }
}

/// The headers of a local reply: Envoy's own, with the guest's on top.
fn local_headers(code: u32, body: &[u8], extra: Headers) -> Headers {
    let mut headers = Headers::default();
    headers.add(":status", code.to_string());
    if !body.is_empty() {
        headers.add("content-length", body.len().to_string());
        if extra.bytes("content-type").is_none() {
            headers.add("content-type", "text/plain");
        }
    }
    for (name, value) in extra.pairs() {
        headers.add(name, value);
    }
    headers
}
