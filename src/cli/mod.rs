//! argv, terminal, exit: the only room that prints, reads the environment and
//! opens the files that people name. It may use every room, and none may use it.
//!
//! A command is a function from its arguments to an exit code or a
//! `Failure`; how both end up on the screen is said here,
//! once.

mod args;
mod catalogue;
mod check;
mod columns;
mod completions;
mod demo;
mod execute;
mod exit_code;
mod explain;
mod failure;
mod gallery;
mod hold;
mod hosts;
mod init;
mod limits;
mod list;
mod load;
mod man;
mod planned;
mod progress;
mod report;
mod run;
mod schema;
mod sources;
mod stop;
mod terminal;
mod values;
mod written;

use args::{Cli, Command, Screen};
use clap::Parser;
use clap::error::ErrorKind;
use exit_code::Exit;
use failure::{Failure, not_supported_yet};
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use terminal::Terminal;

/// Runs one command line; the name of the program comes first, as always.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    terminal::own_up_to_panics();
    match Cli::try_parse_from(arguments) {
        Ok(cli) => {
            terminal::start_log(&cli.screen);
            let terminal = Terminal::new(&cli.screen);
            let ended = catch_unwind(AssertUnwindSafe(|| dispatch(&cli.command, &terminal)));
            match ended {
                Ok(ended) => ended.unwrap_or_else(|failure| failure.say(&terminal)),
                // The hook has said whose fault it is.
                Err(_) => Exit::Bug,
            }
            .into()
        }
        Err(error) => misunderstood(&error).into(),
    }
}

fn dispatch(command: &Command, terminal: &Terminal) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args, terminal),
        Command::Check(args) => check::check(args, terminal),
        Command::Init(args) => init::init(args, terminal),
        Command::List(args) => list::list(args, terminal),
        Command::Explain(args) => explain::explain(args, terminal),
        Command::Schema(args) => schema::schema(args, terminal),
        Command::Report(args) => report::report(args, terminal),
        Command::Demo(args) => demo::demo(args, terminal),
        Command::Completions(args) => completions::completions(args, terminal),
        Command::Man(args) => man::man(args, terminal),
        Command::HoldGuard(args) => hold::hold_guard(args),
        Command::Replay(_) => Err(not_supported_yet("retrial replay")),
        Command::Shrink(_) => Err(not_supported_yet("retrial shrink")),
        Command::Sink(_) => Err(not_supported_yet("retrial sink")),
        Command::Proxy(_) => Err(not_supported_yet("retrial proxy")),
    }
}

/// Help and version are what was asked for; everything else is a usage error.
fn misunderstood(error: &clap::Error) -> Exit {
    let terminal = Terminal::new(&Screen::default());
    let text = error.render();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match terminal.out(&text.ansi().to_string()) {
                Ok(()) => Exit::Pass,
                Err(failure) => failure.say(&terminal),
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            terminal.error(&text.ansi().to_string());
            Exit::Usage
        }
        _ => {
            let plain = text.to_string();
            let told = plain.strip_prefix("error: ").unwrap_or(&plain);
            let (headline, rest) = told.split_once('\n').unwrap_or((told, ""));
            let exit = Failure::usage(headline).say(&terminal);
            terminal.error(rest);
            exit
        }
    }
}
