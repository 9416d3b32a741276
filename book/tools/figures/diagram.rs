//! Figures that are not charts: boxes, arrows and tables.
use super::GREY;
use bhn::autodiff::{Tape, Tensor};
use bhn::verify::flows::suite;
use bhn::verify::suite::Verify;
use std::fmt::Write as _;

const BLUE: &str = "#2a7fd0";
const ORANGE: &str = "#d9660a";
const GREEN: &str = "#179a6b";

/// An SVG that is being drawn.
struct Drawing(String);

impl Drawing {
    fn new(width: u32, height: u32) -> Self {
        let size =
            format!("viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\"");
        let font = "font-family=\"system-ui, DejaVu Sans, sans-serif\" font-size=\"14\"";
        let space = "xmlns=\"http://www.w3.org/2000/svg\"";
        let mut found = Self(format!("<svg{GREY} {size} {space} {font} fill=\"currentColor\">"));
        for (name, color) in [("blue", BLUE), ("orange", ORANGE)] {
            let _ = write!(
                found.0,
                "<defs><marker id=\"arrow-{width}-{name}\" viewBox=\"0 0 10 10\" refX=\"9\" \
                 refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
                 <path d=\"M0,0 L10,5 L0,10 z\" fill=\"{color}\"/></marker></defs>"
            );
        }
        found
    }

    fn text(&mut self, (x, y): (f64, f64), anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(self.0, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    fn colored(&mut self, (x, y): (f64, f64), anchor: &str, text: &str, color: &str) {
        let _ = write!(
            self.0,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"{color}\">{text}</text>"
        );
    }

    fn cell(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), color: &str, opacity: f64) {
        let _ = write!(
            self.0,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\" \
             fill=\"{color}\" fill-opacity=\"{opacity}\" stroke=\"currentColor\"/>"
        );
    }

    /// A curved arrow; `bend` moves its middle to the right.
    fn arrow(&mut self, [from, to]: [(f64, f64); 2], bend: f64, color: &str, width: u32) {
        let name = if color == BLUE { "blue" } else { "orange" };
        let middle = ((from.0 + to.0) / 2. + 2. * bend, (from.1 + to.1) / 2.);
        let _ = write!(
            self.0,
            "<path d=\"M{},{} Q{},{} {},{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" \
             marker-end=\"url(#arrow-{width}-{name})\"/>",
            from.0, from.1, middle.0, middle.1, to.0, to.1
        );
    }

    fn end(self) -> String {
        self.0 + "</svg>"
    }
}

/// A column `[3, 1]` and a row `[4]` broadcast to `[3, 4]`, and the gradients of their sum weighted
/// by the numbers of the cells.
pub fn broadcast() -> String {
    const SIZE: f64 = 44.;
    let (column, row) = ([1., 2., 3.], [10., 20., 30., 40.]);
    let tape = Tape::<f64>::default();
    let leaf = |shape: Vec<usize>, values: &[f64]| {
        tape.leaf(Tensor::from_shape_vec(shape, values.to_vec()).expect("a shape that fits"))
    };
    let (a, b) = (leaf(vec![3, 1], &column), leaf(vec![4], &row));
    let z = a + b;
    let gradients = z.sum().backward();
    let of = |v| gradients.wrt(v).expect("a gradient").as_slice().to_vec();
    let (da, db, z) = (of(a), of(b), z.value());
    let mut d = Drawing::new(640, 300);
    let (left, top) = (210., 110.);
    let mut number = |at: (f64, f64), value: f64, color: &str, opacity: f64| {
        d.cell(at, (SIZE, SIZE), color, opacity);
        d.text((at.0 + SIZE / 2., at.1 + SIZE / 2. + 5.), "middle", &value.to_string());
    };
    for (i, &value) in column.iter().enumerate() {
        number((90., top + SIZE * i as f64), value, BLUE, 0.25);
    }
    for (j, &value) in row.iter().enumerate() {
        number((left + SIZE * j as f64, 40.), value, ORANGE, 0.25);
    }
    for (k, &value) in z.as_slice().iter().enumerate() {
        let at = (left + SIZE * (k % 4) as f64, top + SIZE * (k / 4) as f64);
        number(at, value, GREEN, 0.12);
    }
    d.text((112., top - 14.), "middle", "a [3, 1]");
    d.text((left - 14., 68.), "end", "b [4]");
    d.text((left + 2. * SIZE, top + 3. * SIZE + 24.), "middle", "z = a + b  [3, 4]");
    let right = left + 4. * SIZE;
    for (i, value) in da.iter().enumerate() {
        let y = top + SIZE * (i as f64 + 0.5);
        d.arrow([(right + 8., y), (right + 70., y)], 0., BLUE, 640);
        d.colored((right + 80., y + 5.), "start", &format!("∂L/∂a = {value}"), BLUE);
    }
    d.colored((right + 20., 58.), "start", &format!("∂L/∂b = {}, …", db[0]), ORANGE);
    d.colored((right + 20., 78.), "start", "summed over each column", ORANGE);
    d.colored((right + 20., top + 3. * SIZE + 24.), "start", "summed over each row", BLUE);
    d.end()
}

/// The tape of `x² + eˣ` at 2, with values and gradients that the library computes.
pub fn tape() -> String {
    let tape = Tape::<f64>::default();
    let x = tape.leaf(Tensor::from_elem(vec![], 2.));
    let (square, exp) = (x * x, x.exp());
    let y = square + exp;
    let gradients = y.backward();
    let slope = gradients.wrt(x).expect("a gradient").as_slice()[0];
    let value = |v: bhn::autodiff::Var<'_, f64>| v.value().as_slice()[0];
    let rows = [
        ("0", "leaf", "x", value(x), slope),
        ("1", "mul 0 0", "x²", value(square), 1.),
        ("2", "exp 0", "eˣ", value(exp), 1.),
        ("3", "add 1 2", "x² + eˣ", value(y), 1.),
    ];
    let mut d = Drawing::new(620, 330);
    for (x, title) in [(70., "node"), (160., "record"), (290., "value"), (410., "gradient")] {
        d.text((x, 24.), "middle", title);
    }
    let at = |i: usize| 44. + 72. * i as f64;
    for (i, (node, record, name, value, gradient)) in rows.iter().enumerate() {
        let y = at(i);
        d.cell((40., y), (430., 44.), if i == 0 { BLUE } else { GREEN }, 0.12);
        d.text((70., y + 27.), "middle", node);
        d.text((160., y + 27.), "middle", record);
        d.text((290., y + 27.), "middle", &format!("{name} = {value:.2}"));
        d.colored((410., y + 27.), "middle", &format!("{gradient:.2}"), ORANGE);
    }
    // Forward on the left, backward on the right.
    for (from, to, bend) in [(0, 1, 0.), (0, 2, -18.), (1, 3, -18.), (2, 3, 0.)] {
        let x = if bend == 0. { 52. } else { 38. };
        let (start, end) = (at(from) + 44., at(to));
        let (start, end) = if bend == 0. { (start, end) } else { (start - 22., end + 22.) };
        d.arrow([(x, start), (x, end)], bend, BLUE, 620);
    }
    let backward = [(3, 2, 0., "1"), (3, 1, 20., "1"), (2, 0, 20., "eˣ"), (1, 0, 0., "(x + x)")];
    for (from, to, bend, label) in backward {
        let x = if bend == 0. { 440. } else { 472. };
        let (start, end) = (at(from), at(to) + 44.);
        let (start, end) = if bend == 0. { (start, end) } else { (start + 22., end - 22.) };
        d.arrow([(x, start), (x, end)], bend, ORANGE, 620);
        let (side, anchor) = if bend == 0. { (-8., "end") } else { (bend + 8., "start") };
        let label_at = (x + side, (start + end) / 2. + 5.);
        d.colored(label_at, anchor, &format!("× {label}"), ORANGE);
    }
    d.end()
}

/// The seeded faults of flows and the properties that notice each.
pub fn faults() -> String {
    let outcome = suite().verify("flows");
    let height = 70 + 24 * outcome.faults.len() as u32;
    let mut d = Drawing::new(760, height);
    let column = |i: usize| [425., 515., 615., 705.][i];
    for (i, check) in outcome.checks.iter().enumerate() {
        for (line, word) in check.property.splitn(2, " of the ").enumerate() {
            let word = if line == 1 { format!("of the {word}") } else { word.to_string() };
            d.text((column(i), 22. + 18. * line as f64), "middle", &word);
        }
    }
    for (row, fault) in outcome.faults.iter().enumerate() {
        let y = 70. + 24. * row as f64;
        d.text((385., y + 4.), "end", fault);
        for (i, check) in outcome.checks.iter().enumerate() {
            let (fill, radius) = if check.caught[row] { (ORANGE, 7.) } else { ("#88888866", 2.) };
            let (x, y) = (column(i), y);
            let _ = write!(d.0, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>");
        }
    }
    d.end()
}
