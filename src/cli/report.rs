//! `retrial report`: judge and render a stored run again, also one that was
//! interrupted or killed in the middle.

use super::args::ReportArgs;
use super::exit_code::{Exit, ExitRules};
use super::failure::{Failure, not_supported_yet};
use super::sources::Found;
use super::terminal::Terminal;
use super::written::{self, Written};
use crate::codes::Diagnosis;
use crate::contract::Contract;
use crate::oracle::{self, JudgeOptions};
use crate::record::{self, Folder, HISTORY, PLAN, REPORT, RecordError};
use crate::report::{self, BuildOptions, exit_code};
use crate::scenario::Diagnostic;
use std::path::Path;

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
    let mut plan = record::read_plan(&folder.file(PLAN)).map_err(anyhow::Error::new)?;
    let (history, completeness) =
        record::read_history(&folder.file(HISTORY)).map_err(anyhow::Error::new)?;
    if !completeness.ended {
        terminal.note("the record ends before the run was through; what is there is judged\n");
    }
    if args.contract.is_some() {
        for scenario in &mut plan.scenarios {
            scenario.contract = Contract::core();
        }
    }
    let rules = ExitRules {
        strict: args.strict,
        exit_zero: args.exit_zero,
    };
    let judgement = oracle::judge(
        &plan,
        &history,
        JudgeOptions {
            strict: args.strict,
        },
    );
    let options = BuildOptions {
        rules,
        ..BuildOptions::default()
    };
    let report = report::build(&plan, &history, &judgement, &options);

    let out = args.out.as_deref().unwrap_or(folder.path());
    // A run that was killed has no report yet; an old report is left alone unless
    // somebody asks for a new one.
    let asked = !wishes.is_empty() || args.out.is_some();
    let files = if asked || !folder.file(REPORT).exists() {
        written::write(&report, &wishes, out, args.junit_inconclusive)
    } else {
        Written::default()
    };
    written::show(&report, written::told(out, &files.files), terminal)?;
    let mut exit = exit_code(&judgement, rules);
    for trouble in &files.trouble {
        terminal.trouble(trouble);
        exit = exit.and(Exit::Error);
    }
    Ok(exit)
}

/// The folder of a run: as named, or by its id below the project's folder.
fn find(run: &str, project: Option<&Path>) -> Result<Folder, Failure> {
    let found = Found::project(project, &[], None);
    record::find(run, &found.folder).map_err(|error| match error {
        RecordError::UnknownRun { .. } | RecordError::NoRun(_) => Failure::because(
            Diagnostic::error(Diagnosis::Usage, error.to_string()).help(format!(
                "name a run's id, its folder, or `last`; ids are looked for in {}",
                found.folder.join(record::RUNS).display()
            )),
            Exit::Usage,
        ),
        error => Failure::World(anyhow::Error::new(error)),
    })
}
