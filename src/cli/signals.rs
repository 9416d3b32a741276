//! Signals that end a process, such as SIGINT, SIGTERM and SIGHUP: temporary files are removed,
//! advice on how to continue is printed, and the process ends by the signal. Training stops after
//! its step first, if that ends in time.
use super::context::note;
use crate::data::temporary;
use std::io::{IsTerminal, stderr};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

/// Whether a signal has been received.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// The signal; 0 if none has been received.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Whether training reads [`STOP`] before each step.
static IS_POLLED: AtomicBool = AtomicBool::new(false);

/// How to continue. It is locked from the first line that is printed until the process ends.
static ADVICE: Mutex<String> = Mutex::new(String::new());

/// Set the advice that is printed when a signal is received.
pub fn advise(advice: String) {
    *ADVICE.lock().unwrap_or_else(PoisonError::into_inner) = advice;
}

/// Call `train`, which reads [`STOP`] before each step.
pub fn polled<T>(train: impl FnOnce() -> T) -> T {
    IS_POLLED.store(true, SeqCst);
    let done = train();
    IS_POLLED.store(false, SeqCst);
    done
}

/// If a signal has been received, end the process by it, with the message `what`.
pub fn end_if_received(what: &str) {
    if SIGNAL.load(SeqCst) != 0 {
        end(what);
    }
}

fn end(what: &str) -> ! {
    let advice = ADVICE.lock().unwrap_or_else(PoisonError::into_inner);
    temporary::remove_all();
    if !advice.is_empty() {
        // A line with a progress bar, or with the terminal's `^C`.
        let line = if stderr().is_terminal() { "\n" } else { "" };
        note(format!("{line}{what} {advice}"));
    }
    let signal = SIGNAL.load(SeqCst);
    #[cfg(unix)]
    signal_hook::low_level::emulate_default_handler(signal).ok();
    process::exit(128 + signal);
}

/// Watch for signals from now on, except those that are ignored, as SIGHUP is under `nohup`.
#[cfg(unix)]
pub fn watch() {
    use signal_hook::consts::signal::*;
    use signal_hook::iterator::Signals;
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    /// The time for a training to stop after its step.
    const PATIENCE: Duration = Duration::from_secs(2);

    // A file that exceeds `ulimit -f` is an error of the write instead.
    signal_hook::flag::register(SIGXFSZ, Arc::default()).ok();
    let watched =
        [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGUSR2, SIGXCPU];
    let watched = watched.into_iter().filter(|&signal| !is_ignored(signal));
    let Ok(mut signals) = Signals::new(watched) else { return };
    let wait = move || {
        let Some(signal) = signals.forever().next() else { return };
        SIGNAL.store(signal, SeqCst);
        STOP.store(true, SeqCst);
        let start = Instant::now();
        while IS_POLLED.load(SeqCst) && start.elapsed() < PATIENCE {
            // A second signal ends the process at once.
            if signals.pending().next().is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        end("interrupted.");
    };
    thread::Builder::new().name("signals".into()).spawn(wait).ok();
}

/// Whether this process was started with the signal ignored; `false` if the system does not say.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Signals end the process by the system's default.
#[cfg(not(unix))]
pub fn watch() {}
