//! The `bhn` command: see `bhn --help`.
use std::process::ExitCode;

// glibc returns large buffers to the system at every free, and a training step allocates hundreds:
// measured in docs/results/allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bhn::cli::main()
}
