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

/// A `--var`: name and value. Numbers, `true`, `false` and `null` keep their
/// type, everything else is a string; in quotes a number is a string too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: serde_json::Value,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: scalar(value),
            }),
            _ => Err("write name=value".to_owned()),
        }
    }
}

/// The value that a text on the command line or in the environment stands for.
pub(crate) fn scalar(text: &str) -> serde_json::Value {
    use serde_json::Value;
    match serde_json::from_str(text) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => value,
        // Lists and maps belong into a file; `007` is no JSON number.
        Ok(Value::Array(_) | Value::Object(_)) | Err(_) => Value::String(text.to_owned()),
    }
}

/// Reads `50us 200ms 5s 2m 24h 7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write a number and a unit: 200ms, 5s, 2m");
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(wrong)?;
    let number: f64 = text[..split].parse().map_err(|_| wrong())?;
    let unit = match &text[split..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())
}

/// Reads a duration that is longer than nothing.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return Err("it must be longer than 0".to_owned());
    }
    Ok(duration)
}

/// Reads `50/s`: requests a second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    text.strip_suffix("/s")
        .and_then(|number| number.parse::<f64>().ok())
        .filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| format!("`{text}` is no rate; write requests a second: 50/s"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "5", "s", "5 s", "-1s", "1e3s", "5sec", "1.2.3s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_per_second() {
        assert_eq!(rate("50/s"), Ok(50.0));
        for wrong in ["50", "50/m", "0/s", "-1/s", "inf/s", "NaN/s", "/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables_keep_their_type() {
        let value = |text: &str| text.parse::<Variable>().unwrap().value;
        assert_eq!(value("n=5"), json!(5));
        assert_eq!(value("n=true"), json!(true));
        assert_eq!(value("n=007"), json!("007"));
        assert_eq!(value("n=\"5\""), json!("5"));
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
