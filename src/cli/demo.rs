//! `retrial demo`: the gallery against the shop that does it right, then against
//! each of its flaws. Everything is sent and judged along the same line as in
//! `retrial run`; only the table at the end is the demo's own.

use super::args::{DemoArgs, How, ProgressStyle, Safety};
use super::columns::{columns, wrap};
use super::execute::{self, Ended, Forgiving, Job, Outcome};
use super::exit_code::{Exit, Strictness};
use super::gallery::{self, GALLERY, GalleryFile};
use super::limits::{Limits, ProjectLimits};
use super::load;
use super::message::{Failure, Message, not_supported_yet};
use super::progress::Progress;
use super::rooms::{self, Flaw, Overrides, Redact, Shop, Sources, Unset};
use super::run;
use super::sources::Found;
use super::stop::{self, Signal};
use super::terminal::Terminal;
use super::values::Given;
use crate::codes::{Diagnosis, Severity};
use crate::plan::{Plan, Seed};
use crate::report::{CaseReport, FindingReport, Report, VerdictWord};
use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

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
    let mut flaws = Vec::new();
    for words in &args.flaw {
        flaws.push(rooms::find_flaw(words).map_err(|error| {
            Message::error(Diagnosis::Usage, error)
                .help("retrial list --flaws")
                .exit(Exit::Usage)
        })?);
    }
    if args.serve {
        return serve(args, terminal);
    }
    let seed = run::seed(args.seed)?;
    match (args.flaw.as_slice(), flaws.as_slice()) {
        ([], _) => everything(args, seed, terminal),
        ([words], [flaw]) => one(args, words, *flaw, seed, terminal),
        _ => Err(
            Message::error(Diagnosis::Usage, "one flaw at a time is put on trial")
                .help("--serve opens a shop with several")
                .exit(Exit::Usage),
        ),
    }
}

// ---------------------------------------------------------------------------
// One flaw, its full report.

fn one(
    args: &DemoArgs,
    words: &str,
    flaw: Flaw,
    seed: Seed,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let play = Play {
        flaws: vec![words.to_owned()],
        files: gallery::aimed_at(flaw.name),
        store: args.store.clone(),
        seed,
    };
    let mut outcome = match play.perform(terminal, Shown::Progress)? {
        Ended::Left(signal) => return Ok(signal.exit()),
        Ended::Whole(outcome) => outcome,
    };
    for finding in outcome
        .report
        .cases
        .iter_mut()
        .flat_map(|case| &mut case.findings)
    {
        // The file lies in the binary, so the demo is what repeats it.
        finding.reproduce = format!("retrial demo --flaw {words} --seed {seed}");
    }
    run::show(&outcome.report, None, terminal)?;
    if let Some(signal) = &outcome.judgement.interrupted {
        return Ok(Signal::named(signal).exit());
    }
    let caught = best(&outcome.report, flaw.hazard);
    let told = match caught {
        Some((case, _)) => format!("caught: {} is {} in {}\n", flaw.name, flaw.hazard, case.id),
        None => format!(
            "NOT CAUGHT: {} should have been found as {}\n",
            flaw.name, flaw.hazard
        ),
    };
    terminal.out(&format!("\n{told}"))?;
    Ok(match caught {
        Some(_) => Exit::Pass,
        None => Exit::Fail,
    })
}

// ---------------------------------------------------------------------------
// Everything: the shop without flaws and each flaw.

/// What is performed: `None` is the shop that does it right.
type Act = Option<Flaw>;

fn everything(args: &DemoArgs, seed: Seed, terminal: &Terminal) -> Result<Exit, Failure> {
    let acts: Vec<Act> = std::iter::once(None)
        .chain(rooms::flaws().into_iter().map(Some))
        .collect();
    terminal.note(&format!(
        "retrial {} demo · seed {seed} · {} scenarios against a shop that does it right, and against {} flaws\n",
        env!("CARGO_PKG_VERSION"),
        GALLERY.len(),
        acts.len() - 1,
    ));
    let mut performed: BTreeMap<usize, Box<Outcome>> = BTreeMap::new();
    let bar = bar(terminal, acts.len());
    let ended = perform_all(args, &acts, seed, terminal, |index, ended| {
        bar.inc(1);
        match ended? {
            Ended::Left(signal) => Err(Failure::Told(signal.exit())),
            Ended::Whole(outcome) => {
                if let Some(signal) = &outcome.judgement.interrupted {
                    return Err(Failure::Told(Signal::named(signal).exit()));
                }
                bar.suspend(|| terminal.note(&one_line(acts[index], &outcome.report)));
                performed.insert(index, outcome);
                Ok(())
            }
        }
    });
    bar.finish_and_clear();
    ended?;

    let clean = &performed[&0].report;
    let mut text = format!(
        "\nThe shop that does it right\n\n{}",
        clean_table(clean, terminal)
    );
    let flawed: Vec<(Flaw, &Report)> = acts
        .iter()
        .enumerate()
        .filter_map(|(index, act)| Some(((*act)?, &performed.get(&index)?.report)))
        .collect();
    let _ = write!(
        text,
        "\nIts flaws, one at a time\n\n{}",
        flaw_table(&flawed, terminal)
    );
    let mut differences = unclean(clean);
    differences.extend(flawed.iter().filter_map(|(flaw, report)| {
        best(report, flaw.hazard).is_none().then(|| {
            format!(
                "{} was not found as {}; seen: {}",
                flaw.name,
                flaw.hazard,
                or_nothing(&hazards(report))
            )
        })
    }));
    text.push('\n');
    for difference in &differences {
        let _ = writeln!(text, "DIFFERS  {difference}");
    }
    let _ = writeln!(
        text,
        "{} of {} flaws caught under their own hazard; {} cases against the shop without flaws: {} passed\n\
         One of them in full:  retrial demo --flaw {}",
        flawed.len()
            - flawed
                .iter()
                .filter(|(flaw, report)| best(report, flaw.hazard).is_none())
                .count(),
        flawed.len(),
        clean.totals.cases,
        clean.totals.pass,
        flawed
            .get(1)
            .or(flawed.first())
            .map_or("NAME", |(flaw, _)| flaw.name),
    );
    terminal.out(&text)?;
    Ok(if differences.is_empty() {
        Exit::Pass
    } else {
        Exit::Fail
    })
}

fn bar(terminal: &Terminal, length: usize) -> ProgressBar {
    let target = if terminal.progress == ProgressStyle::Bar {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length as u64), target);
    if let Ok(style) =
        indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} runs  {elapsed}")
    {
        bar.set_style(style.progress_chars(if terminal.ascii { "=> " } else { "━╸─" }));
    }
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
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
    let inner = Terminal {
        quiet: true,
        progress: ProgressStyle::None,
        ..terminal.clone()
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..LANES.min(acts.len()) {
            let sender = sender.clone();
            let (next, inner) = (&next, &inner);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(act) = acts.get(index) else {
                        return;
                    };
                    let play = Play::of(*act, args.store.clone(), seed);
                    let ended = play.perform(inner, Shown::Nothing);
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

// ---------------------------------------------------------------------------
// One performance: a shop, some files, a run.

struct Play {
    flaws: Vec<String>,
    files: Vec<GalleryFile>,
    store: Option<String>,
    seed: Seed,
}

/// What is shown while it goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Progress,
    Nothing,
}

impl Play {
    fn of(act: Act, store: Option<String>, seed: Seed) -> Self {
        Self {
            flaws: act.iter().map(|flaw| flaw.name.to_owned()).collect(),
            files: act.map_or_else(|| GALLERY.to_vec(), |flaw| gallery::aimed_at(flaw.name)),
            store,
            seed,
        }
    }

    fn perform(&self, terminal: &Terminal, shown: Shown) -> Result<Ended, Failure> {
        let shop = OpenShop::open(self.flaws.clone(), self.store.clone())?;
        let ended = self.run(shop.addr, terminal, shown);
        shop.close();
        ended
    }

    fn run(&self, addr: SocketAddr, terminal: &Terminal, shown: Shown) -> Result<Ended, Failure> {
        let scenarios = self.files.iter().map(GalleryFile::source).collect();
        let found = Found {
            folder: PathBuf::from("."),
            scenarios,
            ..Found::default()
        };
        let given = Given::default();
        let overrides = Overrides {
            target: Some(format!("http://{addr}")),
            ..Overrides::default()
        };
        let sources = Sources {
            found: &found,
            given: &given,
            environment: None,
            overrides: &overrides,
            unset: Unset::Error,
        };
        let (loaded, told) = rooms::load(sources, load::look(terminal))?;
        let Some(loaded) = loaded else {
            return Err(Failure::World(anyhow!(
                "the gallery does not load:\n{}",
                told.text
            )));
        };
        let plan = rooms::generate(&loaded.scenarios, self.seed, None)?;
        let budgets = loaded.scenarios.iter().map(|scenario| &scenario.budget);
        let (limits, _) = Limits::settle(
            ProjectLimits::default(),
            &How::default(),
            &Safety::default(),
            budgets,
        );
        self.execute(&plan, limits, terminal, shown)
    }

    fn execute(
        &self,
        plan: &Plan,
        limits: Limits,
        terminal: &Terminal,
        shown: Shown,
    ) -> Result<Ended, Failure> {
        let scratch = tempfile::tempdir().context("failed to make a temporary folder")?;
        let header = execute::header(plan, None)?;
        let progress = match shown {
            Shown::Progress => Progress::start(terminal, plan, &execute::headline(plan, &header)),
            Shown::Nothing => Progress::none(),
        };
        let job = Job {
            header,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            redact: Redact::default(),
            limits,
            allow_hosts: Vec::new(),
            keep: false,
            max_failures: None,
            strictness: Strictness::Usual,
            forgiving: Forgiving::No,
            folder: scratch.path().join("run"),
        };
        execute::execute(plan, job, terminal, progress)
    }
}

/// A shop on a runtime of its own, so that it shares no thread with the run that
/// puts it on trial.
struct OpenShop {
    addr: SocketAddr,
    close: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl OpenShop {
    fn open(flaws: Vec<String>, store: Option<String>) -> Result<Self, Failure> {
        let (close, closing) = oneshot::channel();
        let (opened, opening) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("demo-shop".to_owned())
            .spawn(move || keep_shop(&flaws, store.as_deref(), &opened, closing))
            .context("failed to start a thread")?;
        let addr = opening
            .recv()
            .context("the demo shop did not open")
            .map_err(Failure::World)??;
        Ok(Self {
            addr,
            close,
            thread,
        })
    }

    fn close(self) {
        // A shop that has gone by itself needs no closing, and a panic of its
        // thread has been told by the hook.
        let _ = self.close.send(());
        let _ = self.thread.join();
    }
}

fn keep_shop(
    flaws: &[String],
    store: Option<&str>,
    opened: &mpsc::Sender<Result<SocketAddr, Failure>>,
    closing: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime.context("failed to start the runtime") {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever opens the shop waits for one of the two.
            let _ = opened.send(Err(Failure::World(error)));
            return;
        }
    };
    runtime.block_on(async {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match Shop::open(listen, flaws, store).await {
            Err(failure) => {
                let _ = opened.send(Err(failure));
            }
            Ok(shop) => {
                let _ = opened.send(Ok(shop.addr));
                // Dropping the other end closes the shop too.
                let _ = closing.await;
                shop.close().await;
            }
        }
    });
}

// ---------------------------------------------------------------------------
// Serving by hand.

fn serve(args: &DemoArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let asked = stop::listen(&Terminal {
            quiet: true,
            ..terminal.clone()
        })
        .context("failed to listen for signals")?;
        let shop = Shop::open(args.listen, &args.flaw, args.store.as_deref()).await?;
        terminal.out(&hint(shop.addr, &args.flaw))?;
        stop::asked_to_stop(asked).await;
        shop.close().await;
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
         try    retrial init && retrial run scenarios/create-order.yaml --target http://{addr}\n\
         or     curl -si http://{addr}/orders -H 'Content-Type: application/json' -H 'Idempotency-Key: one' \\\n\
         \x20           -d '{{\"sku\":\"TSHIRT-M\",\"quantity\":1,\"reference\":\"by-hand\"}}'\n\
         \x20      curl -s 'http://{addr}/orders?reference=by-hand'\n"
    )
}

// ---------------------------------------------------------------------------
// What is told of performances.

/// Findings that accuse; `info` ones stand beside a pass.
fn accusations(report: &Report) -> impl Iterator<Item = (&CaseReport, &FindingReport)> {
    report
        .cases
        .iter()
        .filter(|case| case.verdict == VerdictWord::Fail)
        .flat_map(|case| case.findings.iter().map(move |finding| (case, finding)))
        .filter(|(_, finding)| finding.severity != Severity::Info)
}

/// The case that shows a hazard in the most trials; of equals the first one, as
/// in the report.
fn best<'a>(report: &'a Report, hazard: &str) -> Option<(&'a CaseReport, &'a FindingReport)> {
    accusations(report)
        .filter(|(_, finding)| finding.hazard.code() == hazard)
        .reduce(|best, next| {
            if next.1.trials.len() > best.1.trials.len() {
                next
            } else {
                best
            }
        })
}

fn hazards(report: &Report) -> BTreeSet<&'static str> {
    accusations(report)
        .map(|(_, finding)| finding.hazard.code())
        .collect()
}

fn or_nothing(words: &BTreeSet<&'static str>) -> String {
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.iter().copied().collect::<Vec<_>>().join(", ")
    }
}

/// How many of its trials a case shows a finding in.
fn of_trials(case: &CaseReport, finding: &FindingReport) -> String {
    format!("{} of {}", finding.trials.len(), case.trials.run)
}

fn one_line(act: Act, report: &Report) -> String {
    match act {
        None => format!(
            "{:<8} {:<22} {} cases, {} passed\n",
            "clean", "no flaw", report.totals.cases, report.totals.pass
        ),
        Some(flaw) => match best(report, flaw.hazard) {
            Some((case, finding)) => format!(
                "{:<8} {:<22} {} in {} trials of {}\n",
                "caught",
                flaw.name,
                flaw.hazard,
                of_trials(case, finding),
                case.id
            ),
            None => format!(
                "{:<8} {:<22} seen: {}\n",
                "MISSED",
                flaw.name,
                or_nothing(&hazards(report))
            ),
        },
    }
}

/// What is wrong with the shop without flaws: there should be nothing.
fn unclean(report: &Report) -> Vec<String> {
    report
        .cases
        .iter()
        .filter(|case| case.verdict != VerdictWord::Pass)
        .map(|case| {
            let codes: Vec<&str> = case
                .findings
                .iter()
                .map(|finding| finding.hazard.code())
                .chain(case.reasons.iter().map(|reason| reason.code.code()))
                .collect();
            format!(
                "{} is {} without any flaw: {}",
                case.id,
                case.verdict.word(),
                codes.join(", ")
            )
        })
        .collect()
}

fn clean_table(report: &Report, terminal: &Terminal) -> String {
    let mut names: Vec<&str> = Vec::new();
    for case in &report.cases {
        if !names.contains(&case.scenario.as_str()) {
            names.push(&case.scenario);
        }
    }
    let rows: Vec<Vec<String>> = names
        .into_iter()
        .map(|name| {
            let cases: Vec<&CaseReport> = report
                .cases
                .iter()
                .filter(|case| case.scenario == name)
                .collect();
            let found: BTreeSet<&str> = cases
                .iter()
                .flat_map(|case| &case.findings)
                .filter(|finding| finding.severity != Severity::Info)
                .map(|finding| finding.hazard.code())
                .collect();
            let verdict = cases
                .iter()
                .map(|case| case.verdict)
                .max()
                .unwrap_or(VerdictWord::Skipped);
            let sum = |number: fn(&CaseReport) -> u32| -> String {
                cases
                    .iter()
                    .map(|case| number(case))
                    .sum::<u32>()
                    .to_string()
            };
            vec![
                name.to_owned(),
                cases.len().to_string(),
                sum(|case| case.trials.run),
                sum(|case| case.attempts),
                verdict.word().to_owned(),
                if found.is_empty() {
                    "none".to_owned()
                } else {
                    found.into_iter().collect::<Vec<_>>().join(", ")
                },
            ]
        })
        .collect();
    columns(
        &[
            "Scenario",
            "Cases",
            "Trials",
            "Attempts",
            "Verdict",
            "Hazards found",
        ],
        &rows,
        terminal,
    )
}

fn flaw_table(flawed: &[(Flaw, &Report)], terminal: &Terminal) -> String {
    let rows: Vec<Vec<String>> = flawed
        .iter()
        .map(|(flaw, report)| {
            let (case, trials) = match best(report, flaw.hazard) {
                Some((case, finding)) => (case.id.clone(), of_trials(case, finding)),
                None => ("NOT CAUGHT".to_owned(), "–".to_owned()),
            };
            vec![flaw.name.to_owned(), flaw.hazard.to_owned(), trials, case]
        })
        .collect();
    // The last column is an id without spaces, so each row is one line, and what
    // else there is to say of a flaw goes below it.
    let table = columns(
        &["Flaw", "Caught under", "Trials", "By case"],
        &rows,
        terminal,
    );
    let mut lines = table.lines();
    let mut text = String::new();
    for line in lines.by_ref().take(2) {
        text.push_str(line);
        text.push('\n');
    }
    let room = terminal.width.saturating_sub(5).max(40);
    for (line, (flaw, report)) in lines.zip(flawed) {
        text.push_str(line);
        text.push('\n');
        let mut also = hazards(report);
        also.remove(flaw.hazard);
        let mut below = wrap(flaw.line, room);
        if !also.is_empty() {
            below.extend(wrap(&format!("also seen: {}", or_nothing(&also)), room));
        }
        for line in below {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}
