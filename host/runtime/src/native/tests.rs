//! What becomes of native code between whoever made it and an engine.

use rustix::io::Errno;
use wasmtime::Engine;

use super::Native;

/// A component of nothing.
const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

/// Enforced by `Sealed::seal`: what was verified cannot be changed before it is
/// executed.
#[test]
fn native_code_in_a_file_is_what_it_was_and_stays_so() {
    let engine = Engine::default();
    let native = engine.precompile_component(EMPTY).unwrap();
    let sealed = Native::behind([b"before it", &native[..]].concat(), 9).sealed();
    let Native::Sealed(file) = &sealed else {
        panic!("expected a file in memory: {sealed:?}");
    };
    let write = rustix::io::pwrite(&file.file, b"another", 0);
    let cut = rustix::fs::ftruncate(&file.file, 1);
    let lengthen = rustix::fs::ftruncate(&file.file, 1 << 30);
    assert_eq!(
        (write, cut, lengthen),
        (Err(Errno::PERM), Err(Errno::PERM), Err(Errno::PERM))
    );
    assert_eq!(sealed.with(<[u8]>::to_vec).unwrap(), native);
    assert!(sealed.component(&engine).is_ok());
}

/// Where there is no file in memory, everything goes on without.
#[test]
fn native_code_that_is_in_no_file_is_taken_as_well() {
    let engine = Engine::default();
    let native = engine.precompile_component(EMPTY).unwrap();
    let read = Native::behind(native.clone(), 0);
    assert_eq!(read.with(<[u8]>::to_vec).unwrap(), native);
    assert!(read.component(&engine).is_ok());
    assert!(read.kept().is_none(), "it would be in memory twice");
}
