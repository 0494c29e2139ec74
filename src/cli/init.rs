//! `retrial init`: a project file, a first scenario, the schema for editors, and
//! a job for CI. What is there already stays, unless `--force` says otherwise.

use super::args::{Ci, InitArgs, SchemaOf};
use super::exit_code::Exit;
use super::failure::{Failure, not_supported_yet};
use super::schema;
use super::terminal::Terminal;
use anyhow::Context;
use std::fmt::Write;
use std::path::Path;

const PROJECT: &str = "\
version: 1
scenarios: [scenarios/**/*.yaml]
limits: { requests: 20000, time: 10m }
environments:
  local:
    target: http://localhost:8080
  # Only loopback is sent to without asking. Another host has to be named:
  # staging:
  #   target: https://api.staging.example.com
  #   allow_hosts: [api.staging.example.com]
reports: [junit]
";

/// The scenario of `language.md` section 3; the schema lies one folder up.
const SCENARIO: &str = "\
# yaml-language-server: $schema=../.retrial/scenario.schema.json
scenario: create-order
target: http://localhost:8080
operation:
  request: POST /orders
  json:
    sku: TSHIRT-M
    quantity: 1
    reference: ${{ marker }}
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $[*]
";

/// Runs are not kept in version control, the schema may be.
const IGNORE: &str = "runs/\n";

const GITHUB: &str = "\
name: retrial
on: [pull_request]
jobs:
  retrial:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cargo install retrial --locked
      # Start the API under test here.
      - run: retrial run -e local --patterns quick --report junit=junit.xml
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: retrial
          path: |
            junit.xml
            .retrial/runs
          include-hidden-files: true
";

const GITLAB: &str = "\
retrial:
  image: rust:latest
  script:
    - cargo install retrial --locked
    # Start the API under test here.
    - retrial run -e local --patterns quick --report junit=junit.xml
  artifacts:
    when: always
    paths: [junit.xml, .retrial/runs]
    reports:
      junit: junit.xml
";

/// Writes the files and says what to do next.
pub(crate) fn init(args: &InitArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    for (flag, given) in [
        ("--from-openapi", args.from_openapi.is_some()),
        ("--from-curl", args.from_curl.is_some()),
    ] {
        if given {
            return Err(not_supported_yet(flag));
        }
    }
    let schema = format!("{:#}\n", schema::of(SchemaOf::Scenario));
    let mut files = vec![
        ("retrial.yaml", PROJECT),
        ("scenarios/create-order.yaml", SCENARIO),
        (".retrial/scenario.schema.json", schema.as_str()),
        (".retrial/.gitignore", IGNORE),
    ];
    match args.ci {
        None => {}
        Some(Ci::Github) => files.push((".github/workflows/retrial.yml", GITHUB)),
        Some(Ci::Gitlab) => files.push((".gitlab/retrial.gitlab-ci.yml", GITLAB)),
    }
    let mut told = String::new();
    let mut kept = false;
    for (name, text) in files {
        let path = args.dir.join(name);
        let word = if path.exists() && !args.force {
            kept = true;
            "kept "
        } else {
            write(&path, text)?;
            "wrote"
        };
        // Writing to a String cannot fail.
        let _ = writeln!(told, "{word}  {}", path.display());
    }
    if kept {
        told.push_str("what was there already was kept; --force overwrites it\n");
    }
    told.push_str(&next(args));
    terminal.out(&told)?;
    Ok(Exit::Pass)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    std::fs::write(path, text).with_context(failed)
}

fn next(args: &InitArgs) -> String {
    let mut text = String::from("\nnext\n");
    let mut steps = Vec::new();
    if args.dir != Path::new(".") {
        steps.push((
            format!("cd {}", args.dir.display()),
            "the commands below look here",
        ));
    }
    if args.ci == Some(Ci::Gitlab) {
        steps.push((
            "include: .gitlab/retrial.gitlab-ci.yml".to_owned(),
            "a line for your .gitlab-ci.yml",
        ));
    }
    steps.extend([
        (
            "retrial demo --serve --listen 127.0.0.1:8080".to_owned(),
            "a shop that the first scenario fits as it stands; or edit it for your API",
        ),
        ("retrial check".to_owned(), "all mistakes, no traffic"),
        ("retrial run".to_owned(), "the trial"),
    ]);
    let width = steps
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    for (command, why) in steps {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {command:<width$}  {why}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_yaml_and_the_first_scenario_has_twelve_lines() {
        for text in [PROJECT, SCENARIO, GITHUB, GITLAB] {
            assert!(
                serde_yaml::from_str::<serde_json::Value>(text).is_ok(),
                "{text}"
            );
        }
        assert_eq!(SCENARIO.lines().count(), 13, "twelve and a comment");
    }
}
