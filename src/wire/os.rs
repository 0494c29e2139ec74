//! The few system calls that have no safe wrapper, each with its fallback.
//!
//! This is the only file of the crate that may say `unsafe`. Everything here answers "unknown" where the platform cannot tell, and nothing may rely on more than that.

#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;

use tokio::net::TcpStream;

/// Flags of every `send`: a peer that is gone must give an error, never a signal that ends the process.
#[cfg(target_os = "linux")]
pub(super) const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// Flags of every `send`, where the runtime of Rust alone keeps the signal away.
#[cfg(not(target_os = "linux"))]
pub(super) const SEND_FLAGS: i32 = 0;

/// Bytes that were written to the socket and are not acknowledged by the peer's kernel; `None` where that cannot be asked.
pub(super) fn unacknowledged(socket: &TcpStream) -> Option<usize> {
    #[cfg(target_os = "linux")]
    return queue_length(socket, libc::TIOCOUTQ);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        None
    }
}

/// Bytes that were written to the socket and have not left it once; `None` where that cannot be asked.
pub(super) fn unsent(socket: &TcpStream) -> Option<usize> {
    /// `SIOCOUTQNSD` of `linux/sockios.h`, the same on every architecture; the `libc` crate does not name it.
    #[cfg(target_os = "linux")]
    const SIOCOUTQNSD: libc::Ioctl = 0x894B;
    #[cfg(target_os = "linux")]
    return queue_length(socket, SIOCOUTQNSD);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = socket;
        None
    }
}

#[cfg(target_os = "linux")]
fn queue_length(socket: &TcpStream, request: libc::Ioctl) -> Option<usize> {
    let mut length: libc::c_int = 0;
    #[expect(
        unsafe_code,
        reason = "there is no safe wrapper; the descriptor is open because it is borrowed, and the kernel writes one int"
    )]
    // SAFETY: `socket` keeps the descriptor open for the call, and both requests write exactly one `int` to `length`, which outlives the call.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut length) };
    if status == 0 {
        usize::try_from(length).ok()
    } else {
        None
    }
}

/// Asks for real-time priority for the calling thread, and says whether it was given.
///
/// The lowest real-time priority is enough: it goes before every ordinary thread. Threads and processes started from here do not inherit it.
pub(super) fn request_realtime() -> bool {
    #[cfg(target_os = "linux")]
    {
        let parameters = libc::sched_param { sched_priority: 1 };
        #[expect(
            unsafe_code,
            reason = "there is no safe wrapper; thread 0 is the caller"
        )]
        // SAFETY: the pointer is valid for the call and the kernel only reads it; 0 names the calling thread.
        let status = unsafe {
            libc::sched_setscheduler(
                0,
                libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
                &raw const parameters,
            )
        };
        status == 0
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Asks the kernel not to round the sleeps of the calling thread up (it does so by 50 µs otherwise); without effect where there is no such thing.
pub(super) fn sleep_precisely() {
    #[cfg(target_os = "linux")]
    {
        #[expect(unsafe_code, reason = "there is no safe wrapper; no pointer is passed")]
        // SAFETY: `PR_SET_TIMERSLACK` takes a number of nanoseconds and touches no memory of ours.
        let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
    }
}

/// A handle of a process that stays with it, whoever gets its number later.
#[derive(Debug)]
pub(super) struct ProcessHandle(
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "there are no such handles here")
    )]
    std::os::fd::OwnedFd,
);

/// What a process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// Nothing: only whether it could be told is of interest.
    Nothing,
    /// To stand still.
    Stop,
    /// To go on.
    GoOn,
}

/// Takes hold of a process.
///
/// # Errors
///
/// When there is none with that number, or the system has no such handles.
pub(super) fn open_process(id: u32) -> std::io::Result<ProcessHandle> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::{FromRawFd as _, OwnedFd};
        let id = libc::pid_t::try_from(id).map_err(|_| std::io::ErrorKind::NotFound)?;
        #[expect(
            unsafe_code,
            reason = "there is no safe wrapper; no pointer is passed, and the descriptor that comes back is nobody else's"
        )]
        // SAFETY: `pidfd_open` takes two numbers; what it returns, if it is not negative, is a new descriptor that only this value owns.
        let handle = unsafe {
            let raw = libc::syscall(libc::SYS_pidfd_open, id, 0);
            let raw = i32::try_from(raw).map_err(|_| std::io::ErrorKind::Other)?;
            if raw < 0 {
                return Err(std::io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(raw)
        };
        Ok(ProcessHandle(handle))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = id;
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

/// Sends a signal to a process.
///
/// # Errors
///
/// When it is gone or may not be told.
pub(super) fn signal_process(process: &ProcessHandle, signal: Signal) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let number = match signal {
            Signal::Nothing => 0,
            Signal::Stop => libc::SIGSTOP,
            Signal::GoOn => libc::SIGCONT,
        };
        let nothing = std::ptr::null::<libc::siginfo_t>();
        #[expect(
            unsafe_code,
            reason = "there is no safe wrapper; the descriptor is open because it is borrowed, and the pointer may be null"
        )]
        // SAFETY: `pidfd_send_signal` reads nothing through a null `siginfo_t`, and the descriptor is owned by `process`.
        let status = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                process.0.as_raw_fd(),
                number,
                nothing,
                0,
            )
        };
        if status == 0 {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (process, signal);
        Err(std::io::ErrorKind::Unsupported.into())
    }
}
