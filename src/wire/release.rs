//! One long-lived thread that does things to gates at precise instants, in a given order.
//!
//! One, because each release would otherwise cost a wake-up, and because several spinning threads starve the server that they race against. It sleeps until shortly before an instant and spins the rest; where only the order of a release counts, and not its instant, it does not spin at all.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use spin_sleep::SpinSleeper;
use tokio::sync::oneshot;

use super::end::{Ended, Ending};
use super::gate::{FireError, Fired, FollowUpAction, Gate};
use super::os;
use super::standstill::{Process, Standing};
use super::tap::Epoch;

/// So much of a wait is spun at most. More would take a core from the server.
const SPIN: Duration = Duration::from_micros(200);

/// So soon a reset is tried again that waits for bytes on their way.
const RESET_AGAIN: Duration = Duration::from_micros(20);

/// What is done to a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Release what it holds.
    Fire,
    /// End its connection. A reset waits until it cannot destroy bytes on their way, for a bounded time.
    End(Ending),
    /// Note that the simulated client stops waiting.
    StopWaiting,
}

impl From<FollowUpAction> for Action {
    fn from(action: FollowUpAction) -> Self {
        match action {
            FollowUpAction::End(ending) => Self::End(ending),
            FollowUpAction::StopWaiting => Self::StopWaiting,
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone)]
pub struct Step {
    /// When, from the common start of the volley.
    pub offset: Duration,
    /// To which gate.
    pub gate: Gate,
    /// What.
    pub action: Action,
}

/// Things to do from one common start. Steps of one offset are done in the order given, back to back.
#[derive(Debug, Clone)]
pub struct Volley {
    /// The pause before the common start: see [`Gate::settle`].
    pub settle: Duration,
    /// The steps, in any order of offsets.
    pub steps: Vec<Step>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was to release.
    Fired(Result<Fired, FireError>),
    /// It was to end; `None` if the connection was closed before.
    Ended(Option<Ended>),
    /// The client stopped waiting at this instant (or before: the first one counts).
    StoppedWaiting(u64),
}

/// What became of a volley.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The common start that was aimed at, in nanoseconds since the epoch.
    pub start: u64,
    /// One for each step, in the order in which they were handed in.
    pub steps: Vec<Done>,
    /// Whether the processes that the releaser holds all stood still meanwhile; `false` where it holds none.
    pub stood_still: bool,
}

impl Released {
    /// From the first release to the last, as begun; `None` if fewer than two were made.
    pub fn spread(&self) -> Option<Duration> {
        let began = || {
            self.steps.iter().filter_map(|done| match done {
                Done::Fired(Ok(fired)) => Some(fired.began),
                _ => None,
            })
        };
        if began().count() < 2 {
            return None;
        }
        Some(Duration::from_nanos(began().max()? - began().min()?))
    }

    /// How many releases were made, and the bytes of the largest: each of them was one write where the kernel took it whole.
    pub fn writes(&self) -> (usize, usize) {
        let fired = || {
            self.steps.iter().filter_map(|done| match done {
                Done::Fired(Ok(fired)) => Some(fired.sent + fired.left),
                _ => None,
            })
        };
        (fired().count(), fired().max().unwrap_or(0))
    }

    /// Whether every release was made, and whole.
    pub fn is_whole(&self) -> bool {
        self.steps.iter().all(|done| match done {
            Done::Fired(fired) => fired.is_ok_and(Fired::is_whole),
            Done::Ended(_) | Done::StoppedWaiting(_) => true,
        })
    }
}

/// The handle of the thread. The thread ends when the last handle is gone and everything due was done.
#[derive(Debug, Clone)]
pub struct Releaser {
    orders: mpsc::Sender<Order>,
    epoch: Epoch,
    realtime: bool,
}

enum Order {
    Volley {
        volley: Volley,
        report: oneshot::Sender<Released>,
    },
    Single {
        at: u64,
        gate: Gate,
        action: Action,
    },
}

impl Releaser {
    /// Starts the thread. It asks for real-time priority and goes on without where that is refused.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(epoch: Epoch) -> io::Result<Self> {
        Self::start_holding(epoch, Vec::new())
    }

    /// The same; the thread stops these processes around every common release of several gates.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start_holding(epoch: Epoch, processes: Vec<Process>) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        std::thread::Builder::new()
            .name("releaser".to_owned())
            .spawn(move || {
                let realtime = os::request_realtime();
                os::sleep_precisely();
                // The starter waits for this; it can only be gone if it panicked.
                let _ = ready.send(realtime);
                Schedule::new(epoch, processes).run(&inbox);
            })?;
        let realtime = started.recv().unwrap_or(false);
        Ok(Self {
            orders,
            epoch,
            realtime,
        })
    }

    /// Whether the thread got real-time priority.
    pub fn is_realtime(&self) -> bool {
        self.realtime
    }

    /// The clock of its instants.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Hands a volley to the thread, which starts it at once. The receiver gets its report when the last step is done.
    pub fn release(&self, volley: Volley) -> oneshot::Receiver<Released> {
        let (report, released) = oneshot::channel();
        // The thread lives as long as a handle does, and this is one.
        let _ = self.orders.send(Order::Volley { volley, report });
        released
    }

    /// Releases one gate on the calling thread, and sees to what is to follow.
    ///
    /// # Errors
    ///
    /// As [`Gate::fire`].
    pub fn fire_now(&self, gate: &Gate) -> Result<Fired, FireError> {
        let fired = gate.fire()?;
        self.follow(gate, fired.began);
        Ok(fired)
    }

    /// Sees to the follow-up of a gate whose last byte left at `last_out`. For messages that were never held.
    pub fn follow(&self, gate: &Gate, last_out: u64) {
        let Some(follow_up) = gate.take_follow_up() else {
            return;
        };
        match follow_up.action {
            // The way through the thread would only make it late.
            FollowUpAction::End(ending)
                if follow_up.after.is_zero() && (ending != Ending::Rst || gate.may_reset()) =>
            {
                gate.end(ending);
            }
            action => self.at(after(last_out, follow_up.after), gate, action.into()),
        }
    }

    /// Does one thing at one instant, in nanoseconds since the epoch.
    pub fn at(&self, at: u64, gate: &Gate, action: Action) {
        let _ = self.orders.send(Order::Single {
            at,
            gate: gate.clone(),
            action,
        });
    }
}

fn after(at: u64, delay: Duration) -> u64 {
    at.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX))
}

struct Job {
    gate: Gate,
    action: Action,
    /// Which step of which volley this is.
    place: Option<(u64, usize)>,
    /// Whether its instant counts to the microsecond.
    precise: bool,
    /// Until when a reset may be put off; set when it first is.
    reset_by: Option<u64>,
}

struct Pending {
    start: u64,
    steps: Vec<Option<Done>>,
    open: usize,
    /// Whether processes are to stand still meanwhile, and whether they did.
    hold: bool,
    stood_still: bool,
    report: oneshot::Sender<Released>,
}

/// What the thread has to do, ordered by instant and then by the order in which it came.
struct Schedule {
    epoch: Epoch,
    processes: Vec<Process>,
    jobs: BTreeMap<(u64, u64), Job>,
    pending: HashMap<u64, Pending>,
    sequence: u64,
    volleys: u64,
}

impl Schedule {
    fn new(epoch: Epoch, processes: Vec<Process>) -> Self {
        Self {
            epoch,
            processes,
            jobs: BTreeMap::new(),
            pending: HashMap::new(),
            sequence: 0,
            volleys: 0,
        }
    }

    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        loop {
            match inbox.try_recv() {
                Ok(order) => {
                    self.accept(order);
                    continue;
                }
                Err(TryRecvError::Disconnected) if self.jobs.is_empty() => return,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            let next = self.jobs.first_key_value();
            let Some((due, precise)) = next.map(|(key, job)| (key.0, job.precise)) else {
                match inbox.recv() {
                    Ok(order) => self.accept(order),
                    Err(mpsc::RecvError) => return,
                }
                continue;
            };
            let wait = Duration::from_nanos(due.saturating_sub(self.epoch.now_ns()));
            let spun = if precise { SPIN } else { Duration::ZERO };
            if let Some(sleep) = wait.checked_sub(spun).filter(|sleep| !sleep.is_zero()) {
                match inbox.recv_timeout(sleep) {
                    Ok(order) => self.accept(order),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => std::thread::sleep(sleep),
                }
                continue;
            }
            let spin = u32::try_from(SPIN.as_nanos()).unwrap_or(u32::MAX);
            SpinSleeper::new(spin).sleep(wait);
            self.run_due(due);
        }
    }

    fn accept(&mut self, order: Order) {
        match order {
            Order::Single { at, gate, action } => {
                self.push(
                    at,
                    Job {
                        gate,
                        action,
                        place: None,
                        precise: true,
                        reset_by: None,
                    },
                );
            }
            Order::Volley { volley, report } => {
                let start = after(self.epoch.now_ns(), volley.settle);
                let id = self.volleys;
                self.volleys += 1;
                let open = volley.steps.len();
                // Of steps that all belong to the start only their order counts.
                let precise = volley.steps.iter().any(|step| !step.offset.is_zero());
                self.pending.insert(
                    id,
                    Pending {
                        start,
                        steps: vec![None; open],
                        open,
                        hold: !precise && open > 1 && !self.processes.is_empty(),
                        stood_still: false,
                        report,
                    },
                );
                for (index, step) in volley.steps.into_iter().enumerate() {
                    let job = Job {
                        gate: step.gate,
                        action: step.action,
                        place: Some((id, index)),
                        precise,
                        reset_by: None,
                    };
                    self.push(after(start, step.offset), job);
                }
                self.report_if_done(id);
            }
        }
    }

    fn push(&mut self, at: u64, job: Job) {
        self.jobs.insert((at, self.sequence), job);
        self.sequence += 1;
    }

    /// Does everything that is due at `due`, back to back.
    fn run_due(&mut self, due: u64) {
        let held = self
            .jobs
            .first_key_value()
            .and_then(|(_, job)| job.place)
            .map(|(id, _)| id)
            .filter(|id| self.pending.get(id).is_some_and(|pending| pending.hold));
        let Some(id) = held else {
            return self.run_jobs(due);
        };
        let processes = std::mem::take(&mut self.processes);
        {
            let standing = Standing::of(&processes, self.epoch);
            if let Some(pending) = self.pending.get_mut(&id) {
                pending.stood_still = standing.all();
            }
            self.run_jobs(due);
        }
        self.processes = processes;
    }

    fn run_jobs(&mut self, due: u64) {
        while let Some(entry) = self.jobs.first_entry()
            && entry.key().0 <= due
        {
            let job = entry.remove();
            self.run_job(job);
        }
    }

    fn run_job(&mut self, mut job: Job) {
        if job.action == Action::End(Ending::Rst) && !job.gate.may_reset() {
            let now = self.epoch.now_ns();
            let by = *job
                .reset_by
                .get_or_insert_with(|| after(now, job.gate.reset_patience()));
            if now < by {
                self.push(after(now, RESET_AGAIN), job);
                return;
            }
        }
        let done = match job.action {
            Action::Fire => {
                let fired = job.gate.fire();
                if let Ok(fired) = fired
                    && let Some(follow_up) = job.gate.take_follow_up()
                {
                    let action = follow_up.action.into();
                    let gate = job.gate.clone();
                    self.push(
                        after(fired.began, follow_up.after),
                        Job {
                            gate,
                            action,
                            place: None,
                            precise: true,
                            reset_by: None,
                        },
                    );
                }
                Done::Fired(fired)
            }
            Action::End(ending) => Done::Ended(job.gate.end(ending)),
            Action::StopWaiting => Done::StoppedWaiting(job.gate.stop_waiting()),
        };
        if let Some((id, index)) = job.place {
            if let Some(pending) = self.pending.get_mut(&id) {
                pending.steps[index] = Some(done);
                pending.open -= 1;
            }
            self.report_if_done(id);
        }
    }

    fn report_if_done(&mut self, id: u64) {
        if self
            .pending
            .get(&id)
            .is_some_and(|pending| pending.open == 0)
            && let Some(pending) = self.pending.remove(&id)
        {
            let steps = pending.steps.into_iter().flatten().collect();
            // Whoever asked may have stopped waiting for it.
            let _ = pending.report.send(Released {
                start: pending.start,
                steps,
                stood_still: pending.stood_still,
            });
        }
    }
}
