//! Putting the values of a matrix row into what is the same for all rows.

use super::With;
use super::parts::{Auth, Body, KeyPlace, PartContent, Request, Step};
use super::template::{Escape, RenderError, Scope};

impl With {
    /// Puts what a scope knows in place; what cannot be put there stays as
    /// written and is said when it is sent.
    pub(super) fn resolve(&mut self, scope: &Scope) {
        if let Some(json) = &mut self.json {
            keep(json.resolve(scope), json);
        }
        for (_, value) in self.headers.iter_mut().chain(&mut self.query) {
            keep(value.resolve(scope, Escape::None), value);
        }
        if let Some(auth) = &mut self.auth {
            auth.resolve(scope);
        }
    }
}

impl Auth {
    fn resolve(&mut self, scope: &Scope) {
        match self {
            Self::Bearer(value) | Self::Header { value, .. } => {
                keep(value.resolve(scope, Escape::None), value);
            }
            Self::Basic { user, password } => {
                keep(user.resolve(scope, Escape::None), user);
                keep(password.resolve(scope, Escape::None), password);
            }
            Self::None => {}
        }
    }
}

impl Step {
    /// As [`With::resolve`].
    pub(super) fn resolve(&mut self, scope: &Scope) {
        self.request.resolve(scope);
        if self.key.place != KeyPlace::None
            && let Some(value) = &mut self.key.value
        {
            keep(value.resolve(scope, Escape::None), value);
        }
        if let Some(expect) = &mut self.expect {
            for (_, value) in &mut expect.json {
                keep(value.resolve(scope), value);
            }
        }
    }
}

impl Request {
    fn resolve(&mut self, scope: &Scope) {
        keep(self.path.resolve(scope, Escape::UrlPart), &mut self.path);
        for (_, value) in self.query.iter_mut().chain(&mut self.headers) {
            keep(value.resolve(scope, Escape::None), value);
        }
        match &mut self.body {
            Body::None => {}
            Body::Json(json) => keep(json.resolve(scope), json),
            Body::Form(pairs) => {
                for (_, value) in pairs {
                    keep(value.resolve(scope, Escape::None), value);
                }
            }
            Body::Multipart(parts) => {
                for part in parts {
                    if let PartContent::Text(text) = &mut part.content {
                        keep(text.resolve(scope, Escape::None), text);
                    }
                }
            }
            Body::Text(text) => keep(text.resolve(scope, Escape::None), text),
        }
        if let Some(auth) = &mut self.auth {
            auth.resolve(scope);
        }
    }
}

fn keep<T>(read: Result<T, RenderError>, place: &mut T) {
    if let Ok(value) = read {
        *place = value;
    }
}
