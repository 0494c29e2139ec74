//! `retrial demo`: the gallery against the shop that does it right, then against
//! each of its flaws. Everything is sent and judged along the same line as in
//! `retrial run`; only the table at the end is the demo's own.

mod play;
mod telling;

use super::args::{DemoArgs, ProgressStyle};
use super::execute::{Ended, Outcome};
use super::exit_code::Exit;
use super::failure::{Failure, not_supported_yet};
use super::gallery::{self, GALLERY};
use super::planned;
use super::progress;
use super::stop;
use super::terminal::Terminal;
use super::written;
use crate::demo::{self, Flaw, FlawSetting};
use crate::plan::Seed;
use crate::report::Report;
use anyhow::Context;
use indicatif::ProgressBar;
use play::{Play, Shown, open_shop};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use telling::best;

/// How many shops are open at once. Most of the time of a run is waiting, so a
/// few of them side by side take little longer than one.
const LANES: usize = 4;

/// Shows.
pub(crate) fn demo(args: &DemoArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    if !args.quirk.is_empty() {
        return Err(not_supported_yet("--quirk"));
    }
    if args.matrix {
        return Err(not_supported_yet("--matrix"));
    }
    let flaws: Vec<FlawSetting> = args
        .flaw
        .iter()
        .map(|words| words.parse())
        .collect::<Result<_, demo::FlawError>>()
        .map_err(|error| Failure::usage(error.to_string()))?;
    if args.serve {
        return serve(args, flaws, terminal);
    }
    let seed = planned::seed(args.seed)?;
    match flaws.as_slice() {
        [] => everything(args, seed, terminal),
        [flaw] => one(args, *flaw, seed, terminal),
        _ => Err(Failure::usage(
            "one flaw at a time is put on trial; --serve opens a shop with several",
        )),
    }
}

/// One flaw, its full report.
fn one(
    args: &DemoArgs,
    setting: FlawSetting,
    seed: Seed,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let flaw = setting.flaw;
    let play = Play {
        flaws: vec![setting],
        files: gallery::aimed_at(flaw),
        store: args.store.clone(),
        seed,
    };
    let mut outcome = match play.perform(terminal, Shown::Progress)? {
        Ended::Left(signal) => return Ok(signal.exit()),
        Ended::Whole(outcome) => outcome,
    };
    let words = args.flaw.join(" ");
    let cases = outcome.report.cases.iter_mut();
    for finding in cases.flat_map(|case| &mut case.findings) {
        // The file lies in the binary, so the demo is what repeats it.
        finding.reproduce = format!("retrial demo --flaw {words} --seed {seed}");
    }
    written::show(&outcome.report, Vec::new(), terminal)?;
    if outcome.judgement.interrupted.is_some() {
        return Ok(outcome.exit);
    }
    let hazard = flaw.hazard();
    let (told, exit) = match best(&outcome.report, hazard) {
        Some((case, _)) => (
            format!("caught: {flaw} is {hazard} in {}", case.id),
            Exit::Pass,
        ),
        None => (
            format!("NOT CAUGHT: {flaw} should have been found as {hazard}"),
            Exit::Fail,
        ),
    };
    terminal.out(&format!("\n{told}\n"))?;
    Ok(exit)
}

/// What is performed: `None` is the shop that does it right.
type Act = Option<Flaw>;

/// The shop without flaws and each flaw.
fn everything(args: &DemoArgs, seed: Seed, terminal: &Terminal) -> Result<Exit, Failure> {
    let acts: Vec<Act> = std::iter::once(None).chain(Flaw::ALL.map(Some)).collect();
    terminal.note(&format!(
        "retrial {} demo · seed {seed} · {} scenarios against a shop that does it right, \
         and against its {} flaws\n",
        env!("CARGO_PKG_VERSION"),
        GALLERY.len(),
        Flaw::ALL.len(),
    ));
    let bar = bar(terminal, acts.len());
    let mut performed: BTreeMap<usize, Box<Outcome>> = BTreeMap::new();
    let ended = perform_all(args, &acts, seed, terminal, |index, ended| {
        bar.inc(1);
        match ended? {
            Ended::Left(signal) => Err(Failure::Told(signal.exit())),
            Ended::Whole(outcome) if outcome.judgement.interrupted.is_some() => {
                Err(Failure::Told(outcome.exit))
            }
            Ended::Whole(outcome) => {
                let line = telling::one_line(acts[index], &outcome.report);
                bar.suspend(|| terminal.note(&line));
                performed.insert(index, outcome);
                Ok(())
            }
        }
    });
    bar.finish_and_clear();
    ended?;
    let reports: Vec<(Act, &Report)> = performed
        .iter()
        .map(|(index, outcome)| (acts[*index], &outcome.report))
        .collect();
    let (text, exit) = conclude(&reports, terminal);
    terminal.out(&text)?;
    Ok(exit)
}

/// Both tables, and whether exactly that happened which should.
fn conclude(reports: &[(Act, &Report)], terminal: &Terminal) -> (String, Exit) {
    let mut text = String::new();
    let mut differences = Vec::new();
    for (_, clean) in reports.iter().filter(|(act, _)| act.is_none()) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\nThe shop that does it right\n\n{}",
            telling::clean_table(clean, terminal)
        );
        differences.extend(telling::unclean(clean));
    }
    let flawed: Vec<(Flaw, &Report)> = reports
        .iter()
        .filter_map(|(act, report)| Some(((*act)?, *report)))
        .collect();
    let _ = writeln!(
        text,
        "Its flaws, one at a time\n\n{}",
        telling::flaw_table(&flawed, terminal)
    );
    let missed = telling::missed(&flawed);
    let caught = flawed.len() - missed.len();
    differences.extend(missed);
    for difference in &differences {
        let _ = writeln!(text, "DIFFERS  {difference}");
    }
    let _ = writeln!(
        text,
        "{caught} of {} flaws caught under their own hazard\n\
         one of them in full:  retrial demo --flaw {}",
        flawed.len(),
        Flaw::CheckThenAct,
    );
    let exit = if differences.is_empty() {
        Exit::Pass
    } else {
        Exit::Fail
    };
    (text, exit)
}

fn bar(terminal: &Terminal, length: usize) -> ProgressBar {
    if terminal.progress == ProgressStyle::Bar {
        progress::bar(terminal, length, "{bar:30} {pos}/{len} runs  {elapsed}")
    } else {
        ProgressBar::hidden()
    }
}

/// Performs acts a few at a time; `each` is told of them as they end, and its
/// first error ends everything once the acts under way are through.
fn perform_all(
    args: &DemoArgs,
    acts: &[Act],
    seed: Seed,
    terminal: &Terminal,
    mut each: impl FnMut(usize, Result<Ended, Failure>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let hushed = Terminal {
        quiet: true,
        progress: ProgressStyle::None,
        ..terminal.clone()
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..LANES.min(acts.len()) {
            let sender = sender.clone();
            let (next, hushed) = (&next, &hushed);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(act) = acts.get(index) else {
                        return;
                    };
                    let play = Play {
                        flaws: act.iter().copied().map(FlawSetting::from).collect(),
                        files: act.map_or_else(|| GALLERY.to_vec(), gallery::aimed_at),
                        store: args.store.clone(),
                        seed,
                    };
                    let ended = play.perform(hushed, Shown::Nothing);
                    if sender.send((index, ended)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut first = Ok(());
        for (index, ended) in receiver {
            let told = each(index, ended);
            if first.is_ok() && told.is_err() {
                // Nobody takes another act from now on.
                next.store(acts.len(), Ordering::Relaxed);
                first = told;
            }
        }
        first
    })
}

/// Leaves the shop open until somebody closes it.
fn serve(args: &DemoArgs, flaws: Vec<FlawSetting>, terminal: &Terminal) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let hushed = Terminal {
        quiet: true,
        ..terminal.clone()
    };
    runtime.block_on(async {
        let asked = stop::listen(&hushed).context("failed to listen for signals")?;
        let shop = open_shop(demo::Options {
            flaws,
            store: args.store.clone(),
            ..demo::Options::new(args.listen)
        })
        .await?;
        terminal.out(&hint(shop.addr, &args.flaw))?;
        stop::asked_to_stop(asked).await;
        shop.stop().await;
        Ok(Exit::Pass)
    })
}

fn hint(addr: SocketAddr, flaws: &[String]) -> String {
    let with = if flaws.is_empty() {
        "without flaws".to_owned()
    } else {
        format!("with {}", flaws.join(", "))
    };
    format!(
        "the demo shop listens on http://{addr}, {with}; Ctrl-C closes it\n\n\
         try  retrial init && retrial run scenarios/create-order.yaml --target http://{addr}\n\
         or   curl -si http://{addr}/orders -H 'Content-Type: application/json' -H 'Idempotency-Key: one' \\\n\
         \x20         -d '{{\"sku\":\"TSHIRT-M\",\"quantity\":1,\"reference\":\"by-hand\"}}'\n\
         \x20    curl -s 'http://{addr}/orders?reference=by-hand'\n"
    )
}
