//! One flight of records after the other: what comes while the brokers have yet to acknowledge a flight goes with the next.
//!
//! The library sends nothing more for a partition while five records of it are unacknowledged, and once the linger of
//! what waits there is over it asks without a pause whether it may: a thread that spins until the answer comes, which was
//! half of the processor time of an edge. So records wait here, where waiting costs nothing, and come out in one go.
//! None waits longer for it: the library would have kept them as long.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A flight that is not acknowledged by now holds nobody up any more: above what an overloaded cluster takes, or the
/// library would spin just when processors are scarce, and little of the 2 s that an edge gives an append, for whoever waits
/// for another partition than the one that is stuck.
const FLIGHT_MAX: Duration = Duration::from_millis(250);

/// The flights of a process.
#[derive(Debug)]
pub(super) struct Flights {
    /// Whoever comes so shortly after a departure still gets on.
    boarding: Duration,
    inner: Mutex<Inner>,
    departed: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Of the last flight that departed.
    number: u64,
    departed_at: Instant,
    /// Nothing of it has been acknowledged.
    is_in_air: bool,
    /// How many batches of it are on their way.
    batches: usize,
    /// Records that wait for the next one.
    waiting: usize,
    /// Batches that do.
    waiting_batches: usize,
}

/// What travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freight {
    /// One record. One answer of a broker acknowledges all that travel together, so that the first one lands the flight.
    Record,
    /// Records for several partitions, which are acknowledged one by one: the flight lands with the last batch.
    Batch,
}

/// A place on a flight, given back when what travelled is acknowledged or lost.
#[derive(Debug)]
pub(super) struct Seat {
    flights: Arc<Flights>,
    number: u64,
    freight: Freight,
}

impl Flights {
    /// While it lingers the library keeps a request open. Half of that is for getting on, the other half for handing over
    /// the records, so that none comes when the request has gone.
    pub(super) fn new(linger: Duration) -> Arc<Self> {
        let boarding = linger / 2;
        let inner = Inner {
            number: 0,
            departed_at: Instant::now(),
            is_in_air: false,
            batches: 0,
            waiting: 0,
            waiting_batches: 0,
        };
        Arc::new(Self { boarding, inner: Mutex::new(inner), departed: Notify::new() })
    }

    /// Returns when the flight departs; its records are to be sent at once.
    pub(super) async fn board(self: &Arc<Self>, freight: Freight) -> Seat {
        let (seat, departure) = self.book(freight, Instant::now());
        if let Some(departure) = departure {
            departure.await;
        }
        seat
    }

    /// Lets those who wait depart if the last flight takes too long. To be called every now and then.
    pub(super) fn hurry(&self) {
        let mut inner = self.lock();
        if inner.is_in_air && inner.departed_at.elapsed() >= FLIGHT_MAX {
            self.land(&mut inner, Instant::now());
        }
    }

    /// A seat, and the departure to wait for if its flight is not the one that departs now.
    fn book(self: &Arc<Self>, freight: Freight, now: Instant) -> (Seat, Option<impl Future<Output = ()> + use<'_>>) {
        let mut inner = self.lock();
        if !inner.is_in_air {
            inner.depart(now);
        } else if now.saturating_duration_since(inner.departed_at) >= self.boarding {
            *inner.waiting(freight) += 1;
            let seat = Seat { flights: self.clone(), number: inner.number + 1, freight };
            // Made while nothing can depart, so that it is the next departure that it hears of.
            return (seat, Some(self.departed.notified()));
        }
        inner.batches += usize::from(freight == Freight::Batch);
        (Seat { flights: self.clone(), number: inner.number, freight }, None)
    }

    fn land(&self, inner: &mut Inner, now: Instant) {
        inner.is_in_air = false;
        if inner.waiting + inner.waiting_batches > 0 {
            inner.depart(now);
            self.departed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    const fn depart(&mut self, now: Instant) {
        self.number += 1;
        self.departed_at = now;
        self.is_in_air = true;
        self.waiting = 0;
        self.batches = self.waiting_batches;
        self.waiting_batches = 0;
    }

    const fn waiting(&mut self, freight: Freight) -> &mut usize {
        match freight {
            Freight::Record => &mut self.waiting,
            Freight::Batch => &mut self.waiting_batches,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.flights.lock();
        if self.number > inner.number {
            // Whoever waited has gone away.
            let waiting = inner.waiting(self.freight);
            *waiting = waiting.saturating_sub(1);
        } else if self.number == inner.number {
            inner.batches = inner.batches.saturating_sub(usize::from(self.freight == Freight::Batch));
            if inner.is_in_air && inner.batches == 0 {
                self.flights.land(&mut inner, Instant::now());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARDING: Duration = Duration::from_millis(1);

    /// Books at a time after the start; whether it must wait.
    fn book(flights: &Arc<Flights>, at: Instant) -> (Seat, bool) {
        book_for(flights, Freight::Record, at)
    }

    fn book_for(flights: &Arc<Flights>, freight: Freight, at: Instant) -> (Seat, bool) {
        let (seat, departure) = flights.book(freight, at);
        let waits = departure.is_some();
        drop(departure);
        (seat, waits)
    }

    #[test]
    fn whoever_comes_late_goes_with_the_next_flight() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let (first, waits) = book(&flights, start);
        assert!(!waits, "nothing is in the air");
        let (second, waits) = book(&flights, start + BOARDING / 2);
        assert!(!waits, "boarding goes on");
        let (third, waits) = book(&flights, start + BOARDING);
        assert!(waits);
        assert_eq!([first.number, second.number, third.number], [1, 1, 2]);
        drop(second);
        let number_and_waiting = {
            let inner = flights.lock();
            (inner.number, inner.waiting)
        };
        assert_eq!(number_and_waiting, (2, 0), "the first that lands lets the others go");
        drop(first);
        assert!(flights.lock().is_in_air, "what is left of an earlier flight does not end a later one");
        drop(third);
        assert!(!flights.lock().is_in_air);
        assert!(!book(&flights, start + 9 * BOARDING).1);
    }

    #[test]
    fn a_flight_with_batches_lands_with_the_last_of_them() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let (first, _) = book_for(&flights, Freight::Batch, start);
        let (second, waits) = book_for(&flights, Freight::Batch, start);
        assert!(!waits, "boarding goes on");
        let (third, waits) = book_for(&flights, Freight::Batch, start + BOARDING);
        assert!(waits);
        drop(first);
        assert_eq!(flights.lock().number, 1, "one is still on its way");
        drop(second);
        let number_and_batches = {
            let inner = flights.lock();
            (inner.number, inner.batches)
        };
        assert_eq!(number_and_batches, (2, 1));
        drop(third);
        assert!(!flights.lock().is_in_air);
    }

    #[test]
    fn who_gives_up_waiting_holds_no_flight() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let (first, _) = book(&flights, start);
        let (gone, waits) = book(&flights, start + BOARDING);
        assert!(waits);
        drop(gone);
        drop(first);
        assert!(!flights.lock().is_in_air, "a flight without anybody never lands");
    }

    #[test]
    fn a_flight_that_is_stuck_lets_the_next_one_go() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let long_ago = start.checked_sub(FLIGHT_MAX).expect("the machine has been up for longer");
        let (stuck, _) = book(&flights, long_ago);
        let (next, waits) = book(&flights, start);
        assert!(waits);
        flights.hurry();
        assert_eq!(flights.lock().number, next.number);
        drop(stuck);
        assert!(flights.lock().is_in_air);
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_by_the_landing() {
        let flights = Flights::new(Duration::ZERO);
        let first = flights.board(Freight::Record).await;
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let flights = flights.clone();
                tokio::spawn(async move { flights.board(Freight::Record).await })
            })
            .collect();
        while flights.lock().waiting < waiting.len() {
            tokio::task::yield_now().await;
        }
        drop(first);
        let mut seats = Vec::new();
        for waiting in waiting {
            seats.push(waiting.await.expect("boarding does not panic"));
        }
        assert!(seats.iter().all(|seat| seat.number == 2));
    }
}
