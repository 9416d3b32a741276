//! Warnings of mdBook, which it logs and otherwise ignores.
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        let _ = write!(self.0, "{value:?} ");
    }
}

/// What `run` returns, and the warnings and errors that are logged while it runs.
pub fn collect<R>(run: impl FnOnce() -> R) -> (R, Vec<String>) {
    let log = Log::default();
    let result = tracing::subscriber::with_default(log.clone(), run);
    let found = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (result, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_collected() {
        let run = || {
            tracing::warn!("one {}", 1);
            tracing::info!("two");
            3
        };
        assert_eq!(collect(run), (3, vec!["one 1 ".to_string()]));
    }
}
