//! Credentials: by the name of a project entry, or as a map. Whatever these
//! templates render to is a secret, so the environment stays a reference.

use super::leaf::Of;
use super::request::header_name;
use super::{Context, listed};
use crate::codes::Diagnosis;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::node::{Node, Value};
use crate::scenario::parts::Auth;
use crate::scenario::suggest;
use crate::scenario::template::{Escape, Template};

const KINDS: &[&str] = &["bearer", "basic", "header", "oauth2"];

/// Reads `auth:`.
pub(crate) fn decode(cx: &mut Context<'_>, node: &Node) -> Option<Auth> {
    match &node.value {
        Value::Map(_) => decode_entry(cx, node),
        Value::Scalar(_) | Value::List(_) => {
            let name = cx.text(
                node,
                "the name of an `auth:` entry of retrial.yaml, or a map such as `{bearer: …}`",
            )?;
            if name == "none" {
                return Some(Auth::None);
            }
            let entries = cx.auth_entries;
            if let Some(entry) = entries.get(&name) {
                return decode_entry(cx, entry);
            }
            say_unknown(cx, node, &name);
            None
        }
    }
}

fn say_unknown(cx: &mut Context<'_>, node: &Node, name: &str) {
    let known: Vec<&str> = cx.auth_entries.keys().map(String::as_str).collect();
    let label = suggest::nearest(name, known.iter().copied())
        .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
    let help = if known.is_empty() {
        "retrial.yaml has no `auth:` entries; add one, or write `{bearer: …}` here".to_owned()
    } else {
        format!("entries of `auth:` in retrial.yaml: {}", listed(&known))
    };
    cx.say(
        Diagnostic::error(
            Diagnosis::UnknownAuth,
            format!("there is no auth entry `{name}`"),
        )
        .at(node.span, label)
        .help(help),
    );
}

/// Reads one entry: `{bearer}`, `{basic}` or `{header}`.
pub(crate) fn decode_entry(cx: &mut Context<'_>, node: &Node) -> Option<Auth> {
    let fields = cx.fields(node, "an auth entry", KINDS)?;
    let kind = fields.one_of(cx, KINDS);
    let auth = match kind.map(|entry| (entry.name.as_str(), &entry.node)) {
        Some(("bearer", token)) => value(cx, token).map(Auth::Bearer),
        Some(("basic", pair)) => basic(cx, pair),
        Some(("header", pair)) => header(cx, pair),
        Some(_) => {
            fields.later(
                cx,
                "oauth2",
                "fetch a token beforehand and write `{bearer: \"${{ env.TOKEN }}\"}`",
            );
            None
        }
        None => {
            cx.say(
                Diagnostic::error(Diagnosis::MissingField, "an auth entry of no kind")
                    .at(node.span, "")
                    .help(format!("write {}", listed(&KINDS[..3]))),
            );
            None
        }
    };
    fields.finish(cx);
    auth
}

fn basic(cx: &mut Context<'_>, node: &Node) -> Option<Auth> {
    let fields = cx.fields(node, "`basic`", &["user", "password"])?;
    let help = "write `{basic: {user: …, password: …}}`";
    let user = fields.required(cx, "user", help);
    let password = fields.required(cx, "password", help);
    fields.finish(cx);
    let user = value(cx, &user?.node);
    let password = value(cx, &password?.node);
    Some(Auth::Basic {
        user: user?,
        password: password?,
    })
}

fn header(cx: &mut Context<'_>, node: &Node) -> Option<Auth> {
    let fields = cx.fields(node, "`header`", &["name", "value"])?;
    let help = "write `{header: {name: X-Api-Key, value: …}}`";
    let name = fields.required(cx, "name", help);
    let content = fields.required(cx, "value", help);
    fields.finish(cx);
    let name = name.and_then(|entry| {
        let name = cx.text(&entry.node, "the name of a header")?;
        header_name(cx, &name, entry.node.span).then_some(name)
    });
    let content = value(cx, &content?.node);
    Some(Auth::Header {
        name: name?,
        value: content?,
    })
}

/// A text, or `{env: NAME}` for `${{ env.NAME }}`.
fn value(cx: &mut Context<'_>, node: &Node) -> Option<Template> {
    let Value::Map(_) = &node.value else {
        return cx.template(node, "a text, or `{env: NAME}`", Escape::None, Of::Auth);
    };
    let fields = cx.fields(node, "a secret value", &["env"])?;
    let name = fields.required(
        cx,
        "env",
        "write `{env: NAME}`, the name of an environment variable",
    );
    fields.finish(cx);
    let node = &name?.node;
    let name = cx.text(node, "the name of an environment variable")?;
    if !cx.names.env.contains(&name) {
        cx.say_unset(&name, node.span);
    }
    Some(Template(format!("${{{{ env.{name} }}}}")))
}
