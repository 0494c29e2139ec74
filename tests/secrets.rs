//! Secrets are in no byte that is written: neither in the run's folder nor in a
//! report nor on the screen, in whatever form the target hands them back.
//!
//! The target here says every secret in every answer: in bodies, headers, errors
//! and probe answers, plain, in base64, URL-encoded and JSON-escaped. Then all
//! that was written is searched for every form, and for the beginnings and ends of
//! them, since half a secret is one too.

#[path = "support/server.rs"]
mod server;

use assert_cmd::Command;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use server::{Answer, Request, Server, Shop};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const USER: &str = "tester";

/// Name, value, and how it is told: all change under each of the escapings.
const BEARER: (&str, &str) = ("bearer_token", "b+e/a=r er\"t\u{e9}k&n<0>1?~");
const PASSWORD: (&str, &str) = ("password", "p+s/w=o rd\"\u{e9}\\c&t<2>3?~");
const HEADER: (&str, &str) = ("api_key", "h+d/r=k ey\"\u{e9}'x&z<4>5?~");
const CAPTURED: (&str, &str) = ("session", "s+s/n=t ok\"\u{e9}n/&q<6>7?~");
const ALL: [(&str, &str); 4] = [BEARER, PASSWORD, HEADER, CAPTURED];

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn ascii_escaped(text: &str) -> String {
    json_escaped(text).replace('\u{e9}', "\\u00e9")
}

/// Every form in which the target says a secret.
fn forms(secret: &str) -> Vec<String> {
    let url = url_encoded(secret);
    vec![
        secret.to_owned(),
        base64(secret),
        base64(secret).trim_end_matches('=').to_owned(),
        URL_SAFE_NO_PAD.encode(secret),
        url.replace("%20", "+"),
        url.to_lowercase(),
        json_escaped(secret).replace('/', "\\/"),
        json_escaped(secret),
        ascii_escaped(secret),
        url,
    ]
}

/// What must be nowhere: the forms, what our own files make of them (JSON in JSON,
/// XML), and the beginning and the end of each.
fn needles(secret: &str) -> Vec<String> {
    let mut needles = Vec::new();
    for form in forms(secret) {
        needles.push(json_escaped(&form));
        needles.push(form.replace('&', "&amp;").replace('<', "&lt;"));
        let ends = form.len() - 9;
        needles.push(form[..form.floor_char_boundary(9)].to_owned());
        needles.push(form[form.ceil_char_boundary(ends)..].to_owned());
        needles.push(form);
    }
    // Inside of something longer that was encoded whole.
    for (before, after) in [("Bearer ", ""), ("tester:", ""), ("xx", "yy")] {
        let whole = base64(&format!("{before}{secret}{after}"));
        let middle = whole.len() / 2;
        needles.push(whole[middle - 6..middle + 6].to_owned());
    }
    needles
}

/// All secrets in all forms as text, the way an error page quotes things.
fn page() -> String {
    let all: Vec<String> = ALL
        .into_iter()
        .flat_map(|(_, secret)| forms(secret))
        .collect();
    let basic = base64(&format!("{USER}:{}", PASSWORD.1));
    format!("it was: [{}] {basic}", all.join("] ["))
}

/// An answer that says all secrets in its headers too.
fn telling(mut answer: Answer, request: &Request) -> Answer {
    let names = ["X-Echo-1", "X-Echo-2", "X-Echo-3", "X-Echo-4"];
    for (name, (_, secret)) in names.into_iter().zip(ALL) {
        answer.headers.push((name, forms(secret).join(" | ")));
    }
    let sent = request.header("authorization").unwrap_or_default();
    answer.headers.push(("X-Echo-Auth", sent.to_owned()));
    answer
        .headers
        .push(("Set-Cookie", format!("s={}", url_encoded(CAPTURED.1))));
    answer
}

/// A body that says all secrets beside what it has to say: as JSON strings, in
/// names of members, and in an identity field.
fn echo(mut body: Value) -> Value {
    if let Value::Object(members) = &mut body {
        for (name, secret) in ALL {
            members.insert(name.to_owned(), Value::from(forms(secret)));
            members.insert(
                secret.to_owned(),
                Value::from(base64(&format!("xx{secret}yy"))),
            );
        }
    }
    body
}

fn text(status: u16, body: String) -> Answer {
    Answer {
        status,
        headers: vec![(
            "Content-Type",
            format!("text/plain; x={}", base64(BEARER.1)),
        )],
        body: body.into_bytes(),
    }
}

/// What goes on in the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum World {
    /// It does what it should.
    Right,
    /// Each attempt makes an order, so that the report has findings to prove; every
    /// seventh answer is an error.
    Wrong,
    /// The set-up step is refused.
    Refusing,
    /// The set-up step is answered as nobody expects, the secret in it.
    Surprising,
    /// The probe cannot be read.
    Blind,
}

fn target(world: World) -> Server {
    let shop = Shop::default();
    let answers = AtomicUsize::new(0);
    Server::start(move |request, stream| {
        let answer = if request.target == "/sessions" {
            match world {
                // So that a message which is cut is cut inside a secret.
                World::Refusing => text(401, format!("{:>180}{}", "", HEADER.1)),
                World::Surprising => Answer::json(202, &json!({"token": CAPTURED.1})),
                World::Right | World::Wrong | World::Blind => {
                    Answer::json(201, &json!({"token": CAPTURED.1}))
                }
            }
        } else if request.is_order() {
            let number = answers.fetch_add(1, Ordering::Relaxed);
            // The warm-up and the controls are left alone.
            if world == World::Wrong && number > 40 && number.is_multiple_of(7) {
                text(500, page())
            } else {
                let mut request = request.clone();
                if world == World::Wrong {
                    // Whatever the key is, it was never seen.
                    request
                        .headers
                        .retain(|(name, _)| name != "idempotency-key");
                    let other = ("idempotency-key".to_owned(), number.to_string());
                    request.headers.push(other);
                }
                let answer = shop.answer(&request);
                let body = serde_json::from_slice(&answer.body).expect("the shop speaks JSON");
                Answer::json(201, &echo(body))
            }
        } else if world == World::Blind {
            text(403, page())
        } else {
            // A report names what was counted, and cuts long names.
            let answer = shop.answer(request);
            let orders: Vec<Value> =
                serde_json::from_slice(&answer.body).expect("the shop speaks JSON");
            let orders = orders.into_iter();
            let orders = orders.map(|mut order| {
                order["id"] =
                    format!("{:.<35}{}", order["id"].as_str().unwrap_or(""), BEARER.1).into();
                echo(order)
            });
            Answer::json(200, &orders.collect())
        };
        telling(answer, request).write(stream)
    })
}

const SCENARIO: &str = r#"scenario: telling
target:
  url: TARGET
  auth: { bearer: "${{ secrets.bearer_token }}" }
  headers: { X-Api-Key: "${{ secrets.api_key }}" }
  timeout: 5s
  quiet: 50ms
secrets:
  bearer_token: { env: API_TOKEN }
setup:
  - name: session
    request: POST /sessions
    each: trial
    auth: { basic: { user: tester, password: "${{ secrets.password }}" } }
    json: { password: "${{ secrets.password }}" }
    expect: { status: 201 }
    capture:
      session: { json: $.token, secret: true }
operation:
  request: POST /orders
  query: { session: "${{ session }}" }
  json:
    reference: ${{ marker }}
    session: ${{ session }}
    key: "key ${{ secrets.api_key }}"
  retry: { max: 2, backoff: 50ms..100ms }
contract: { stuck_after: 1s }
patterns:
  - replay: 2
  - burst: 3
  - drop_response
budget: { trials: 3 }
effects:
  orders:
    get: /orders?reference=${{ marker }}
    query: { session: "${{ session }}" }
    count: $[*]
    within: 500ms
    stable_for: 100ms
    every: 50ms
  owner:
    get: /orders?reference=${{ marker }}
    value: $[0].session[0]
    expect: { equals: "${{ session }}" }
    within: 500ms
    stable_for: 100ms
    every: 50ms
"#;

/// Everything that a run and a report of it write, in files and on the screen.
struct Written {
    code: Option<i32>,
    files: Vec<(String, Vec<u8>)>,
}

impl Written {
    fn add(&mut self, what: &str, output: std::process::Output) -> Option<i32> {
        self.files.push((format!("{what}: stdout"), output.stdout));
        self.files.push((format!("{what}: stderr"), output.stderr));
        output.status.code()
    }

    #[track_caller]
    fn ended_with(&self, code: i32) {
        let (out, err) = (self.text("run: stdout"), self.text("run: stderr"));
        assert_eq!(self.code, Some(code), "{out}{err}");
    }

    fn add_files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("it is a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                self.add_files(&path);
            } else {
                let bytes = fs::read(&path).expect("it is a file");
                self.files.push((path.display().to_string(), bytes));
            }
        }
    }

    fn text(&self, file: &str) -> String {
        let mut found = self.files.iter().filter(|(name, _)| name.ends_with(file));
        let (_, bytes) = found.next().unwrap_or_else(|| panic!("there is no {file}"));
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn holds_no_secret(&self) {
        let mut found = Vec::new();
        for (name, secret) in ALL {
            for needle in needles(secret) {
                for (file, bytes) in &self.files {
                    let text = String::from_utf8_lossy(bytes);
                    if let Some(at) = text.find(&needle) {
                        let from = text.floor_char_boundary(at.saturating_sub(60));
                        let to = text.ceil_char_boundary(at + needle.len() + 20);
                        found.push(format!(
                            "{name} as `{needle}` in {file}: …{}…",
                            &text[from..to]
                        ));
                    }
                }
            }
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

fn retrial(folder: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("retrial"));
    command
        .current_dir(folder)
        .env_clear()
        .env("COLUMNS", "100")
        .env("API_TOKEN", BEARER.1)
        .timeout(Duration::from_mins(1));
    command
}

fn run(world: World) -> Written {
    let server = target(world);
    // Apart from what is written, for it holds the secrets.
    let given = tempfile::tempdir().expect("a temporary folder");
    let secrets = given.path().join("secrets");
    let lines = [HEADER, PASSWORD].map(|(name, value)| format!("{name}={value}\n"));
    fs::write(&secrets, lines.concat()).expect("a file");
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    let text = SCENARIO.replace("TARGET", &server.url);
    fs::write(folder.path().join("telling.yaml"), text).expect("a file");
    let mut written = Written {
        code: None,
        files: Vec::new(),
    };
    let mut say = |words: &[&str]| {
        let output = retrial(folder.path()).args(words).output();
        written.add(words[0], output.expect("the binary runs"))
    };
    let file = secrets.to_str().expect("it is text");
    let given = ["telling.yaml", "-vv", "--secret-file", file];
    say(&[&["check", "--online"], &given[..]].concat());
    let how = ["--out", "here", "--seed", "1", "--report", "junit"];
    let code = say(&[&["run"], &given[..], &how].concat());
    let again = say(&["report", "here", "-vv", "--report", "junit=again.xml"]);
    assert_eq!(again, code, "the record says otherwise");
    written.code = code;
    written.add_files(folder.path());
    written
}

/// What stands in the place of every secret.
#[track_caller]
fn shows(text: &str, name: &str) {
    let place = format!("[secret:{name}]");
    assert!(text.contains(&place), "nothing says {place}");
}

#[test]
fn a_right_target_passes_and_its_echoes_are_hidden() {
    let written = run(World::Right);
    written.ended_with(0);
    let history = written.text("here/history.jsonl");
    for (name, _) in ALL {
        shows(&history, name);
    }
    // What is no secret is still there.
    assert!(history.contains("ord_1"));
    written.holds_no_secret();
}

#[test]
fn a_finding_is_proved_without_secrets() {
    let written = run(World::Wrong);
    written.ended_with(1);
    shows(&written.text("here/history.jsonl"), BEARER.0);
    // The command that repeats a finding names its secrets, and holds none.
    for file in ["here/report.json", "here/junit.xml"] {
        let text = written.text(file);
        assert!(text.contains("$RETRIAL_SECRET_api_key"), "{file}");
    }
    written.holds_no_secret();
}

#[test]
fn a_step_that_is_refused_is_told_without_secrets() {
    let written = run(World::Refusing);
    written.ended_with(4);
    shows(&written.text("here/history.jsonl"), HEADER.0);
    written.holds_no_secret();
}

#[test]
fn a_secret_in_an_answer_that_nobody_expected_is_one_all_the_same() {
    let written = run(World::Surprising);
    written.ended_with(4);
    shows(&written.text("here/history.jsonl"), CAPTURED.0);
    written.holds_no_secret();
}

#[test]
fn a_probe_that_cannot_be_read_is_told_without_secrets() {
    let written = run(World::Blind);
    written.ended_with(4);
    shows(&written.text("here/history.jsonl"), CAPTURED.0);
    written.holds_no_secret();
}

#[test]
fn a_secret_file_that_is_wrong_is_told_without_its_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secrets = folder.path().join("secrets");
    fs::write(&secrets, HEADER.1.replace('=', ":")).expect("a file");
    let file = secrets.to_str().expect("it is text");
    let output = retrial(folder.path())
        .args(["run", "--secret-file", file])
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).expect("stderr is text");
    assert!(said.contains("line 1 is not name=value"), "{said}");
    assert!(!said.contains("ey\"\u{e9}"), "{said}");
}
