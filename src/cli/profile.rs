//! `--profile`: a table of the time of each operation.
use super::show;
use crate::autodiff::profile::{Machine, Phase, Profile, Row};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::time::Instant;

/// A profile in progress, the measured peak rates of the machine, and a clock whose time is printed
/// beside the profile's total.
pub struct Profiler {
    pub profile: Profile,
    machine: Machine,
    clock: Instant,
}

/// A finished profile.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    /// The unit of work, such as `step`; the table's times are totals divided by `count`.
    per: &'static str,
    count: u64,
    /// The duration by the clock, in seconds.
    seconds: f64,
    rows: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    row: Row,
    /// The fraction of the roofline; `None` where the bytes are not known.
    share: Option<f64>,
}

impl Profiler {
    /// Measure the machine, then start the profile.
    pub fn start() -> Self {
        let machine = Machine::measure();
        Self { machine, clock: Instant::now(), profile: Profile::start() }
    }

    /// The profile until now, in which `count` units named `per` were processed.
    pub fn finish(self, per: &'static str, count: u64) -> Report {
        self.profile.spent("the rest", Phase::Between, 0., 0.);
        let mut rows = self.profile.rows();
        rows.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let share = |row: &Row| (row.bytes > 0.).then(|| row.share(&self.machine));
        let rows = rows.into_iter().map(|row| Line { share: share(&row), row }).collect();
        let seconds = self.clock.elapsed().as_secs_f64();
        Report { machine: self.machine, per, count, seconds, rows }
    }
}

impl Report {
    /// The profile as a table.
    pub fn text(&self) -> String {
        let Self { machine, per, .. } = self;
        let count = self.count.max(1) as f64;
        let (between, within): (Vec<_>, Vec<_>) =
            self.rows.iter().partition(|line| line.row.pass == Phase::Between);
        let seconds = |lines: &[&Line]| lines.iter().map(|line| line.row.seconds).sum::<f64>();
        let (each, all) = (seconds(&within), seconds(&within) + seconds(&between));

        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let header =
            format!("operation,,calls/{per},ms/{per},% of {per},GB/s,GFLOP/s,% of roofline");
        table.set_header(header.split(','));
        table.column_iter_mut().skip(2).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
        let times = |s: f64| [format!("{:.4}", 1e3 * s / count), format!("{:.1}", 100. * s / each)];
        let add = |table: &mut Table, Line { row, share }: &Line| {
            let pass = match row.pass {
                Phase::Forward => "forward",
                Phase::Backward => "backward",
                _ => "",
            };
            let rate = |n: f64| match n > 0. {
                true => format!("{:.1}", n / row.seconds / 1e9),
                false => String::new(),
            };
            let [ms, percent] = times(row.seconds);
            let share = share.map_or(String::new(), |share| format!("{:.0}", 100. * share));
            let calls = format!("{:.2}", row.calls as f64 / count);
            let (bytes, flops) = (rate(row.bytes), rate(row.flops));
            table.add_row([&row.name, pass, &calls, &ms, &percent, &bytes, &flops, &share]);
        };
        let sum = |table: &mut Table, name: &str, s: f64| {
            let [ms, percent] = times(s);
            table.add_row([name, "", "", &ms, &percent]);
        };
        within.iter().for_each(|line| add(&mut table, line));
        sum(&mut table, &format!("= one {per}"), each);
        between.iter().for_each(|line| add(&mut table, line));
        sum(&mut table, "= all", all);
        format!(
            "{}, as measured: {:.0} GFLOP/s in f32 multiply-adds, {:.1} GB/s from memory\n\n\
             {}\n\n\
             {}: {all:.3} s in these rows, {:.3} s by the clock ({:.2} %).\n\
             % of roofline: max(FLOP / peak, bytes / bandwidth) / time. Bytes are the minimum\n\
             that an operation must read and write; above 100 % they came from the cache, which\n\
             is faster than memory. The FLOP of a convolution are those of its definition;\n\
             3 × 3 windows need less than half.",
            show::count(machine.threads, "thread"),
            machine.flops / 1e9,
            machine.bandwidth / 1e9,
            table.trim_fmt(),
            show::count(self.count as usize, per),
            self.seconds,
            100. * all / self.seconds,
        )
    }
}
