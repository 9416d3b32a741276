//! The page: its text and controls. The scripts of `js/` fill it.
use crate::report::COLORS;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

/// The scripts, in the order in which they use each other.
const SCRIPTS: [&str; 16] = [
    include_str!("vendor/d3.min.js"),
    include_str!("vendor/dagre.min.js"),
    include_str!("js/tensor.js"),
    include_str!("js/flow.js"),
    include_str!("js/network.js"),
    include_str!("js/densities.js"),
    include_str!("js/posterior.js"),
    include_str!("js/plot.js"),
    include_str!("js/functions.js"),
    include_str!("js/scales.js"),
    include_str!("js/grid.js"),
    include_str!("js/controls.js"),
    include_str!("js/tape.js"),
    include_str!("js/digits.js"),
    include_str!("js/check.js"),
    include_str!("js/start.js"),
];

/// The page with `data`, a text of [`json`]. `is_run` says whether the classifier is that of a run.
pub(super) fn page(data: &str, is_run: bool) -> String {
    let title = "A Bayesian hypernetwork to explore";
    let colors: String =
        COLORS.iter().enumerate().map(|(i, color)| format!("--c{i}: {color};")).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style {
                    (PreEscaped(include_str!("../report/page.css")))
                    (PreEscaped(format!(":root {{ {colors} }}\n")))
                    (PreEscaped(include_str!("explore.css")))
                }
            }
            body {
                header {
                    h1 { (title) }
                    button #theme type="button" aria-pressed="false" { "Dark" }
                }
                p.summary {
                    "A hypernetwork h maps noise ε to the scales θ of a network: θ = h(ε). Each ε \
                     gives one function. The distribution of θ approximates the posterior, and \
                     its density can be computed. Your browser evaluates flows and networks from \
                     exported weights."
                }
                noscript { p { "This page needs JavaScript. It loads nothing." } }
                nav aria-label="Panels" {
                    a href="#regression" { "1. Noise, scales, functions" }
                    a href="#tape" { "2. The tape of a step" }
                    a href="#classifier" { "3. Draw a digit" }
                }
                main { (regression()) (tape()) (classifier(is_run)) }
                footer {
                    p {
                        "Made by " code { "bhn explore" } ". Drawn with d3 7.9.2 (ISC) and dagre \
                         3.1.3 (MIT), whose licences are in this file's source. The program checks \
                         that " code { "bhn.check()" } " finds its own numbers here."
                    }
                }
                script #data type="application/json" { (PreEscaped(data)) }
                @for script in SCRIPTS { script { (PreEscaped(script)) } }
            }
        }
    };
    page.into_string()
}

/// JSON that can stand within a script, which `</` could end.
pub(super) fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("JSON has only names and numbers").replace("</", "<\\/")
}

/// What to try in a panel.
fn tries(items: &[&str]) -> Markup {
    html! {
        div.try {
            b { "Try" }
            ul { @for item in items { li { (item) } } }
        }
    }
}

/// A legend entry: a class of line or mark, and its meaning.
fn key(class: &str, text: &str) -> Markup {
    html! { span.key { span class={ "sign " (class) } aria-hidden="true" {} (text) } }
}

fn button(id: &str, text: &str) -> Markup {
    html! { button id=(id) type="button" { (text) } }
}

fn regression() -> Markup {
    let names = ["T = 0", "T = 8", "NUTS"];
    let entry = |id: &str, label: &str| {
        let (value, output) = (format!("{id}-value"), format!("{id}-output"));
        html! {
            div.control {
                label for=(id) { (label) }
                select id=(id) {}
                input id=(value) type="range" min="-3" max="3" step="0.05" value="0"
                    aria-label={ "Noise of the " (label) };
                output id=(output) for=(value) {}
            }
        }
    };
    html! {
        section #regression {
            h2 { "1. Noise, scales, functions" }
            p {
                "A network with 33 scales, trained on a few points when this page was made. "
                "Its directions V and biases b are fixed. Left: independent Gaussians over the \
                 scales (T = 0). Right: a flow of 8 couplings (T = 8). Both approximate one exact \
                 posterior, which NUTS samples."
            }
            (tries(&[
                "Move the two sliders: the bold line is the function of this θ.",
                "Press “New draw” a few times. Where do the functions agree? Where do they not?",
                "Drag a data point, or focus it and press arrow keys. The draws are re-weighted by \
                 their likelihood; nothing is trained again. Watch the effective sample size.",
                "Play the couplings: see the grid bend, one half of the entries at a time.",
            ]))
            div.controls {
                div.control {
                    label for="set" { "Data" }
                    select #set {}
                    (button("restore", "Put points back"))
                }
                (entry("first", "first scale"))
                (entry("second", "second scale"))
                div.control { (button("draw", "New draw")) (button("centre", "ε = 0")) }
            }
            p #about-set.note aria-live="polite" {}
            p.legend {
                (key("line", "the function of this θ"))
                (key("fan", "40 other draws"))
                (key("band", "mean ± 2 std"))
                (key("exact", "the same of the exact posterior"))
                (key("points", "data: move them"))
            }
            div.pair {
                @for (k, name) in names.iter().take(2).enumerate() {
                    figure {
                        h3 { (name) }
                        div id={ "functions-" (k) } {}
                        figcaption id={ "ess-" (k) } aria-live="polite" {}
                    }
                }
            }
            h3 { "Two scales of many draws" }
            p {
                "Each dot is a draw. The ring is the present one. Independent Gaussians cannot \
                 tilt; a flow can tilt and bend. Both are narrower than the exact posterior: \
                 training minimises KL(q‖p), which punishes draws where p is small, and forgives \
                 what q misses. The first pair shown has the strongest correlation by NUTS."
            }
            div.three {
                @for (k, name) in names.iter().enumerate() {
                    figure {
                        h3 { (name) }
                        div id={ "scales-" (k) } {}
                        @if k == 2 { figcaption #ess-2 aria-live="polite" {} }
                    }
                }
            }
            p #exact.note {}
            h3 { "A grid, pushed through the flow" }
            p {
                "The grid is straight in two entries of ε; the other entries are those of the \
                 present draw. A coupling passes one half of the entries unchanged and scales and \
                 shifts the other half, by a network of the first. So it can be inverted, and its \
                 log-determinant is a sum. Lines of one colour started parallel. Grey dots are \
                 other draws at the same stage."
            }
            div.controls {
                div.control {
                    label for="stage" { "Maps applied" }
                    input #stage type="range" min="0" max="9" step="1" value="0";
                    output #stage-output for="stage" { "0" }
                    (button("play", "Play"))
                }
            }
            div.pair {
                @for k in 0..2 {
                    figure { div id={ "grid-" (k) } {} figcaption id={ "stage-" (k) } {} }
                }
            }
            h3 { "All entries, and the densities of this draw" }
            p.legend {
                (key("cross", "ε"))
                (key("dot0", "θ, T = 0"))
                (key("dot1", "θ, T = 8"))
            }
            figure { div #entries.wide tabindex="0" role="region" aria-label="All entries" {} }
            table.numbers {
                thead { tr { th scope="col" { "nats" } th scope="col" { "T = 0" }
                    th scope="col" { "T = 8" } } }
                tbody #densities {}
            }
            p.note {
                "The mean of the last row over draws is the ELBO, which training maximises. At the \
                 data of training: " span #elbo {}
                " Higher is closer to the exact posterior."
            }
        }
    }
}

fn tape() -> Markup {
    html! {
        section #tape {
            h2 { "2. The tape of a training step" }
            p {
                "Every operation records a node: its value and a rule for gradients. A step first \
                 computes all nodes in order, down to the loss L. Then it walks them in reverse: \
                 each rule takes dy = dL/dy of its node and adds to the gradients of the inputs. \
                 Here is a step of a small network: 4 hidden units, inputs x and x², 2 samples of \
                 θ, 4 examples."
            }
            (tries(&[
                "Step forward with “Next”, or move the slider. Read what each node computes.",
                "Go to the loss, then on: the gradient arrives where a node is filled.",
                "Find a node whose value is used twice: its gradient is a sum.",
                "Choose T = 0: what remains is Bayes by Backprop.",
            ]))
            div.controls {
                div.control { label for="tape-set" { "Flow" } select #tape-set {} }
                div.control {
                    label for="tape-at" { "Step" }
                    input #tape-at type="range" min="0" max="1" step="1" value="0";
                    output #tape-output for="tape-at" {}
                }
                div.control {
                    label for="tape-zoom" { "Zoom" }
                    input #tape-zoom type="range" min="0.2" max="1.2" step="0.05" value="0.8";
                }
                div.control {
                    (button("tape-first", "Start"))
                    (button("tape-previous", "Previous"))
                    (button("tape-next", "Next"))
                    (button("tape-loss", "Loss"))
                    (button("tape-last", "End"))
                }
            }
            p.legend {
                (key("part hypernet", "hypernet: θ = h(ε)"))
                (key("part network", "network: f(x; θ)"))
                (key("part bound", "bound: the loss"))
                (key("part arrived", "its gradient has arrived"))
            }
            div.tape {
                div #tape-graph role="group" aria-label="Graph of the tape; arrow keys step" {}
                div.facts aria-live="polite" { table { tbody #tape-facts {} } }
            }
        }
    }
}

fn classifier(is_run: bool) -> Markup {
    html! {
        section #classifier {
            h2 { "3. Draw a digit" }
            p {
                "Each posterior sample of θ is one network, with one vote. The entropy of the mean \
                 probabilities is all of the uncertainty. The mean entropy of the samples is \
                 aleatoric: it stays if θ is known. The rest, BALD, is what the samples disagree \
                 about, and so what more data could teach."
            }
            @if !is_run {
                p.note {
                    "This is a small network, trained on 10 000 digits of 14 × 14 pixels when the \
                     page was made. Put a network of your own here:"
                }
                pre {
                    code {
                        "bhn train --hidden 200 --epochs 3 --out run\nbhn explore run"
                    }
                }
            }
            p #about-digits.note {}
            (tries(&[
                "Choose a test digit and add strokes: turn a 3 into an 8. When do votes split?",
                "Draw something that is no digit. Is the network uncertain, or confidently wrong?",
                "Focus the drawing: arrow keys move the pen, space draws; Shift draws a line.",
            ]))
            div.digits {
                div {
                    canvas #digit tabindex="0" role="application"
                        aria-label="Drawing: arrow keys move the pen, space draws" {}
                    div.control {
                        (button("clear", "Clear"))
                        (button("centre-digit", "Centre"))
                        (button("noise", "Add noise"))
                    }
                }
                div {
                    p #verdict.verdict aria-live="polite" {}
                    table.classes {
                        thead {
                            tr {
                                th scope="col" { "class" }
                                th scope="col" { "mean and samples" }
                                th scope="col" { "p̄" }
                                th scope="col" { "votes" }
                            }
                        }
                        tbody #classes {}
                    }
                    table.numbers {
                        tbody {
                            tr { th scope="row" { "entropy H[p̄], nats" } td #entropy {} }
                            tr {
                                th scope="row" { "aleatoric: mean H[p" sub { "s" } "]" }
                                td #aleatoric {}
                            }
                            tr { th scope="row" { "epistemic: BALD, I[y; θ]" } td #bald {} }
                        }
                    }
                }
            }
            div #images.images role="group" aria-label="Test images" {}
        }
    }
}
