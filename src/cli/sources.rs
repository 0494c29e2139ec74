//! Which files there are to read, and their bytes. What is in them is the
//! scenario room's business; this file knows folders, globs and names only.

use super::exit_code::Exit;
use super::failure::Failure;
use crate::codes::Diagnosis;
use crate::scenario::{Diagnostic, Outline, SourceFile, outline, uses};
use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// One byte more than a file may have, so that whoever looks sees that there is
/// too much, and nobody holds a disk image in memory.
const READ_AT_MOST: u64 = (1 << 20) + 1;

/// What a project's scenarios are called where nobody says.
const USUAL_GLOB: &str = "scenarios/**/*.yaml";

/// The project file's name.
const PROJECT_FILE: &str = "retrial.yaml";

/// Every file of a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    /// The project file, if there is one.
    pub(crate) project: Option<SourceFile>,
    /// What it says of files.
    pub(crate) outline: Outline,
    /// The folder that its globs and its runs are relative to.
    pub(crate) folder: PathBuf,
    /// The scenarios.
    pub(crate) scenarios: Vec<SourceFile>,
    /// What they use, and what that uses, by its path.
    pub(crate) used: BTreeMap<String, SourceFile>,
}

impl Found {
    /// The project file for scenarios at these places: the one that a flag names,
    /// else the first one upwards from the first scenario to the repository's root.
    pub(crate) fn project(
        flag: Option<&Path>,
        files: &[PathBuf],
        environment: Option<&str>,
    ) -> Self {
        let path = match flag {
            Some(path) if path.is_dir() => Some(path.join(PROJECT_FILE)),
            Some(path) => Some(path.to_owned()),
            None => search_upwards(files.first().map_or(Path::new("."), PathBuf::as_path)),
        };
        let folder = path
            .as_deref()
            .and_then(Path::parent)
            .filter(|folder| !folder.as_os_str().is_empty())
            .map_or_else(|| PathBuf::from("."), Path::to_owned);
        let project = path.map(|path| read(&path));
        Self {
            outline: project
                .as_ref()
                .map(|file| outline(file, environment))
                .unwrap_or_default(),
            project,
            folder,
            ..Self::default()
        }
    }

    /// The same with the scenarios: the files and folders named, else what the
    /// project's globs match.
    pub(crate) fn with_scenarios(mut self, files: &[PathBuf]) -> Result<Self, Failure> {
        let mut named = BTreeSet::new();
        let mut paths = Vec::new();
        if files.is_empty() {
            let usual = [USUAL_GLOB.to_owned()];
            let globs = match self.outline.scenarios.as_slice() {
                [] => &usual[..],
                globs => globs,
            };
            paths.extend(matching(&self.folder, globs)?);
        }
        for file in files {
            if file.is_dir() {
                let globs = ["**/*.yaml".to_owned(), "**/*.yml".to_owned()];
                paths.extend(matching(file, &globs)?);
            } else {
                named.insert(shown(&tidy(file)));
                paths.push(tidy(file));
            }
        }
        let mut seen = BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        self.scenarios = paths.iter().map(|path| read(path)).collect();
        self.follow_uses();
        // A fragment that lies among the scenarios is no scenario of its own.
        let used = &self.used;
        self.scenarios
            .retain(|file| !used.contains_key(&file.name) || named.contains(&file.name));
        Ok(self)
    }

    fn follow_uses(&mut self) {
        let mut waiting: Vec<String> = self.scenarios.iter().flat_map(uses).collect();
        while let Some(path) = waiting.pop() {
            if self.used.contains_key(&path) {
                continue;
            }
            let file = read(Path::new(&path));
            waiting.extend(uses(&file));
            self.used.insert(path, file);
        }
    }
}

/// Reads a file, but not more of it than a scenario may have.
fn read(path: &Path) -> SourceFile {
    let mut bytes = Vec::new();
    let text = File::open(path)
        .and_then(|file| file.take(READ_AT_MOST).read_to_end(&mut bytes))
        .map(|_| bytes)
        .map_err(|error| error.to_string());
    SourceFile {
        name: shown(path),
        text,
    }
}

fn search_upwards(start: &Path) -> Option<PathBuf> {
    let folder = if start.is_dir() {
        start
    } else {
        start.parent()?
    };
    // Names are kept relative where they can be: they stand in reports.
    let mut climbed = if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_owned()
    };
    let whole = climbed.canonicalize().ok()?;
    for ancestor in whole.ancestors() {
        let candidate = tidy(&climbed.join(PROJECT_FILE));
        if candidate.is_file() {
            return Some(candidate);
        }
        if ancestor.join(".git").exists() {
            return None;
        }
        climbed.push("..");
    }
    None
}

/// The files below a folder that globs match, sorted; hidden folders are left
/// out, what version control ignores is not: scenarios may be generated.
fn matching(folder: &Path, globs: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let wrong = |glob: &str, error: &ignore::Error| {
        Failure::because(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                format!("`{glob}` is no glob: {error}"),
            )
            .note("`scenarios` of the project file says so"),
            Exit::Usage,
        )
    };
    let mut builder = OverrideBuilder::new(folder);
    for glob in globs {
        builder.add(glob).map_err(|error| wrong(glob, &error))?;
    }
    let overrides = builder
        .build()
        .map_err(|error| wrong(&globs.join(", "), &error))?;
    let mut paths: Vec<PathBuf> = WalkBuilder::new(folder)
        .standard_filters(false)
        .hidden(true)
        .follow_links(true)
        .overrides(overrides)
        .build()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .filter(|entry| entry.file_name() != PROJECT_FILE)
        .map(|entry| tidy(entry.path()))
        .collect();
    paths.sort();
    Ok(paths)
}

/// The path without `.` and without `name/..`.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(tidy.components().next_back(), Some(Component::Normal(_))) =>
            {
                tidy.pop();
            }
            Component::Prefix(_)
            | Component::RootDir
            | Component::ParentDir
            | Component::Normal(_) => tidy.push(part),
        }
    }
    tidy
}

fn shown(path: &Path) -> String {
    // Reports of one project are the same on every system.
    path.to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(folder: &Path, found: &Found) -> Vec<String> {
        let prefix = format!("{}/", shown(folder));
        found
            .scenarios
            .iter()
            .map(|file| file.name.replace(&prefix, ""))
            .collect()
    }

    fn project_at(path: PathBuf) -> Found {
        Found::project(None, &[path], None)
    }

    #[test]
    fn the_project_file_is_found_upwards_but_not_above_the_repository() {
        let folder = folder_with(&[
            ("retrial.yaml", "version: 1"),
            ("repo/scenarios/a.yaml", ""),
        ]);
        let file = folder.path().join("repo/scenarios/a.yaml");
        assert!(project_at(file.clone()).project.is_some());
        fs::create_dir(folder.path().join("repo/.git")).unwrap();
        assert_eq!(project_at(file).project, None);
    }

    #[test]
    fn without_names_the_globs_of_the_project_are_searched() {
        let folder = folder_with(&[
            ("scenarios/b.yaml", ""),
            ("scenarios/deep/a.yaml", ""),
            ("other/c.yaml", ""),
        ]);
        let base = Found {
            folder: folder.path().to_owned(),
            ..Found::default()
        };
        let usual = base.clone().with_scenarios(&[]).unwrap();
        assert_eq!(
            names(folder.path(), &usual),
            ["scenarios/b.yaml", "scenarios/deep/a.yaml"]
        );
        fs::write(
            folder.path().join("retrial.yaml"),
            "scenarios: [other/*.yaml]",
        )
        .unwrap();
        let own = Found::project(Some(folder.path()), &[], None)
            .with_scenarios(&[])
            .unwrap();
        assert_eq!(names(folder.path(), &own), ["other/c.yaml"]);
    }

    #[test]
    fn a_folder_is_searched_and_a_missing_file_is_kept_to_be_told() {
        let folder = folder_with(&[
            ("x/a.yml", ""),
            ("x/.hidden/b.yaml", ""),
            ("x/retrial.yaml", ""),
        ]);
        let named = [folder.path().join("x"), folder.path().join("none.yaml")];
        let found = Found::default().with_scenarios(&named).unwrap();
        assert_eq!(names(folder.path(), &found), ["x/a.yml", "none.yaml"]);
        assert!(found.scenarios[1].text.is_err());
    }

    #[test]
    fn what_others_use_is_read_and_is_no_scenario_unless_it_is_named() {
        let folder = folder_with(&[
            ("a.yaml", "use: [common/b.yaml]"),
            ("common/b.yaml", "use: [c.yaml]"),
            ("common/c.yaml", "use: [b.yaml]"),
        ]);
        let all = [folder.path().to_owned()];
        let found = Found::default().with_scenarios(&all).unwrap();
        assert_eq!(names(folder.path(), &found), ["a.yaml"]);
        assert_eq!(found.used.len(), 2);
        let named = [
            folder.path().to_owned(),
            folder.path().join("common/b.yaml"),
        ];
        let found = Found::default().with_scenarios(&named).unwrap();
        assert_eq!(names(folder.path(), &found), ["a.yaml", "common/b.yaml"]);
    }

    #[test]
    fn not_more_of_a_file_is_read_than_it_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.yaml");
        fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
        assert_eq!(read(&path).text.unwrap().len(), (1 << 20) + 1);
    }

    #[test]
    fn names_are_tidy() {
        assert_eq!(tidy(Path::new("./a/../b/./c.yaml")), Path::new("b/c.yaml"));
        assert_eq!(tidy(Path::new("../a.yaml")), Path::new("../a.yaml"));
    }
}
