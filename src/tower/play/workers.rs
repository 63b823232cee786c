//! Threads that compute, behind a bounded queue ordered by slack.
//!
//! Promises: who asks never waits; the most urgent order is begun next; the same order waits once;
//! an order that panics fails alone. Refuses to know: what is computed.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Orders that may wait; what does not fit is derived again at the next head.
const WAITING: usize = 1024;

/// An order: what names it decides whether it waits already.
pub(super) trait Order: Send + 'static {
    /// What names it.
    type Key: Ord + Clone + Send + Debug;

    /// Its name.
    fn key(&self) -> Self::Key;
}

struct Queue<O: Order> {
    /// By slack, then age.
    waiting: BTreeMap<(i64, u64), O>,
    /// Where each waits.
    places: BTreeMap<O::Key, (i64, u64)>,
    /// With the slack each was begun at.
    running: BTreeMap<O::Key, i64>,
    next: u64,
    is_closed: bool,
}

struct Shared<O: Order> {
    queue: Mutex<Queue<O>>,
    arrived: Condvar,
}

impl<O: Order> Shared<O> {
    fn queue(&self) -> MutexGuard<'_, Queue<O>> {
        // Nothing that can panic runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<O> {
        let mut queue = self.queue();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(((slack, _), order)) = queue.waiting.pop_first() {
                let key = order.key();
                queue.places.remove(&key);
                queue.running.insert(key, slack);
                return Some(order);
            }
            queue = self
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Tells work that can wait whether something more urgent does.
pub(super) struct Patience<O: Order>(Arc<Shared<O>>);

impl<O: Order> Patience<O> {
    /// Whether an order with less slack than this waits, or everything is to stop.
    pub(super) fn is_over(&self, slack: i64) -> bool {
        let queue = self.0.queue();
        let first = queue.waiting.first_key_value();
        queue.is_closed || first.is_some_and(|((waiting, _), _)| *waiting < slack)
    }
}

/// The threads.
pub(super) struct Pool<O: Order> {
    shared: Arc<Shared<O>>,
    threads: Vec<JoinHandle<()>>,
}

impl<O: Order> Debug for Pool<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl<O: Order> Pool<O> {
    /// Starts named threads. `work` does one order; `failed` tells of one that panicked.
    pub(super) fn start<W, F>(
        name: &str,
        threads: usize,
        work: W,
        failed: F,
    ) -> std::io::Result<Self>
    where
        W: Fn(O, &Patience<O>) + Send + Sync + 'static,
        F: Fn(O::Key, String) + Send + Sync + 'static,
    {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: BTreeMap::new(),
                places: BTreeMap::new(),
                running: BTreeMap::new(),
                next: 0,
                is_closed: false,
            }),
            arrived: Condvar::new(),
        });
        let (work, failed) = (Arc::new(work), Arc::new(failed));
        let mut handles = Vec::new();
        for number in 1..=threads.max(1) {
            let patience = Patience(Arc::clone(&shared));
            let (work, failed) = (Arc::clone(&work), Arc::clone(&failed));
            let thread = std::thread::Builder::new()
                .name(format!("{name} {number}"))
                // The reference machine recurses over trees.
                .stack_size(64 << 20)
                .spawn(move || serve(&patience, &*work, &*failed))?;
            handles.push(thread);
        }
        Ok(Self {
            shared,
            threads: handles,
        })
    }

    /// Asks for an order to be done, or for one that waits to be moved to another slack.
    pub(super) fn ask(&self, order: O, slack: i64) {
        let mut queue = self.shared.queue();
        let key = order.key();
        if queue.is_closed || queue.running.contains_key(&key) {
            return;
        }
        if let Some(place) = queue.places.remove(&key) {
            queue.waiting.remove(&place);
        }
        let place = (slack, queue.next);
        queue.next = queue.next.saturating_add(1);
        queue.places.insert(key, place);
        queue.waiting.insert(place, order);
        if queue.waiting.len() > WAITING
            && let Some((_, dropped)) = queue.waiting.pop_last()
        {
            queue.places.remove(&dropped.key());
        }
        drop(queue);
        self.shared.arrived.notify_one();
    }

    /// Orders that wait or run.
    pub(super) fn len(&self) -> usize {
        let queue = self.shared.queue();
        queue.waiting.len().saturating_add(queue.running.len())
    }

    /// Orders that wait or run and that somebody is waiting for.
    pub(super) fn pressing(&self) -> usize {
        let queue = self.shared.queue();
        let waiting = queue.waiting.keys().map(|(slack, _)| *slack);
        let slacks = waiting.chain(queue.running.values().copied());
        slacks.filter(|slack| *slack < i64::MAX).count()
    }

    fn close(&self) {
        {
            let mut queue = self.shared.queue();
            queue.is_closed = true;
            queue.waiting.clear();
        }
        self.shared.arrived.notify_all();
    }

    /// Forgets what waits, ends after what runs.
    pub(super) fn stop(mut self) {
        self.close();
        for thread in std::mem::take(&mut self.threads) {
            // A thread that panicked outside of an order has nothing more to say.
            let _ = thread.join();
        }
    }
}

/// Threads that nobody waits for end too, after what they do.
impl<O: Order> Drop for Pool<O> {
    fn drop(&mut self) {
        self.close();
    }
}

fn serve<O: Order>(
    patience: &Patience<O>,
    work: &dyn Fn(O, &Patience<O>),
    failed: &dyn Fn(O::Key, String),
) {
    while let Some(order) = patience.0.take() {
        let key = order.key();
        let outcome = catch_unwind(AssertUnwindSafe(|| work(order, patience)));
        patience.0.queue().running.remove(&key);
        if let Err(panic) = outcome {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            failed(key, text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct Number(u32);

    impl Order for Number {
        type Key = u32;

        fn key(&self) -> u32 {
            self.0
        }
    }

    /// One thread, held at its first order until told to go on.
    fn held(
        on: impl Fn(u32) + Send + Sync + 'static,
    ) -> (Pool<Number>, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let (told, hear) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let failures = told.clone();
        let pool = Pool::start(
            "test",
            1,
            move |order: Number, _| {
                if order.0 == 0 {
                    wait.lock().unwrap().recv().unwrap();
                }
                on(order.0);
                told.send(format!("did {}", order.0)).unwrap();
            },
            move |key, why| failures.send(format!("{key} failed: {why}")).unwrap(),
        )
        .unwrap();
        (pool, hear, go)
    }

    fn begun(pool: &Pool<Number>) {
        while pool.shared.queue().running.is_empty() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_most_urgent_waits_least_and_nothing_waits_twice() {
        let (pool, hear, go) = held(|_| {});
        pool.ask(Number(0), 0);
        begun(&pool);
        for (number, slack) in [(1, 50), (2, 10), (3, 70), (2, 20), (3, 5), (0, 1)] {
            pool.ask(Number(number), slack);
        }
        assert_eq!(pool.len(), 4);
        go.send(()).unwrap();
        let order: Vec<_> = hear.iter().take(4).collect();
        assert_eq!(order, ["did 0", "did 3", "did 2", "did 1"]);
        pool.stop();
    }

    #[test]
    fn an_order_that_panics_fails_alone() {
        let (pool, hear, go) = held(|number| assert!(number != 1, "one is bad"));
        pool.ask(Number(0), 0);
        pool.ask(Number(1), 1);
        pool.ask(Number(2), 2);
        go.send(()).unwrap();
        let told: Vec<_> = hear.iter().take(3).collect();
        assert_eq!(told, ["did 0", "1 failed: one is bad", "did 2"]);
        pool.stop();
    }

    #[test]
    fn the_queue_is_bounded_and_drops_what_can_wait_longest() {
        let (pool, _hear, go) = held(|_| {});
        pool.ask(Number(0), 0);
        begun(&pool);
        let many = u32::try_from(WAITING).unwrap();
        for number in 1..=many + 5 {
            pool.ask(Number(number), i64::from(number));
        }
        let queue = pool.shared.queue();
        assert_eq!(queue.waiting.len(), WAITING);
        assert_eq!(queue.places.len(), WAITING);
        assert!(queue.places.contains_key(&1) && !queue.places.contains_key(&(many + 1)));
        drop(queue);
        go.send(()).unwrap();
        pool.stop();
    }

    #[test]
    fn patient_work_hears_of_urgent_work() {
        let (pool, _hear, go) = held(|_| {});
        pool.ask(Number(0), 0);
        begun(&pool);
        let patience = Patience(Arc::clone(&pool.shared));
        assert!(!patience.is_over(100));
        pool.ask(Number(1), 50);
        assert!(patience.is_over(100));
        assert!(!patience.is_over(50));
        go.send(()).unwrap();
        pool.stop();
        assert!(patience.is_over(0), "stopping ends patience");
    }
}
