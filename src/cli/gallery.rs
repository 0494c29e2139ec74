//! The scenario files of `scenarios/`, held in the binary: what people copy from
//! is what the demo runs.

use crate::demo::Flaw;
use crate::scenario::SourceFile;

/// One file of the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GalleryFile {
    /// Its name in `scenarios/`.
    pub(crate) name: &'static str,
    /// What is in it.
    pub(crate) text: &'static str,
    /// The flaws of the demo shop that it is aimed at.
    pub(crate) catches: &'static [&'static str],
}

macro_rules! file {
    ($name:literal, $catches:expr) => {
        GalleryFile {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name)),
            catches: $catches,
        }
    };
}

/// Every file, in the order in which the demo shows them.
pub(crate) const GALLERY: &[GalleryFile] = &[
    file!("create-order.yaml", &[]),
    file!(
        "order-once.yaml",
        &[
            "ignores-key",
            "check-then-act",
            "ack-before-commit",
            "release-on-error",
            "new-id-on-replay",
            "constraint-500",
            "global-lock",
        ]
    ),
    file!(
        "impatient-client.yaml",
        &["record-at-end", "null-in-progress"]
    ),
    file!(
        "lost-answers.yaml",
        &[
            "record-if-heard",
            "stuck-on-disconnect",
            "cancel-on-disconnect",
        ]
    ),
    file!("broken-uploads.yaml", &["cut-body-accepted"]),
    file!("same-meaning.yaml", &["key-5xx", "raw-fingerprint"]),
    file!("order-and-mail.yaml", &["mail-apart"]),
    file!("checkout.yaml", &[]),
];

impl GalleryFile {
    /// The file as if it had been read.
    pub(crate) fn source(&self) -> SourceFile {
        SourceFile {
            name: format!("scenarios/{}", self.name),
            text: Ok(self.text.as_bytes().to_vec()),
        }
    }
}

/// The files that are aimed at a flaw; all of them, where none is.
pub(crate) fn aimed_at(flaw: Flaw) -> Vec<GalleryFile> {
    let aimed: Vec<GalleryFile> = GALLERY
        .iter()
        .filter(|file| file.catches.contains(&flaw.name()))
        .copied()
        .collect();
    if aimed.is_empty() {
        GALLERY.to_vec()
    } else {
        aimed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".yaml"))
            .collect();
        let mut listed: Vec<&str> = GALLERY.iter().map(|file| file.name).collect();
        there.sort();
        listed.sort_unstable();
        assert_eq!(there, listed);
    }

    #[test]
    fn a_file_says_itself_which_flaws_it_catches() {
        for file in GALLERY {
            let comments: String = file
                .text
                .lines()
                .skip_while(|line| !line.starts_with("# Catches its flaws:"))
                .take_while(|line| line.starts_with('#'))
                .map(|line| line.trim_start_matches('#'))
                .collect();
            let said: Vec<&str> = comments
                .trim()
                .trim_start_matches("Catches its flaws:")
                .split(',')
                .map(str::trim)
                .filter(|flaw| !flaw.is_empty())
                .collect();
            assert_eq!(said, file.catches, "{}", file.name);
        }
    }

    #[test]
    fn every_flaw_has_a_file_that_is_aimed_at_it() {
        for flaw in Flaw::ALL {
            let aimed = GALLERY
                .iter()
                .any(|file| file.catches.contains(&flaw.name()));
            assert!(aimed, "{flaw}");
        }
    }
}
