/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of client/lock/lock_word.h and spin_core.cc: lock, park, heir, rotate, give up,
 * unlock. Independent of the code, so that an error in both is an error twice made.
 *
 * The word is {holder, sleepers, heir}, sleepers without an heir being the orphans; the rotation
 * time is left out, so that a rotation may
 * come at any time and a compare-and-swap succeeds more often than it does in truth. Each access
 * to the word is one step. The futex is a queue, oldest sleeper first.
 *
 * Checked: one holder at a time (assert), and that nobody is left asleep when everybody else is
 * through (invalid end states). Not checked: that a spinner gets the lock in bounded time.
 *
 * Faults that must be found, each by -D: FORGETS_SLEEPERS, HEIR_OUTLIVES, NO_KICK,
 * GIVES_UP_SILENTLY.
 */
#define THREADS 3
#define LOCKS 1 /* of each thread */
#define GIVE_UPS 1 /* in all: a deadline that passes */
#define EARLY_RETURNS 1 /* in all: a sleep that ends for no reason */

byte holder = 0; /* 0: free; otherwise thread + 1 */
bool sleepers = false;
bool heir = false;

chan asleep = [THREADS] of { byte };
bool woken[THREADS];
byte inside = 0;
byte give_ups = 0, early_returns = 0;

#define UNCHANGED (holder == seen_holder && sleepers == seen_sleepers && heir == seen_heir)

inline Read() {
  d_step { seen_holder = holder; seen_sleepers = sleepers; seen_heir = heir }
}

inline Replace(new_holder, new_sleepers, new_heir) {
  d_step {
    done = UNCHANGED;
    if
    :: done -> holder = new_holder; sleepers = new_sleepers; heir = new_heir
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

/* Sleeps if the word is as seen. */
inline Sleep() {
  slept = true;
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
    fi
  }
}

inline Park() {
#ifdef HEIR_OUTLIVES
  Replace(seen_holder, true, seen_heir);
#else
  Replace(seen_holder, true, false);
#endif
  if
  :: done -> seen_sleepers = true;
#ifndef HEIR_OUTLIVES
     seen_heir = false;
#endif
     Sleep()
  :: else
  fi
}

inline Rotate() {
  Replace(seen_holder, seen_sleepers, seen_heir); /* the time alone */
  if
  :: done ->
     my_heir = false;
     Kick(found);
     if
     :: !found ->
        d_step { sleepers = false; heir = false };
        Kick(found)
     :: else
     fi;
     if
     :: found ->
        Read();
        if
        :: seen_holder != 0 && seen_sleepers -> Sleep()
        :: else
        fi
     :: else
     fi
  :: else
  fi
}

/* Who has slept finds that the word has forgotten the sleepers, and stays awake for them. */
inline Claim() {
  Replace(seen_holder, true, true);
  my_heir = done
}

/* What a waiter that gives up owes to the sleepers. */
inline GiveUp() {
#ifdef GIVES_UP_SILENTLY
  done = true;
#else
  if
  :: (seen_sleepers && seen_heir && my_heir) || (!seen_sleepers && slept) ->
     Replace(seen_holder, true, false)
  :: else -> done = true
  fi;
#endif
  if
  :: done -> got_it = false; goto waited
  :: else
  fi
}

/* For orphans a kick is under way: the one it wakes takes care of them. */
inline Take() {
  if
  :: seen_sleepers && seen_heir -> Replace(_pid + 1, true, !my_heir)
#ifndef FORGETS_SLEEPERS
  :: !(seen_sleepers && seen_heir) -> Replace(_pid + 1, slept, false)
#else
  :: !(seen_sleepers && seen_heir) -> Replace(_pid + 1, false, false)
#endif
  fi;
  if
  :: done -> got_it = true; goto waited
  :: else
  fi
}

inline Unlock() {
  d_step {
    Read();
    assert(seen_holder == _pid + 1);
    holder = 0
  }
  if
  :: seen_sleepers && !seen_heir -> Kick(found)
  :: else
  fi
}

active [THREADS] proctype Thread() {
  byte seen_holder, other, locks = 0;
  bool seen_sleepers, seen_heir, done, found, slept, my_heir, got_it;
  do
  :: locks == LOCKS -> break
  :: else ->
     locks++; slept = false; my_heir = false;
next_round:
     do
     :: Read();
        if
        :: seen_holder == 0 -> Take()
        :: else ->
           if
           :: seen_sleepers && !seen_heir ->
              Replace(seen_holder, true, true);
              my_heir = done
           :: else -> done = false
           fi;
           if
           :: done
           :: !done -> skip /* spins on */
           :: !done -> Park()
           :: !done && slept && !seen_sleepers -> Claim()
           :: !done && seen_sleepers && my_heir -> Rotate()
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
        Unlock()
     :: else
     fi
  od
}
