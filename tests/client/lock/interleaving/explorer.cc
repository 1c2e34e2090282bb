// SPDX-License-Identifier: Apache-2.0
#include "tests/client/lock/interleaving/explorer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "client/lock/lock_word.h"

namespace lockhost::interleaving {
namespace {

using lock::IsHeld;

constexpr uint64_t kDeadlineNs = UINT64_MAX - 1;
constexpr size_t kMostEvents = 2'000;  // a run that is longer does not end

Explorer* running = nullptr;  // makecontext() takes no pointer

}  // namespace

const lockhost_platform Explorer::kPlatform = {
    .wait =
        [](void* self, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
           const lockhost_waiting*) {
          return static_cast<Explorer*>(self)->OnWait(word, expected, timeout_ns != UINT64_MAX);
        },
    .kick = [](void* self,
               uint32_t* word) { return static_cast<Explorer*>(self)->OnWake(word, 1); },
    .pause = [](void* self, const lockhost_waiting*) { static_cast<Explorer*>(self)->OnPause(); },
    .current_vcpu =
        [](void* self) { return static_cast<uint32_t>(static_cast<Explorer*>(self)->current_); },
    .self = [](void* self) { return &static_cast<Explorer*>(self)->self().thread; },
    .now_ns = [](void* self) { return static_cast<Explorer*>(self)->OnNow(); },
    .ring = [](void*, lockhost_report_header*) {},
};

Explorer::Explorer(Bounds bounds, Faults faults)
    : bounds_(std::move(bounds)), faults_(std::move(faults)) {
  env_ = {.platform = &kPlatform,
          .context = this,
          .pages = {&hints_.header, &hints_.header, &reports_.header, kMaxThreads, kMaxThreads}};
  hints_.header.valid_until_ns = UINT64_MAX;
  hints_.header.path = LOCKHOST_PAGE_PATH_DIRECT_MAP;
}

Explorer::~Explorer() { Observe(nullptr); }

Outcome Explorer::Explore() {
  running = this;
  Observe(this);
  do {
    ++outcome_.runs;
    RunOnce();
  } while (outcome_.failure.empty() && choices_.Advance());
  Observe(nullptr);
  return outcome_;
}

void Explorer::RunOnce() {
  word_ = 0;
  now_ns_ = 1;
  inside_ = 0;
  preemptions_left_ = bounds_.preemptions;
  early_returns_left_ = bounds_.early_returns;
  asleep_.clear();
  events_.clear();
  cond_ = LOCKHOST_COND_INITIALIZER;
  items_ = 0;
  for (size_t i = 0; i < fibres_.size(); ++i) Prepare(i);
  current_ = choices_.Choose(static_cast<int>(bounds_.locks_of_thread.size()));
  swapcontext(&main_, &self().context);
}

void Explorer::Prepare(size_t i) {
  Fibre& fibre = fibres_[i];
  fibre.thread = {.slot = static_cast<uint32_t>(i), .reports = 0};
  fibre.quiet = fibre.unlocking = fibre.released = fibre.kicked = false;
  fibre.looks = 0;
  fibre.state = State::kDone;
  if (i >= bounds_.locks_of_thread.size()) return;
  fibre.state = State::kReady;
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = fibre.stack.data();
  fibre.context.uc_stack.ss_size = fibre.stack.size();
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, &Explorer::Enter, 0);
}

void Explorer::Enter() { running->Body(running->bounds_.locks_of_thread[running->current_]); }

void Explorer::Body(int locks) {
  for (int i = 0; i < locks; ++i) DoOnce();
  self().state = State::kDone;
  Note("is done");
  Point(/*may_continue=*/false, /*is_free=*/true);
}

void Explorer::DoOnce() {
  if (!Lock()) {
    Note("gives up");
    ++outcome_.give_ups;
    return;
  }
  const Role role = bounds_.roles.empty() ? Role::kLocks : bounds_.roles[current_];
  switch (role) {
    case Role::kLocks:
      CriticalSection();
      return Unlock();
    case Role::kTakes:
      return Take();
    case Role::kPuts:
      return Put(/*wakes_outside=*/false);
    case Role::kPutsOutside:
      return Put(/*wakes_outside=*/true);
  }
}

void Explorer::Take() {
  const lockhost_cond_ops ops = {.context = this,
                                 .sleep =
                                     [](void* self, uint32_t* word, uint32_t expected) {
                                       auto& explorer = *static_cast<Explorer*>(self);
                                       // The unlock before it is over.
                                       explorer.self().unlocking = explorer.self().released = false;
                                       explorer.OnWait(word, expected, /*timed=*/false);
                                       return 0;
                                     },
                                 .wake = nullptr};
  CriticalSection();
  while (items_ == 0) {
    self().unlocking = true;
    lockhost_core_cond_wait(&env_, &ops, &cond_, &word_);
    CriticalSection();
  }
  --items_;
  Unlock();
}

void Explorer::Put(bool wakes_outside) {
  const lockhost_cond_ops ops = {
      .context = this, .sleep = nullptr, .wake = [](void* self, uint32_t* word, uint32_t count) {
        static_cast<Explorer*>(self)->OnWake(word, count);
      }};
  CriticalSection();
  ++items_;
  if (wakes_outside) Unlock();
  lockhost_core_cond_wake(&ops, &cond_, bounds_.wakes_all ? kMaxThreads : 1);
  if (!wakes_outside) Unlock();
}

bool Explorer::Lock() {
  self().is_late = false;
  if (IsTimed(current_)) return lockhost_core_lock_until(&env_, &word_, kDeadlineNs) != 0;
  lockhost_core_lock(&env_, &word_);
  return true;
}

void Explorer::CriticalSection() {
  Note("holds");
  if (++inside_ != 1) Fail("two threads hold the lock");
  Point(/*may_continue=*/true, /*is_free=*/false);
  --inside_;
}

void Explorer::Unlock() {
  self().unlocking = true;
  lockhost_core_unlock(&env_, &word_);
  self().unlocking = self().released = false;
}

void Explorer::Point(bool may_continue, bool is_free) {
  if (events_.size() > kMostEvents) Fail("the run does not end");
  std::array<int, 2 * kMaxThreads> options{};
  int count = 0;
  const bool others_may = !may_continue || is_free || preemptions_left_ > 0;
  if (may_continue && !is_free) options[count++] = current_;
  for (int i = 1; others_may && i <= kMaxThreads; ++i) {
    const int other = (current_ + i) % kMaxThreads;
    if (fibres_[other].state == State::kReady && (other != current_ || is_free)) {
      options[count++] = other;
    }
  }
  // A sleep that ends by itself would hide that nobody is left to wake the sleeper.
  for (const auto& [sleeper, at] : asleep_) {
    if (count > 0 && (IsTimed(sleeper) || early_returns_left_ > 0)) options[count++] = sleeper;
  }
  if (count == 0) {
    if (!asleep_.empty()) Fail("everybody sleeps: a wake-up was lost");
    if (IsHeld(word_)) Fail("the lock is held by nobody");
    setcontext(&main_);
  }
  const int next = options[choices_.Choose(count)];
  if (next != current_ && may_continue && !is_free) --preemptions_left_;
  if (fibres_[next].state == State::kAsleep) WakeByItself(next);
  SwitchTo(next);
}

void Explorer::WakeByItself(int sleeper) {
  if (IsTimed(sleeper)) {
    fibres_[sleeper].is_late = true;
  } else {
    --early_returns_left_;
  }
  std::erase_if(asleep_, [=](const Sleeper& other) { return other.thread == sleeper; });
  fibres_[sleeper].kicked = false;
  fibres_[sleeper].state = State::kReady;
}

void Explorer::SwitchTo(int next) {
  if (next == current_) return;
  Fibre& from = self();
  current_ = next;
  swapcontext(&from.context, &fibres_[next].context);
}

// The fibres of this run are left where they are: they own nothing.
void Explorer::Fail(const char* why) {
  outcome_.failure = std::string(why) + "\n" + Trace();
  setcontext(&main_);
}

std::string Explorer::Trace() const {
  std::string text;
  for (const Event& event : events_) {
    std::array<char, 80> line{};
    snprintf(line.data(), line.size(), "  thread %d %-24s word %08x\n", event.thread, event.what,
             event.word);
    text += line.data();
  }
  return text;
}

void Explorer::BeforeAtomic(const volatile uint32_t* at) {
  if (IsOfCond(at)) {
    self().quiet = false;
    Point(/*may_continue=*/true, /*is_free=*/false);
  }
  if (at != &word_) return;
  if (self().released) Fail("an unlock touches the word after it has freed it");
  if (!self().quiet) Point(/*may_continue=*/true, /*is_free=*/false);
}

void Explorer::AfterLoad(const volatile uint32_t* at, uint32_t value) {
  if (at != &word_) return;
  self().last_loaded = value;
  Note("reads");
}

uint32_t Explorer::OnStore(const volatile uint32_t* at, uint32_t before, uint32_t after,
                           int order) {
  if (at == &cond_.waiters && faults_.cond_forgets_waiters) return before;
  if (at != &word_) return after;
  self().quiet = false;
  if (faults_.store) after = faults_.store(before, after);
  word_ = after;
  Note("stores");
  if (!IsHeld(before) && IsHeld(after) && order != __ATOMIC_ACQUIRE) {
    Fail("taken without acquire order");
  }
  if (IsHeld(before) && !IsHeld(after)) {
    if (!self().unlocking) Fail("freed by a waiter");
    if (order != __ATOMIC_RELEASE) Fail("freed without release order");
    self().released = true;
  }
  return after;
}

void Explorer::OnPlainAccess(const volatile void* at) {
  if (at == &word_) Fail("the word is accessed by plain code");
}

int Explorer::OnWait(const uint32_t* at, uint32_t expected, bool timed) {
  Fibre& me = self();
  me.quiet = false;
  Point(/*may_continue=*/true, /*is_free=*/false);
  if (*at != expected && !faults_.wait_does_not_compare) return 0;
  if (timed && choices_.Choose(2) == 1) {
    me.is_late = true;
    return 0;
  }
  Note("sleeps");
  ++outcome_.sleeps;
  me.state = State::kAsleep;
  asleep_.push_back({current_, at});
  Point(/*may_continue=*/false, /*is_free=*/true);
  Note(me.kicked ? "is woken" : "wakes early");
  return me.kicked ? 1 : 0;
}

int Explorer::OnWake(const uint32_t* at, uint32_t count) {
  self().quiet = false;
  if (faults_.kick_reads_the_word) BeforeAtomic(&word_);
  Point(/*may_continue=*/true, /*is_free=*/false);
  Note("kicks");
  if (at == &word_ && !self().unlocking) ++outcome_.kicks_by_waiters;
  if (faults_.kick_wakes_nobody) return 0;
  int woken = 0;
  for (size_t i = 0; i < asleep_.size() && count > 0;) {
    if (asleep_[i].at != at) {
      ++i;
      continue;
    }
    Fibre& fibre = fibres_[asleep_[i].thread];
    fibre.kicked = true;
    fibre.state = State::kReady;
    asleep_.erase(asleep_.begin() + static_cast<std::ptrdiff_t>(i));
    --count;
    ++woken;
  }
  return woken;
}

void Explorer::OnPause() {
  if (std::exchange(self().quiet, true)) return;
  Point(/*may_continue=*/true, /*is_free=*/true);
}

uint64_t Explorer::OnNow() {
  self().quiet = false;
  // Who takes a free lock also asks for the time; only a look asks with the lock held.
  return IsHeld(self().last_loaded) ? ChooseWhatALookSees() : now_ns_;
}

uint64_t Explorer::ChooseWhatALookSees() {
  enum { kHolderIsPreempted, kDeadlinePassed, kHolderRuns, kRotationIsDue };
  if (self().is_late) return kDeadlineNs;
  std::array<int, 4> options{kHolderIsPreempted};
  int count = 1;
  if (IsTimed(current_)) options[count++] = kDeadlinePassed;
  if (++self().looks <= bounds_.looks) {
    options[count++] = kHolderRuns;
    if ((self().last_loaded & lock::kHeir) != 0) options[count++] = kRotationIsDue;
  }
  const int choice = options[choices_.Choose(count)];
  const uint32_t state =
      choice == kHolderIsPreempted ? LOCKHOST_RUN_STATE_PREEMPTED : LOCKHOST_RUN_STATE_RUNNING;
  for (lockhost_hint_slot& slot : hints_.slots) slot.state_word = lockhost_state_word(state, 1);
  if (choice == kDeadlinePassed) {
    self().is_late = true;
    return kDeadlineNs;
  }
  if (choice == kRotationIsDue) {
    now_ns_ += uint64_t{lock::kRotateEvery} << lock::kRotationUnitShift;
    // Or the holder would seem to be stuck for so long.
    for (lockhost_report_slot& slot : reports_.slots) ++slot.report_word;
  }
  return now_ns_;
}

}  // namespace lockhost::interleaving
