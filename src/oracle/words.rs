//! Numbers, times and lists in plain English.

use std::collections::BTreeMap;
use std::time::Duration;

use super::view::Delivery;

const SMALL: [&str; 13] = [
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
];

/// A count: a word up to twelve, digits above.
pub(crate) fn spelled(n: usize) -> String {
    SMALL
        .get(n)
        .map_or_else(|| n.to_string(), |word| (*word).to_owned())
}

/// The same at the beginning of a sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

/// A number without a point where it has no fraction.
pub(crate) fn number(n: f64) -> String {
    // A sum of decimals is shown as people write it, not with its last bit.
    let rounded = (n * 1e9).round() / 1e9;
    let shown = if rounded.is_finite() { rounded } else { n };
    if shown == 0.0 {
        "0".to_owned()
    } else {
        shown.to_string()
    }
}

/// `two orders exist`, or the number where it is not one of things.
pub(crate) fn exist(name: &str, n: f64, counted: bool) -> String {
    let things = name.replace('_', " ");
    if counted && n.fract() == 0.0 && (0.0..1e9).contains(&n) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and small"
        )]
        let n = n as usize;
        return match n {
            0 => format!("no `{name}` exist"),
            1 => format!("`{name}` shows one"),
            n if name.ends_with('s') => format!("{} {things} exist", spelled(n)),
            n => format!("`{name}` shows {}", spelled(n)),
        };
    }
    format!("`{name}` is {}", number(n))
}

/// `3 of 100 trials`.
pub(crate) fn of_trials(n: usize, of: u32) -> String {
    match of {
        1 => format!("{n} of 1 trial"),
        of => format!("{n} of {of} trials"),
    }
}

/// A time as a person would say it.
pub(crate) fn duration(time: Duration) -> String {
    let us = time.as_micros();
    match us {
        0..=999 => format!("{us} µs"),
        1_000..=999_999 => format!("{} ms", number_of(us, 1_000)),
        1_000_000..=119_999_999 => format!("{} s", number_of(us, 1_000_000)),
        120_000_000.. => format!("{} min", number_of(us, 60_000_000)),
    }
}

/// A quotient with one digit after the point, where that says something.
fn number_of(us: u128, unit: u128) -> String {
    let (whole, rest) = (us / unit, us % unit);
    let tenth = rest * 10 / unit;
    if tenth == 0 || whole >= 100 {
        whole.to_string()
    } else {
        format!("{whole}.{tenth}")
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

/// `201 ×2, 409 ×7 and no answer`.
pub(crate) fn statuses(deliveries: &[Delivery<'_>]) -> String {
    let mut numbers: BTreeMap<Option<u16>, usize> = BTreeMap::new();
    for delivery in deliveries {
        *numbers.entry(delivery.status()).or_default() += 1;
    }
    // Silence is told last.
    let silent = numbers.remove(&None);
    let told: Vec<String> = numbers
        .into_iter()
        .chain(silent.map(|n| (None, n)))
        .map(|(status, n)| {
            let what = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            if n == 1 {
                what
            } else {
                format!("{what} ×{n}")
            }
        })
        .collect();
    list(&told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_people_tell_them() {
        assert_eq!(capital(&spelled(10)), "Ten");
        assert_eq!(spelled(13), "13");
        assert_eq!(number(2.0), "2");
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(exist("orders", 2.0, true), "two orders exist");
        assert_eq!(exist("order_rows", 2.0, true), "two order rows exist");
        assert_eq!(exist("stock", 2.0, true), "`stock` shows two");
        assert_eq!(exist("charged", 3998.0, false), "`charged` is 3998");
    }

    #[test]
    fn times_and_lists_are_short() {
        let times = [900, 1_500, 200_000, 60_000_000, 300_000_000];
        let told = times.map(|us| duration(Duration::from_micros(us)));
        assert_eq!(told, ["900 µs", "1.5 ms", "200 ms", "60 s", "5 min"]);
        let parts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list(&parts), "a, b and c");
    }
}
