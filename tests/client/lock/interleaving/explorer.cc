// SPDX-License-Identifier: Apache-2.0
#include "tests/client/lock/interleaving/explorer.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "client/lock/lock_word.h"

namespace lockhost::interleaving {
namespace {

using lock::IsHeld;

constexpr size_t kMostEvents = 2'000;  // a run that is longer does not end

Explorer* running = nullptr;  // makecontext() takes no pointer

}  // namespace

Explorer::Explorer(Bounds bounds, Faults faults)
    : bounds_(std::move(bounds)), faults_(std::move(faults)) {
  env_ = {.platform = &kPlatform,
          .context = this,
          .pages = {&hints_.header, &hints_.header, &reports_.header, kMaxThreads, kMaxThreads},
          .operations = &operations_,
          .threads = nullptr};
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
  operations_ = {};
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
  fibre.thread = {.report = i + 1, .held = 0, .native_word = nullptr, .number = 0, .turns = {}};
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

bool Explorer::Lock() {
  self().is_late = false;
  if (bounds_.switches_mode) SwitchMode();
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
  // A sleep that ends by itself would hide that nobody is left to wake the sleeper. A nap does
  // end, but would do so for ever.
  const bool others_run = count > 0;
  for (const Sleeper& sleeper : asleep_) {
    const bool by_time = sleeper.naps ? !others_run : others_run && IsTimed(sleeper.thread);
    if (by_time || (others_run && early_returns_left_ > 0)) options[count++] = sleeper.thread;
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
  const auto found = std::find_if(asleep_.begin(), asleep_.end(),
                                  [=](const Sleeper& other) { return other.thread == sleeper; });
  if (IsTimed(sleeper) && !found->naps) {
    fibres_[sleeper].is_late = true;
  } else if (!found->naps) {
    --early_returns_left_;
  }
  asleep_.erase(found);
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

}  // namespace lockhost::interleaving
