//! The WASI functions that Envoy really implements; the rest answer "not there".

use crate::guest::Guest;
use crate::world::{LogLine, World};
use wasmi::{Caller, ExternType, Linker, Module, Val};

const WASI: &str = "wasi_snapshot_preview1";
const SUCCESS: u32 = 0;
const EFAULT: u32 = 21;
/// What Envoy's stubs return.
const ENOSYS: i32 = 52;

type C<'a> = Caller<'a, World>;

fn call(mut caller: C, work: impl FnOnce(&mut Guest) -> Result<(), u32>) -> u32 {
    work(&mut Guest::new(&mut caller)).map_or(EFAULT, |()| SUCCESS)
}

pub(crate) fn define(linker: &mut Linker<World>, module: &Module) -> Result<(), wasmi::Error> {
    // Unlike the real thing, the same bytes in every run.
    linker.func_wrap(WASI, "random_get", |c: C, pointer: u32, length: u32| {
        call(c, |guest| guest.write(pointer, &vec![4; length as usize]))
    })?;
    linker.func_wrap(WASI, "clock_time_get", |c: C, _clock: u32, _precision: u64, result: u32| {
        call(c, |guest| {
            let nanoseconds = guest.world().now * 1_000_000_000;
            guest.write(result, &nanoseconds.to_le_bytes())
        })
    })?;
    linker.func_wrap(WASI, "environ_sizes_get", |c: C, count: u32, size: u32| {
        call(c, |guest| {
            let environment = &guest.world().environment;
            let (variables, bytes) = (environment.len(), environment.iter().map(|variable| variable.len() + 1).sum());
            guest.write_u32(count, as_u32(variables))?;
            guest.write_u32(size, as_u32(bytes))
        })
    })?;
    linker.func_wrap(WASI, "environ_get", |c: C, pointers: u32, texts: u32| {
        call(c, |guest| {
            let mut at = texts;
            for (index, variable) in (0..).zip(guest.world().environment.clone()) {
                guest.write_u32(pointers + index * 4, at)?;
                guest.write(at, variable.as_bytes())?;
                at += as_u32(variable.len()) + 1;
                guest.write(at - 1, &[0])?;
            }
            Ok(())
        })
    })?;
    linker.func_wrap(WASI, "args_sizes_get", |c: C, count: u32, size: u32| {
        call(c, |guest| {
            guest.write_u32(count, 0)?;
            guest.write_u32(size, 0)
        })
    })?;
    linker.func_wrap(WASI, "args_get", |_: C, _: u32, _: u32| SUCCESS)?;
    linker.func_wrap(WASI, "fd_write", |c: C, fd: u32, vectors: u32, count: u32, result: u32| {
        call(c, |guest| {
            let mut text = Vec::new();
            for index in 0..count {
                let raw = guest.bytes(vectors + index * 8, 8)?;
                let word = |at: usize| u32::from_le_bytes(raw[at..at + 4].try_into().expect("4 bytes"));
                text.extend(guest.bytes(word(0), word(4))?);
            }
            guest.write_u32(result, u32::try_from(text.len()).expect("below 4 GiB"))?;
            // Envoy logs stdout as info and stderr as error.
            let level = if fd == 1 { 2 } else { 4 };
            let text = String::from_utf8_lossy(&text).into_owned();
            guest.world().logs.push(LogLine { level, text });
            Ok(())
        })
    })?;
    linker.func_wrap(WASI, "proc_exit", |_: C, code: u32| -> Result<(), wasmi::Error> {
        Err(wasmi::Error::new(format!("proc_exit({code})")))
    })?;
    define_stubs(linker, module)
}

fn as_u32(size: usize) -> u32 {
    u32::try_from(size).expect("below 4 GiB")
}

fn define_stubs(linker: &mut Linker<World>, module: &Module) -> Result<(), wasmi::Error> {
    const REAL: [&str; 8] = [
        "random_get",
        "clock_time_get",
        "environ_sizes_get",
        "environ_get",
        "args_sizes_get",
        "args_get",
        "fd_write",
        "proc_exit",
    ];
    for import in module.imports().filter(|import| import.module() == WASI) {
        if let (ExternType::Func(kind), false) = (import.ty(), REAL.contains(&import.name())) {
            linker.func_new(WASI, import.name(), kind.clone(), |_, _, results| {
                results.iter_mut().for_each(|result| *result = Val::I32(ENOSYS));
                Ok(())
            })?;
        }
    }
    Ok(())
}
