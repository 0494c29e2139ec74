//! `retrial report`: judge and render a stored run again, also one that was
//! interrupted or killed in the middle.

use super::args::ReportArgs;
use super::execute::{Forgiving, ending};
use super::exit_code::{Exit, Strictness};
use super::message::{Failure, Message, not_supported_yet};
use super::rooms;
use super::run;
use super::sources::Found;
use super::terminal::Terminal;
use super::written;
use crate::codes::Diagnosis;
use crate::contract::Contract;
use std::path::{Path, PathBuf};

/// Judges and renders.
pub(crate) fn report(args: &ReportArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if args.baseline.is_some() {
        return Err(not_supported_yet("--baseline"));
    }
    if args.contract.as_deref().is_some_and(|name| name != "core") {
        return Err(not_supported_yet("--contract"));
    }
    let wishes = written::wishes(&args.report, &[])?;
    let [run] = args.runs.as_slice() else {
        return Err(not_supported_yet("several runs"));
    };
    let folder = find(run, args.project.as_deref())?;
    let (mut plan, history) = rooms::read_run(&folder)?;
    if args.contract.is_some() {
        for scenario in &mut plan.scenarios {
            scenario.contract = Contract::core();
        }
    }
    let strictness = if args.strict {
        Strictness::Strict
    } else {
        Strictness::Usual
    };
    let forgiving = if args.exit_zero {
        Forgiving::Yes
    } else {
        Forgiving::No
    };
    let judgement = rooms::judge(&plan, &history, strictness)?;
    let exit = ending(&judgement, strictness, forgiving);
    let report = rooms::build_report(&plan, &history, &judgement, exit)?;

    let out = args.out.clone().unwrap_or_else(|| folder.clone());
    // A run that was killed has no report yet; an old report is left alone unless
    // somebody asks for a new one.
    let asked = !wishes.is_empty() || args.out.is_some();
    let files = if asked || !folder.join("report.json").exists() {
        written::write(&report, &wishes, &out, args.junit_inconclusive)
    } else {
        written::Written::default()
    };
    let place = (!files.files.is_empty()).then_some((out.as_path(), files.files.as_slice()));
    run::show(&report, place, terminal)?;
    let mut exit = exit;
    for trouble in &files.trouble {
        terminal.error(&Failure::words(trouble));
        exit = exit.and(Exit::Error);
    }
    Ok(exit)
}

/// The folder of a run: as named, or by its id below the project's folder.
fn find(run: &str, project: Option<&Path>) -> Result<PathBuf, Failure> {
    let named = PathBuf::from(run);
    if named.join("plan.json").is_file() {
        return Ok(named);
    }
    let found = Found::project(project, &[])?;
    let by_id = found.folder.join(".retrial/runs").join(run);
    if by_id.join("plan.json").is_file() {
        return Ok(by_id);
    }
    Err(
        Message::error(Diagnosis::Usage, format!("there is no run `{run}`"))
            .note(format!(
                "looked at {} and {}",
                named.display(),
                by_id.display()
            ))
            .help("name a run's id or its folder, the one that holds plan.json")
            .exit(Exit::Usage),
    )
}
