//! A headless Chromium, driven by the DevTools protocol over a pipe.
//!
//! Chromium reads commands from file descriptor 3 and writes results to 4. A shell makes these the
//! standard input and output of the process, so no network and no further crate is needed.
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The names of the program.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    results: BufReader<ChildStdout>,
    session: Value,
    count: u64,
    /// The errors and warnings of the page's console, and its uncaught exceptions.
    pub complaints: Vec<String>,
    /// The profile.
    _folder: tempfile::TempDir,
}

impl Browser {
    /// A browser that shows `file`, once it is loaded; `None` without Chromium, which is printed.
    pub fn open(file: &Path) -> Option<Self> {
        let is_there = |name: &&&str| {
            let found = Command::new(name).arg("--version").output();
            found.is_ok_and(|output| output.status.success())
        };
        let Some(program) = PROGRAMS.iter().find(is_there) else {
            println!("skipped: no Chromium, so the page of `bhn explore` is not tested");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let flags = format!("--user-data-dir={}", folder.path().display());
        let script = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>/dev/null";
        let mut process = Command::new("sh")
            .args(["-c", script, "sh", program, "--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--remote-debugging-pipe", &flags, "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = process.stdin.take().unwrap();
        let results = BufReader::new(process.stdout.take().unwrap());
        let mut browser = Self {
            process,
            commands,
            results,
            session: Value::Null,
            count: 0,
            complaints: vec![],
            _folder: folder,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach)["sessionId"].clone();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        // Nothing but the file may be needed.
        let offline = json!({ "offline": true, "latency": 0, "downloadThroughput": -1,
            "uploadThroughput": -1 });
        browser.call("Network.emulateNetworkConditions", offline);
        browser.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        while browser.next()["method"] != "Page.loadEventFired" {}
        Some(browser)
    }

    /// The result of a command of the protocol.
    #[track_caller]
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.count += 1;
        let id = self.count;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.next();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
        }
    }

    /// The next result or event.
    fn next(&mut self) -> Value {
        let mut bytes = vec![];
        self.results.read_until(0, &mut bytes).unwrap();
        assert!(bytes.pop().is_some(), "Chromium has ended");
        let message: Value = serde_json::from_slice(&bytes).unwrap();
        let is_serious = |level: &Value| ["error", "warning", "assert"].iter().any(|l| level == l);
        let params = &message["params"];
        let is_complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => is_serious(&params["type"]),
            Some("Log.entryAdded") => is_serious(&params["entry"]["level"]),
            _ => false,
        };
        if is_complaint {
            self.complaints.push(params.to_string());
        }
        message
    }

    /// The value of a JavaScript expression.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true });
        let mut found = self.call("Runtime.evaluate", params);
        assert!(found["exceptionDetails"].is_null(), "{expression}: {found}");
        found["result"]["value"].take()
    }

    /// The text of the element `id`.
    #[track_caller]
    pub fn text(&mut self, id: &str) -> String {
        let text = self.value(&format!("document.getElementById('{id}').textContent"));
        text.as_str().unwrap().to_string()
    }

    /// The centre of the first element that matches `selector`, once it is in view.
    #[track_caller]
    pub fn centre(&mut self, selector: &str) -> [f64; 2] {
        let found = self.value(&format!(
            "(() => {{ const e = document.querySelector('{selector}'); \
             e.scrollIntoView({{ block: 'center' }}); const b = e.getBoundingClientRect(); \
             return [b.x + b.width / 2, b.y + b.height / 2]; }})()"
        ));
        [0, 1].map(|i| found[i].as_f64().unwrap())
    }

    /// Press the button of the mouse at the first point, and move it along the others.
    pub fn drag(&mut self, points: &[[f64; 2]]) {
        let mut send = |kind: &str, [x, y]: [f64; 2]| {
            let params = json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": 1,
                "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        };
        send("mousePressed", points[0]);
        points.iter().for_each(|&point| send("mouseMoved", point));
        send("mouseReleased", points[points.len() - 1]);
    }

    /// Press and release a key, such as `ArrowUp`, `count` times.
    pub fn press(&mut self, key: &str, count: usize) {
        let text = if key.chars().count() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"].into_iter().cycle().take(2 * count) {
            let params = json!({ "type": kind, "key": key, "code": key, "text": text });
            self.call("Input.dispatchKeyEvent", params);
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
