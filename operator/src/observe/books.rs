//! What is decided in the logs of platforms, as far as anybody follows them.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// Of what more is decided, or something else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decided {
    /// A platform's book is read for the first time: any of its proposals.
    Platform(ObjectKey),
    /// One proposal. A platform may have hundreds, and each of them is decided on by itself.
    Proposal(ObjectKey),
}

/// Tells what is decided since the last question.
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
    /// Waits for a change, and says what it is about. Cut off, it loses nothing.
    pub(crate) async fn next(&mut self) -> Vec<Decided> {
        if self.books.changed().await.is_err() {
            // Nobody is left who could set one.
            std::future::pending::<()>().await;
        }
        let now = self.books.borrow_and_update().clone();
        let mut changed = BTreeSet::new();
        for (platform, book) in &now {
            match self.known.get(platform) {
                None => drop(changed.insert(Decided::Platform(platform.clone()))),
                Some(known) => changed.extend(differences(known, book).map(Decided::Proposal)),
            }
        }
        self.known = now;
        changed.into_iter().collect()
    }
}

/// The proposals of which the books say something else, as resources are called.
fn differences<'a>(before: &'a DecisionBook, now: &'a DecisionBook) -> impl Iterator<Item = ObjectKey> + 'a {
    let either = [(before, now), (now, before)].into_iter();
    let differing = either.flat_map(|(one, other)| {
        one.proposals()
            .iter()
            .filter(|(id, decisions)| other.get(**id) != Some(decisions))
            .map(|(_, decisions)| decisions)
    });
    differing.map(|decisions| {
        let parts = decisions.definition.proposal().parts();
        ObjectKey::new(&parts.namespace, &parts.name)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pnyx_core::{
        decisions::Decision,
        power::Power,
        proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
        time::{TimestampMs, Window},
    };

    use super::*;

    fn definition(name: &str) -> Decision {
        let proposal = Proposal::new(ProposalParts {
            platform: "test".to_owned(),
            namespace: "n".to_owned(),
            name: name.to_owned(),
            space: "dao.eth".to_owned(),
            title: "A vote".to_owned(),
            body: String::new(),
            discussion: String::new(),
            author: String::new(),
            choices: ["For", "Against"].map(str::to_owned).to_vec(),
            voting: Voting {
                system: VotingSystem::Basic,
                quorum: None,
                approval_threshold: None,
                abstentions: Abstentions::Quorum,
            },
            window: Window::new(TimestampMs(1_000), TimestampMs(2_000)).expect("it closes after it opens"),
            strategies: vec![Strategy::Ticket(Power::ONE)],
            snapshots: BTreeMap::new(),
            signers: None,
            clock_skew_s: 300,
        });
        let definition = Definition::new(proposal.expect("it is valid"), 1, 1).expect("within the bounds");
        Decision::Definition(Box::new(definition))
    }

    #[tokio::test]
    async fn changes_name_what_they_are_about() {
        let books = Books::default();
        let key = |name: &str| ObjectKey::new("n", name);
        let mut book = DecisionBook::default();
        book.record(0, definition("early"));
        books.set(key("one"), Arc::new(book.clone()));
        let mut changes = books.changes();
        books.set(key("two"), Arc::default());
        books.set(key("three"), Arc::default());
        assert_eq!(changes.next().await, [Decided::Platform(key("three")), Decided::Platform(key("two"))]);
        // Of a hundred proposals one is looked at when something is decided about it.
        book.record(1, definition("late"));
        books.set(key("one"), Arc::new(book));
        assert_eq!(changes.next().await, [Decided::Proposal(key("late"))]);
        books.set(key("one"), Arc::default());
        assert_eq!(changes.next().await, [Decided::Proposal(key("early")), Decided::Proposal(key("late"))]);
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
