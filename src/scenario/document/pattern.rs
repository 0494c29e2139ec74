//! Delivery patterns: short and long forms, and the lists behind `standard`,
//! `quick` and `thorough`.

use super::leaf::Of;
use super::names::IN_OPERATION;
use super::request::{headers, steps};
use super::{Context, Fields, Letters, auth};
use crate::codes::Diagnosis;
use crate::plan::{AnswerPoint, CutPoint, Ending, HoldPoint, Kind};
use crate::scenario::diagnostic::{Diagnostic, Span};
use crate::scenario::node::{Entry, Node, Value};
use crate::scenario::parts::{Connections, Each, Place};
use crate::scenario::template::Escape;
use crate::scenario::{Pattern, PatternKind, Profile, ResetAfter, When, With, suggest, units};
use std::time::Duration;

/// Patterns of the language that this version does not do yet.
pub(crate) const LATER: [&str; 14] = [
    "mismatch",
    "missing_key",
    "bad_key",
    "other_tenant",
    "other_endpoint",
    "expire",
    "fresh_keys",
    "late_replay",
    "split",
    "kill",
    "redeliver",
    "reorder",
    "lost_ack",
    "requeue",
];

/// Words that stand for a list of patterns.
pub(crate) const PROFILES: [(&str, Profile); 3] = [
    ("standard", Profile::Standard),
    ("quick", Profile::Quick),
    ("thorough", Profile::Thorough),
];

/// What patterns depend on beside what the author wrote.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    /// `--patterns`, which goes above everything.
    pub(crate) flag: Option<Profile>,
    /// The size where nobody names one.
    pub(crate) default: Profile,
    /// Whether some operation has a JSON body.
    pub(crate) json_body: bool,
    /// Whether attempts go over HTTP/1.1.
    pub(crate) http1: bool,
    /// Where patterns stand that nobody wrote.
    pub(crate) place: Place,
}

/// Reads `patterns:`; nothing stands for the default profile.
pub(crate) fn decode(
    cx: &mut Context<'_>,
    node: Option<&Node>,
    around: &Circumstances,
) -> Vec<Pattern> {
    let Some(node) = node else {
        let profile = around.flag.unwrap_or(around.default);
        return expand(profile, around, &around.place);
    };
    let items = node.items();
    if items.is_empty() {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                "a scenario without patterns tries nothing",
            )
            .at(node.span, "")
            .help("leave `patterns` out for `standard`, or name at least one"),
        );
    }
    let word = items.iter().find_map(|item| profile_of(item));
    let profile = around.flag.or(word).unwrap_or(around.default);
    let mut patterns = Vec::new();
    for item in items {
        if let Some(own) = profile_of(item) {
            let place = cx.place(item.span);
            patterns.extend(expand(around.flag.unwrap_or(own), around, &place));
            continue;
        }
        let read = pattern(cx, item, profile);
        if let (Some(read), true) = (&read, around.http1) {
            check_connections(cx, item, &read.kind);
        }
        patterns.extend(read);
    }
    patterns
}

fn profile_of(node: &Node) -> Option<Profile> {
    let text = node.text()?;
    PROFILES
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, profile)| *profile)
}

/// The list behind a profile word (`language.md` section 2).
fn expand(profile: Profile, around: &Circumstances, place: &Place) -> Vec<Pattern> {
    let copies = match profile {
        Profile::Quick => 3,
        Profile::Standard | Profile::Thorough => 10,
    };
    let mut kinds = vec![
        default_kind(Kind::Replay),
        PatternKind::Burst {
            attempts: copies,
            keys: 1,
            hold: HoldPoint::Head,
            connections: Connections::Fitting,
        },
        PatternKind::Burst {
            attempts: 2,
            keys: 10,
            hold: HoldPoint::Head,
            connections: Connections::Fitting,
        },
        default_kind(Kind::Stagger),
        default_kind(Kind::DropResponse),
        default_kind(Kind::Timeout),
        default_kind(Kind::CutRequest),
        default_kind(Kind::CutResponse),
        default_kind(Kind::Reset),
        default_kind(Kind::ChangedHeaders),
    ];
    if around.json_body {
        kinds.push(default_kind(Kind::Reserialised));
    }
    kinds
        .into_iter()
        .map(|kind| Pattern {
            kind,
            name: None,
            profile,
            from_profile: true,
            with: With::default(),
            before: Vec::new(),
            place: place.clone(),
        })
        .collect()
}

/// A pattern without any value (`language.md` section 14, *Time*).
pub(crate) fn default_kind(kind: Kind) -> PatternKind {
    match kind {
        Kind::Replay => PatternKind::Replay {
            attempts: 3,
            gap: Duration::ZERO,
        },
        Kind::Burst => PatternKind::Burst {
            attempts: 10,
            keys: 1,
            hold: HoldPoint::Head,
            connections: Connections::Fitting,
        },
        Kind::Stagger => PatternKind::Stagger {
            attempts: 3,
            gap: When::Sweep,
        },
        Kind::DropResponse => PatternKind::DropResponse,
        Kind::Timeout => PatternKind::Timeout {
            after: vec![When::Sweep],
        },
        Kind::CutRequest => PatternKind::CutRequest {
            at: vec![
                CutPoint::Headers,
                CutPoint::Percent(50),
                CutPoint::BeforeEnd(1),
            ],
            end: Ending::Fin,
        },
        Kind::CutResponse => PatternKind::CutResponse {
            at: vec![AnswerPoint::Headers],
            end: Ending::Fin,
        },
        Kind::Reset => PatternKind::Reset {
            after: ResetAfter::Sweep,
            end: Ending::Rst,
        },
        Kind::ChangedHeaders => PatternKind::ChangedHeaders,
        Kind::Reserialised => PatternKind::Reserialised,
    }
}

/// One member of the list: `replay`, `replay: 3`, `replay: {attempts: 3}`.
fn pattern(cx: &mut Context<'_>, node: &Node, profile: Profile) -> Option<Pattern> {
    let (word, span, value) =
        match &node.value {
            Value::Scalar(_) => (cx.text(node, "the name of a pattern")?, node.span, None),
            Value::Map(entries) => match entries.as_slice() {
                [Entry { name, span, node }] => (name.clone(), *span, Some(node)),
                [first, rest @ ..] if kind_of(&first.name).is_some() => {
                    let error = Diagnostic::error(
                        Diagnosis::ConflictingFields,
                        format!("`{}` beside `{}`", rest[0].name, first.name),
                    );
                    cx.say(error.at(rest[0].span, "one pattern was expected").help(format!(
                    "put its fields inside: `{}: {{ {}: … }}`, or begin another list item",
                    first.name, rest[0].name
                )));
                    return None;
                }
                _ => {
                    cx.wrong_type(node, "a pattern such as `burst: 10`");
                    return None;
                }
            },
            Value::List(_) => {
                cx.wrong_type(node, "a pattern such as `burst: 10`");
                return None;
            }
        };
    let Some(kind) = kind_of(&word) else {
        unknown(cx, &word, span);
        return None;
    };
    let place = cx.place(span);
    let mut pattern = Pattern {
        kind: default_kind(kind),
        name: None,
        profile,
        from_profile: false,
        with: With::default(),
        before: Vec::new(),
        place,
    };
    match value {
        None => {}
        Some(value) if value.is_null() => {}
        Some(value) if matches!(value.value, Value::Map(_)) => {
            long_form(cx, kind, value, &mut pattern)?;
        }
        Some(value) => pattern.kind = short_form(cx, kind, value)?,
    }
    warn_slow(cx, &pattern, span);
    Some(pattern)
}

fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.word() == word)
}

fn unknown(cx: &mut Context<'_>, word: &str, span: Span) {
    let known = Kind::ALL.map(Kind::word);
    if LATER.contains(&word) {
        let instead = format!("what works now: {}", known.join(", "));
        cx.later(span, &format!("the pattern `{word}`"), &instead);
        return;
    }
    let near = suggest::nearest(
        word,
        known
            .iter()
            .chain(&LATER)
            .copied()
            .chain(PROFILES.map(|(word, _)| word)),
    );
    let error = Diagnostic::error(
        Diagnosis::UnknownPattern,
        format!("unknown pattern `{word}`"),
    );
    cx.say(match (suggest::pattern(word), near) {
        (Some(help), _) => error.at(span, "no such pattern").help(help),
        (None, Some(near)) => error
            .at(span, format!("did you mean `{near}`?"))
            .help(format!("patterns are {}", known.join(", "))),
        (None, None) => error
            .at(span, "no such pattern")
            .help(format!("patterns are {}", known.join(", "))),
    });
}

fn short_form(cx: &mut Context<'_>, kind: Kind, node: &Node) -> Option<PatternKind> {
    match (kind, default_kind(kind)) {
        (_, PatternKind::Replay { gap, .. }) => {
            attempts(cx, node, 2).map(|attempts| PatternKind::Replay { attempts, gap })
        }
        (
            _,
            PatternKind::Burst {
                keys,
                hold,
                connections,
                ..
            },
        ) => attempts(cx, node, 2).map(|attempts| PatternKind::Burst {
            attempts,
            keys,
            hold,
            connections,
        }),
        (_, PatternKind::Stagger { attempts, .. }) => {
            when(cx, node).map(|gap| PatternKind::Stagger { attempts, gap })
        }
        (_, PatternKind::Timeout { .. }) => {
            several(cx, node, when).map(|after| PatternKind::Timeout { after })
        }
        (_, PatternKind::CutRequest { end, .. }) => {
            several(cx, node, cut_point).map(|at| PatternKind::CutRequest { at, end })
        }
        (_, PatternKind::CutResponse { end, .. }) => {
            several(cx, node, answer_point).map(|at| PatternKind::CutResponse { at, end })
        }
        (_, PatternKind::Reset { end, .. }) => {
            reset_after(cx, node).map(|after| PatternKind::Reset { after, end })
        }
        (
            kind,
            PatternKind::DropResponse | PatternKind::ChangedHeaders | PatternKind::Reserialised,
        ) => {
            cx.wrong_type(
                node,
                &format!(
                    "nothing after `{}`, or a map with `name`, `with` or `before`",
                    kind.word()
                ),
            );
            None
        }
    }
}

/// Fields of the long form of each pattern.
pub(crate) fn long_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Replay | Kind::Stagger => &["attempts", "gap", "name", "with", "before"],
        Kind::Burst => &[
            "attempts",
            "keys",
            "hold",
            "connections",
            "name",
            "with",
            "before",
        ],
        Kind::Timeout => &["after", "name", "with", "before"],
        Kind::CutRequest | Kind::CutResponse => &["at", "end", "name", "with", "before"],
        Kind::Reset => &["after", "end", "name", "with", "before"],
        Kind::DropResponse | Kind::ChangedHeaders | Kind::Reserialised => {
            &["name", "with", "before"]
        }
    }
}

fn long_form(cx: &mut Context<'_>, kind: Kind, node: &Node, pattern: &mut Pattern) -> Option<()> {
    let fields = cx.fields(node, "a pattern", long_fields(kind))?;
    let read = long_kind(cx, kind, &fields);
    if let Some(entry) = fields.optional("name") {
        let word = cx.text(&entry.node, "a name");
        pattern.name = word.filter(|word| cx.name(word, entry.node.span, Letters::Id));
    }
    let captures = cx.names.captures.clone();
    if let Some(entry) = fields.optional("before") {
        pattern.before = steps(cx, &entry.node, Each::Trial);
    }
    if let Some(entry) = fields.optional("with") {
        pattern.with = with(cx, &entry.node).unwrap_or_default();
    }
    cx.names.captures = captures;
    fields.finish(cx);
    pattern.kind = read?;
    Some(())
}

fn long_kind(cx: &mut Context<'_>, kind: Kind, fields: &Fields<'_>) -> Option<PatternKind> {
    // What is not written keeps its default.
    macro_rules! or_default {
        ($name:literal, $default:expr, $read:expr) => {
            match fields.optional($name) {
                Some(entry) => $read(&mut *cx, &entry.node),
                None => Some($default),
            }
        };
    }
    match default_kind(kind) {
        PatternKind::Replay {
            attempts: default,
            gap,
        } => {
            let attempts = or_default!("attempts", default, |cx: &mut Context<'_>, node| attempts(
                cx, node, 2
            ));
            let gap = or_default!("gap", gap, |cx: &mut Context<'_>, node| cx.duration(node));
            Some(PatternKind::Replay {
                attempts: attempts?,
                gap: gap?,
            })
        }
        PatternKind::Burst {
            attempts: default,
            keys,
            hold,
            connections: over,
        } => {
            let attempts = or_default!("attempts", default, |cx: &mut Context<'_>, node| attempts(
                cx, node, 1
            ));
            let keys = or_default!("keys", keys, |cx: &mut Context<'_>, node| cx
                .small_integer(node, 1..=1000));
            let hold = or_default!("hold", hold, hold_point);
            let connections = or_default!("connections", over, connections);
            let (attempts, keys) = (attempts?, keys?);
            if attempts * keys < 2 || attempts * keys > 1000 {
                cx.say(
                    Diagnostic::error(
                        Diagnosis::InvalidValue,
                        format!("a burst of {}", attempts * keys),
                    )
                    .at(
                        fields.span,
                        "2 to 1000 attempts in one release were expected",
                    ),
                );
                return None;
            }
            Some(PatternKind::Burst {
                attempts,
                keys,
                hold: hold?,
                connections: connections?,
            })
        }
        PatternKind::Stagger {
            attempts: default,
            gap,
        } => {
            let attempts = or_default!("attempts", default, |cx: &mut Context<'_>, node| attempts(
                cx, node, 2
            ));
            let gap = or_default!("gap", gap, when);
            Some(PatternKind::Stagger {
                attempts: attempts?,
                gap: gap?,
            })
        }
        PatternKind::Timeout { after } => {
            let after = or_default!("after", after, |cx: &mut Context<'_>, node| several(
                cx, node, when
            ));
            Some(PatternKind::Timeout { after: after? })
        }
        PatternKind::CutRequest { at, end } => {
            let at = or_default!("at", at, |cx: &mut Context<'_>, node| several(
                cx, node, cut_point
            ));
            let end = or_default!("end", end, ending);
            let (at, end) = (at?, end?);
            if let Some(entry) = fields.optional("end")
                && at.iter().all(|point| *point == CutPoint::Connect)
            {
                cx.say(
                    Diagnostic::error(Diagnosis::ConflictingFields, "`end` beside `at: connect`")
                        .at(entry.span, "before a connection there is nothing to end")
                        .help("leave `end` out, or cut at `first_byte`"),
                );
                return None;
            }
            Some(PatternKind::CutRequest { at, end })
        }
        PatternKind::CutResponse { at, end } => {
            let at = or_default!("at", at, |cx: &mut Context<'_>, node| several(
                cx,
                node,
                answer_point
            ));
            let end = or_default!("end", end, ending);
            Some(PatternKind::CutResponse { at: at?, end: end? })
        }
        PatternKind::Reset { after, end } => {
            let after = or_default!("after", after, reset_after);
            let end = or_default!("end", end, ending);
            Some(PatternKind::Reset {
                after: after?,
                end: end?,
            })
        }
        kind @ (PatternKind::DropResponse
        | PatternKind::ChangedHeaders
        | PatternKind::Reserialised) => Some(kind),
    }
}

fn attempts(cx: &mut Context<'_>, node: &Node, least: u32) -> Option<u32> {
    cx.small_integer(node, least..=1000)
}

fn hold_point(cx: &mut Context<'_>, node: &Node) -> Option<HoldPoint> {
    cx.word(
        node,
        "a part that can be held back",
        &[
            ("head", HoldPoint::Head),
            ("last_byte", HoldPoint::LastByte),
            ("all", HoldPoint::All),
        ],
    )
}

fn ending(cx: &mut Context<'_>, node: &Node) -> Option<Ending> {
    cx.word(
        node,
        "a way to end a connection",
        &[
            ("rst", Ending::Rst),
            ("fin", Ending::Fin),
            ("half_close", Ending::HalfClose),
            ("silence", Ending::Silence),
        ],
    )
}

fn connections(cx: &mut Context<'_>, node: &Node) -> Option<Connections> {
    if node.text() == Some("each") {
        return Some(Connections::Each);
    }
    cx.small_integer(node, 1..=1000).map(Connections::Shared)
}

/// Over HTTP/1.1 no two attempts of a burst can share a connection.
fn check_connections(cx: &mut Context<'_>, item: &Node, kind: &PatternKind) {
    let PatternKind::Burst {
        attempts,
        keys,
        connections: Connections::Shared(shared),
        ..
    } = kind
    else {
        return;
    };
    let written = item
        .field("burst")
        .and_then(|node| node.field("connections"));
    if let (Some(written), true) = (written, *shared < attempts * keys) {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                format!("{} attempts over {shared} connections", attempts * keys),
            )
            .at(
                written.span,
                "over HTTP/1.1 each attempt has its own connection",
            )
            .help("write `target: {http: 2}` (or --http 2), or leave `connections` out"),
        );
    }
}

/// One value or a list of them, taken in turn.
fn several<T>(
    cx: &mut Context<'_>,
    node: &Node,
    read: fn(&mut Context<'_>, &Node) -> Option<T>,
) -> Option<Vec<T>> {
    let items = node.items();
    if items.is_empty() {
        cx.wrong_type(node, "at least one value");
        return None;
    }
    let values: Vec<Option<T>> = items.into_iter().map(|item| read(cx, item)).collect();
    values.into_iter().collect()
}

/// `200ms` or `50%` (of H).
fn when(cx: &mut Context<'_>, node: &Node) -> Option<When> {
    let text = cx.text(node, "a time such as 200ms, or a share of H such as 50%")?;
    parse_when(cx, node, &text)
}

fn parse_when(cx: &mut Context<'_>, node: &Node, text: &str) -> Option<When> {
    let read = if text.trim_end().ends_with('%') {
        units::millionths(text.trim()).map(When::ShareOfH)
    } else {
        units::duration(text).map(When::After)
    };
    match read {
        Ok(when) => Some(when),
        Err(expected) => {
            cx.say_unit(
                Diagnosis::InvalidDuration,
                node.span,
                text,
                "a time",
                &expected,
                "write a time such as `200ms`, or a share of H such as `50%`",
            );
            None
        }
    }
}

fn reset_after(cx: &mut Context<'_>, node: &Node) -> Option<ResetAfter> {
    let text = cx.text(
        node,
        "`request_sent`, `answered`, a time such as 30ms, or a share of H such as 25%",
    )?;
    match text.as_str() {
        "request_sent" => Some(ResetAfter::RequestSent),
        "answered" => Some(ResetAfter::Answered),
        "sweep" => Some(ResetAfter::Sweep),
        word if word.starts_with(|first: char| first.is_ascii_digit()) => {
            parse_when(cx, node, word).map(ResetAfter::At)
        }
        word => {
            cx.unknown_word(
                node.span,
                word,
                "a moment",
                &["request_sent", "answered", "sweep"],
            );
            if let Some(last) = cx.out.last_mut() {
                last.helps
                    .push("or a time such as `30ms`, or a share of H such as `25%`".to_owned());
            }
            None
        }
    }
}

/// A place in a request: `connect`, `first_byte`, `head`, `head 25%`, `headers`,
/// `50%`, `body 20B`, `120B`, `-1`.
fn cut_point(cx: &mut Context<'_>, node: &Node) -> Option<CutPoint> {
    let text = cx.text(
        node,
        "a place in the request such as `headers`, a share of the body such as 50%, or bytes \
         before the end such as -1",
    )?;
    let words = [
        ("connect", CutPoint::Connect),
        ("first_byte", CutPoint::FirstByte),
        ("head", CutPoint::Head(50)),
        ("headers", CutPoint::Headers),
    ];
    let point = named(&text, &words).or_else(|| {
        if let Some(share) = text.strip_prefix("head ") {
            return percent(share)
                .filter(|share| *share > 0)
                .map(CutPoint::Head);
        }
        if let Some(bytes) = text.strip_prefix("body ") {
            return some_bytes(bytes).map(CutPoint::Body);
        }
        percent(&text)
            .map(CutPoint::Percent)
            .or_else(|| some_bytes(&text).map(CutPoint::Bytes))
            .or_else(|| before_end(&text).map(CutPoint::BeforeEnd))
    });
    if point.is_none() {
        no_place(
            cx,
            node.span,
            &text,
            &words.map(|(word, _)| word),
            "write `connect`, `first_byte`, `head` or `head 25%`, `headers`, `50%` or `body 20B`, \
             `120B`, or `-1`",
        );
    }
    point
}

/// A place in an answer: `20B`, `status_line`, `headers`, `50%`, `-1`, `whole`.
fn answer_point(cx: &mut Context<'_>, node: &Node) -> Option<AnswerPoint> {
    let text = cx.text(
        node,
        "a place in the answer such as `headers`, a share of the body such as 50%, or bytes \
         before the end such as -1",
    )?;
    let words = [
        ("status_line", AnswerPoint::StatusLine),
        ("headers", AnswerPoint::Headers),
        ("whole", AnswerPoint::Whole),
    ];
    let point = named(&text, &words)
        .or_else(|| percent(&text).map(AnswerPoint::Percent))
        .or_else(|| some_bytes(&text).map(AnswerPoint::Bytes))
        .or_else(|| before_end(&text).map(AnswerPoint::BeforeEnd));
    if point.is_none() {
        no_place(
            cx,
            node.span,
            &text,
            &words.map(|(word, _)| word),
            "write `20B`, `status_line`, `headers`, `50%`, `-1` or `whole`",
        );
    }
    point
}

fn named<T: Copy>(text: &str, words: &[(&str, T)]) -> Option<T> {
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, point)| *point)
}

/// A whole share below 100 %.
fn percent(text: &str) -> Option<u8> {
    let ppm = units::millionths(text.trim()).ok()?;
    u8::try_from(ppm / 10_000)
        .ok()
        .filter(|percent| ppm % 10_000 == 0 && *percent < 100)
}

/// A size with its unit, at least one byte.
fn some_bytes(text: &str) -> Option<u32> {
    let with_unit = text.ends_with('B');
    let bytes = units::size(text.trim()).ok().filter(|_| with_unit)?;
    u32::try_from(bytes).ok().filter(|bytes| *bytes > 0)
}

/// Bytes counted from the end.
fn before_end(text: &str) -> Option<u32> {
    let bytes: u32 = text.strip_prefix('-')?.parse().ok()?;
    (bytes > 0).then_some(bytes)
}

fn no_place(cx: &mut Context<'_>, span: Span, text: &str, words: &[&str], help: &str) {
    let label = suggest::nearest(text, words.iter().copied()).map_or_else(
        || {
            "a word, a whole share of the body below 100%, bytes such as `20B`, or `-1` was \
             expected"
                .to_owned()
        },
        |near| format!("did you mean `{near}`?"),
    );
    cx.say(
        Diagnostic::error(
            Diagnosis::InvalidValue,
            format!("`{text}` is not a place in a message"),
        )
        .at(span, label)
        .help(help),
    );
}

/// Reads `with:`; `json` is merged deeply, `null` removes a member.
fn with(cx: &mut Context<'_>, node: &Node) -> Option<With> {
    cx.names.words = IN_OPERATION;
    let fields = cx.fields(node, "`with`", &["json", "headers", "query", "auth"])?;
    let json = fields
        .optional("json")
        .and_then(|entry| cx.json(&entry.node));
    let headers = fields
        .optional("headers")
        .and_then(|entry| headers(cx, &entry.node));
    let auth = fields
        .optional("auth")
        .and_then(|entry| auth::decode(cx, &entry.node));
    let mut query = Vec::new();
    if let Some(entry) = fields.optional("query") {
        for parameter in cx.entries(&entry.node, "a map, one text for each parameter") {
            let value = cx.template(&parameter.node, "a text", Escape::None, Of::Request);
            query.extend(value.map(|value| (parameter.name.clone(), value)));
        }
    }
    fields.finish(cx);
    Some(With {
        json,
        headers: headers.unwrap_or_default(),
        query,
        auth,
    })
}

/// Waits of the pattern's own that are long enough to be told.
const SLOW: Duration = Duration::from_secs(5);

fn warn_slow(cx: &mut Context<'_>, pattern: &Pattern, span: Span) {
    let absolute = |when: &When| match when {
        When::After(duration) => *duration,
        When::ShareOfH(_) | When::Sweep => Duration::ZERO,
    };
    let wait = match &pattern.kind {
        PatternKind::Replay { attempts, gap } => gap.saturating_mul(attempts - 1),
        PatternKind::Stagger { attempts, gap } => absolute(gap).saturating_mul(attempts - 1),
        PatternKind::Timeout { after } => after.iter().map(absolute).max().unwrap_or_default(),
        PatternKind::Reset {
            after: ResetAfter::At(when),
            ..
        } => absolute(when),
        PatternKind::Burst { .. }
        | PatternKind::DropResponse
        | PatternKind::CutRequest { .. }
        | PatternKind::CutResponse { .. }
        | PatternKind::Reset { .. }
        | PatternKind::ChangedHeaders
        | PatternKind::Reserialised => Duration::ZERO,
    };
    if wait >= SLOW {
        cx.say(
            Diagnostic::warning(
                Diagnosis::SlowCase,
                format!("each trial of this case waits {} s", wait.as_secs()),
            )
            .at(span, "")
            .help("shorten it, or lower `budget.trials`"),
        );
    }
}
