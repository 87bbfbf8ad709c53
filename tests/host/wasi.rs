//! What Rust's standard library needs of WASI preview 1, as far as Envoy gives it: output, environment, clock and
//! randomness. There are no files.

use wasmi::{Caller, Extern, ImportType, Linker, Memory, Val};

use super::{
    report::{Level, Source},
    state::Host,
};

/// Whether this host answers the call.
pub(super) fn knows(name: &str) -> bool {
    [
        "clock_time_get",
        "environ_get",
        "environ_sizes_get",
        "fd_write",
        "proc_exit",
        "random_get",
    ]
    .contains(&name)
}

/// Offers all calls to modules.
pub(super) fn link(linker: &mut Linker<Host>) {
    linker
        .func_wrap(MODULE, "clock_time_get", clock_time_get)
        .unwrap();
    linker.func_wrap(MODULE, "environ_get", environ_get).unwrap();
    linker
        .func_wrap(MODULE, "environ_sizes_get", environ_sizes_get)
        .unwrap();
    linker.func_wrap(MODULE, "fd_write", fd_write).unwrap();
    linker.func_wrap(MODULE, "proc_exit", proc_exit).unwrap();
    linker.func_wrap(MODULE, "random_get", random_get).unwrap();
}

/// Offers a call that exists in WASI but has nothing to work on here: it answers `ENOSYS`.
pub(super) fn link_stub(linker: &mut Linker<Host>, import: &ImportType<'_>) -> bool {
    let prefixes = ["args_", "clock_", "fd_", "path_", "poll_", "sched_", "sock_"];
    let known = prefixes.iter().any(|prefix| import.name().starts_with(prefix));
    let stub = |_: Caller<'_, Host>, _: &[Val], results: &mut [Val]| {
        results[0] = Val::I32(ENOSYS as i32);
        Ok(())
    };
    let signature = import
        .ty()
        .func()
        .filter(|signature| known && signature.results().len() == 1);
    signature.is_some_and(|ty| linker.func_new(MODULE, import.name(), ty.clone(), stub).is_ok())
}

/// Realtime and monotonic are the same clock: the one that the test sets.
fn clock_time_get(mut caller: Caller<'_, Host>, clock: u32, _precision: u64, time: u32) -> u32 {
    if clock > 1 {
        return ENOTSUP;
    }
    let now = caller.data().options.process.now();
    write(&mut caller, time, &now.to_le_bytes())
}

fn environ_sizes_get(mut caller: Caller<'_, Host>, count: u32, size: u32) -> u32 {
    let entries = environment(&caller);
    let bytes: usize = entries.iter().map(Vec::len).sum();
    write(&mut caller, count, &(entries.len() as u32).to_le_bytes());
    write(&mut caller, size, &(bytes as u32).to_le_bytes())
}

fn environ_get(mut caller: Caller<'_, Host>, mut pointers: u32, mut data: u32) -> u32 {
    for entry in environment(&caller) {
        write(&mut caller, pointers, &data.to_le_bytes());
        write(&mut caller, data, &entry);
        pointers += 4;
        data += entry.len() as u32;
    }
    SUCCESS
}

/// Writes to standard output and error are log lines, as in Envoy.
fn fd_write(mut caller: Caller<'_, Host>, file: u32, vectors: u32, count: u32, written: u32) -> u32 {
    let (level, source) = match file {
        1 => (Level::Info, Source::StandardOutput),
        2 => (Level::Error, Source::StandardError),
        _ => return EBADF,
    };
    let mut text = Vec::new();
    for vector in 0..count {
        let Some(pair) = read(&caller, vectors + vector * 8, 8) else {
            return EFAULT;
        };
        let number = |at: usize| u32::from_le_bytes(pair[at..at + 4].try_into().unwrap());
        let Some(part) = read(&caller, number(0), number(4)) else {
            return EFAULT;
        };
        text.extend(part);
    }
    if !text.is_empty() {
        caller
            .data_mut()
            .log(level, source, text.strip_suffix(b"\n").unwrap_or(&text));
    }
    write(&mut caller, written, &(text.len() as u32).to_le_bytes())
}

fn proc_exit(_: Caller<'_, Host>, status: i32) -> Result<(), wasmi::Error> {
    Err(wasmi::Error::i32_exit(status))
}

/// Deterministic: xorshift64 from the seed of the VM.
fn random_get(mut caller: Caller<'_, Host>, buffer: u32, size: u32) -> u32 {
    let mut bytes = Vec::new();
    for _ in 0..size {
        let state = &mut caller.data_mut().random;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        bytes.push((*state >> 32) as u8);
    }
    write(&mut caller, buffer, &bytes)
}

fn environment(caller: &Caller<'_, Host>) -> Vec<Vec<u8>> {
    let entries = caller.data().options.environment.iter();
    entries
        .map(|(name, value)| format!("{name}={value}\0").into_bytes())
        .collect()
}

fn memory(caller: &Caller<'_, Host>) -> Memory {
    caller.get_export("memory").and_then(Extern::into_memory).unwrap()
}

fn read(caller: &Caller<'_, Host>, pointer: u32, size: u32) -> Option<Vec<u8>> {
    let range = pointer as usize..pointer as usize + size as usize;
    memory(caller).data(caller).get(range).map(<[u8]>::to_vec)
}

fn write(caller: &mut Caller<'_, Host>, pointer: u32, bytes: &[u8]) -> u32 {
    match memory(caller).write(caller, pointer as usize, bytes) {
        Ok(()) => SUCCESS,
        Err(_) => EFAULT,
    }
}

const MODULE: &str = "wasi_snapshot_preview1";

const SUCCESS: u32 = 0;
const EBADF: u32 = 8;
const EFAULT: u32 = 21;
const ENOSYS: u32 = 52;
const ENOTSUP: u32 = 58;
