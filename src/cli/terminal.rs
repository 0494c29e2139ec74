//! The only printer: what goes to stdout and stderr, how wide, in which colours.
//!
//! stdout carries what was asked for, stderr everything else. Texts come in with
//! ANSI styles and leave without them where nobody wants colour. A reader that
//! closed its end of a pipe has seen enough; that is no error.

use super::args::{Color, ProgressStyle, Screen};
use super::failure::Failure;
use crate::scenario::diagnostic::{Files, Style, render};
use crate::scenario::{Diagnostic, Diagnostics};
use anstream::{AutoStream, ColorChoice};
use std::io::{self, IsTerminal, Write};

/// The width of reports where no terminal says otherwise.
const WIDTH: usize = 100;

/// Where output goes and how it looks.
#[derive(Debug, Clone)]
pub(crate) struct Terminal {
    pub(super) out: ColorChoice,
    pub(super) err: ColorChoice,
    /// Columns of a line.
    pub(crate) width: usize,
    /// Whether only ASCII characters are drawn.
    pub(crate) ascii: bool,
    /// Whether only errors are told beside what was asked for.
    pub(crate) quiet: bool,
    /// Whether reports tell more than a reader usually needs.
    pub(crate) verbose: bool,
    /// How progress is shown; never `Auto`.
    pub(crate) progress: ProgressStyle,
}

/// The variables that decide how output looks.
struct Surroundings {
    no_color: bool,
    force_color: bool,
    color_off: bool,
    columns: Option<usize>,
    ci: bool,
}

impl Surroundings {
    fn read() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is = |name: &str, word: &str| std::env::var_os(name).is_some_and(|value| value == word);
        Self {
            no_color: set("NO_COLOR"),
            force_color: ["CLICOLOR_FORCE", "FORCE_COLOR"]
                .iter()
                .any(|name| set(name) && !is(name, "0")),
            color_off: is("CLICOLOR", "0") || is("TERM", "dumb"),
            columns: std::env::var("COLUMNS")
                .ok()
                .and_then(|columns| columns.parse().ok())
                .filter(|columns| *columns > 0),
            ci: in_ci(),
        }
    }
}

/// Whether this is a CI system, as they all tell it.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !matches!(value.to_str(), Some("" | "0" | "false")))
}

impl Terminal {
    /// The terminal as flags and environment ask for it.
    pub(crate) fn new(screen: &Screen) -> Self {
        let around = Surroundings::read();
        let progress = match (screen.quiet, screen.progress) {
            (true, _) => ProgressStyle::None,
            (false, ProgressStyle::Auto) if io::stderr().is_terminal() && !around.ci => {
                ProgressStyle::Bar
            }
            (false, ProgressStyle::Auto) => ProgressStyle::Lines,
            (false, style) => style,
        };
        Self {
            out: choice(screen.color, &around, io::stdout().is_terminal()),
            err: choice(screen.color, &around, io::stderr().is_terminal()),
            width: width(&around),
            ascii: screen.ascii,
            quiet: screen.quiet,
            verbose: screen.verbose > 0,
            progress,
        }
    }

    /// Whether stdout is coloured.
    pub(crate) fn colored(&self) -> bool {
        self.out == ColorChoice::Always
    }

    /// Whether stderr is coloured.
    fn errors_colored(&self) -> bool {
        self.err == ColorChoice::Always
    }

    /// Prints what was asked for.
    pub(crate) fn out(&self, text: &str) -> Result<(), Failure> {
        let mut stream = AutoStream::new(io::stdout().lock(), self.out);
        settle(
            stream
                .write_all(text.as_bytes())
                .and_then(|()| stream.flush()),
        )
    }

    /// Prints bytes that were asked for, as they are.
    #[expect(
        clippy::unused_self,
        reason = "whoever prints holds the terminal, so that there is one way to do it"
    )]
    pub(crate) fn out_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stream = io::stdout().lock();
        settle(stream.write_all(bytes).and_then(|()| stream.flush()))
    }

    /// Prints an error, or what belongs to one.
    pub(crate) fn error(&self, text: &str) {
        let mut stream = AutoStream::new(io::stderr().lock(), self.err);
        // There is no place left to complain about a stderr that fails.
        let _ = stream
            .write_all(text.as_bytes())
            .and_then(|()| stream.flush());
    }

    /// Prints what is good to know; nothing when only errors are wanted.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Prints a diagnostic; a warning only where those are wanted.
    pub(crate) fn diagnostic(&self, diagnostic: &Diagnostic) {
        use crate::scenario::diagnostic::Severity;
        let text = render(&Files::default(), diagnostic, self.style());
        match diagnostic.severity {
            Severity::Error => self.error(&text),
            Severity::Warning => self.note(&text),
        }
    }

    /// Prints an error of the world in one line, causes after colons.
    pub(crate) fn trouble(&self, error: &anyhow::Error) {
        self.error(&format!("error: {error:#}\n"));
    }

    /// Diagnostics as they are printed on stderr.
    pub(crate) fn words(&self, diagnostics: &Diagnostics) -> String {
        diagnostics.render(self.style())
    }

    /// The frame is always drawn with ASCII: it is what compilers have taught
    /// people and editors to read.
    fn style(&self) -> Style {
        Style {
            color: self.errors_colored(),
            ascii: true,
            width: self.width,
        }
    }
}

fn settle(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::World(
            anyhow::Error::new(error).context("failed to write to stdout"),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn choice(wish: Color, around: &Surroundings, terminal: bool) -> ColorChoice {
    let colored = match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if around.no_color => false,
        Color::Auto if around.force_color => true,
        Color::Auto => terminal && !around.color_off,
    };
    if colored {
        ColorChoice::Always
    } else {
        ColorChoice::Never
    }
}

fn width(around: &Surroundings) -> usize {
    if let Some(columns) = around.columns {
        return columns;
    }
    if around.ci {
        return WIDTH;
    }
    terminal_size::terminal_size().map_or(WIDTH, |(columns, _)| usize::from(columns.0))
}

/// Starts the log on stderr, as loud as `-v` asks for; without it there is none.
pub(crate) fn start_log(screen: &Screen) {
    let level = match screen.verbose {
        0 => return,
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(format!("retrial={level}"));
    // Only a second call could fail, and the first log is then the right one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(Terminal::new(screen).errors_colored())
        .try_init();
}

/// Says beside a panic's own words whose fault it is.
pub(crate) fn own_up_to_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        let _ = writeln!(
            io::stderr(),
            "this is a bug in retrial {}, not in the API under test; please report it with the lines above",
            env!("CARGO_PKG_VERSION")
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            no_color: false,
            force_color: false,
            color_off: false,
            columns: None,
            ci: false,
        }
    }

    #[test]
    fn a_flag_outranks_the_environment_and_no_color_outranks_force_color() {
        let none = Surroundings {
            no_color: true,
            force_color: true,
            ..around()
        };
        let forced = Surroundings {
            force_color: true,
            ..around()
        };
        assert_eq!(choice(Color::Always, &none, false), ColorChoice::Always);
        assert_eq!(choice(Color::Auto, &none, true), ColorChoice::Never);
        assert_eq!(choice(Color::Auto, &forced, false), ColorChoice::Always);
        assert_eq!(choice(Color::Auto, &around(), false), ColorChoice::Never);
        assert_eq!(choice(Color::Never, &forced, true), ColorChoice::Never);
    }

    #[test]
    fn columns_outrank_ci_and_ci_outranks_the_terminal() {
        let ci = Surroundings {
            ci: true,
            ..around()
        };
        let narrow = Surroundings {
            columns: Some(60),
            ci: true,
            ..around()
        };
        assert_eq!(width(&ci), 100);
        assert_eq!(width(&narrow), 60);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error() {
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(settle(Err(gone)).is_ok());
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(settle(Err(full)).is_err());
    }
}
