/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of client/lock/lock_word.h, lock_mode.h and spin_core.cc: lock, park, heir, claim,
 * give up, unlock; and by native operations lock, nap, unlock, while the mode may change at any
 * moment. Independent of the code, so that an error in both is an error twice made.
 *
 * The word is {holder, native, sleepers, heir, claimed}, sleepers without an heir being the orphans;
 * the claim time is left out, so that a claim may come at any time and a compare-and-swap succeeds
 * more often than it does in truth. For how long a free word is left to its claimant is not said
 * either: anybody may take it at any time. Who holds
 * the word natively is written here for the assertions alone: nobody else looks whose it is.
 * Each access to the word is one step. The futex is a queue, oldest sleeper first.
 *
 * Checked: one holder at a time (assert), and that nobody is left asleep when everybody else is
 * through (invalid end states). Not checked: that a spinner gets the lock in bounded time.
 *
 * Faults that must be found, each by -D: FORGETS_SLEEPERS, HEIR_OUTLIVES, NO_KICK,
 * GIVES_UP_SILENTLY; MARKS_NATIVE (a waiter sets the orphans bit in a native word),
 * NATIVE_OVER_SLEEPERS (a word with sleepers is taken natively), NAPS_FOR_EVER (nobody wakes who
 * sleeps under a native holder), GIVES_UP_UNDER_NATIVE (without a word to who sleeps there),
 * CLAIMANT_KICKS_NOBODY (it says that an heir is awake, and wakes none).
 */
#define THREADS 3
#ifndef LOCKS
#define LOCKS 1 /* of each thread */
#endif
#define GIVE_UPS 1 /* in all: a deadline that passes */
#define EARLY_RETURNS 1 /* in all: a sleep that ends for no reason */

byte holder = 0; /* 0: free; otherwise thread + 1 */
bool native = false;
bool sleepers = false;
bool heir = false;
bool claimed = false;

chan asleep = [THREADS] of { byte };
bool woken[THREADS];
byte inside = 0;
byte give_ups = 0, early_returns = 0;

/* Two native holders look the same to who waits. */
#define SAME_HOLDER (native == seen_native && (native || holder == seen_holder))
#define UNCHANGED \
  (SAME_HOLDER && sleepers == seen_sleepers && heir == seen_heir && claimed == seen_claimed)

inline Read() {
  d_step {
    seen_holder = holder; seen_native = native; seen_sleepers = sleepers; seen_heir = heir;
    seen_claimed = claimed
  }
}

inline Replace(new_holder, new_sleepers, new_heir, new_claimed) {
  d_step {
    done = UNCHANGED;
    if
    :: done ->
       holder = new_holder; sleepers = new_sleepers; heir = new_heir; claimed = new_claimed
    :: else
    fi
  }
}

/* `found`: there was a sleeper. */
inline Kick(found) {
  atomic {
    found = false;
#ifndef NO_KICK
    if
    :: nempty(asleep) -> asleep?other; woken[other] = true; found = true
    :: empty(asleep)
    fi;
    other = 0
#endif
  }
}

/* By native operations a word is taken that is zero, sleepers and all. */
inline TakeNatively() {
  d_step {
#ifdef NATIVE_OVER_SLEEPERS
    done = (holder == 0);
#else
    done = (holder == 0 && !sleepers && !claimed);
#endif
    if
    :: done -> holder = _pid + 1; native = true
    :: else
    fi
  }
}

/* Sleeps if the word is as seen: until somebody wakes it, or `timed` for a while at most. */
inline Sleep(timed) {
  slept = true; my_claim = false;
  atomic {
    if
    :: UNCHANGED -> woken[_pid] = false; asleep!_pid
    :: else -> my_heir = false; goto next_round
    fi
  }
  atomic {
    if
    :: woken[_pid] -> my_heir = true
    :: !woken[_pid] && early_returns < EARLY_RETURNS ->
       early_returns++; asleep??eval(_pid); my_heir = false
    :: !woken[_pid] && timed -> asleep??eval(_pid); my_heir = false
    fi
  }
}

inline Nap() {
#ifdef NAPS_FOR_EVER
  Sleep(false)
#else
  Sleep(true)
#endif
}

inline Park() {
#ifdef HEIR_OUTLIVES
  Replace(seen_holder, true, seen_heir, seen_claimed && !my_claim);
#else
  Replace(seen_holder, true, false, seen_claimed && !my_claim);
#endif
  if
  :: done -> seen_sleepers = true; seen_claimed = claimed;
#ifndef HEIR_OUTLIVES
     seen_heir = false;
#endif
     Sleep(false)
  :: else
  fi
}

/* Who has waited for long is to have the lock next. */
inline Claim() {
  Replace(seen_holder, seen_sleepers, seen_heir, true);
  my_claim = done
}

/* Who has slept finds that the word has forgotten the sleepers, and stays awake for them. */
inline BecomeHeirAgain() {
  Replace(seen_holder, true, true, seen_claimed);
  my_heir = done
}

/* What a waiter that gives up owes to the sleepers. */
inline GiveUp() {
#ifdef GIVES_UP_SILENTLY
  done = true;
#else
  if
  :: seen_native ->
     done = true;
     if
#ifndef GIVES_UP_UNDER_NATIVE
     :: slept -> Kick(found)
#endif
     :: else
     fi
  :: !seen_native && ((seen_sleepers && seen_heir && my_heir) || (!seen_sleepers && slept)) ->
     Replace(seen_holder, true, false, seen_claimed)
  :: else -> done = true
  fi;
#endif
  if
  :: done -> got_it = false; goto waited
  :: else
  fi
}

/* For orphans a kick is under way: the one it wakes takes care of them. Who takes the lock by its
   claim makes the oldest sleeper the heir. */
inline Take() {
  by_claim = my_claim && seen_claimed && (slept || seen_sleepers);
  if
  :: by_claim -> Replace(_pid + 1, true, true, false)
  :: !by_claim && seen_sleepers && seen_heir -> Replace(_pid + 1, true, !my_heir, false)
#ifndef FORGETS_SLEEPERS
  :: !by_claim && !(seen_sleepers && seen_heir) -> Replace(_pid + 1, slept, false, false)
#else
  :: !by_claim && !(seen_sleepers && seen_heir) -> Replace(_pid + 1, false, false, false)
#endif
  fi;
  if
#ifndef CLAIMANT_KICKS_NOBODY
  :: done && by_claim -> Kick(found); got_it = true; goto waited
  :: done && !by_claim -> got_it = true; goto waited
#else
  :: done -> got_it = true; goto waited
#endif
  :: else
  fi
}

/* A plain store, whatever the word says by now. */
inline UnlockNatively() {
  d_step {
    assert(holder == _pid + 1 && native);
    holder = 0; native = false; sleepers = false; heir = false; claimed = false
  }
}

inline Unlock() {
  d_step {
    Read();
    assert(seen_holder == _pid + 1 && !seen_native);
    holder = 0
  }
  if
  :: seen_sleepers && !seen_heir -> Kick(found)
  :: else
  fi
}

active [THREADS] proctype Thread() {
  byte seen_holder, other, locks = 0;
  bool seen_native, seen_sleepers, seen_heir, seen_claimed, done, found, slept, got_it;
  bool my_heir, my_claim, by_claim, took_natively;
  do
  :: locks == LOCKS -> break
  :: else ->
     locks++; slept = false; my_heir = false; my_claim = false; took_natively = false;
     if
     :: TakeNatively(); /* the mode is native now */
        if
        :: done -> took_natively = true; got_it = true; goto waited
        :: else
        fi
     :: skip
     fi;
next_round:
     do
     :: Read();
        if
        :: seen_holder == 0 -> Take()
        :: else ->
           if
           :: seen_sleepers && !seen_heir ->
              Replace(seen_holder, true, true, seen_claimed);
              my_heir = done
           :: else -> done = false
           fi;
           if
           :: done
           :: !done -> skip /* spins on */
#ifdef MARKS_NATIVE
           :: !done -> Park()
#else
           :: !done && !seen_native -> Park()
           :: !done && seen_native -> Nap()
#endif
           :: !done && slept && !seen_sleepers && !seen_native -> BecomeHeirAgain()
           :: !done && !seen_claimed && !seen_native && (my_heir || !seen_sleepers) -> Claim()
           :: atomic { !done && give_ups < GIVE_UPS -> give_ups++ };
              GiveUp()
           fi
        fi
     od;
waited:
     if
     :: got_it ->
        inside++;
        assert(inside == 1);
        inside--;
        if
        :: took_natively -> UnlockNatively()
        :: else -> Unlock()
        fi
     :: else
     fi
  od
}
