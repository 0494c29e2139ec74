//! `${{ placeholders }}`: parsed once, rendered many times; secrets stay
//! references.

use serde::{Deserialize, Serialize};

/// A text with `${{ … }}` expressions in it; stored as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub String);

/// A JSON value whose strings are templates; a string that is exactly one
/// expression becomes the expression's value with its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonTemplate(pub serde_json::Value);
