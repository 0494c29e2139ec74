//! Variables, environment values and secrets, and which source outranks which
//! (`language.md` section 12).

use super::args::Values;
use super::exit_code::Exit;
use super::failure::Failure;
use crate::codes::Diagnosis;
use crate::history::Redactor;
use crate::scenario::{Diagnostic, Scenario, SecretFrom, SecretSource, flag_value};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the process and the flags say, before any scenario is read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    /// What `${{ env.X }}` reads: the process, then `--env-file`s.
    pub(crate) env: BTreeMap<String, String>,
    /// Variables that outrank the environment block and the scenario's own.
    pub(crate) vars: BTreeMap<String, Value>,
    /// Secrets that outrank the `secrets:` of scenarios.
    pub(crate) secrets: BTreeMap<String, String>,
}

impl Given {
    /// Reads flags, files and the process's environment. `env_files` of the
    /// chosen environment come below those of the flags.
    pub(crate) fn read(values: &Values, env_files: &[String]) -> Result<Self, Failure> {
        let process: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut env = BTreeMap::new();
        let files = env_files.iter().map(Path::new);
        for file in files.chain(values.env_file.iter().map(AsRef::as_ref)) {
            env.extend(read_env_file(file)?);
        }
        env.extend(process.clone());
        let mut vars = BTreeMap::new();
        for file in &values.vars_file {
            vars.extend(read_vars_file(file)?);
        }
        vars.extend(
            named(&process, "RETRIAL_VAR_")
                .map(|(name, value)| (name.to_owned(), flag_value(value))),
        );
        for variable in &values.var {
            vars.insert(variable.name.clone(), variable.value.clone());
        }
        let mut secrets = BTreeMap::new();
        for file in &values.secret_file {
            secrets.extend(read_secret_file(file)?);
        }
        secrets.extend(
            named(&process, "RETRIAL_SECRET_")
                .filter(|(name, _)| !name.is_empty() && *name != "FILE")
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        Ok(Self { env, vars, secrets })
    }

    /// The values of the secrets that scenarios declare, and what is wrong with
    /// them: an error for one that is not there, a warning for one that is too
    /// short to be hidden.
    pub(crate) fn secrets_of(
        &self,
        scenarios: &[Scenario],
    ) -> (BTreeMap<String, String>, Vec<Diagnostic>) {
        self.resolve(scenarios.iter().flat_map(|scenario| &scenario.secrets))
    }

    fn resolve<'a>(
        &self,
        declared: impl IntoIterator<Item = &'a SecretSource>,
    ) -> (BTreeMap<String, String>, Vec<Diagnostic>) {
        let mut values = self.secrets.clone();
        let mut diagnostics = Vec::new();
        for secret in declared {
            if values.contains_key(&secret.name) {
                continue;
            }
            match self.read_secret(secret) {
                Ok(value) => {
                    values.insert(secret.name.clone(), value);
                }
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
        let redactor = Redactor::new(values.clone(), [], []);
        diagnostics.extend(redactor.too_short().into_iter().map(|name| {
            Diagnostic::warning(
                Diagnosis::ShortSecret,
                format!("the secret `{name}` is too short to be hidden"),
            )
            .note("hidden wherever its letters stand, it would eat the evidence")
        }));
        (values, diagnostics)
    }

    fn read_secret(&self, secret: &SecretSource) -> Result<String, Box<Diagnostic>> {
        let name = &secret.name;
        let declared = format!("declared at {}:{}", secret.place.file, secret.place.line);
        match &secret.from {
            SecretFrom::Env(variable) => self.env.get(variable).cloned().ok_or_else(|| {
                Box::new(
                    Diagnostic::error(
                        Diagnosis::UnsetEnvironment,
                        format!("the secret `{name}` comes from `{variable}`, which is not set"),
                    )
                    .note(declared)
                    .help(format!(
                        "set {variable} or RETRIAL_SECRET_{name}, or pass --secret-file"
                    )),
                )
            }),
            SecretFrom::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                .map_err(|error| {
                    Box::new(
                        Diagnostic::error(
                            Diagnosis::UnreadableFile,
                            format!("failed to read {path}: {error}"),
                        )
                        .note(format!(
                            "the secret `{name}` comes from this file, {declared}"
                        )),
                    )
                }),
        }
    }
}

fn named<'a>(
    process: &'a BTreeMap<String, String>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    process
        .iter()
        .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
}

fn read_env_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let wrong = |error: &dotenvy::Error| {
        // The crate prints whole lines of the file, and those hold secrets.
        let what = match error {
            dotenvy::Error::LineParse(_, _) => "a line is not NAME=value".to_owned(),
            dotenvy::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        unreadable(path, &what)
    };
    let lines = dotenvy::from_path_iter(path).map_err(|error| wrong(&error))?;
    lines
        .map(|line| line.map_err(|error| wrong(&error)))
        .collect()
}

fn read_vars_file(path: &Path) -> Result<BTreeMap<String, Value>, Failure> {
    let text = read_text(path)?;
    serde_yaml::from_str::<Option<BTreeMap<String, Value>>>(&text)
        .map(Option::unwrap_or_default)
        .map_err(|error| unreadable(path, &format!("it is no map of variables: {error}")))
}

fn read_secret_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = read_text(path)?;
    parse_secrets(&text).map_err(|line| {
        // The line itself may hold the secret.
        unreadable(path, &format!("line {line} is not name=value"))
    })
}

/// Reads `name=value` lines; empty ones and those that begin with `#` say
/// nothing. Everything after the first `=` is the value.
fn parse_secrets(text: &str) -> Result<BTreeMap<String, String>, usize> {
    let mut secrets = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                secrets.insert(name.trim().to_owned(), value.to_owned());
            }
            _ => return Err(index + 1),
        }
    }
    Ok(secrets)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error.to_string()))
}

fn unreadable(path: &Path, what: &str) -> Failure {
    Failure::because(
        Diagnostic::error(
            Diagnosis::UnreadableFile,
            format!("failed to read {}: {what}", path.display()),
        ),
        Exit::Usage,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_has_a_name_and_a_value_on_each_line() {
        let secrets = parse_secrets("# none\n\ntoken=a=b c \n psp = x\n").unwrap();
        assert_eq!(secrets["token"], "a=b c ");
        assert_eq!(secrets["psp"], " x");
        assert_eq!(parse_secrets("a=1\nhunter2\n"), Err(2));
    }

    fn declared(name: &str, variable: &str) -> SecretSource {
        SecretSource {
            name: name.to_owned(),
            from: SecretFrom::Env(variable.to_owned()),
            place: crate::plan::Place {
                file: "a.yaml".to_owned(),
                line: 3,
            },
        }
    }

    #[test]
    fn a_declared_secret_gives_way_to_one_that_was_given() {
        let given = Given {
            env: BTreeMap::from([("TOKEN".to_owned(), "from-env-1".to_owned())]),
            secrets: BTreeMap::from([("a".to_owned(), "from-flag-1".to_owned())]),
            vars: BTreeMap::new(),
        };
        let all = [
            declared("a", "TOKEN"),
            declared("b", "TOKEN"),
            declared("c", "NOWHERE"),
        ];
        let (values, diagnostics) = given.resolve(&all);
        assert_eq!(values["a"], "from-flag-1");
        assert_eq!(values["b"], "from-env-1");
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(diagnostics[0].code, "unset-environment-variable");
        assert_eq!(diagnostics[0].notes, ["declared at a.yaml:3"]);
    }

    #[test]
    fn a_short_secret_is_warned_about() {
        let given = Given {
            secrets: BTreeMap::from([("pin".to_owned(), "12345".to_owned())]),
            ..Given::default()
        };
        let (_, diagnostics) = given.resolve([]);
        assert_eq!(diagnostics[0].code, "short-secret");
        assert!(!format!("{diagnostics:?}").contains("12345"));
    }
}
