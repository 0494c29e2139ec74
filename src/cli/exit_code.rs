//! How the program ends. The table of exit codes (`language.md` section 10) is
//! [`Exit`] in the room that reports; here is how the operating system is told.

pub(crate) use crate::report::{Exit, ExitRules};

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
