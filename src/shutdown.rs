//! Stopping in order: one signal that every part watches.

use tokio::sync::watch;

/// Told once; everybody who holds a [`Stop`] learns of it.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// A cheap handle to wait for, or ask about, the stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

#[must_use]
pub fn channel() -> (Trigger, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Stop(receiver))
}

impl Trigger {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the stop was told, or when nobody is left to tell it.
    pub async fn wait(&mut self) {
        // An error means that the trigger is gone: stopping is the safe reading.
        let _gone = self.0.wait_for(|stopping| *stopping).await;
    }

    #[must_use]
    pub fn receiver(&self) -> watch::Receiver<bool> {
        self.0.clone()
    }
}
