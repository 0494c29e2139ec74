//! Cells, wrapping, numbers and inks: what every part of a terminal report is
//! written with.

use super::{Charset, RenderOptions};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Prose wider than this is hard to read, however wide the terminal.
const PROSE: usize = 100;

/// What a text means; the words say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Strong,
    Faint,
    Pass,
    Fail,
    Doubt,
    Broken,
}

impl Ink {
    fn style(self) -> Style {
        let of = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Pass => of(AnsiColor::Green),
            Self::Fail => of(AnsiColor::Red).bold(),
            Self::Doubt => of(AnsiColor::Yellow),
            Self::Broken => of(AnsiColor::Magenta),
        }
    }
}

/// What is written on: its width, its letters, its inks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page {
    pub(super) width: usize,
    pub(super) charset: Charset,
    color: bool,
}

impl Page {
    pub(super) fn of(options: &RenderOptions) -> Self {
        Self {
            // Narrower than this nothing can be laid out; a terminal wraps it.
            width: options.width.max(40),
            charset: options.charset,
            color: options.color,
        }
    }

    /// A page for a file: no colour, the width of a build log.
    pub(super) fn plain() -> Self {
        Self {
            width: PROSE,
            charset: Charset::Unicode,
            color: false,
        }
    }

    /// The width of prose and blocks.
    pub(super) fn prose(&self) -> usize {
        self.width.min(PROSE)
    }

    pub(super) fn paint(&self, ink: Ink, text: &str) -> String {
        if self.color && ink != Ink::Plain {
            let style = ink.style();
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// A text of any origin on one line: control characters are shown, not
    /// obeyed, and our own typographic characters fit the charset.
    pub(super) fn clean(&self, text: &str) -> String {
        let shown = visible(text);
        match self.charset {
            Charset::Unicode => shown,
            Charset::Ascii => shown.chars().fold(String::new(), |mut ascii, character| {
                match character {
                    '×' => ascii.push('x'),
                    '–' | '—' | '‑' => ascii.push('-'),
                    '·' => ascii.push('|'),
                    '…' => ascii.push_str("..."),
                    '’' | '‘' => ascii.push('\''),
                    '“' | '”' => ascii.push('"'),
                    'µ' => ascii.push('u'),
                    '≤' => ascii.push_str("<="),
                    '≥' => ascii.push_str(">="),
                    '→' => ascii.push_str("->"),
                    '\u{a0}' | '\u{202f}' | '\u{2009}' => ascii.push(' '),
                    other => ascii.push(other),
                }
                ascii
            }),
        }
    }

    /// A text of at most so many cells; what is too long loses its end.
    pub(super) fn fit(&self, text: &str, most: usize) -> String {
        if cells(text) <= most {
            return text.to_owned();
        }
        let mark = match self.charset {
            Charset::Unicode => '…',
            Charset::Ascii => '~',
        };
        let mut fitted = String::new();
        let mut room = most.saturating_sub(1);
        for character in text.chars() {
            let width = character.width().unwrap_or(0);
            if width > room {
                break;
            }
            room -= width;
            fitted.push(character);
        }
        fitted.push(mark);
        fitted
    }

    /// A paragraph as lines, each after its indentation; a word that is too long
    /// for any line stands out rather than being torn.
    pub(super) fn wrap(&self, first: &str, rest: &str, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = first.to_owned();
        let mut empty = true;
        for word in self.clean(text).split(' ').filter(|word| !word.is_empty()) {
            let gap = usize::from(!empty);
            if !empty && cells(&line) + gap + cells(word) > self.prose() {
                lines.push(std::mem::replace(&mut line, rest.to_owned()));
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        if !empty || lines.is_empty() {
            lines.push(line);
        }
        lines
    }
}

/// A text whose control characters can be seen: `\u{1b}`. Line ends and tabs
/// become spaces; characters that turn the direction of writing are shown too,
/// for they could make a report say something else.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => shown.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "{}", character.escape_unicode());
            }
            control if control.is_control() => {
                let _ = write!(shown, "{}", control.escape_unicode());
            }
            other => shown.push(other),
        }
    }
    shown
}

/// How many cells of a terminal a text takes.
pub(super) fn cells(text: &str) -> usize {
    text.width()
}

/// The text and spaces up to so many cells.
pub(super) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(cells(text))))
}

/// `1 990`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 trial`, `1 990 trials`.
pub(super) fn counted(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", thousands(number))
}

/// `0.11 ms`, `4.2 ms`, `212 ms`, `1.3 s`, `120 s`.
pub(super) fn duration(us: u64) -> String {
    let rounded = |unit: u64, decimals: u32| {
        let scale = 10_u64.pow(decimals);
        let value = (us * scale + unit / 2) / unit;
        let (whole, fraction) = (value / scale, value % scale);
        if fraction == 0 {
            thousands(whole)
        } else {
            let places = decimals as usize;
            format!("{whole}.{fraction:0places$}")
        }
    };
    match us {
        0..1_000 => format!("{} ms", rounded(1_000, 2)),
        1_000..9_950 => format!("{} ms", rounded(1_000, 1)),
        9_950..999_500 => format!("{} ms", rounded(1_000, 0)),
        999_500..99_950_000 => format!("{} s", rounded(1_000_000, 1)),
        _ => format!("{} s", rounded(1_000_000, 0)),
    }
}

/// How long a run took: `48.2 s`, `3 min 12 s`.
pub(super) fn run_time(ms: u64) -> String {
    let seconds = (ms + 500) / 1_000;
    if seconds < 100 {
        duration(ms * 1_000)
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// `3.0 %`, `0.65 %`: one decimal, below 1 % two.
pub(super) fn percent(fraction: f64) -> String {
    let percent = fraction * 100.0;
    if percent < 0.995 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize, charset: Charset) -> Page {
        Page {
            width,
            charset,
            color: false,
        }
    }

    #[test]
    fn numbers_and_times_are_as_short_as_they_are_true() {
        for (us, text) in [
            (0, "0 ms"),
            (110, "0.11 ms"),
            (999, "1 ms"),
            (1_500, "1.5 ms"),
            (4_004, "4 ms"),
            (9_960, "10 ms"),
            (38_400, "38 ms"),
            (999_499, "999 ms"),
            (999_500, "1 s"),
            (48_211_000, "48.2 s"),
            (1_234_000_000, "1 234 s"),
        ] {
            assert_eq!(duration(us), text, "{us}");
        }
        assert_eq!(run_time(48_211), "48.2 s");
        assert_eq!(run_time(192_300), "3 min 12 s");
        assert_eq!(thousands(1_234_567), "1 234 567");
        assert_eq!(counted(1, "case"), "1 case");
        for (fraction, text) in [
            (0.029_513, "3.0 %"),
            (0.058_155, "5.8 %"),
            (0.006_5, "0.65 %"),
        ] {
            assert_eq!(percent(fraction), text);
        }
    }

    #[test]
    fn what_the_target_says_cannot_drive_the_terminal() {
        let said = "a\u{1b}[31mred\u{7}\nb\u{9b}\u{202e}c";
        assert_eq!(
            page(80, Charset::Unicode).clean(said),
            "a\\u{1b}[31mred\\u{7} b\\u{9b}\\u{202e}c"
        );
    }

    #[test]
    fn wrapping_hangs_and_never_tears_a_word() {
        let lines = page(40, Charset::Unicode).wrap(
            "  Why      ",
            "           ",
            "Both attempts looked it up, averyveryverylongwordthatdoesnotfit then.",
        );
        insta::assert_snapshot!(lines.join("\n"), @r"
          Why      Both attempts looked it up,
                   averyveryverylongwordthatdoesnotfit
                   then.
        ");
    }

    #[test]
    fn fitting_counts_cells_not_characters() {
        let unicode = page(80, Charset::Unicode);
        assert_eq!(unicode.fit("invoice-consumer", 14), "invoice-consu…");
        assert_eq!(unicode.fit("注文を作成する", 7), "注文を…");
        assert_eq!(
            page(80, Charset::Ascii).fit("invoice-consumer", 14),
            "invoice-consu~"
        );
        assert_eq!(padded("注文", 6), "注文  ");
    }
}
