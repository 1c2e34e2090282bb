// SPDX-License-Identifier: Apache-2.0
//
// Daemons die, stop and come back at random while one guest attacks and two others write down
// what they hear.
#ifndef LOCKHOST_TESTS_LOAD_FAULTS_FIXTURE_H_
#define LOCKHOST_TESTS_LOAD_FAULTS_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <random>

#include "tests/agent/support/eventually.h"
#include "tests/load/support/faults.h"

namespace lockhost::load {

inline constexpr int kHostileVm = 2;
inline constexpr uint64_t kSlackNs = 1'000'000'000;
// Rides along with the next heartbeat at the latest, which comes each second.
inline constexpr int kUntilLastHeardMs = 2'500;

inline double P99(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<ptrdiff_t>(values.size() * 99 / 100);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

class FaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto host = RealHost::Start({.vms = 3});
    if (absl::IsUnavailable(host.status())) GTEST_SKIP() << host.status().message();
    ASSERT_TRUE(host.ok()) << host.status();
    host_ = *std::move(host);
    std::vector<Recorder::Guest> guests;
    for (int vm = 0; vm < kHostileVm; ++vm) {
      guests.push_back(
          {host_->SocketOf(vm), &host_->table(vm), static_cast<uint32_t>(host_->vcpus_each())});
    }
    recorder_ = std::make_unique<Recorder>(std::move(guests), HintClients::Options{});
    ASSERT_TRUE(
        agent::Eventually([&] { return recorder_->AllResumed(0) && recorder_->deltas() > 0; }));
    faults_ = std::make_unique<Faults>(host_.get(), recorder_.get(), seed_);
    RecordProperty("seed", std::to_string(seed_));
  }

  void RunFaults(std::chrono::seconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) {
      const absl::Status well = faults_->Next();
      ASSERT_TRUE(well.ok()) << well << "; seed " << seed_;
    }
  }

  double DeliveryP99Us(std::chrono::seconds time) {
    recorder_->TakeDeliveryUs();
    poll(nullptr, 0, static_cast<int>(std::chrono::milliseconds(time).count()));
    return P99(recorder_->TakeDeliveryUs());
  }

  // Lets the vCPUs stand still, so that there is a last state to be told, and judges.
  void ExpectGuaranteesKept() {
    for (int vm = 0; vm < host_->vms(); ++vm) host_->SignalVm(vm, SIGSTOP);
    poll(nullptr, 0, kUntilLastHeardMs);
    recorder_->Stop();
    for (int vm = 0; vm < kHostileVm; ++vm) {
      History& history = recorder_->histories()[static_cast<size_t>(vm)];
      history.server_ends_ns = faults_->facts().server_ends_ns;
      history.silences = faults_->facts().silences;
      for (uint32_t vcpu = 0; vcpu < static_cast<uint32_t>(host_->vcpus_each()); ++vcpu) {
        history.last[vcpu] = host_->table(vm).Read(vcpu).revision();
      }
      const HistoryCheck check = CheckHistory(history, kSlackNs);
      EXPECT_THAT(check.violations, testing::IsEmpty()) << "VM " << vm << ", seed " << seed_;
      EXPECT_GT(check.hints_compared, check.hints / 4) << "VM " << vm;
      std::printf("VM %d: %zu streams, %lu messages, %lu of %lu hints compared\n", vm,
                  history.streams.size(), check.messages, check.hints_compared, check.hints);
    }
  }

  void Report() const {
    for (const auto& [name, times] : faults_->facts().faults) {
      std::printf("%-28s %d\n", name.c_str(), times);
    }
    for (auto [part, resume_ms] : faults_->facts().resume_ms) {
      std::sort(resume_ms.begin(), resume_ms.end());
      const double median_ms = resume_ms[resume_ms.size() / 2];
      std::printf("%s restarted: streams resumed after %.0f ms (median), %.0f ms at most\n",
                  NameOf(part), median_ms, resume_ms.back());
      // The machine may be busy with other tests; most of the restarts are not so unlucky.
      EXPECT_LE(median_ms, 1'000);
    }
  }

  const uint32_t seed_ = std::random_device{}();
  std::unique_ptr<RealHost> host_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Faults> faults_;
};

}  // namespace lockhost::load

#endif  // LOCKHOST_TESTS_LOAD_FAULTS_FIXTURE_H_
