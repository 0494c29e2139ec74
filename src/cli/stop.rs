//! Ctrl-C and SIGTERM: the first asks a run to finish (stop sending, verify,
//! clean up, report), the second leaves at once.

use super::exit_code::Exit;
use super::terminal::Terminal;
use std::io;
use tokio::sync::watch;

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// What the outside asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Nothing: go on.
    Nothing,
    /// Stop sending, verify, clean up, report.
    Finish(Signal),
    /// Leave now; the record stays.
    Leave(Signal),
}

impl Signal {
    /// What a run ends with that this signal stopped.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }

    /// Its name, as a history has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl Asked {
    fn next(self, signal: Signal) -> Self {
        match self {
            Self::Nothing => Self::Finish(signal),
            Self::Finish(_) | Self::Leave(_) => Self::Leave(signal),
        }
    }
}

/// Listens for signals from now on, inside a runtime.
///
/// # Errors
/// If the system does not let us listen.
pub(crate) fn listen(terminal: &Terminal) -> io::Result<watch::Receiver<Asked>> {
    let mut signals = Signals::new()?;
    let (sender, receiver) = watch::channel(Asked::Nothing);
    let terminal = terminal.clone();
    tokio::spawn(async move {
        loop {
            let signal = signals.next().await;
            let asked = sender.borrow().next(signal);
            if matches!(asked, Asked::Finish(_)) {
                terminal.note(
                    "stopping: nothing more is sent; what was sent is verified and cleaned up \
                     (once more to leave now)\n",
                );
            }
            if sender.send(asked).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Waits until somebody asks to leave at once.
pub(crate) async fn asked_to_leave(mut asked: watch::Receiver<Asked>) -> Signal {
    let leave = asked.wait_for(|asked| matches!(asked, Asked::Leave(_)));
    match leave.await.map(|asked| *asked) {
        Ok(Asked::Leave(signal) | Asked::Finish(signal)) => signal,
        // Nobody listens any more, so nobody can ask.
        Ok(Asked::Nothing) | Err(_) => std::future::pending().await,
    }
}

/// Waits until somebody asks to stop, in whichever way.
pub(crate) async fn asked_to_stop(mut asked: watch::Receiver<Asked>) {
    if asked
        .wait_for(|asked| *asked != Asked::Nothing)
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
            terminate: tokio::signal::windows::ctrl_shutdown()?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_finishes_and_the_second_leaves() {
        let first = Asked::Nothing.next(Signal::Interrupt);
        assert_eq!(first, Asked::Finish(Signal::Interrupt));
        let second = first.next(Signal::Terminate);
        assert_eq!(second, Asked::Leave(Signal::Terminate));
        assert_eq!(Signal::Terminate.exit().code(), 143);
        assert_eq!(Signal::Interrupt.exit().code(), 130);
    }
}
