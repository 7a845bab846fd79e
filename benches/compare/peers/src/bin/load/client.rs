//! The loop: one thread, one epoll, connections that take turns.
//!
//! With a pace, a request's time begins when it was due and not when a connection became free, so that
//! a server that stalls is charged for all who would have come meanwhile.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::settings::Settings;

const TIMER: u64 = u64::MAX;
/// How long answers are waited for when the time is over; and until everything that has to be sent was.
const GRACE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_mins(1);
const WAKE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

#[derive(Default)]
pub struct Outcome {
    /// Nanoseconds of every request that was answered.
    pub took: Vec<u64>,
    pub spent: Duration,
    /// Answers other than 2xx.
    pub refused: u64,
    /// Connections that ended while a request was under way.
    pub broken: u64,
    /// Requests that were due, and had no answer in the end.
    pub unanswered: usize,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Since when its request is due; `None`: it is idle.
    since: Option<Instant>,
}

pub struct Client<'a> {
    settings: &'a Settings,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    /// When requests were due that no connection was free for.
    due: VecDeque<Instant>,
    next: usize,
    /// As far as `next` has to come before this run may end.
    owed: usize,
    busy: usize,
    outcome: Outcome,
    buffer: Vec<u8>,
}

impl<'a> Client<'a> {
    pub fn open(settings: &'a Settings) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK);
        let timer = timer.expect("a timer");
        let data = epoll::EventData::new_u64(TIMER);
        epoll::add(&epoll, &timer, data, epoll::EventFlags::IN).expect("epoll");
        let connections = (0..settings.connections).map(|number| Connection {
            stream: connect(settings.address, &epoll, number),
            input: Vec::new(),
            since: None,
        });
        Self {
            settings,
            connections: connections.collect(),
            epoll,
            timer,
            idle: (0..settings.connections).collect(),
            due: VecDeque::new(),
            next: 0,
            owed: 0,
            busy: 0,
            outcome: Outcome::default(),
            buffer: vec![0; 64 * 1024],
        }
    }

    /// For so long, and at least so many requests.
    pub fn run(&mut self, duration: Duration, at_least: usize) -> Outcome {
        let start = Instant::now();
        let end = start + duration;
        let last = end + if at_least > 0 { PATIENCE } else { GRACE };
        self.owed = self.next + at_least;
        let (mut comes, mut armed) = (start, start);
        let mut events = Vec::with_capacity(256);
        let mut now = start;
        loop {
            let to_come = self.settings.pace.is_some() && comes < end;
            let done = self.over(now, end) && self.busy == 0 && self.due.is_empty();
            if (done && !to_come) || now >= last {
                return self.finish(start);
            }
            if let Some(pace) = self.settings.pace {
                while comes <= now && comes < end {
                    self.due.push_back(comes);
                    comes += pace;
                }
                if comes < end && armed != comes {
                    armed = comes;
                    self.wake_in(comes.saturating_duration_since(Instant::now()));
                }
            } else {
                while self.busy + self.due.len() < self.settings.in_flight && !self.over(now, end) {
                    self.due.push_back(now);
                }
            }
            self.send();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&WAKE)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => (),
                Err(error) => panic!("epoll: {error}"),
            }
            for event in &events {
                match event.data.u64() {
                    TIMER => drop(rustix::io::read(&self.timer, &mut [0; 8])),
                    number => self.hear(usize::try_from(number).expect("a number")),
                }
            }
            now = Instant::now();
        }
    }

    fn over(&self, now: Instant, end: Instant) -> bool {
        if self.settings.once {
            return self.next + self.due.len() >= self.settings.requests.len();
        }
        now >= end && self.next >= self.owed
    }

    fn finish(&mut self, start: Instant) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        outcome.unanswered = self.due.len() + self.busy;
        outcome.spent = start.elapsed();
        self.due.clear();
        outcome
    }

    fn wake_in(&self, time: Duration) {
        let time = time.max(Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(time.as_secs()).expect("seconds"),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once).expect("a timer");
    }

    fn send(&mut self) {
        while !self.idle.is_empty() {
            let Some(due) = self.due.pop_front() else { return };
            let Some(number) = self.idle.pop_front() else { return };
            let request = &self.settings.requests[self.next % self.settings.requests.len()];
            self.next += 1;
            self.busy += 1;
            let connection = &mut self.connections[number];
            connection.since = Some(due);
            if connection.stream.write_all(request).is_err() {
                self.reopen(number);
            }
        }
    }

    fn hear(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        match connection.stream.read(&mut self.buffer) {
            Ok(0) | Err(_) => return self.reopen(number),
            Ok(read) => connection.input.extend_from_slice(&self.buffer[..read]),
        }
        let Some(good) = answered(&connection.input) else { return };
        connection.input.clear();
        let Some(since) = connection.since.take() else { return };
        let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.outcome.took.push(took);
        self.outcome.refused += u64::from(!good);
        self.busy -= 1;
        self.idle.push_back(number);
    }

    /// A connection that ended; its request, if it had one, counts as broken.
    fn reopen(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        let _unwatched = epoll::delete(&self.epoll, &connection.stream);
        connection.stream = connect(self.settings.address, &self.epoll, number);
        connection.input.clear();
        if connection.since.take().is_some() {
            self.outcome.broken += 1;
            self.busy -= 1;
            self.idle.push_back(number);
        }
    }
}

fn connect(address: SocketAddr, epoll: &OwnedFd, number: usize) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server takes connections");
    stream.set_nodelay(true).expect("no delay");
    let data = epoll::EventData::new_u64(number as u64);
    epoll::add(epoll, &stream, data, epoll::EventFlags::IN).expect("epoll");
    stream
}

/// Whether the answer was a good one; `None`: it is not complete.
fn answered(input: &[u8]) -> Option<bool> {
    let head = input.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&input[..head]).expect("a head");
    let good = text.as_bytes().get(9) == Some(&b'2');
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = match length {
        Some(length) => input.len() >= head + 4 + length,
        None => input.ends_with(b"0\r\n\r\n"),
    };
    whole.then_some(good)
}
