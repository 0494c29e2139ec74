//! JSON Schemas of what people write, for editors and `retrial schema`. They are
//! written by hand: descriptions are for people. A test keeps their fields and
//! those of the decoders the same.

use serde_json::Value;

/// Which files a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// Scenario files.
    Scenario,
    /// The project file.
    Project,
}

/// The schema (JSON Schema 2020-12). It knows what this version does; fields that
/// come later are refused by it as they are by `check`.
///
/// # Panics
/// Never: the schema files are part of the program, and a test reads them.
pub fn schema(of: SchemaKind) -> Value {
    let parse = |text: &str| -> Value {
        serde_json::from_str(text).expect("the schema files are JSON, which a test checks")
    };
    let mut schema = parse(match of {
        SchemaKind::Scenario => include_str!("scenario.json"),
        SchemaKind::Project => include_str!("project.json"),
    });
    if let Value::Object(members) = &mut schema {
        members.insert("$defs".to_owned(), parse(include_str!("definitions.json")));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;
    use crate::scenario::document::{contract, effect, pattern, request, target};
    use crate::scenario::{lower, project};
    use std::collections::BTreeSet;

    fn fields(schema: &Value, pointer: &str) -> BTreeSet<String> {
        schema
            .pointer(pointer)
            .and_then(Value::as_object)
            .unwrap_or_else(|| panic!("no {pointer}"))
            .keys()
            .cloned()
            .collect()
    }

    fn known(decoder: &[&str], later: &[&str]) -> BTreeSet<String> {
        decoder
            .iter()
            .filter(|name| !later.contains(name))
            .map(|name| (*name).to_owned())
            .collect()
    }

    #[test]
    fn the_schemas_know_the_fields_that_the_decoders_know() {
        let scenario = schema(SchemaKind::Scenario);
        let project = schema(SchemaKind::Project);
        let later = ["webhook", "publish", "graphql", "via"];
        for (root, pointer, decoder, later) in [
            (
                &scenario,
                "/properties",
                lower::SCENARIO,
                &["sinks", "proxies", "hooks"][..],
            ),
            (
                &scenario,
                "/$defs/operation/properties",
                request::OPERATION,
                &later,
            ),
            (
                &scenario,
                "/$defs/step/properties",
                request::STEP,
                &["webhook", "publish", "graphql", "via", "retry"],
            ),
            (
                &scenario,
                "/$defs/effect/properties",
                effect::EFFECT,
                &["sql", "on", "redis", "sink", "queue", "trace", "jq"],
            ),
            (
                &scenario,
                "/$defs/contract/oneOf/1/properties",
                contract::CONTRACT,
                &[],
            ),
            (
                &scenario,
                "/$defs/target/oneOf/1/properties",
                target::TARGET,
                &["instances"],
            ),
            (&project, "/properties", project::PROJECT, &["databases"]),
            (
                &project,
                "/properties/defaults/properties",
                project::DEFAULTS,
                &[],
            ),
            (
                &project,
                "/$defs/environment/properties",
                project::ENVIRONMENT,
                &[],
            ),
        ] {
            assert_eq!(fields(root, pointer), known(decoder, later), "{pointer}");
        }
        for kind in Kind::ALL {
            let pointer = format!("/$defs/pattern_{}/properties", kind.word());
            assert_eq!(
                fields(&scenario, &pointer),
                known(pattern::long_fields(kind), &[]),
                "{pointer}"
            );
        }
    }
}
