//! One connection of the proxy: commands go on, replies come back in the order of their commands.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::proxy::{Fault, Shared, reset};
use super::resp::{Value, Values};

/// Commands without their replies yet, and replies that wait for their turn.
#[derive(Default)]
struct Queue {
    entries: VecDeque<Entry>,
    ended: bool,
}

struct Entry {
    command: String,
    reply: Option<Value>,
}

#[derive(Default)]
struct Pipe {
    queue: Mutex<Queue>,
    grew: Condvar,
}

impl Pipe {
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.queue.lock().expect("no panic inside"));
        self.grew.notify_all();
    }

    fn push(&self, command: &str, reply: Option<Value>) {
        let entry = Entry { command: command.to_owned(), reply };
        self.change(|queue| queue.entries.push_back(entry));
    }

    /// A reply belongs to the oldest command without one; otherwise nobody asked for it.
    fn fill(&self, value: Value) {
        self.change(|queue| {
            let mut waiting = queue.entries.iter_mut().filter(|entry| entry.reply.is_none());
            match waiting.next() {
                Some(entry) if !value.is_push() => entry.reply = Some(value),
                Some(_) | None => {
                    let entry = Entry { command: "PUSH".to_owned(), reply: Some(value) };
                    queue.entries.push_back(entry);
                }
            }
        });
    }

    /// `None`: there will be no more.
    fn next(&self) -> Option<(String, Value)> {
        let ready = |queue: &Queue| queue.entries.front().is_some_and(|e| e.reply.is_some());
        let queue = self.queue.lock().expect("no panic inside");
        let waiting = |queue: &mut Queue| !ready(queue) && !queue.ended;
        let mut queue = self.grew.wait_while(queue, waiting).expect("no panic inside");
        if !ready(&queue) {
            return None;
        }
        let entry = queue.entries.pop_front()?;
        Some((entry.command, entry.reply?))
    }
}

pub fn run(shared: &Arc<Shared>, connection: usize, client: TcpStream) {
    let dialled = TcpStream::connect_timeout(&shared.target(), Duration::from_secs(2));
    let Ok(server) = dialled else {
        reset(&client);
        return;
    };
    let both = |stream: &TcpStream| stream.set_nodelay(true).and_then(|()| stream.try_clone());
    let (Ok(to_client), Ok(to_server)) = (both(&client), both(&server)) else { return };
    let (Ok(kept), Ok(kept_too)) = (client.try_clone(), server.try_clone()) else { return };
    if !shared.opened(connection, [kept, kept_too]) {
        return;
    }
    let pipe = Arc::new(Pipe::default());
    let (reading, replying) = ((shared.clone(), pipe.clone()), (shared.clone(), pipe.clone()));
    thread::spawn(move || {
        let (shared, pipe) = reading;
        let mut values = Values::new(server);
        while let Ok(value) = values.next() {
            pipe.fill(value);
        }
        pipe.change(|queue| queue.ended = true);
        drop((shared, values));
    });
    thread::spawn(move || {
        let (shared, pipe) = replying;
        let mut replies = Replies { shared: &shared, connection, client: to_client, held: None };
        while let Some((command, value)) = pipe.next() {
            if replies.deliver(&command, value).is_err() {
                break;
            }
        }
        shared.closed(connection);
    });
    commands(shared, connection, client, to_server, &pipe);
    shared.closed(connection);
    pipe.change(|queue| queue.ended = true);
}

fn commands(
    shared: &Shared,
    connection: usize,
    client: TcpStream,
    mut server: TcpStream,
    pipe: &Pipe,
) {
    let mut values = Values::new(client);
    while let Ok(value) = values.next() {
        let name = value.items().first().map(Value::text).unwrap_or_default().to_uppercase();
        let arguments = value.items().len().saturating_sub(1);
        let fault = shared.sent(&name, arguments, connection);
        // What still comes in after the end is not passed on.
        if !shared.is_open(connection) {
            return;
        }
        match fault {
            Some(Fault::Answer(reply)) => {
                pipe.push(&name, Some(reply));
                continue;
            }
            // Its answer is a message like those that follow.
            _ if name.ends_with("SUBSCRIBE") => (),
            _ => pipe.push(&name, None),
        }
        if server.write_all(&value.encoded()).is_err() {
            return;
        }
    }
}

struct Replies<'a> {
    shared: &'a Shared,
    connection: usize,
    client: TcpStream,
    held: Option<Vec<u8>>,
}

impl Replies<'_> {
    fn deliver(&mut self, command: &str, value: Value) -> std::io::Result<()> {
        let fault = self.shared.replied(command, self.connection);
        if !self.shared.is_open(self.connection) {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let bytes = value.encoded();
        match fault {
            None | Some(Fault::Answer(_) | Fault::Hold) => self.client.write_all(&bytes)?,
            Some(Fault::AnswerAfter(reply)) => self.client.write_all(&reply.encoded())?,
            Some(Fault::Garbage(garbage)) => self.client.write_all(&garbage)?,
            Some(Fault::Edit(change)) => self.client.write_all(&change(value).encoded())?,
            Some(Fault::Duplicate) => self.client.write_all(&bytes.repeat(2))?,
            Some(Fault::DropEvery(every)) => {
                if !self.shared.drops(every) {
                    self.client.write_all(&bytes)?;
                }
            }
            Some(Fault::Delay(time)) => {
                self.shared.pause(time);
                self.client.write_all(&bytes)?;
            }
            Some(Fault::Trickle(time)) => self.trickle(command, &bytes, time)?,
            Some(Fault::Reorder) => match self.held.take() {
                None => self.held = Some(bytes),
                Some(earlier) => {
                    self.client.write_all(&bytes)?;
                    self.client.write_all(&earlier)?;
                }
            },
            Some(Fault::Cut) => {
                self.client.write_all(&bytes[..bytes.len() / 2])?;
                self.client.shutdown(Shutdown::Both)?;
            }
        }
        Ok(())
    }

    /// Until the rule is gone; then the rest at once.
    fn trickle(&mut self, command: &str, bytes: &[u8], time: Duration) -> std::io::Result<()> {
        for (at, byte) in bytes.iter().enumerate() {
            let fault = self.shared.replied(command, self.connection);
            if !matches!(fault, Some(Fault::Trickle(_))) {
                return self.client.write_all(&bytes[at..]);
            }
            self.client.write_all(&[*byte])?;
            self.shared.pause(time);
        }
        Ok(())
    }
}
