//! What is said on one connection: who we are, which server this is, and every reply in its turn.

use bytes::Bytes;
use tokio::time::Instant;

use super::super::super::StoreFault;
use super::super::Shared;
use super::super::reply::Refusal;
use super::codec::{Broken, Parts};
use super::link::{Link, State};
use super::queue::{Entry, Failed, hexadecimal};
use super::slots::Ticket;
use super::{ask::Shape, vitals};
use crate::domain::time::Timestamp;

pub struct Session<'a> {
    link: &'a Link,
    shared: &'a Shared,
    /// A round of questions about health is under way.
    asking: bool,
    /// What this round has shown against the server so far.
    against: Option<StoreFault>,
    served_since: Option<Instant>,
}

impl<'a> Session<'a> {
    pub const fn new(link: &'a Link, shared: &'a Shared) -> Self {
        Self { link, shared, asking: false, against: None, served_since: None }
    }

    pub const fn served_since(&self) -> Option<Instant> {
        self.served_since
    }

    /// Says who we are and asks which server this is.
    pub fn begin(&mut self) {
        let connector = &self.shared.connector;
        let mut queue = self.link.queue.borrow_mut();
        if let Some(password) = &connector.login.password {
            let mut parts: Vec<&[u8]> = vec![b"AUTH"];
            parts.extend(connector.login.username.as_ref().map(|name| name.as_bytes()));
            parts.push(password.as_bytes());
            queue.say_first(Entry::Okay("AUTH"), &parts);
        }
        if connector.database != 0 {
            let number = connector.database.to_string();
            queue.say_first(Entry::Okay("SELECT"), &[b"SELECT", number.as_bytes()]);
        }
        queue.number();
        drop(queue);
        self.ask_for_health();
    }

    /// ROLE, replicas where some are asked for, and TIME; one round at a time.
    pub fn ask_for_health(&mut self) {
        if self.asking {
            return;
        }
        (self.asking, self.against) = (true, None);
        let mut queue = self.link.queue.borrow_mut();
        queue.say(Entry::Role, &[b"ROLE"]);
        let config = &self.shared.config;
        if config.replicas > 0 || config.refuse_lost_replicas {
            queue.say(Entry::Replication, &[b"INFO", b"replication"]);
        }
        let (sent, asked) = (self.shared.clock.now(), Instant::now());
        queue.say(Entry::Time { sent, asked }, &[b"TIME"]);
    }

    /// One whole reply: it answers what was asked first, or the connection is at its end.
    ///
    /// # Errors
    /// It is not an answer to that, or it says that this server cannot be used.
    pub fn take(&mut self, reply: Bytes, now: Instant) -> Result<(), StoreFault> {
        let entry = self.link.queue.borrow().front();
        let entry = entry.ok_or_else(|| fault("a reply that nobody asked for"))?;
        let parts = Parts::new(reply);
        match entry {
            Entry::Read { shape, ticket, .. } => return self.take_read(shape, ticket, parts, now),
            Entry::Echo(number) => self.take_echo(number, parts)?,
            Entry::Okay(name) => self.take_okay(name, parts)?,
            Entry::Role => self.take_role(parts)?,
            Entry::Replication => self.take_replication(parts)?,
            Entry::Time { sent, asked } => self.take_time(sent, asked, parts)?,
        }
        self.link.queue.borrow_mut().pop();
        Ok(())
    }

    fn take_read(
        &self,
        shape: Shape,
        ticket: Ticket,
        parts: Parts,
        now: Instant,
    ) -> Result<(), StoreFault> {
        let answer = shape.answer(parts).map_err(misshapen)?;
        self.link.queue.borrow_mut().pop();
        let refusal = answer.as_ref().err().copied();
        let outcome = match answer {
            Err(refusal) => Err(Failed::Refused(refusal)),
            // Health may have been lost while the read was under way.
            Ok(answer) => match self.link.is_up(now) {
                Ok(true) => Ok(answer),
                Ok(false) => Err(Failed::Fault(fault("the connection does not serve"))),
                Err(fault) => Err(Failed::Fault(fault)),
            },
        };
        self.link.answer(ticket, outcome);
        let Some(refusal) = refusal else { return Ok(()) };
        self.shared.health.saw_refusal(refusal);
        match refusal {
            Refusal::ReadOnly | Refusal::MasterDown => {
                self.shared.routes.went_stale();
                Err(refusal.into())
            }
            Refusal::NoAuth => Err(refusal.into()),
            _ => Ok(()),
        }
    }

    fn take_echo(&self, number: u64, mut parts: Parts) -> Result<(), StoreFault> {
        self.not_refused("ECHO", &parts)?;
        let same = parts.string().is_ok_and(|text| text == hexadecimal(number)[..]);
        if same && parts.end().is_ok() {
            return Ok(());
        }
        Err(fault("replies are out of step with requests"))
    }

    fn take_okay(&self, name: &'static str, mut parts: Parts) -> Result<(), StoreFault> {
        self.not_refused(name, &parts)?;
        parts.is_okay().map_err(misshapen)
    }

    fn take_role(&self, parts: Parts) -> Result<(), StoreFault> {
        self.not_refused("ROLE", &parts)?;
        if vitals::is_primary(parts).map_err(misshapen)? {
            return Ok(());
        }
        self.shared.routes.went_stale();
        Err(fault("the server is not a primary"))
    }

    fn take_replication(&mut self, parts: Parts) -> Result<(), StoreFault> {
        self.not_refused("INFO", &parts)?;
        let online = vitals::replicas_online(parts, self.shared.config.max_replica_lag)
            .map_err(misshapen)?;
        let config = &self.shared.config;
        let lost = self.link.lost_replicas(online) && config.refuse_lost_replicas;
        if lost || online < usize::from(config.replicas) {
            self.against = Some(fault("the primary has lost its replicas"));
        }
        Ok(())
    }

    fn take_time(
        &mut self,
        sent: Timestamp,
        asked: Instant,
        parts: Parts,
    ) -> Result<(), StoreFault> {
        self.not_refused("TIME", &parts)?;
        let server = vitals::time(parts).map_err(misshapen)?;
        let skew = vitals::skew(server, sent, self.shared.clock.now());
        self.shared.health.saw_skew(skew);
        let on_time = vitals::check_skew(skew, self.shared.options.clock_skew);
        let verdict = self.against.take().map_or(on_time, Err);
        self.asking = false;
        self.served_since = self.served_since.or_else(|| Some(Instant::now()));
        self.link.set(State::Up { asked, verdict });
        Ok(())
    }

    fn not_refused(&self, to: &'static str, parts: &Parts) -> Result<(), StoreFault> {
        let Some(refusal) = parts.refusal() else { return Ok(()) };
        self.shared.health.saw_refusal(refusal);
        if refusal.is_wrong_node() {
            self.shared.routes.went_stale();
        }
        // Only the first word: the rest may repeat what was said, a password too.
        Err(StoreFault::Unreachable(format!("to {to} the server answered {}", refusal.word())))
    }
}

fn misshapen(_: Broken) -> StoreFault {
    fault("a reply of another shape")
}

fn fault(why: &str) -> StoreFault {
    StoreFault::Unreachable(why.into())
}
