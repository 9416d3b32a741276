//! The `bhn` command: see `bhn --help`.
use std::process::ExitCode;

// Training steps take 2 to 16 % longer with glibc's allocator: see docs/results/allocator.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    bhn::cli::main()
}
