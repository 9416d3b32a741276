//! Workers that compute cells in parallel.
use crate::error::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::thread;

/// A pool of a single thread.
pub(super) fn single_thread() -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(1).build().map_err(Error::threads)
}

/// Call `work` on each of `count` threads, in a pool of its own from `start`, and wait for all of
/// them. In a shared pool, a cell that waits for its parallel work would start another cell in the
/// meantime.
///
/// # Errors
/// If a thread cannot be started; `work` is then not called at all.
pub(super) fn on_workers(
    count: usize,
    start: impl Fn() -> Result<ThreadPool>,
    work: impl Fn() + Sync,
) -> Result<()> {
    let pools = (0..count).map(|_| start()).collect::<Result<Vec<_>>>()?;
    let work = &work;
    thread::scope(|scope| {
        let run = |pool: ThreadPool| {
            let spawned = thread::Builder::new().spawn_scoped(scope, move || pool.install(work));
            spawned.map(drop).map_err(Error::threads)
        };
        pools.into_iter().try_for_each(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn a_thread_that_cannot_be_started_is_an_error() {
        let (started, calls) = (Cell::new(0), AtomicUsize::new(0));
        let work = || {
            calls.fetch_add(1, Relaxed);
        };
        let start = || {
            started.set(started.get() + 1);
            if started.get() == 3 { Err(Error::threads("no more")) } else { single_thread() }
        };
        let error = on_workers(4, start, work).unwrap_err().to_string();
        assert!(
            error.contains("found an error (no more)") && error.contains("--threads"),
            "{error}"
        );
        assert_eq!(calls.load(Relaxed), 0);
        on_workers(2, single_thread, work).unwrap();
        assert_eq!(calls.load(Relaxed), 2);
    }
}
