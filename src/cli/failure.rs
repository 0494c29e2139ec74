//! Why a command ends early.

use super::exit_code::Exit;
use super::terminal::Terminal;
use crate::codes::Diagnosis;
use crate::scenario::Diagnostic;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is to be said, and how to end.
    Because(Box<Diagnostic>, Exit),
    /// Everything has been said.
    Told(Exit),
    /// The world did not play along: a file, a socket, a full disk.
    World(anyhow::Error),
}

impl Failure {
    /// Something that the user did, said and over.
    pub(crate) fn because(diagnostic: Diagnostic, exit: Exit) -> Self {
        Self::Because(Box::new(diagnostic), exit)
    }

    /// A command line that does not make sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::because(Diagnostic::error(Diagnosis::Usage, message), Exit::Usage)
    }

    /// Says what is to be said, and how to end.
    pub(crate) fn say(self, terminal: &Terminal) -> Exit {
        match self {
            Self::Because(diagnostic, exit) => {
                terminal.diagnostic(&diagnostic);
                exit
            }
            Self::Told(exit) => exit,
            Self::World(error) => {
                terminal.trouble(&error);
                Exit::Error
            }
        }
    }
}

/// The answer to whatever this version knows but does not do yet.
pub(crate) fn not_supported_yet(what: &str) -> Failure {
    Failure::because(
        Diagnostic::error(
            Diagnosis::NotSupportedYet,
            format!("`{what}` is known, but this version does not do it yet"),
        )
        .help("retrial explain not-supported-yet"),
        Exit::Usage,
    )
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::World(error)
    }
}
