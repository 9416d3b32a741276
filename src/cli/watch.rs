//! The progress of an experiment: a bar on a terminal; elsewhere a line from time to time.
use super::{Context, note, show};
use crate::experiments::Progress;
use indicatif::ProgressBar;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Shows the progress of a lab.
pub struct Watch {
    pub bar: ProgressBar,
    /// Whether lines replace the bar.
    lines: bool,
    work: Mutex<Work>,
}

impl Watch {
    pub fn new(context: &Context) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = context.bar(0, "{bar:30} {percent:>3} %  {msg}  {eta} left");
        let work = Mutex::new(Work::new(false, 1.));
        Self { bar, lines: !context.quiet && !terminal, work }
    }

    /// Update the bar or print a line.
    pub fn update(&self, progress: &Progress<'_>) {
        let work = &mut *self.work.lock().expect("no panic while it is held");
        let (key, message) = match progress {
            Progress::Cells { count, kept, cost } => {
                if *kept > 0 {
                    self.say(&format!("continuing: {kept} of {count} cells are complete"));
                }
                *work = Work::new(true, *cost);
                self.bar.reset_eta();
                ("", format!("{count} cells"))
            }
            Progress::Begun { key, cost } => {
                work.begin(key, *cost);
                (*key, key.to_string())
            }
            Progress::Cell { key } => {
                work.finish(key);
                (*key, key.to_string())
            }
            Progress::Part { key, what, done, of } => {
                work.part(key, *done, *of);
                (*key, format!("{key}, {what} {done} of {of}"))
            }
        };
        self.bar.set_length((work.total * PER_COST) as u64);
        self.bar.set_position((work.is_done() * PER_COST) as u64);
        self.bar.set_message(message);
        if let (true, Some(line)) = (self.lines, work.line(key)) {
            self.say(&line);
        }
    }

    fn say(&self, line: &str) {
        if self.lines {
            note(line);
        } else {
            self.bar.println(line);
        }
    }
}

/// The work of this process: either cells, each measured by its cost, or a single run, whose cost
/// is 1.
struct Work {
    is_cells: bool,
    total: f64,
    /// The cost of the finished cells.
    done: f64,
    running: BTreeMap<String, Running>,
    since: Instant,
    last_line: Instant,
}

/// A cell that is being computed, or the single run.
struct Running {
    /// The cost of the epochs or rounds that this process computes.
    cost: f64,
    /// The number of epochs or rounds that earlier processes finished; `None` until this process
    /// has finished its first, from whose number it follows.
    earlier: Option<usize>,
    /// The fraction of the cost that is done.
    share: f64,
}

/// Steps of the bar, whose positions are integers, per unit of cost.
const PER_COST: f64 = 1e3;
/// The minimum time between two lines.
const PAUSE: Duration = Duration::from_secs(20);

impl Work {
    fn new(is_cells: bool, total: f64) -> Self {
        let now = Instant::now();
        let running = BTreeMap::new();
        Self { is_cells, total, done: 0., running, since: now, last_line: now }
    }

    fn begin(&mut self, key: &str, cost: f64) {
        self.running.insert(key.to_string(), Running { cost, earlier: None, share: 0. });
    }

    /// Records that a run has finished part `done` of `of` parts. Parts that earlier processes
    /// finished do not count.
    fn part(&mut self, key: &str, done: usize, of: usize) {
        if !self.is_cells && !self.running.contains_key(key) {
            *self = Self::new(false, 1.);
            self.begin(key, 1.);
        }
        // A run with another key is one of several in a cell, and does not count until the cell is
        // finished.
        let Some(Running { cost, earlier, share }) = self.running.get_mut(key) else { return };
        let earlier = *earlier.get_or_insert_with(|| {
            let before = *cost * (done - 1) as f64 / of as f64;
            self.total -= before;
            *cost -= before;
            done - 1
        });
        *share = (done - earlier) as f64 / (of - earlier) as f64;
    }

    fn finish(&mut self, key: &str) {
        let cell = self.running.remove(key);
        self.done += cell.map_or(0., |cell| cell.cost);
    }

    /// The cost of the finished cells and of the finished parts of the others.
    fn is_done(&self) -> f64 {
        self.done + self.running.values().map(|cell| cell.cost * cell.share).sum::<f64>()
    }

    /// A line of progress, if the last one was printed long enough ago.
    fn line(&mut self, key: &str) -> Option<String> {
        let share = self.is_done() / self.total;
        if !(share > 0. && self.last_line.elapsed() >= PAUSE) {
            return None;
        }
        self.last_line = Instant::now();
        let left = show::duration(self.since.elapsed().as_secs_f64() * (1. / share - 1.));
        Some(format!("{:.0} %, about {left} left ({key})", 100. * share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs count before their cell is finished; those of earlier processes do not count.
    #[test]
    fn progress_counts_epochs_of_unfinished_cells() {
        let mut work = Work::new(true, 50.);
        work.begin("new", 10.);
        work.begin("old", 40.);
        assert_eq!(work.is_done(), 0.);
        work.part("new", 1, 4);
        assert_eq!((work.is_done(), work.total), (2.5, 50.));
        // An earlier process had finished three of the four epochs. The last one costs 10, all that
        // was left of the cell.
        work.part("old", 4, 4);
        assert_eq!((work.is_done(), work.total), (12.5, 20.));
        work.part("a run within", 1, 1);
        work.finish("new");
        work.finish("old");
        assert_eq!((work.is_done(), work.total), (20., 20.));

        let mut work = Work::new(false, 1.);
        for key in ["a run", "the next"] {
            work.part(key, 1, 2);
            assert_eq!(work.is_done() / work.total, 0.5);
        }
    }
}
