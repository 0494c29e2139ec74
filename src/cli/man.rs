//! `retrial man`: the manual pages, made from the same words as `--help`.

use super::args::{Cli, ManArgs};
use super::exit_code::Exit;
use super::failure::Failure;
use super::terminal::Terminal;
use anyhow::Context;
use clap::CommandFactory;

/// Prints the page of the program, or writes those of all commands.
pub(crate) fn man(args: &ManArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    match &args.out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .context("failed to make the manual page")?;
            terminal.out_bytes(&page)?;
        }
        Some(folder) => {
            let failed = || format!("failed to write into {}", folder.display());
            std::fs::create_dir_all(folder).with_context(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).with_context(failed)?;
            terminal.note(&format!("wrote the pages into {}\n", folder.display()));
        }
    }
    Ok(Exit::Pass)
}
