//! Which files there are to read, and their bytes. What is in them is the
//! scenario room's business; this file knows folders, globs and names only.

use super::exit_code::Exit;
use super::message::{Failure, Message};
use super::rooms;
use crate::codes::Diagnosis;
use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// One byte more than a file may have, so that whoever looks sees that there is
/// too much, and nobody holds a disk image in memory.
const READ_AT_MOST: u64 = (1 << 20) + 1;

/// What a project's scenarios are called where nobody says.
const USUAL_GLOB: &str = "scenarios/**/*.yaml";

/// The project file's name.
pub(crate) const PROJECT_FILE: &str = "retrial.yaml";

/// A file and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    /// The file as the user named it, for messages and reports.
    pub(crate) name: String,
    /// At most 1 MiB and a byte.
    pub(crate) bytes: Vec<u8>,
}

/// A file that another one names under `use`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsedFile {
    /// The name of the file that uses it.
    pub(crate) by: String,
    /// The words under `use`.
    pub(crate) written: String,
    /// The file.
    pub(crate) file: SourceFile,
}

/// Every file of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The project file, if there is one.
    pub(crate) project: Option<SourceFile>,
    /// The folder that paths of the project and its runs are relative to.
    pub(crate) folder: PathBuf,
    /// The scenarios.
    pub(crate) scenarios: Vec<SourceFile>,
    /// What they use, and what that uses.
    pub(crate) used: Vec<UsedFile>,
    /// Files that could not be read.
    pub(crate) unreadable: Vec<Message>,
}

impl Found {
    /// The project file for scenarios at these places: the one that a flag names,
    /// else the first one upwards from the first scenario to the repository's root.
    pub(crate) fn project(flag: Option<&Path>, files: &[PathBuf]) -> Result<Self, Failure> {
        let path = match flag {
            Some(path) if path.is_dir() => Some(path.join(PROJECT_FILE)),
            Some(path) => Some(path.to_owned()),
            None => search_upwards(files.first().map_or(Path::new("."), PathBuf::as_path)),
        };
        let Some(path) = path else {
            return Ok(Self {
                folder: PathBuf::from("."),
                ..Self::default()
            });
        };
        let project = read(&path).map_err(|message| message.exit(Exit::Usage))?;
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        Ok(Self {
            project: Some(project),
            folder: if folder.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                folder
            },
            ..Self::default()
        })
    }

    /// The same with the scenarios: the files and folders named, else what the
    /// project's globs match.
    pub(crate) fn scenarios(
        mut self,
        files: &[PathBuf],
        globs: &[String],
    ) -> Result<Self, Failure> {
        let named: BTreeSet<PathBuf> = files
            .iter()
            .filter(|path| !path.is_dir())
            .map(|path| tidy(path))
            .collect();
        let mut paths = Vec::new();
        if files.is_empty() {
            let usual = [USUAL_GLOB.to_owned()];
            let globs = if globs.is_empty() { &usual[..] } else { globs };
            paths.extend(matching(&self.folder, globs)?);
        }
        for file in files {
            if file.is_dir() {
                paths.extend(matching(
                    file,
                    &["**/*.yaml".to_owned(), "**/*.yml".to_owned()],
                )?);
            } else {
                paths.push(tidy(file));
            }
        }
        let mut seen = BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        for path in &paths {
            match read(path) {
                Ok(file) => self.scenarios.push(file),
                Err(message) => self.unreadable.push(message),
            }
        }
        self.follow_uses();
        // A fragment that lies among the scenarios is no scenario of its own.
        let fragments: BTreeSet<String> = self
            .used
            .iter()
            .map(|used| used.file.name.clone())
            .collect();
        self.scenarios.retain(|file| {
            !fragments.contains(&file.name) || named.contains(Path::new(&file.name))
        });
        Ok(self)
    }

    fn follow_uses(&mut self) {
        let mut queue: VecDeque<SourceFile> = self.scenarios.iter().cloned().collect();
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        while let Some(file) = queue.pop_front() {
            for written in rooms::uses(&file) {
                if !seen.insert((file.name.clone(), written.clone())) {
                    continue;
                }
                let folder = Path::new(&file.name).parent().unwrap_or(Path::new(""));
                match read(&tidy(&folder.join(&written))) {
                    Ok(used) => {
                        queue.push_back(used.clone());
                        self.used.push(UsedFile {
                            by: file.name.clone(),
                            written,
                            file: used,
                        });
                    }
                    Err(message) => self
                        .unreadable
                        .push(message.note(format!("{} uses it", file.name))),
                }
            }
        }
    }
}

/// Reads a file, but not more of it than a scenario may have.
fn read(path: &Path) -> Result<SourceFile, Message> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(READ_AT_MOST).read_to_end(&mut bytes))
        .map_err(|error| {
            Message::error(
                Diagnosis::UnreadableFile,
                format!("failed to read {}: {error}", path.display()),
            )
        })?;
    Ok(SourceFile {
        name: shown(path),
        bytes,
    })
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
    let mut builder = OverrideBuilder::new(folder);
    for glob in globs {
        builder.add(glob).map_err(|error| {
            Message::error(
                Diagnosis::InvalidValue,
                format!("`{glob}` is no glob: {error}"),
            )
            .exit(Exit::Usage)
        })?;
    }
    let overrides = builder
        .build()
        .map_err(|error| Failure::World(anyhow::Error::new(error)))?;
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

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "scenario: a\n").unwrap();
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

    #[test]
    fn the_project_file_is_found_upwards_but_not_above_the_repository() {
        let folder = folder_with(&["retrial.yaml", "repo/scenarios/a.yaml"]);
        let file = folder.path().join("repo/scenarios/a.yaml");
        let found = Found::project(None, std::slice::from_ref(&file)).unwrap();
        assert!(found.project.is_some());
        fs::create_dir(folder.path().join("repo/.git")).unwrap();
        let found = Found::project(None, &[file]).unwrap();
        assert_eq!(found.project, None);
    }

    #[test]
    fn without_names_the_globs_of_the_project_are_searched() {
        let folder = folder_with(&["scenarios/b.yaml", "scenarios/deep/a.yaml", "other/c.yaml"]);
        let base = Found {
            folder: folder.path().to_owned(),
            ..Found::default()
        };
        let usual = base.clone().scenarios(&[], &[]).unwrap();
        assert_eq!(
            names(folder.path(), &usual),
            ["scenarios/b.yaml", "scenarios/deep/a.yaml"]
        );
        let own = base.scenarios(&[], &["other/*.yaml".to_owned()]).unwrap();
        assert_eq!(names(folder.path(), &own), ["other/c.yaml"]);
    }

    #[test]
    fn a_folder_is_searched_and_a_missing_file_is_told() {
        let folder = folder_with(&["x/a.yml", "x/.hidden/b.yaml", "x/retrial.yaml"]);
        let found = Found::default()
            .scenarios(
                &[folder.path().join("x"), folder.path().join("none.yaml")],
                &[],
            )
            .unwrap();
        assert_eq!(names(folder.path(), &found), ["x/a.yml"]);
        assert_eq!(found.unreadable.len(), 1);
        assert_eq!(found.unreadable[0].code, Diagnosis::UnreadableFile);
    }

    #[test]
    fn not_more_of_a_file_is_read_than_it_may_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big.yaml");
        fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
        assert_eq!(read(&path).unwrap().bytes.len(), (1 << 20) + 1);
    }

    #[test]
    fn names_are_tidy() {
        assert_eq!(tidy(Path::new("./a/../b/./c.yaml")), Path::new("b/c.yaml"));
        assert_eq!(tidy(Path::new("../a.yaml")), Path::new("../a.yaml"));
    }
}
