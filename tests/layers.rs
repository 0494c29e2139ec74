//! The floors of `src/` as a test: who may import whom, and what the pure rooms
//! must not touch. The message of a failure is the rule that was broken.
//!
//! It reads the source as text: every `crate::room` that stands outside comments,
//! test modules included.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room: its name, the rooms it may import, and what it must never do.
struct Room(&'static str, &'static [&'static str], &'static str);

/// The floors, from the ground up.
const ROOMS: &[Room] = &[
    Room("stats", &[], "know where its numbers come from"),
    Room("codes", &[], "know who uses a code"),
    Room("contract", &[], "know how a promise is tested or judged"),
    Room(
        "scenario",
        &["codes", "contract", "plan"],
        "know sockets, files beyond the text handed in, clock or randomness",
    ),
    Room("plan", &["codes", "contract", "scenario"], "run anything"),
    Room("history", &["codes", "contract", "plan"], "judge"),
    Room(
        "oracle",
        &["codes", "contract", "plan", "history", "stats"],
        "import scenario, do IO or wait",
    ),
    Room(
        "report",
        &["codes", "contract", "plan", "history", "oracle", "stats"],
        "know formats",
    ),
    Room("render", &["report"], "know plan, history or oracle"),
    Room("wire", &[], "know HTTP, plan or history"),
    Room("http", &["wire"], "know plan or history"),
    Room("demo", &[], "share code with the tool"),
    Room(
        "delivery",
        &["codes", "plan", "history", "http", "wire"],
        "schedule, retry or judge",
    ),
    Room(
        "probe",
        &["codes", "plan", "history"],
        "decide what a reading means",
    ),
    Room("record", &["codes", "plan", "history", "report"], "compute"),
    Room(
        "engine",
        &["codes", "contract", "plan", "history", "delivery", "probe"],
        "import oracle, report or render, or print",
    ),
    Room(
        "cli",
        &[
            "codes", "contract", "plan", "history", "delivery", "probe", "record", "engine",
            "scenario", "oracle", "report", "render", "stats", "demo",
        ],
        "be imported",
    ),
];

/// Rooms that take values and return values.
const PURE: &[&str] = &[
    "stats", "codes", "contract", "scenario", "plan", "history", "oracle", "report", "render",
];

/// What a pure room must not name, and why.
const IMPURE: &[(&str, &str)] = &[
    ("async fn", "a pure room waits for nothing"),
    ("async move", "a pure room waits for nothing"),
    (".await", "a pure room waits for nothing"),
    ("tokio::", "a pure room knows no runtime"),
    ("std::fs", "a pure room opens no file"),
    ("std::net", "a pure room opens no socket"),
    ("std::env", "a pure room asks no environment"),
    ("Instant::now", "a pure room has no clock"),
    ("SystemTime", "a pure room has no clock"),
    ("Timestamp::now", "a pure room has no clock"),
    ("rand::rng", "randomness comes from a seed"),
    ("OsRng", "randomness comes from a seed"),
    ("SysRng", "randomness comes from a seed"),
];

/// What only `cli` may name.
const PRINTING: &[&str] = &[
    "println!",
    "eprintln!",
    "print!(",
    "eprint!(",
    "process::exit",
];

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a room can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The lines of a file without comments, with their numbers.
fn code(path: &Path) -> Vec<(usize, String)> {
    fs::read_to_string(path)
        .expect("a source file is text")
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("").to_owned()))
        .collect()
}

/// The rooms that a line imports.
fn imports(line: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut rest = line;
    while let Some(at) = rest.find("crate::") {
        // `$crate::` and `other_crate::` are not ours.
        let before = rest[..at].chars().last();
        rest = &rest[at + "crate::".len()..];
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let names = rest.strip_prefix('{').map_or_else(
            || vec![rest],
            |group| group.split('}').next().unwrap_or("").split(',').collect(),
        );
        for name in names {
            let word: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if !word.is_empty() {
                found.insert(word);
            }
        }
    }
    found
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn imports_point_downstairs() {
    let mut broken = Vec::new();
    for Room(room, may_import, never) in ROOMS {
        for file in files(&src().join(room)) {
            for (number, line) in code(&file) {
                for imported in imports(&line) {
                    let known = ROOMS.iter().any(|other| other.0 == imported);
                    let allowed = imported == *room || may_import.contains(&imported.as_str());
                    if known && !allowed {
                        broken.push(format!(
                            "{}:{number}: `{room}` may import {may_import:?}, not `{imported}`: it must never {never}",
                            file.display(),
                        ));
                    }
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_folder_of_src_is_a_room_with_a_rule() {
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|room| room.0).collect();
    for entry in fs::read_dir(src()).expect("src can be listed") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or("");
            assert!(
                rooms.contains(name),
                "src/{name} has no rule in tests/layers.rs"
            );
        }
    }
    for room in rooms {
        assert!(
            src().join(room).join("mod.rs").is_file(),
            "src/{room}/mod.rs is missing"
        );
    }
}

#[test]
fn pure_rooms_wait_for_nothing_and_open_nothing() {
    let mut broken = Vec::new();
    for room in PURE {
        for file in files(&src().join(room)) {
            for (number, line) in code(&file) {
                for (name, why) in IMPURE {
                    if line.contains(name) {
                        broken.push(format!("{}:{number}: `{name}`: {why}", file.display()));
                    }
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn only_cli_prints() {
    let mut broken = Vec::new();
    for Room(room, ..) in ROOMS.iter().filter(|room| room.0 != "cli") {
        for file in files(&src().join(room)) {
            for (number, line) in code(&file) {
                if PRINTING.iter().any(|word| line.contains(word)) {
                    broken.push(format!("{}:{number}: only `cli` prints", file.display()));
                }
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn the_reader_of_imports_sees_what_it_should() {
    let set = |line: &str| imports(line).into_iter().collect::<Vec<_>>();
    assert_eq!(set("use crate::oracle::judge;"), ["oracle"]);
    assert_eq!(
        set("use crate::{history, plan::Plan};"),
        ["history", "plan"]
    );
    assert_eq!(
        set("let x = f(crate::wire::a, crate::http::b);"),
        ["http", "wire"]
    );
    assert!(set("$crate::oracle").is_empty());
    assert!(set("use other_crate::oracle;").is_empty());
}
