//! Flights of records: what comes while enough of them have yet to be acknowledged goes with the next.
//!
//! The library sends nothing more for a partition while five requests for it are unacknowledged, and once the linger of
//! what waits there is over it asks without a pause whether it may: a thread that spins until the answer comes, which was
//! half of the processor time of an edge. So records wait here, where waiting costs nothing, and come out in one go.
//! None waits longer for it: the library would have kept them as long.
//!
//! While few records come, one hardly waits for the one before it: several flights may be in the air, some time apart.
//! Once more come, they go one flight after the other, which costs less. A batch has nobody waiting for it: it follows the
//! flights in the air, or goes along with the next one.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// A flight that is not acknowledged by now holds nobody up any more: above what an overloaded cluster takes, or the
/// library would spin just when processors are scarce, and little of the 2 s that an edge gives an append, for whoever waits
/// for another partition than the one that is stuck.
const FLIGHT_MAX: Duration = Duration::from_millis(250);

/// Flights in the air at once: one below what makes the library spin, should all of them go to one partition.
const FLIGHTS_MAX: usize = 4;

/// Between the departures of flights that do not wait for the one before, in lingers: as the library itself would do it.
const APART_LINGERS: u32 = 1;

/// A flight with more records is waited for: 2,000 ballots a second stay below it, and 5,000 a second do not.
const LIGHT_RECORDS_MAX: usize = 4;

/// The flights of a process.
#[derive(Debug)]
pub(super) struct Flights {
    /// Whoever comes so shortly after a departure still gets on.
    boarding: Duration,
    /// From one departure to the next while there are flights in the air.
    apart: Duration,
    inner: Mutex<Inner>,
    departed: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Of the last flight that departed.
    number: u64,
    /// Those of which nothing has been acknowledged, in order of departure.
    air: VecDeque<Flight>,
    /// Records that wait for the next one.
    waiting: usize,
    /// Batches that do.
    waiting_batches: usize,
}

#[derive(Debug)]
struct Flight {
    number: u64,
    departed_at: Instant,
    /// How many records got on, those of batches left out.
    records: usize,
    /// How many batches of it are on their way.
    batches: usize,
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
        let inner = Inner { number: 0, air: VecDeque::with_capacity(FLIGHTS_MAX), waiting: 0, waiting_batches: 0 };
        let (boarding, apart) = (linger / 2, linger * APART_LINGERS);
        Arc::new(Self { boarding, apart, inner: Mutex::new(inner), departed: Notify::new() })
    }

    /// Returns when the flight departs; its records are to be sent at once.
    pub(super) async fn board(self: &Arc<Self>, freight: Freight) -> Seat {
        let (seat, departure) = self.book(freight, Instant::now());
        if let Some(departure) = departure {
            departure.await;
        }
        seat
    }

    /// Lets those who wait depart if flights take too long. To be called every now and then.
    pub(super) fn hurry(&self) {
        let mut inner = self.lock();
        let before = inner.air.len();
        inner.air.retain(|flight| flight.departed_at.elapsed() < FLIGHT_MAX);
        if inner.air.len() < before {
            self.depart_waiting(&mut inner, Instant::now());
        }
    }

    /// A seat, and the departure to wait for if its flight is not one that departs now.
    fn book(self: &Arc<Self>, freight: Freight, now: Instant) -> (Seat, Option<impl Future<Output = ()> + use<'_>>) {
        let mut inner = self.lock();
        let last = inner.air.back().map(|last| now.saturating_duration_since(last.departed_at));
        if last.is_none_or(|since| self.may_follow(&inner, freight, since)) {
            // Whoever waited goes along.
            let had_waiting = inner.depart(now);
            if had_waiting {
                self.departed.notify_waiters();
            }
        } else if last.is_none_or(|since| since >= self.boarding) {
            *inner.waiting(freight) += 1;
            let seat = Seat { flights: self.clone(), number: inner.number + 1, freight };
            // Made while nothing can depart, so that it is the next departure that it hears of.
            return (seat, Some(self.departed.notified()));
        }
        let flight = inner.air.back_mut().expect("one has just departed or is boarding");
        match freight {
            Freight::Record => flight.records += 1,
            Freight::Batch => flight.batches += 1,
        }
        (Seat { flights: self.clone(), number: flight.number, freight }, None)
    }

    /// Whether another flight may depart so long after the last one, which is in the air.
    fn may_follow(&self, inner: &Inner, freight: Freight, since: Duration) -> bool {
        freight == Freight::Record && inner.is_light() && inner.air.len() < FLIGHTS_MAX && since >= self.apart
    }

    /// Unless a flight with many records is still to be waited for.
    fn depart_waiting(&self, inner: &mut Inner, now: Instant) {
        if inner.waiting + inner.waiting_batches > 0 && inner.is_light() {
            inner.depart(now);
            self.departed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether no flight in the air has so many records that it is to be waited for.
    fn is_light(&self) -> bool {
        self.air.iter().all(|flight| flight.records <= LIGHT_RECORDS_MAX)
    }

    /// Whether somebody waited for it.
    fn depart(&mut self, now: Instant) -> bool {
        let had_waiting = self.waiting + self.waiting_batches > 0;
        self.number += 1;
        let (records, batches) = (self.waiting, self.waiting_batches);
        self.air.push_back(Flight { number: self.number, departed_at: now, records, batches });
        (self.waiting, self.waiting_batches) = (0, 0);
        had_waiting
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
            return;
        }
        // Not there any more: another of its records was acknowledged before, or it took too long.
        let Some(place) = inner.air.iter().position(|flight| flight.number == self.number) else { return };
        let flight = &mut inner.air[place];
        flight.batches = flight.batches.saturating_sub(usize::from(self.freight == Freight::Batch));
        if flight.batches == 0 {
            inner.air.remove(place);
            self.flights.depart_waiting(&mut inner, Instant::now());
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

    /// Numbers of the flights in the air.
    fn in_air(flights: &Flights) -> Vec<u64> {
        flights.lock().air.iter().map(|flight| flight.number).collect()
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
        assert_eq!(in_air(&flights), [2], "what is left of an earlier flight does not end a later one");
        drop(third);
        assert_eq!(in_air(&flights), [0; 0]);
        assert!(!book(&flights, start + 9 * BOARDING).1);
    }

    #[test]
    fn a_record_that_comes_long_after_another_does_not_wait_for_it() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let apart = flights.apart;
        let mut seats = Vec::new();
        for number in 0..4 {
            let (seat, waits) = book(&flights, start + number * apart);
            assert!(!waits);
            seats.push(seat);
        }
        assert_eq!(in_air(&flights), [1, 2, 3, 4]);
        let (late, waits) = book(&flights, start + 4 * apart);
        assert!(waits, "as many are in the air as may be");
        drop(seats.remove(1));
        assert_eq!(in_air(&flights), [1, 3, 4, 5]);
        drop(late);
        let (batch, waits) = book_for(&flights, Freight::Batch, start + 9 * apart);
        assert!(waits, "a batch has nobody waiting for it");
        let (_next, waits) = book(&flights, start + 9 * apart);
        assert!(!waits);
        let inner = flights.lock();
        assert_eq!((inner.number, inner.waiting_batches), (6, 0), "who waited goes with the next that departs");
        drop(inner);
        drop(batch);
    }

    #[test]
    fn a_flight_with_many_records_is_waited_for() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let many: Vec<_> = (0..=LIGHT_RECORDS_MAX).map(|_| book(&flights, start).0).collect();
        let (next, waits) = book(&flights, start + 9 * flights.apart);
        assert!(waits);
        assert_eq!((many[LIGHT_RECORDS_MAX].number, next.number), (1, 2));
    }

    #[test]
    fn a_landing_beside_a_flight_with_many_records_lets_nobody_go() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let (light, _) = book(&flights, start);
        let many: Vec<_> = (0..=LIGHT_RECORDS_MAX).map(|_| book(&flights, start + flights.apart).0).collect();
        let (next, waits) = book(&flights, start + 9 * flights.apart);
        assert!(waits);
        drop(light);
        assert_eq!(in_air(&flights), [2]);
        drop(many);
        assert_eq!(in_air(&flights), [next.number]);
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
        assert_eq!(in_air(&flights), [2]);
        assert_eq!(flights.lock().air[0].batches, 1);
        drop(third);
        assert_eq!(in_air(&flights), [0; 0]);
    }

    #[test]
    fn who_gives_up_waiting_holds_no_flight() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let (first, _) = book(&flights, start);
        let (gone, waits) = book(&flights, start + BOARDING);
        assert!(waits);
        drop(gone);
        drop(first);
        assert_eq!(in_air(&flights), [0; 0], "a flight without anybody never lands");
    }

    #[test]
    fn a_flight_that_is_stuck_lets_the_next_one_go() {
        let (flights, start) = (Flights::new(BOARDING * 2), Instant::now());
        let long_ago = start.checked_sub(FLIGHT_MAX).expect("the machine has been up for longer");
        let (stuck, _) = book_for(&flights, Freight::Batch, long_ago);
        let (next, waits) = book_for(&flights, Freight::Batch, start);
        assert!(waits);
        flights.hurry();
        assert_eq!(in_air(&flights), [next.number]);
        drop(stuck);
        assert_eq!(in_air(&flights), [next.number]);
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_by_the_landing() {
        let flights = Flights::new(Duration::ZERO);
        let mut seats = Vec::new();
        for _ in 0..FLIGHTS_MAX {
            seats.push(flights.board(Freight::Record).await);
        }
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let flights = flights.clone();
                tokio::spawn(async move { flights.board(Freight::Record).await })
            })
            .collect();
        while flights.lock().waiting < waiting.len() {
            tokio::task::yield_now().await;
        }
        drop(seats.remove(0));
        for waiting in waiting {
            assert_eq!(waiting.await.expect("boarding does not panic").number, 5);
        }
    }
}
