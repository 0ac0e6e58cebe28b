//! The functions that tests look for in a backtrace.

/// Goes on for any number but nought.
#[inline(never)]
pub(crate) fn fail(number: u32) -> u32 {
    if number == 0 {
        end();
    }
    number
}

#[inline(never)]
fn end() -> ! {
    std::process::abort()
}
