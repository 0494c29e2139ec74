//! A secret is planted, the target says it back in every form, and every byte that
//! retrial writes is searched for it.

use assert_cmd::Command;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Changes under base64, URL and JSON encoding.
const SECRET: &str = "p+s/w=o rd\"x9";

/// Every form in which it may travel.
fn forms() -> Vec<String> {
    let json = serde_json::Value::from(SECRET).to_string();
    vec![
        SECRET.to_owned(),
        json.trim_matches('"').to_owned(),
        STANDARD.encode(SECRET),
        URL_SAFE_NO_PAD.encode(SECRET),
        "p%2Bs%2Fw%3Do%20rd%22x9".to_owned(),
        "p%2bs%2fw%3do%20rd%22x9".to_owned(),
    ]
}

/// One request after the other on a connection: orders by reference, and the
/// secret in every answer.
fn serve(stream: TcpStream, orders: &Mutex<BTreeSet<String>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let echo = forms();
        let (status, answer) = if line.starts_with("POST") {
            let sent: serde_json::Value = serde_json::from_slice(&body).ok()?;
            let reference = sent["reference"].as_str()?.to_owned();
            orders.lock().ok()?.insert(reference.clone());
            (201, serde_json::json!({"id": reference, "echo": echo}))
        } else {
            let reference = line.split("reference=").nth(1)?.split(' ').next()?;
            let known = orders.lock().ok()?.contains(reference);
            let order = serde_json::json!({"echo": echo});
            (
                200,
                serde_json::Value::from(if known { vec![order] } else { vec![] }),
            )
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Said\r\nRetry-After: {}\r\nContent-Length: {}\r\n\r\n",
            forms()[2],
            answer.len()
        );
        writer.write_all(head.as_bytes()).ok()?;
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

#[test]
fn no_byte_that_is_written_holds_a_planted_secret() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let orders = Arc::new(Mutex::new(BTreeSet::new()));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let orders = Arc::clone(&orders);
            std::thread::spawn(move || serve(stream, &orders));
        }
    });

    let folder = tempfile::tempdir().expect("a folder");
    let scenario = format!(
        "scenario: secret\ntarget:\n  url: http://{address}\n  auth: {{ bearer: \"${{{{ secrets.token }}}}\" }}\n\
         secrets:\n  token: {{ env: PLANTED }}\noperation:\n  request: POST /orders\n  json:\n    reference: ${{{{ marker }}}}\n\
         patterns: [replay: 2, burst: 3]\neffects:\n  orders:\n    get: /orders?reference=${{{{ marker }}}}\n    count: $[*]\n\
         \x20   expect: never\n    within: 300ms\n    stable_for: 100ms\n    every: 50ms\nbudget: {{ trials: 2 }}\n"
    );
    fs::write(folder.path().join("secret.yaml"), scenario).expect("it can be written");
    let output = Command::new(assert_cmd::cargo::cargo_bin!("retrial"))
        .current_dir(folder.path())
        .env_clear()
        .env("PLANTED", SECRET)
        .args([
            "run",
            "secret.yaml",
            "--seed",
            "1",
            "--out",
            "out",
            "--report",
            "junit",
            "-vv",
        ])
        .output()
        .expect("the binary runs");

    let mut written = vec![
        ("stdout".to_owned(), output.stdout),
        ("stderr".to_owned(), output.stderr),
    ];
    for entry in fs::read_dir(folder.path().join("out")).expect("there is a record") {
        let path = entry.expect("it can be listed").path();
        written.push((path.display().to_string(), fs::read(&path).expect("a file")));
    }
    let names: Vec<&String> = written.iter().map(|(name, _)| name).collect();
    assert!(written.len() >= 6, "{names:?}");
    let mut hidden = 0;
    for (name, bytes) in &written {
        let text = String::from_utf8_lossy(bytes);
        hidden += text.matches("[secret:").count();
        for form in forms() {
            assert!(!text.contains(&form), "{name} holds {form}");
        }
    }
    // Else it would pass by recording nothing.
    assert!(hidden > 10, "{hidden} secrets were hidden");
}
