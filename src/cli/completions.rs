//! `retrial completions`: what shells need to complete our words.

use super::args::{Cli, CompletionsArgs};
use super::exit_code::Exit;
use super::failure::Failure;
use super::terminal::Terminal;
use anyhow::Context;
use clap::CommandFactory;

/// Prints a completion script, or writes it into a folder.
pub(crate) fn completions(args: &CompletionsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    match &args.out {
        None => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut command, "retrial", &mut script);
            terminal.out_bytes(&script)?;
        }
        Some(folder) => {
            let failed = || format!("failed to write into {}", folder.display());
            std::fs::create_dir_all(folder).with_context(failed)?;
            let path = clap_complete::generate_to(args.shell, &mut command, "retrial", folder)
                .with_context(failed)?;
            terminal.note(&format!("wrote {}\n", path.display()));
        }
    }
    Ok(Exit::Pass)
}
