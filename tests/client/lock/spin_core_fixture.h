// SPDX-License-Identifier: Apache-2.0
//
// The core under a test's hand: one thread plays a waiter, the injected platform
// plays the rest of the world.
#ifndef LOCKHOST_TESTS_CLIENT_LOCK_SPIN_CORE_FIXTURE_H_
#define LOCKHOST_TESTS_CLIENT_LOCK_SPIN_CORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>

#include "client/lock/lock_mode.h"
#include "client/lock/lock_word.h"
#include "client/lock/spin_core.h"
#include "client/lock/wait_policy.h"

namespace lockhost::lock {

inline constexpr uint32_t kMe = 0;
inline constexpr uint32_t kHolder = 2;
inline constexpr uint64_t kMyName = 7;
inline constexpr uint32_t kSlots = 4;
inline constexpr uint32_t kFetch = 200;  // ticks, which are ns here

// A world that moves only when the waiter pauses or sleeps.
class SpinCoreTest : public testing::Test {
 protected:
  SpinCoreTest() {
    static constexpr lockhost_platform kPlatform = {
        .wait =
            [](void* self, uint32_t* word, uint32_t expected, uint64_t timeout_ns,
               const lockhost_waiting* waiting) {
              World(self).last_timeout_ns_ = timeout_ns;
              World(self).OnWait(word, expected, *waiting);
              return World(self).woken_by_kick_;
            },
        .kick = [](void* self, uint32_t*) { return World(self).OnKick(); },
        .watch =
            [](void* self, const uint32_t* word, uint32_t* seen) {
              *seen = *word;
              ++World(self).looks_;
              return World(self).is_busy_ ? kFetch : 0;
            },
        .ticks =
            [](void* self) {
              ++World(self).tick_readings_;
              return World(self).now_ns_;
            },
        .pause = [](void* self, const lockhost_waiting* waiting) { World(self).OnPause(*waiting); },
        .current_vcpu = [](void*) { return kMe; },
        .self = [](void* self) { return &World(self).thread_; },
        .now_ns = [](void* self) { return World(self).now_ns_; },
        .ring = [](void* self, lockhost_report_header*) { ++World(self).rings_; },
    };
    page_.header.valid_until_ns = UINT64_MAX;
    page_.header.path = LOCKHOST_PAGE_PATH_DIRECT_MAP;
    env_.platform = &kPlatform;
    env_.context = this;
    env_.pages = {&page_.header, &page_.header, &reports_.header, kSlots, kSlots};
  }

  static SpinCoreTest& World(void* self) { return *static_cast<SpinCoreTest*>(self); }

  void OnPause(const lockhost_waiting& waiting) {
    ++pauses_;
    now_ns_ += pause_ns_;
    last_waiting_ = waiting;
    if (on_pause_) on_pause_();
    if (pauses_ > 100'000) {
      ADD_FAILURE() << "waits for ever";
      word_ = 0;
    }
  }

  int OnKick() {
    ++kicks_;
    if (on_kick_) on_kick_();
    if (asleep_elsewhere_ == 0) return 0;
    --asleep_elsewhere_;
    return 1;
  }

  // A sleep ends by a release, as a kick would end it.
  void OnWait(uint32_t* word, uint32_t expected, const lockhost_waiting& waiting) {
    ++sleeps_;
    EXPECT_EQ(*word, expected);
    word_while_asleep_ = *word;
    last_waiting_ = waiting;
    now_ns_ += 3'000'000;
    if (on_wait_) {
      on_wait_();
    } else {
      *word = 0;
    }
  }

  void HeldBy(uint32_t vcpu) { word_ = HolderTag(vcpu); }
  void SetState(uint32_t vcpu, uint32_t state) {
    page_.slots[vcpu].state_word = lockhost_state_word(state, 1);
  }
  uint64_t ReportWord() const { return reports_.slots[kMe].report_word; }

  lockhost_env env_ = {};
  lockhost_operations operations_ = {};
  lockhost_thread thread_ = {
      .report = kMyName, .held = 0, .native_word = nullptr, .number = 0, .turns = {}};
  uint32_t word_ = 0;
  uint64_t now_ns_ = 1;
  uint64_t pause_ns_ = 1'000;
  int looks_ = 0, pauses_ = 0, sleeps_ = 0, kicks_ = 0, rings_ = 0, tick_readings_ = 0;
  bool is_busy_ = false;      // what `watch` answers
  int woken_by_kick_ = 1;     // what `wait` answers
  int asleep_elsewhere_ = 0;  // how many the next kicks find
  uint64_t last_timeout_ns_ = 0;
  uint32_t word_while_asleep_ = 0;
  lockhost_waiting last_waiting_ = {};
  std::function<void()> on_pause_, on_wait_, on_kick_;
  struct {
    lockhost_hint_header header = {};
    lockhost_hint_slot slots[kSlots] = {};
  } page_;
  struct {
    lockhost_report_header header = {};
    lockhost_report_slot slots[kSlots] = {};
  } reports_;
};

}  // namespace lockhost::lock

#endif  // LOCKHOST_TESTS_CLIENT_LOCK_SPIN_CORE_FIXTURE_H_
