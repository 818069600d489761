//! Who uses an environment: commands that need its services until they end.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::supervise::Message;

/// Counts them. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Users {
    count: Arc<Mutex<Count>>,
    loop_: Sender<Message>,
}

#[derive(Debug, Default)]
struct Count {
    number: usize,
    /// The environment is there for them alone.
    last_ends: bool,
    /// It is ending: nobody comes any more.
    over: bool,
}

/// One of them, for as long as this lives.
#[derive(Debug)]
pub(super) struct User(Option<Users>);

impl Users {
    /// Nobody yet; the end is asked for in `loop_`.
    pub(super) fn new(loop_: Sender<Message>) -> Self {
        Self { count: Arc::default(), loop_ }
    }

    /// One more; `None` when it is too late.
    pub(super) fn enter(&self) -> Option<User> {
        let mut count = self.lock();
        if count.over {
            return None;
        }
        count.number += 1;
        Some(User(Some(self.clone())))
    }

    /// Everything ends when the last of them goes; whoever has the other end of `first` is the first of them.
    pub(super) fn end_with_the_last(&self, mut first: impl std::io::Read + Send + 'static) {
        self.lock().last_ends = true;
        let user = self.enter();
        std::thread::spawn(move || {
            // An error is an end as well.
            let _ = std::io::copy(&mut first, &mut std::io::sink());
            drop(user);
        });
    }

    /// Nobody comes any more.
    pub(super) fn close(&self) {
        self.lock().over = true;
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// Goes; whether the environment ends with it.
    pub(super) fn leave(mut self) -> bool {
        self.go()
    }

    fn go(&mut self) -> bool {
        let Some(users) = self.0.take() else { return false };
        let mut count = users.lock();
        count.number -= 1;
        let last = count.last_ends && count.number == 0;
        if last && !count.over {
            count.over = true;
            // A loop that is gone has ended already.
            let _ = users.loop_.send(Message::Stop);
        }
        last
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.go();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_last_one_ends_it_and_nobody_comes_after_that() {
        let (sender, messages) = channel();
        let users = Users::new(sender);
        // Somebody else keeps it.
        assert!(!users.enter().unwrap().leave());
        let (reader, writer) = std::io::pipe().unwrap();
        users.end_with_the_last(reader);
        let second = users.enter().unwrap();
        drop(writer);
        while users.lock().number > 1 {
            std::thread::yield_now();
        }
        let third = users.enter().unwrap();
        assert!(!second.leave() && messages.try_recv().is_err());
        assert!(third.leave());
        assert!(matches!(messages.try_recv(), Ok(Message::Stop)));
        assert!(users.enter().is_none());
    }

    #[test]
    fn nobody_comes_to_what_ends() {
        let (sender, messages) = channel();
        let users = Users::new(sender);
        let user = users.enter().unwrap();
        users.close();
        assert!(users.enter().is_none());
        assert!(!user.leave() && messages.try_recv().is_err());
    }
}
