//! Defends: the page of `bhn explore` works without a network, its numbers are the program's, and
//! what its user moves changes what it shows; runs that it cannot show are refused.
use crate::browser::Browser;
use crate::common::{Folder, SMALL, TINY, animals};
use crate::refused;
use ndarray::Array3;
use ndarray_npy::write_npy;
use rstest::rstest;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The largest relative difference between the page's numbers and the program's. Both compute from
/// weights in single precision, the page and most of the program in double precision.
const TOLERANCE: f64 = 1e-5;

/// The page without a run, made once.
fn page() -> PathBuf {
    static PAGE: OnceLock<Folder> = OnceLock::new();
    let folder = PAGE.get_or_init(|| {
        let folder = Folder::new();
        folder.bhn().args(["explore", "--quick"]).assert().success();
        folder
    });
    folder.path("explore.html")
}

/// The numbers that the page compares with the program's, and the largest difference.
fn check(browser: &mut Browser) -> (usize, f64) {
    let found = browser.value("bhn.check()");
    let errors = found.as_array().unwrap().iter().map(|part| {
        // NaN and infinity are null in JSON.
        let error = part["error"].as_f64().unwrap_or(f64::INFINITY);
        println!("{}: {error:.1e}", part["name"]);
        error
    });
    (errors.len(), errors.fold(0., f64::max))
}

#[track_caller]
fn quiet(browser: &Browser) {
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[test]
fn page_is_one_small_file_that_loads_nothing() {
    let text = fs::read_to_string(page()).unwrap();
    assert!(text.len() < 3_000_000, "{} bytes", text.len());
    for loaded in ["src=\"", "<link", "@import", "url(http"] {
        assert!(!text.contains(loaded), "{loaded}");
    }
    for licence in ["Mike Bostock", "Chris Pettitt"] {
        assert!(text.contains(licence), "no licence of {licence}");
    }
}

#[test]
fn numbers_of_the_page_equal_those_of_the_program() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    let (parts, error) = check(&mut browser);
    assert!(parts == 43 && error < TOLERANCE, "{parts} parts, {error}");
    quiet(&browser);
}

/// The comparison is able to fail: one weight of a coupling, of a layer or of the classifier that
/// changes by a thousandth is noticed.
#[rstest]
#[case("bhn.data.regressions[0].flows[1].params['posterior.coupling.3.shift.w']")]
#[case("bhn.data.regressions[2].flows[0].params['posterior.elementwise.w']")]
#[case("bhn.data.regressions[1].primary['primary.2.v']")]
#[case("bhn.data.classifier.primary['primary.0.b']")]
fn a_wrong_weight_is_noticed(#[case] array: &str) {
    let Some(mut browser) = Browser::open(&page()) else { return };
    browser.value(&format!(
        "(() => {{ const a = {array}, x = tensor(a).data; x.forEach((_, i) => x[i] += 1e-3); \
         a.f32 = btoa(String.fromCharCode(...new Uint8Array(x.buffer))); }})()"
    ));
    let (_, error) = check(&mut browser);
    assert!(error > TOLERANCE, "{error}");
}

#[test]
fn noise_moves_scales_and_functions() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    let path = "document.querySelector('#functions-1 .current').getAttribute('d')";
    let theta = "Array.from(bhn.regression.current[1].theta)";
    let before = [path, theta].map(|js| browser.value(js));
    browser.value("document.getElementById('first-value').focus()");
    browser.press("ArrowRight", 5);
    let moved = [path, theta].map(|js| browser.value(js));
    assert!(before[0] != moved[0] && before[1] != moved[1]);
    let draw = browser.centre("#draw");
    browser.drag(&[draw]);
    let again = [path, theta].map(|js| browser.value(js));
    assert!(again[0] != moved[0] && again[1] != moved[1]);
    for set in 0..4 {
        browser.value(&format!(
            "(() => {{ const s = document.getElementById('set'); s.value = {set}; \
             s.dispatchEvent(new Event('change')); }})()"
        ));
        let shown = browser.value("document.querySelectorAll('#functions-0 .point').length");
        assert_eq!(shown, [16, 20, 16, 4][set]);
    }
    quiet(&browser);
}

/// The effective sample size that the page states for the flow `k`.
fn effective(browser: &mut Browser, k: usize) -> f64 {
    let text = browser.text(&format!("ess-{k}"));
    let number = text.split("size ").nth(1).unwrap().split(' ').next().unwrap();
    number.parse().unwrap()
}

#[test]
fn a_moved_point_reweights_the_draws() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    assert_eq!([0, 1, 2].map(|k| effective(&mut browser, k)), [400.; 3]);
    let band = "document.querySelector('#functions-1 .band').getAttribute('d')";
    let before = browser.value(band);
    // By keys: a little, so that many draws keep some weight.
    browser.value("document.getElementById('point-1-3').focus()");
    browser.press("ArrowUp", 1);
    let size = effective(&mut browser, 1);
    assert!(size < 400., "{size}");
    assert_ne!(browser.value(band), before);
    assert_eq!(browser.value("document.activeElement.id"), "point-1-3");
    // The weights are those of the definition.
    let by_hand = browser.value(
        "(() => { const s = bhn.regression, m = s.model, tau = m.precision; \
         const logs = m.posteriors[1].draws.map(({ theta }) => { \
           const of = (x, y) => -0.5 * tau * (y - evaluate(m.net, theta, x)) ** 2; \
           return of(s.x[3], s.y[3]) - of(m.x[3], m.y[3]); }); \
         const w = logs.map(Math.exp), total = w.reduce((a, b) => a + b); \
         return total ** 2 / w.reduce((a, b) => a + b * b, 0); })()",
    );
    assert!((by_hand.as_f64().unwrap() - size).abs() < 0.51, "{by_hand} {size}");
    // By the mouse: far, so that the page warns.
    let [x, y] = browser.centre("#point-0-8");
    browser.drag(&[[x, y], [x, y - 20.], [x, y - 90.]]);
    assert!(browser.text("ess-0").contains("do not trust this band"));
    let restore = browser.centre("#restore");
    browser.drag(&[restore]);
    assert_eq!(effective(&mut browser, 0), 400.);
    assert_eq!(browser.value(band), before);
    quiet(&browser);
}

#[test]
fn couplings_bend_the_grid_one_after_another() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    let mesh = "Array.from(document.querySelectorAll('#grid-1 .mesh'), e => e.getAttribute('d'))";
    let mut seen = vec![browser.value(mesh)];
    browser.value("document.getElementById('stage').focus()");
    for stage in 1..=9 {
        browser.press("ArrowRight", 1);
        let found = browser.value(mesh);
        assert_eq!(found.as_array().unwrap().len(), 22);
        seen.push(found);
        let text = browser.text("stage-1");
        let name = if stage == 9 { "elementwise".into() } else { format!("coupling {stage}") };
        assert!(text.contains(&name), "{text}");
    }
    // The last stage is h itself: the ring is at the scales.
    let error = browser.value(
        "(() => { const s = bhn.regression, m = s.model.posteriors[1], e = s.current[1].eps; \
         return Math.max(...s.pair.map(i => { const [y] = forwardAndLnDet(m.maps, e); \
           return Math.abs(y[whereabouts(m, i, m.maps.length)] - s.current[1].theta[i]); })); })()",
    );
    assert_eq!(error, 0);
    assert_ne!(seen[0], seen[9]);
    quiet(&browser);
}

#[test]
fn tape_is_walked_forward_and_backward() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    let facts = |browser: &mut Browser| browser.text("tape-facts");
    assert!(facts(&mut browser).starts_with("node0:"));
    let click = |browser: &mut Browser, id: &str| {
        let at = browser.centre(&format!("#{id}"));
        browser.drag(&[at]);
    };
    click(&mut browser, "tape-next");
    assert!(facts(&mut browser).starts_with("node1:"));
    click(&mut browser, "tape-loss");
    let text = facts(&mut browser);
    assert!(text.contains("src/autodiff/ops/") && !text.contains("dy, its"), "{text}");
    click(&mut browser, "tape-next");
    assert!(facts(&mut browser).contains("dL/dL = 1"));
    click(&mut browser, "tape-previous");
    browser.value("document.querySelector('#tape-graph [tabindex=\"0\"]').focus()");
    browser.press("ArrowRight", 3);
    let arrived = browser.value("document.querySelectorAll('#tape-graph .arrived').length");
    assert_eq!(arrived, 3);
    click(&mut browser, "tape-last");
    let nodes = "bhn.tape.state.step.nodes";
    let [arrived, expected] = [
        "document.querySelectorAll('#tape-graph .arrived').length".to_string(),
        format!("{nodes}.filter(n => n.gradient !== null).length"),
    ]
    .map(|js| browser.value(&js));
    assert!(arrived == expected && arrived.as_u64().unwrap() > 50, "{arrived} {expected}");
    quiet(&browser);
}

#[test]
fn digits_are_drawn_by_mouse_and_keys() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    let clear = browser.centre("#clear");
    browser.drag(&[clear]);
    let blank = browser.text("entropy");
    let [x, y] = browser.centre("#digit");
    browser.drag(&[[x, y - 80.], [x, y - 40.], [x, y], [x, y + 40.], [x, y + 80.]]);
    let drawn = browser.text("entropy");
    assert_ne!(blank, drawn);
    browser.value("document.getElementById('digit').focus()");
    browser.press("ArrowRight", 3);
    browser.press(" ", 1);
    assert_ne!(browser.text("entropy"), drawn);
    assert!(browser.text("verdict").contains("of 30 samples vote for it"));
    quiet(&browser);
}

/// On a telephone nothing is wider than the window; buttons, inputs and pictures have names; the
/// theme can be chosen.
#[test]
fn page_fits_a_telephone_and_names_its_controls() {
    let Some(mut browser) = Browser::open(&page()) else { return };
    for width in [390, 1280] {
        let size = json!({ "width": width, "height": 800, "deviceScaleFactor": 1,
            "mobile": width < 500 });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_i64().unwrap() <= width, "{wide} at {width}");
    }
    let unnamed = browser.value(
        "Array.from(document.querySelectorAll('button, input, select, canvas[tabindex], \
         [tabindex=\"0\"], section svg[role]')).filter(e => !(e.textContent.trim() || \
         e.getAttribute('aria-label') || e.labels?.length)).map(e => e.outerHTML.slice(0, 99))",
    );
    assert_eq!(unnamed, json!([]));
    let colour = "getComputedStyle(document.body).backgroundColor";
    let light = browser.value(colour);
    let theme = browser.centre("#theme");
    browser.drag(&[theme]);
    assert_ne!(browser.value(colour), light);
    quiet(&browser);
}

/// Entropy, BALD and probabilities of an image are those of `bhn predict`.
#[test]
fn a_run_predicts_in_the_page_as_in_the_program() {
    let folder = Folder::new();
    folder.bhn().args(SMALL).args(["--out", "run"]).assert().success();
    let made = folder.bhn().args(["explore", "run", "--quick", "--json"]).assert().success();
    let about: Value = serde_json::from_slice(&made.get_output().stdout).unwrap();
    assert_eq!(about["page"], "explore.html");
    let page = folder.path("explore.html");
    assert_eq!(about["bytes"], fs::metadata(&page).unwrap().len());

    let image = Array3::from_shape_fn((1, 28, 28), |(_, y, x)| {
        let away = ((y as f32 - 14.) / 9.).hypot((x as f32 - 13.) / 5.) - 1.;
        (1.2 - 4. * away.abs()).clamp(0., 1.)
    });
    write_npy(folder.path("image.npy"), &image).unwrap();
    let args = ["predict", "run", "image.npy", "--samples", "30", "--json"];
    let output = folder.bhn().args(args).assert().success().get_output().stdout.clone();
    let program: Value = serde_json::from_slice(&output).unwrap();

    let Some(mut browser) = Browser::open(&page) else { return };
    let pixels = serde_json::to_string(image.as_slice().unwrap()).unwrap();
    let found = browser.value(&format!(
        "(() => {{ const {{ p, entropy, bald }} = bhn.predict({pixels}); \
         return {{ p, entropy, bald }}; }})()"
    ));
    let close = |page: &Value, program: &Value| {
        let [page, program] = [page, program].map(|x| x.as_f64().unwrap());
        assert!((page - program).abs() <= TOLERANCE * program.abs().max(1e-2), "{page} {program}");
    };
    for c in 0..10 {
        close(&found["p"][c], &program[format!("p_{c}")]);
    }
    close(&found["entropy"], &program["entropy"]);
    close(&found["bald"], &program["bald"]);
    assert!(check(&mut browser).1 < TOLERANCE);
    quiet(&browser);
}

#[rstest]
#[case(&["nowhere"], &["nowhere", "no such folder", "`bhn train` printed"])]
#[case(&["."], &["no config.toml", "`bhn train` printed"])]
#[case(&["--out", "."], &["a folder", "Add a file name"])]
#[case(&["--out", "no/such/folder.html"], &["no folder no/such", "Create it"])]
#[case(&["--samples", "0"], &["--samples", "1 to 10000"])]
fn wrong_arguments_are_refused_before_training(#[case] args: &[&str], #[case] parts: &[&str]) {
    let folder = Folder::new();
    refused(folder.bhn().arg("explore").args(args), parts);
    assert!(!folder.path("explore.html").exists());
}

#[test]
fn runs_that_cannot_be_drawn_for_are_refused() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    folder.write("heights.csv", crate::heights());
    let mnist = ["mnist", "--subset", "200", "--couplings", "0", "--epochs", "1"];
    for (train, parts) in [
        (vec!["animals.csv"], ["a classifier of table rows", "a classifier of images"]),
        (vec!["heights.csv"], ["a regression", "a classifier of images"]),
        (
            mnist.iter().copied().chain(["--hidden", "800,800"]).collect(),
            ["7.2 MB", "--hidden 200"],
        ),
        (
            mnist.iter().copied().chain(["--hidden", "8", "--method", "bbb"]).collect(),
            ["the method bbb", "a posterior over scales"],
        ),
    ] {
        fs::remove_dir_all(folder.path("run")).ok();
        let tiny = if train[0] == "mnist" { &[][..] } else { &TINY };
        folder.bhn().arg("train").args(&train).args(tiny).args(["--out", "run"]).assert().success();
        refused(folder.bhn().args(["explore", "run"]), &parts);
        assert!(!folder.path("explore.html").exists());
    }
}

/// The scripts are short like the rest of the source, and begin with what they are.
#[test]
fn scripts_are_short_and_say_what_they_are() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/explore/js");
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let (name, text) = (path.display(), fs::read_to_string(&path).unwrap());
        assert!(text.starts_with("// "), "{name}");
        assert!(text.lines().count() <= 450, "{name}");
        let long = text.lines().position(|line| line.chars().count() > 100);
        assert!(long.is_none(), "{name}: line {}", long.unwrap() + 1);
    }
}
