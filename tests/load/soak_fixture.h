// SPDX-License-Identifier: Apache-2.0
//
// Many deltas over many streams: memory and descriptors stay what they were.
#ifndef LOCKHOST_TESTS_LOAD_SOAK_FIXTURE_H_
#define LOCKHOST_TESTS_LOAD_SOAK_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "tests/load/support/hint_clients.h"
#include "tests/load/support/real_host.h"

namespace lockhost::load {

inline constexpr int kVms = 4;
// Some is for the allocator, whose arenas fill up in the first minute.
inline constexpr uint64_t kMostGrowthBytes = 4 << 20;
inline constexpr size_t kMostMoreDescriptors = 3 * kVms;
inline constexpr auto kStuck = std::chrono::seconds(20);

class SoakTest : public testing::Test {
 protected:
  void SetUp() override {
    auto host = RealHost::Start({.vms = kVms,
                                 .vcpus_each = 2,
                                 .tick = std::chrono::microseconds(1'000),
                                 .guest_agent = false});
    if (absl::IsUnavailable(host.status())) GTEST_SKIP() << host.status().message();
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
  }

  // Until the guests have received so many deltas, each stream being left after some of them.
  void Soak(uint64_t wanted) {
    uint64_t deltas = 0;
    uint64_t streams = 0;
    uint64_t cut_off = 0;  // ended by somebody else than its guest
    HintClients clients(
        {.retry = std::chrono::milliseconds(5), .messages_each_stream = wanted / kVms / 20},
        {.on_message = [&](size_t, const v1::WatchHintsResponse& message,
                           uint64_t) { deltas += message.has_delta() ? 1 : 0; },
         .on_end =
             [&](size_t, const grpc::Status& why, uint64_t) {
               ++streams;
               cut_off += why.error_code() != grpc::StatusCode::CANCELLED ? 1 : 0;
             }});
    for (int vm = 0; vm < kVms; ++vm) {
      clients.Add({.target = "unix:" + host_->SocketOf(vm), .awaited = {0, 1}});
    }
    const auto reach = [&](uint64_t goal) {
      uint64_t before = deltas;
      auto give_up = std::chrono::steady_clock::now() + kStuck;
      clients.Run([&] {
        const auto now = std::chrono::steady_clock::now();
        if (deltas != before) give_up = now + kStuck;
        before = deltas;
        return deltas >= goal || now > give_up;
      });
    };
    reach(wanted / 5);
    const Holdings early = HoldingsOf(host_->pid(Part::kServer));
    reach(wanted);
    const Holdings late = HoldingsOf(host_->pid(Part::kServer));
    ASSERT_TRUE(host_->Check().ok()) << host_->Check();
    EXPECT_GE(deltas, wanted);
    EXPECT_GE(streams, 10u);
    EXPECT_EQ(cut_off, 0u);
    EXPECT_LE(late.rss_bytes, early.rss_bytes + kMostGrowthBytes);
    EXPECT_LE(late.descriptors, early.descriptors + kMostMoreDescriptors);
    std::printf("%lu deltas, %lu streams ended; %lu KiB and %zu descriptors, then %lu and %zu\n",
                deltas, streams, early.rss_bytes / 1024, early.descriptors, late.rss_bytes / 1024,
                late.descriptors);
  }

  std::unique_ptr<RealHost> host_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_SOAK_FIXTURE_H_
