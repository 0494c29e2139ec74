//! Values of flags that are more than a word.

use crate::plan::Seed;
use std::str::FromStr;
use std::time::Duration;

/// What `--seed` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeedChoice {
    /// A new one, from the operating system.
    Random,
    /// This one.
    Given(Seed),
}

impl FromStr for SeedChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            digits => digits
                .parse()
                .map(Self::Given)
                .map_err(|_| "a seed is 1 to 16 hex digits, or `random`".to_owned()),
        }
    }
}

/// A kind of report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ReportKind {
    /// `junit.xml`.
    Junit,
    /// `report.json`.
    Json,
    /// Known, and made by a later version.
    Later(&'static str),
}

/// What one element of `--report` asks for: `junit`, `junit=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportWish {
    /// The kind.
    pub(crate) kind: ReportKind,
    /// Where to write it; the run's folder where no place is named.
    pub(crate) file: Option<String>,
}

const LATER_REPORTS: [&str; 5] = ["html", "markdown", "github", "curl", "har"];

impl FromStr for ReportWish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, file) = match text.split_once('=') {
            Some((word, file)) => (word, Some(file)),
            None => (text, None),
        };
        let kind = match word {
            "junit" => ReportKind::Junit,
            "json" => ReportKind::Json,
            other => LATER_REPORTS
                .into_iter()
                .find(|later| *later == other)
                .map(ReportKind::Later)
                .ok_or_else(|| format!("there is no report `{other}`; write junit or json"))?,
        };
        if file == Some("") {
            return Err(format!("`{word}=` names no file"));
        }
        Ok(Self {
            kind,
            file: file.map(str::to_owned),
        })
    }
}

/// A `--var`: name and value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value, typed as a plain YAML scalar is.
    pub(crate) value: serde_json::Value,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: crate::scenario::flag_value(value),
            }),
            _ => Err("write name=value".to_owned()),
        }
    }
}

/// Reads a duration that is longer than nothing.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    let duration = crate::scenario::units::duration(text)?;
    if duration.is_zero() {
        return Err("it must be longer than 0".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_duration_of_nothing_is_none() {
        assert_eq!(some_duration("200ms"), Ok(Duration::from_millis(200)));
        assert!(some_duration("0s").is_err());
        assert!(some_duration("5").is_err());
    }

    #[test]
    fn variables_keep_their_type() {
        let value = |text: &str| text.parse::<Variable>().unwrap().value;
        assert_eq!(value("n=5"), json!(5));
        assert_eq!(value("n=true"), json!(true));
        assert_eq!(value("n=a=b"), json!("a=b"));
        assert_eq!(value("n=[1]"), json!("[1]"));
        assert!("n".parse::<Variable>().is_err());
        assert!("=n".parse::<Variable>().is_err());
    }

    #[test]
    fn reports_of_later_versions_are_known() {
        let kind = |text: &str| text.parse::<ReportWish>().map(|wish| wish.kind);
        assert_eq!(kind("junit"), Ok(ReportKind::Junit));
        assert_eq!(kind("html=a.html"), Ok(ReportKind::Later("html")));
        assert!(kind("pdf").is_err());
        assert!(kind("json=").is_err());
    }
}
