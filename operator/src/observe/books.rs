//! What is decided in the logs of platforms, as far as anybody follows them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pnyx_core::decisions::DecisionBook;
use tokio::sync::watch;

use crate::kinds::ObjectKey;

/// The book of each platform whose log is followed. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Books {
    books: watch::Sender<BTreeMap<ObjectKey, Arc<DecisionBook>>>,
    /// Who follows each log now.
    writers: Arc<Mutex<BTreeMap<ObjectKey, Arc<()>>>>,
}

/// Who follows a platform's log, until another does or nobody shall.
#[derive(Debug)]
pub(crate) struct BookWriter {
    books: Books,
    platform: ObjectKey,
    /// Tells it from those before and after it.
    mark: Arc<()>,
}

/// Tells which platforms have another book than at the last question.
#[derive(Debug)]
pub(crate) struct BookChanges {
    known: BTreeMap<ObjectKey, Arc<DecisionBook>>,
    books: watch::Receiver<BTreeMap<ObjectKey, Arc<DecisionBook>>>,
}

impl Books {
    /// What was read of a platform's log, up to an end that was its end when the reading began: what is not in such a book
    /// had not been decided.
    pub fn set(&self, platform: ObjectKey, book: Arc<DecisionBook>) {
        self.books.send_modify(|books| drop(books.insert(platform, book)));
    }

    /// Nothing is known of a platform's log any more: it is gone, or another one. Whoever followed it says nothing more.
    pub fn remove(&self, platform: &ObjectKey) {
        let mut writers = self.writers();
        writers.remove(platform);
        self.books.send_modify(|books| drop(books.remove(platform)));
    }

    /// From here on this one alone says what is decided for a platform.
    pub(crate) fn writer(&self, platform: ObjectKey) -> BookWriter {
        let mark = Arc::new(());
        self.writers().insert(platform.clone(), Arc::clone(&mark));
        BookWriter { books: self.clone(), platform, mark }
    }

    /// A platform's; nothing if its log was not read.
    pub fn get(&self, platform: &ObjectKey) -> Option<Arc<DecisionBook>> {
        self.books.borrow().get(platform).cloned()
    }

    /// From the books that are there now.
    pub(crate) fn changes(&self) -> BookChanges {
        let mut books = self.books.subscribe();
        let known = books.borrow_and_update().clone();
        BookChanges { known, books }
    }

    fn writers(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Arc<()>>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BookWriter {
    /// See [`Books::set`]. What comes too late, about a log that is another one by now, is nothing.
    pub(crate) fn set(&self, book: Arc<DecisionBook>) {
        // Held while the book is put in place, so that nobody can take the turn in between.
        let writers = self.books.writers();
        if writers.get(&self.platform).is_some_and(|mark| Arc::ptr_eq(mark, &self.mark)) {
            self.books.set(self.platform.clone(), book);
        }
    }
}

impl BookChanges {
    /// Waits for a change, and says whose books changed. Cut off, it loses nothing.
    pub(crate) async fn next(&mut self) -> Vec<ObjectKey> {
        if self.books.changed().await.is_err() {
            // Nobody is left who could set one.
            std::future::pending::<()>().await;
        }
        let now = self.books.borrow_and_update().clone();
        let is_new = |(platform, book): &(&ObjectKey, &Arc<DecisionBook>)| {
            self.known.get(*platform).is_none_or(|known| !Arc::ptr_eq(known, book))
        };
        let changed = now.iter().filter(is_new).map(|(platform, _)| platform.clone()).collect();
        self.known = now;
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_name_whose_book_it_is() {
        let books = Books::default();
        let key = |name| ObjectKey::new("n", name);
        books.set(key("one"), Arc::default());
        let mut changes = books.changes();
        books.set(key("two"), Arc::default());
        books.set(key("three"), Arc::default());
        assert_eq!(changes.next().await, [key("three"), key("two")]);
        books.set(key("one"), Arc::default());
        assert_eq!(changes.next().await, [key("one")]);
        assert!(books.get(&key("one")).is_some() && books.get(&key("four")).is_none());
        books.remove(&key("one"));
        assert!(books.get(&key("one")).is_none());
    }

    #[test]
    fn who_followed_another_log_says_nothing_more() {
        let (books, key) = (Books::default(), ObjectKey::new("n", "one"));
        let old = books.writer(key.clone());
        old.set(Arc::default());
        assert!(books.get(&key).is_some());
        books.remove(&key);
        old.set(Arc::default());
        assert!(books.get(&key).is_none());
        let (new, newer) = (Arc::new(DecisionBook::default()), books.writer(key.clone()));
        newer.set(Arc::clone(&new));
        old.set(Arc::default());
        assert!(books.get(&key).is_some_and(|book| Arc::ptr_eq(&book, &new)));
    }
}
