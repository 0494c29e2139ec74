//! `retrial schema`: the JSON Schemas of what people write and of `report.json`.

use super::args::SchemaArgs;
use super::exit_code::Exit;
use super::message::Failure;
use super::rooms;
use super::terminal::Terminal;

/// Prints a schema.
pub(crate) fn schema(args: &SchemaArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let schema = rooms::schema(args.of)?;
    terminal.out(&format!("{schema:#}\n"))?;
    Ok(Exit::Pass)
}
