//! [`Report`](crate::report::Report) → bytes. Pure: a renderer opens no file and
//! asks no question. It must not know plan, history or oracle.
