// SPDX-License-Identifier: Apache-2.0
//
// Runs a few threads of the lock's core through every interleaving within bounds: threads
// are fibres of one thread, switched at accesses to the lock word alone, and each run
// takes the next sequence of choices in depth-first order (stateless search with bounded
// preemptions: Musuvathi and Qadeer, "Iterative Context Bounding", PLDI 2007).
//
// Also a choice, at each look of a waiter: whether the holder is said to run, whether a
// claim is due, whether its deadline has passed. And a sleep may end early. And, at each
// lock, whether it is taken by native operations if it is free.
//
// Threads may also wait on a condition variable, whose words are watched like the lock's.
//
// Checked: mutual exclusion; that somebody can always go on (a lost wake-up shows as
// everybody asleep); that an unlock does not touch the word once it is free; that the word
// is never accessed but atomically; memory order of taking and freeing stores.
//
// Not explored: reorderings that sequential consistency forbids; between two looks of a
// spinning waiter, changes of the word that it would see a round later anyway.
#ifndef LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_EXPLORER_H_
#define LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_EXPLORER_H_

#include <ucontext.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "client/lock/cond_core.h"
#include "client/lock/spin_core.h"
#include "tests/client/lock/interleaving/accesses.h"
#include "tests/client/lock/interleaving/choices.h"

namespace lockhost::interleaving {

inline constexpr int kMaxThreads = 3;
inline constexpr uint64_t kDeadlineNs = UINT64_MAX - 1;

// What a thread does each time.
enum class Role {
  kLocks,
  kTakes,       // locks, waits on the condition variable until there is an item, takes it
  kPuts,        // locks, puts an item, wakes one, unlocks
  kPutsOutside  // the same, but wakes after the unlock
};

struct Bounds {
  std::vector<int> locks_of_thread;  // how often each thread locks and unlocks
  std::vector<bool> timed = {};      // these may find their deadline passed
  std::vector<Role> roles = {};      // none: all lock
  bool wakes_all = false;            // who puts an item wakes all
  int preemptions = 2;               // switches away from a thread that could go on
  int early_returns = 0;             // sleeps that end for no reason
  int looks = 2;                     // after these a waiter sleeps
  bool switches_mode = false;        // before each lock the host may change its mind
};

// Faults to be noticed.
struct Faults {
  std::function<uint32_t(uint32_t before, uint32_t after)> store = nullptr;
  bool kick_wakes_nobody = false;
  bool kick_reads_the_word = false;
  bool wait_does_not_compare = false;
  bool cond_forgets_waiters = false;  // counts them when it is too late
};

struct Outcome {
  uint64_t runs = 0;
  // Over all runs: how much of the slow path the bounds reach.
  uint64_t sleeps = 0;
  uint64_t claims = 0;
  uint64_t give_ups = 0;
  uint64_t native_locks = 0;
  uint64_t naps = 0;
  std::string failure;  // empty if none; with the run that shows it
};

class Explorer final : private AccessObserver {
 public:
  explicit Explorer(Bounds bounds, Faults faults = {});
  ~Explorer() override;

  // Until the first failure or the last run.
  Outcome Explore();

 private:
  enum class State { kReady, kAsleep, kDone };
  struct Fibre {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
    lockhost_thread thread = {};
    State state = State::kReady;
    bool quiet = false;      // spins: nothing but loads since the last point
    bool unlocking = false;  // within an unlock
    bool released = false;   // whose store has freed the word
    bool is_late = false;    // its deadline has passed
    bool kicked = false;     // what ended the sleep
    int looks = 0;
    uint32_t last_loaded = 0;
  };
  struct Event {
    int thread;
    const char* what;
    uint32_t word;
  };

  static void Enter();
  void RunOnce();
  void Prepare(size_t i);
  void Body(int locks);
  bool Lock();
  void CriticalSection();
  void Unlock();
  void DoOnce();
  void Take();
  void Put(bool wakes_outside);
  void SwitchMode();

  // A point at which others may run. `may_continue`: the current fibre may, too;
  // `is_free`: a switch is no preemption.
  void Point(bool may_continue, bool is_free);
  void WakeByItself(int sleeper);
  void SwitchTo(int next);
  void Fail(const char* why);
  void Note(const char* what) { events_.push_back({current_, what, word_}); }
  bool IsTimed(int thread) const { return !bounds_.timed.empty() && bounds_.timed[thread]; }
  Fibre& self() { return fibres_[current_]; }
  std::string Trace() const;

  void BeforeAtomic(const volatile uint32_t* at) override;
  void AfterLoad(const volatile uint32_t* at, uint32_t value) override;
  uint32_t OnStore(const volatile uint32_t* at, uint32_t before, uint32_t after,
                   int order) override;
  void OnPlainAccess(const volatile void* at) override;

  static const lockhost_platform kPlatform;
  bool IsOfCond(const volatile uint32_t* at) const {
    return at == &cond_.sequence || at == &cond_.waiters;
  }
  int OnWait(const uint32_t* at, uint32_t expected, bool timed);
  int OnWake(const uint32_t* at, uint32_t count);
  void OnPause();
  uint64_t OnNow();
  uint64_t ChooseWhatALookSees();

  const Bounds bounds_;
  const Faults faults_;
  Choices choices_;
  Outcome outcome_;

  // Of one run.
  std::array<Fibre, kMaxThreads> fibres_;
  ucontext_t main_;
  int current_ = 0;
  int inside_ = 0;
  int preemptions_left_ = 0;
  int early_returns_left_ = 0;
  uint32_t word_ = 0;
  uint64_t now_ns_ = 0;
  struct Sleeper {
    int thread;
    const uint32_t* at;
    bool naps;  // wakes in time, whatever others do
  };
  std::vector<Sleeper> asleep_;  // oldest first
  lockhost_cond_t cond_ = LOCKHOST_COND_INITIALIZER;
  int items_ = 0;
  std::vector<Event> events_;
  lockhost_env env_ = {};
  lockhost_operations operations_ = {};
  struct {
    lockhost_hint_header header = {};
    lockhost_hint_slot slots[kMaxThreads] = {};
  } hints_;
  struct {
    lockhost_report_header header = {};
    lockhost_report_slot slots[kMaxThreads] = {};
  } reports_;
};

}  // namespace lockhost::interleaving

#endif  // LOCKHOST_TESTS_CLIENT_LOCK_INTERLEAVING_EXPLORER_H_
