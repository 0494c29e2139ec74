//! `retrial schema`: the JSON Schemas of what people write and of `report.json`.

use super::args::{SchemaArgs, SchemaOf};
use super::exit_code::Exit;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::scenario::SchemaKind;
use crate::{report, scenario};
use serde_json::Value;

/// Prints a schema.
pub(crate) fn schema(args: &SchemaArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    terminal.out(&format!("{:#}\n", of(args.of)))?;
    Ok(Exit::Pass)
}

/// The schema of something.
pub(crate) fn of(what: SchemaOf) -> Value {
    match what {
        SchemaOf::Scenario => scenario::schema(SchemaKind::Scenario),
        SchemaOf::Project => scenario::schema(SchemaKind::Project),
        SchemaOf::Report => report::schema(),
    }
}
