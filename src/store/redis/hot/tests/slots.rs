//! Who gets an answer that waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::super::slots::Slots;

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_answer_for_somebody_who_left_is_not_taken_by_who_came_after() {
    let mut slots = Slots::default();
    let gone = slots.take();
    assert_eq!(slots.leave(gone), None);
    let next = slots.take();
    assert!(slots.answer(gone, "of another").is_none());
    assert_eq!(slots.poll(next, Waker::noop()), None);
    slots.answer(next, "its own");
    // Leaving twice, and leaving with an old ticket, changes nothing.
    assert_eq!(slots.leave(gone), None);
    assert_eq!(slots.poll(next, Waker::noop()), Some("its own"));
    assert_eq!(slots.poll(next, Waker::noop()), None);
}

#[test]
fn an_answer_comes_once_wakes_once_and_is_not_replaced() {
    let mut slots = Slots::default();
    let (ticket, count) = (slots.take(), Arc::new(Count(AtomicUsize::new(0))));
    let waker = Waker::from(Arc::clone(&count));
    assert_eq!(slots.poll(ticket, &waker), None);
    assert_eq!(slots.poll(ticket, &waker), None);
    slots.answer(ticket, "late").expect("somebody waits").wake();
    assert!(slots.answer(ticket, "too late").is_none());
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(slots.poll(ticket, &waker), Some("late"));
    assert!(slots.answer(ticket, "once more").is_none());
    let unread = slots.take();
    slots.answer(unread, "unread");
    assert_eq!(slots.leave(unread), Some("unread"));
    assert_eq!(slots.leave(unread), None);
    // Two that leave the same slot do not share it afterwards.
    assert_ne!(slots.take(), slots.take());
}
