// SPDX-License-Identifier: Apache-2.0
//
// The judge of the fault tests is fed histories that break each guarantee once.
#include "tests/load/support/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace lockhost::load {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSlackNs = 100 * kMs;
constexpr uint32_t kRunning = 1;
constexpr uint32_t kPreempted = 2;

Heard Snapshot(uint64_t at_ms, uint64_t generation, v1::SnapshotReason reason,
               std::vector<Hint> hints, uint64_t resyncs = 0) {
  return {.at_ns = at_ms * kMs,
          .lease_ns = 3'000 * kMs,
          .snapshot = true,
          .reason = reason,
          .generation = generation,
          .resyncs = resyncs,
          .hints = std::move(hints)};
}
Heard Delta(uint64_t at_ms, std::vector<Hint> hints) {
  return {.at_ns = at_ms * kMs, .lease_ns = 3'000 * kMs, .hints = std::move(hints)};
}

// A guest that hears two streams, of two lockhostds, over one table.
History Sound() {
  History history;
  history.truths = {{7, 0, 10, kRunning}, {7, 0, 11, kPreempted}, {7, 0, 12, kRunning}};
  history.demands_ns = {1'100 * kMs, 5'500 * kMs};
  history.streams = {{1'000 * kMs,
                      {Snapshot(1'000, 1, v1::SNAPSHOT_REASON_OPENED, {{0, kRunning, 10}}),
                       Delta(1'200, {{0, kPreempted, 11}}), Delta(2'200, {}),
                       Snapshot(2'300, 1, v1::SNAPSHOT_REASON_RESYNC, {{0, kPreempted, 11}}, 1)}},
                     {5'100 * kMs,
                      {Snapshot(5'200, 2, v1::SNAPSHOT_REASON_OPENED, {{0, kPreempted, 11}}),
                       Delta(5'600, {{0, kRunning, 12}})}}};
  history.server_ends_ns = {5'000 * kMs};
  history.last = {{0, 12}};
  return history;
}

std::vector<std::string> Violations(const std::function<void(History&)>& spoil) {
  History history = Sound();
  spoil(history);
  return CheckHistory(history, kSlackNs).violations;
}

TEST(History, ASoundOneBreaksNothing) {
  const HistoryCheck check = CheckHistory(Sound(), kSlackNs);
  EXPECT_THAT(check.violations, IsEmpty());
  EXPECT_EQ(check.messages, 6u);
  EXPECT_EQ(check.hints, 5u);
  EXPECT_EQ(check.hints_compared, 5u);
}

TEST(History, AMessageBecomesWhatWasHeard) {
  v1::WatchHintsResponse message;
  message.set_lease_ns(5);
  v1::Snapshot* snapshot = message.mutable_snapshot();
  snapshot->set_generation(9);
  snapshot->set_resyncs(2);
  snapshot->set_reason(v1::SNAPSHOT_REASON_RESYNC);
  v1::VcpuHint* vcpu = snapshot->add_vcpus();
  vcpu->set_vcpu_id(3);
  vcpu->set_run_state(v1::RUN_STATE_HALTED);
  vcpu->set_revision(44);
  const Heard heard = ToHeard(message, 1'000);
  EXPECT_TRUE(heard.snapshot);
  EXPECT_EQ(heard.at_ns, 1'000u);
  EXPECT_EQ(heard.lease_ns, 5u);
  EXPECT_EQ(heard.generation, 9u);
  EXPECT_EQ(heard.resyncs, 2u);
  ASSERT_EQ(heard.hints.size(), 1u);
  EXPECT_EQ(heard.hints[0].vcpu_id, 3u);
  EXPECT_EQ(heard.hints[0].run_state, 3u);
  EXPECT_EQ(heard.hints[0].revision, 44u);
}

TEST(History, Guarantee1AStreamBeginsWithASnapshot) {
  EXPECT_THAT(Violations([](History& h) {
                auto& messages = h.streams[0].messages;
                messages.erase(messages.begin(), messages.begin() + 1);
                messages.pop_back();
              }),
              ElementsAre(AllOf(StartsWith("1: "), HasSubstr("no snapshot"))));
}

TEST(History, Guarantee1TheReasonIsTheTrueOne) {
  EXPECT_THAT(
      Violations([](History& h) { h.streams[0].messages[0].reason = v1::SNAPSHOT_REASON_RESYNC; }),
      ElementsAre(StartsWith("1: ")));
  EXPECT_THAT(Violations([](History& h) {
                h.streams[0].messages[3].reason = v1::SNAPSHOT_REASON_NEW_GENERATION;
              }),
              ElementsAre(StartsWith("1: ")));
}

TEST(History, Guarantee1ResyncsAreCounted) {
  EXPECT_THAT(Violations([](History& h) { h.streams[0].messages[3].resyncs = 2; }),
              ElementsAre(AllOf(StartsWith("1: "), HasSubstr("resyncs"))));
}

TEST(History, Guarantee2RevisionsDoNotGoBackInAStream) {
  EXPECT_THAT(Violations([](History& h) {
                h.streams[0].messages[3].hints = {{0, kRunning, 10}};
              }),
              ElementsAre(AllOf(StartsWith("2: "), HasSubstr("from revision 11 to 10"))));
}

TEST(History, Guarantee2NorAcrossStreamsOfOneGeneration) {
  EXPECT_THAT(Violations([](History& h) {
                h.server_ends_ns.clear();
                h.streams[1].messages[0].generation = 1;
                h.streams[1].messages[0].hints = {{0, kRunning, 10}};
              }),
              ElementsAre(StartsWith("2: ")));
}

TEST(History, Guarantee2AnotherLockhostdIsAnotherGeneration) {
  EXPECT_THAT(Violations([](History& h) { h.streams[1].messages[0].generation = 1; }),
              ElementsAre(AllOf(StartsWith("2: "), HasSubstr("lockhostd before"))));
}

TEST(History, Guarantee3AStateWasTrueAtItsRevision) {
  EXPECT_THAT(Violations([](History& h) { h.streams[1].messages[1].hints[0].run_state = 3; }),
              ElementsAre(StartsWith("3: ")));
}

TEST(History, Guarantee3OneTableExplainsAWholeGeneration) {
  const auto spoil = [](History& h) {
    // Another table had other states at these revisions: each hint is true of one of them.
    h.truths.insert(h.truths.end(), {{8, 0, 10, kPreempted}, {8, 0, 11, kRunning}});
    h.streams[0].messages[1].hints[0].run_state = kRunning;
    h.streams[0].messages[3].hints.clear();
  };
  EXPECT_THAT(Violations(spoil), ElementsAre(StartsWith("3: ")));
}

TEST(History, Guarantee4NoSilenceBeyondTheLease) {
  const auto spoil = [](History& h) { h.streams[0].messages[3].at_ns = 5'400 * kMs; };
  EXPECT_THAT(Violations(spoil), ElementsAre(StartsWith("4: ")));
  EXPECT_THAT(Violations([&](History& h) {
                spoil(h);
                h.silences = {{3'000 * kMs, 3'500 * kMs}};
              }),
              IsEmpty());
}

TEST(History, Guarantee5NoDeltaWithoutDemand) {
  EXPECT_THAT(Violations([](History& h) { h.demands_ns = {5'500 * kMs}; }),
              ElementsAre(AllOf(StartsWith("5: "), HasSubstr("nobody"))));
  EXPECT_THAT(Violations([](History& h) { h.demands_ns = {1'100 * kMs}; }),
              ElementsAre(AllOf(StartsWith("5: "), HasSubstr("after the last demand"))));
}

TEST(History, Guarantee5TheLastStateIsNotLost) {
  EXPECT_THAT(Violations([](History& h) {
                h.last = {{0, 13}};
              }),
              ElementsAre(AllOf(StartsWith("5: "), HasSubstr("stands at revision 13"))));
  EXPECT_THAT(Violations([](History& h) { h.streams.clear(); }), ElementsAre(StartsWith("5: ")));
}

TEST(History, ManyViolationsAreCut) {
  const auto spoil = [](History& h) {
    for (uint64_t i = 0; i < 100; ++i) {
      h.streams[1].messages.push_back(Delta(5'700 + i, {{0, kRunning, 1}}));
    }
  };
  EXPECT_EQ(Violations(spoil).size(), 20u);
}

}  // namespace
}  // namespace lockhost::load
