//! Durations, sizes, rates and percentages as people write them. Each parser
//! says what it expected, never where: places are the caller's.

use std::time::Duration;

/// Reads `50us`, `200ms`, `5s`, `2m`, `24h`, `7d`, with a fraction if one is
/// wanted (`1.5s`).
///
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let nanos_of_unit: u64 = match unit {
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "" if number == "0" => return Ok(Duration::ZERO),
        "" => return Err("a duration needs a unit: us, ms, s, m, h or d".to_owned()),
        _ => return Err(format!("`{unit}` is not one of us, ms, s, m, h, d")),
    };
    let nanos = scaled(number, nanos_of_unit)?;
    Ok(Duration::from_nanos(nanos))
}

/// Reads `64kB` (1000) and `64KiB` (1024), or a bare number of bytes.
///
/// # Errors
/// What was expected.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let bytes_of_unit: u64 = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(format!(
                "`{unit}` is not one of B, kB, MB, GB, KiB, MiB, GiB"
            ));
        }
    };
    scaled(number, bytes_of_unit)
}

/// Reads `50/s` (or `3000/m`) as a number per second.
///
/// # Errors
/// What was expected.
pub fn rate(text: &str) -> Result<f64, String> {
    let wanted = || "a rate is a number per second, such as `50/s`".to_owned();
    let (number, unit) = text.split_once('/').ok_or_else(wanted)?;
    let number: f64 = plain(number.trim())
        .and_then(|number| number.parse().ok())
        .ok_or_else(wanted)?;
    let per_second = match unit.trim() {
        "s" => number,
        "m" => number / 60.0,
        "h" => number / 3_600.0,
        _ => return Err(wanted()),
    };
    if per_second > 0.0 {
        Ok(per_second)
    } else {
        Err("a rate is more than 0".to_owned())
    }
}

/// Reads `50%` as millionths (500 000); more than 100 % is possible.
///
/// # Errors
/// What was expected.
pub fn millionths(text: &str) -> Result<u32, String> {
    let wanted = || "a share is a number with `%`, such as `50%`".to_owned();
    let number = text.strip_suffix('%').ok_or_else(wanted)?.trim();
    let ppm = scaled(number, 10_000).map_err(|_| wanted())?;
    u32::try_from(ppm).map_err(|_| wanted())
}

/// A number in front, and the rest.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|next: char| !next.is_ascii_digit() && next != '.' && next != '_')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn plain(number: &str) -> Option<&str> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let ok = match number.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(number),
    };
    ok.then_some(number)
}

/// `number` times `unit`, exactly, in integers: a float would turn 0.1 s into
/// something that no longer prints as it was written.
fn scaled(number: &str, unit: u64) -> Result<u64, String> {
    let number = plain(number).ok_or_else(|| format!("`{number}` is not a number"))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let too_large = || format!("{number} is too large");
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let mut total = whole.checked_mul(unit).ok_or_else(too_large)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        total = total
            .checked_add(u64::from(digit - b'0') * place)
            .ok_or_else(too_large)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, nanos) in [
            ("50us", 50_000),
            ("200ms", 200_000_000),
            ("5s", 5_000_000_000),
            ("1.5s", 1_500_000_000),
            ("2m", 120_000_000_000),
            ("24h", 86_400_000_000_000),
            ("7d", 604_800_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "5",
            "5 parsecs",
            "s",
            "-5s",
            "1.s",
            "1..2s",
            "",
            "99999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_know_thousands_from_powers_of_two() {
        assert_eq!(size("64kB"), Ok(64_000));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("12"), Ok(12));
        assert!(size("12 apples").is_err());
    }

    #[test]
    fn rates_and_shares_say_what_they_are() {
        assert_eq!(rate("50/s"), Ok(50.0));
        assert_eq!(rate("30/m"), Ok(0.5));
        for text in ["50", "0/s", "-1/s", "50/x", "inf/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(millionths("50%"), Ok(500_000));
        assert_eq!(millionths("112.5%"), Ok(1_125_000));
        assert!(millionths("50").is_err());
        assert!(millionths("-1%").is_err());
    }
}
