//! `retrial explain`: a code, a pattern, a topic, a contract; or a scenario file
//! told in prose.

use super::args::ExplainArgs;
use super::catalogue::{CONTRACTS, ContractWords, PATTERNS, PatternWords, Support};
use super::columns::wrap;
use super::exit_code::Exit;
use super::failure::Failure;
use super::list::every_code;
use super::planned;
use super::terminal::Terminal;
use crate::codes::{self, Diagnosis};
use crate::plan::{Effect, Expectation, Extraction, KeyPlace, Plan, PlannedScenario, Role};
use crate::scenario::Diagnostic;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Explains.
pub(crate) fn explain(args: &ExplainArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let thing = args.thing.as_str();
    if looks_like_a_file(thing) {
        let plan = planned::to_look_at(
            &[PathBuf::from(&args.thing)],
            &args.values,
            &args.net,
            terminal,
        )?;
        terminal.out(&prose(&plan, terminal))?;
        return Ok(Exit::Pass);
    }
    let word = thing.trim().to_lowercase();
    let told = if args.example {
        codes::example(&word).map(|example| format!("{}\n", example.trim_end()))
    } else {
        about(&word)
    };
    match told {
        Some(text) => {
            terminal.out(&text)?;
            Ok(Exit::Pass)
        }
        None => Err(unknown(&word, args.example)),
    }
}

fn looks_like_a_file(thing: &str) -> bool {
    let path = Path::new(thing);
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
        || thing.contains('/')
        || path.is_dir()
}

/// The page of a word; else what the lists say of it.
fn about(word: &str) -> Option<String> {
    if let Some(page) = codes::page(word) {
        return Some(format!("{}\n", page.trim_end()));
    }
    if let Some(pattern) = PATTERNS.iter().find(|pattern| pattern.name == word) {
        return Some(of_pattern(pattern));
    }
    if let Some(contract) = CONTRACTS.iter().find(|contract| contract.name == word) {
        return Some(of_contract(contract));
    }
    every_code()
        .into_iter()
        .find(|(_, code, _)| *code == word)
        .map(|(kind, code, line)| format!("{code} ({kind})\n\n{line}\n"))
}

fn of_pattern(pattern: &PatternWords) -> String {
    let not_yet = match pattern.now {
        Support::Now => "",
        Support::Later => "\nThis version knows the pattern and does not do it yet.\n",
    };
    format!(
        "{} (pattern)\n\nwrite        {}\non the wire  {}\nfinds        {}\n{not_yet}",
        pattern.name, pattern.form, pattern.wire, pattern.finds
    )
}

fn of_contract(contract: &ContractWords) -> String {
    let not_yet = match contract.now {
        Support::Now => "",
        Support::Later => "\nThis version knows the contract and does not test it yet.\n",
    };
    format!(
        "{} (contract)\n\n{}\n{not_yet}",
        contract.name, contract.line
    )
}

fn unknown(word: &str, example: bool) -> Failure {
    let topics = codes::topics();
    let known = every_code()
        .into_iter()
        .map(|(_, code, _)| code)
        .chain(PATTERNS.iter().map(|pattern| pattern.name))
        .chain(CONTRACTS.iter().map(|contract| contract.name))
        .chain(topics);
    let nearest = known
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len());
    let message = if example && nearest.is_some_and(|(distance, _)| distance == 0) {
        Diagnostic::error(Diagnosis::Usage, format!("`{word}` has no example"))
            .help(format!("retrial explain {word}"))
    } else {
        let message = Diagnostic::error(Diagnosis::Usage, format!("nothing is called `{word}`"));
        match nearest {
            Some((_, near)) => message.help(format!("did you mean `{near}`?")),
            None => {
                message.help("retrial list --codes, --patterns or --contracts shows what there is")
            }
        }
    };
    Failure::because(message, Exit::Usage)
}

/// The scenarios of a plan, each in four paragraphs: what is sent, under which
/// patterns, what must be true, what is promised.
fn prose(plan: &Plan, terminal: &Terminal) -> String {
    let mut text = String::new();
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        tell(&mut text, plan, index, scenario, terminal);
    }
    text
}

fn tell(
    text: &mut String,
    plan: &Plan,
    index: usize,
    scenario: &PlannedScenario,
    terminal: &Terminal,
) {
    let room = terminal.width.saturating_sub(2).max(40);
    let mut paragraph = |title: &str, sentences: &[String]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}");
        for sentence in sentences {
            for (number, line) in wrap(sentence, room.saturating_sub(4)).iter().enumerate() {
                let lead = if number == 0 { "  - " } else { "    " };
                let _ = writeln!(text, "{lead}{line}");
            }
        }
    };
    let about = match &scenario.description {
        Some(description) => format!("{} ({})\n{description}", scenario.name, scenario.file),
        None => format!("{} ({})", scenario.name, scenario.file),
    };
    paragraph(&about, &[]);
    let rows: Vec<String> = scenario
        .row
        .iter()
        .map(|(axis, value)| format!("{axis} is {value}."))
        .collect();
    if !rows.is_empty() {
        paragraph("\nIn this row of the matrix", &rows);
    }
    paragraph(
        &format!("\nWhat is sent to {}", scenario.target.url),
        &sent(scenario),
    );
    paragraph("\nUnder which patterns", &patterns(plan, index));
    let mut effects: Vec<String> = scenario.effects.iter().map(effect).collect();
    effects.extend(scenario.together.iter().map(|group| {
        let names: Vec<&str> = group
            .iter()
            .map(|effect| scenario.effects[*effect].name.as_str())
            .collect();
        format!("{} happen all or none.", names.join(", "))
    }));
    effects.extend(
        scenario
            .invariants
            .iter()
            .map(|invariant| format!("{} holds.", invariant.expression)),
    );
    paragraph("\nWhat must be true afterwards", &effects);
    let stated = if scenario.contract.stated.is_empty() {
        "Nothing beyond it was promised, so nothing beyond it is tested.".to_owned()
    } else {
        format!(
            "Said on top of it: {}.",
            scenario.contract.stated.join(", ")
        )
    };
    paragraph(
        "\nWhat the target promises",
        &[
            format!("The contract `{}`.", scenario.contract.name),
            stated,
        ],
    );
}

fn sent(scenario: &PlannedScenario) -> Vec<String> {
    let mut sentences: Vec<String> = scenario
        .setup
        .iter()
        .map(|step| format!("First, {}.", step.name))
        .collect();
    for operation in &scenario.operations {
        let key = match &operation.key.place {
            KeyPlace::Header(name) => format!("with its key in the header {name}"),
            KeyPlace::Json(path) => format!("with its key in the body at {path}"),
            KeyPlace::Query(name) => format!("with its key in the query parameter {name}"),
            KeyPlace::None => "without a key".to_owned(),
        };
        let value = match (&operation.key.place, &operation.key.value) {
            (KeyPlace::None, _) => String::new(),
            (_, None) => " (a UUID of its own for each operation)".to_owned(),
            (_, Some(value)) => format!(" ({})", value.0),
        };
        let name = if operation.named {
            format!("{}: ", operation.name)
        } else {
            String::new()
        };
        sentences.push(format!(
            "{name}{} {}, {key}{value}.",
            operation.request.method.word(),
            operation.request.path.0
        ));
    }
    sentences.extend(
        scenario
            .cleanup
            .iter()
            .map(|step| format!("In the end, {}.", step.name)),
    );
    sentences
}

fn patterns(plan: &Plan, scenario: usize) -> Vec<String> {
    plan.cases
        .iter()
        .enumerate()
        .filter(|(_, case)| case.scenario == scenario)
        .map(|(index, case)| {
            let trials = plan
                .trials
                .iter()
                .filter(|trial| trial.role == Role::Case(index))
                .count();
            let words = PATTERNS
                .iter()
                .find(|pattern| pattern.name == case.pattern.kind.word());
            let wire = words.map_or("", |pattern| pattern.wire);
            format!("{}, {trials} trials: {wire}.", case.pattern.shown)
        })
        .collect()
}

fn effect(effect: &Effect) -> String {
    let taken = match &effect.extraction {
        Extraction::Count(path) => format!("the number of {}", path.0),
        Extraction::Value(path) => format!("the value at {}", path.0),
        Extraction::Sum(path) => format!("the sum of {}", path.0),
    };
    let expected = match &effect.expectation {
        Expectation::Once => {
            "is 1 for each operation that was answered with success, 0 for each that was refused"
                .to_owned()
        }
        Expectation::Number(number) => format!("is {} for each success", number.0),
        Expectation::Never => "is 0".to_owned(),
        Expectation::AtMostOnce => "is at most 1".to_owned(),
        Expectation::Between { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("is between {min} and {max}"),
            (Some(min), None) => format!("is at least {min}"),
            (None, Some(max)) => format!("is at most {max}"),
            (None, None) => "is anything".to_owned(),
        },
        Expectation::Equals(value) => format!("equals {}", value.0),
        Expectation::Matches(regex) => format!("matches {regex}"),
        Expectation::OneOf(values) => {
            let words: Vec<String> = values.iter().map(|value| value.0.to_string()).collect();
            format!("is one of {}", words.join(", "))
        }
    };
    format!(
        "{}: in GET {}, {taken} {expected}; within {:?}, unchanged for {:?}.",
        effect.name, effect.request.path.0, effect.within, effect.stable_for
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_pattern_and_contract_is_explained() {
        for (_, code, _) in every_code() {
            assert!(about(code).is_some(), "{code}");
        }
        for pattern in PATTERNS {
            assert!(about(pattern.name).is_some(), "{}", pattern.name);
        }
        for contract in CONTRACTS {
            assert!(about(contract.name).is_some(), "{}", contract.name);
        }
    }

    #[test]
    fn a_near_miss_is_answered_with_a_suggestion() {
        let Failure::Because(message, Exit::Usage) = unknown("stuck-kee", false) else {
            panic!("a usage error");
        };
        assert_eq!(message.helps, ["did you mean `stuck-key`?"]);
    }

    #[test]
    fn a_path_is_a_file_and_a_word_is_a_word() {
        assert!(looks_like_a_file("scenarios/create-order.yaml"));
        assert!(looks_like_a_file("create-order.yml"));
        assert!(!looks_like_a_file("burst"));
    }
}
