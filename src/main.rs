//! The `bhn` command: see `bhn --help`.
use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::process::ExitCode;

/// mimalloc, which ends the program with an error if the system gives no memory. Training steps
/// take 2 to 16 % longer with glibc's allocator: see docs/results/allocator.md.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: every call is passed on.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        given(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract.
        given(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's contract.
        given(unsafe { MiMalloc.realloc(at, layout, size) }, size)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract.
        unsafe { MiMalloc.dealloc(at, layout) }
    }
}

fn given(at: *mut u8, bytes: usize) -> *mut u8 {
    if at.is_null() {
        bhn::cli::out_of_memory(bytes);
    }
    at
}

fn main() -> ExitCode {
    bhn::cli::main()
}
