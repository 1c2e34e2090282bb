// SPDX-License-Identifier: Apache-2.0
//
// The listener that all guests share, and hybrid vsock. The listener is a unix socket here,
// and the test says which CID its peers have; the rest is what vsock runs through.
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <thread>

#include "tests/integration/support/test_host.h"

namespace lockhost {
namespace {

constexpr auto kPreempted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_PREEMPTED);
constexpr auto kHalted = static_cast<uint32_t>(LOCKHOST_RUN_STATE_HALTED);

class VsockTest : public testing::Test {
 protected:
  VsockTest() : agent_(directory_.path() + "/agent.sock", 1), stop_(eventfd(0, EFD_CLOEXEC)) {
    server::Daemon::Options options;
    options.agent_socket = directory_.path() + "/agent.sock";
    options.run_dir = directory_.path() + "/run";
    options.publisher.instance = 1;
    options.wire_look_ns = 5'000'000;  // the guests' threads sleep in the same gRPC
    options.listen_vsock = [this] { return server::Listener::OpenUnix(shared_, 0600); };
    options.peer_cid = [this](int) { return std::optional<uint32_t>(cid_); };
    options.hybrid_sockets = {{"fc-1", hybrid_}};
    const auto ignore = [](const std::string&) {};
    auto daemon = server::Daemon::Start(std::move(options), MonotonicClock(),
                                        {ignore, [this](const std::string&) { ++warnings_; }});
    EXPECT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    thread_ = std::thread([this] { daemon_->Run(stop_.get(), {}); });
  }

  ~VsockTest() override {
    eventfd_write(stop_.get(), 1);
    thread_.join();
  }

  void AddVm(uint64_t vm_id, uint32_t cid, lockhost_run_state state, const std::string& name = "") {
    agent_.AddVm(vm_id, static_cast<uint32_t>(vm_id), cid, name);
    agent_.SetState(vm_id, 0, state);
    ASSERT_TRUE(Eventually([&] { return daemon_->directory().Find(vm_id) != nullptr; }));
  }

  static bool Sees(TestGuest* guest, uint32_t state) {
    return Eventually([&] {
      guest->Wait(0);
      return guest->Hint(0) == state;
    });
  }

  agent::TempDir directory_;
  const std::string shared_ = directory_.path() + "/shared.sock";
  const std::string hybrid_ = directory_.path() + "/v.sock_9000";
  std::atomic<uint32_t> cid_{0};
  std::atomic<int> warnings_{0};
  TestAgent agent_;
  UniqueFd stop_;
  std::unique_ptr<server::Daemon> daemon_;
  std::thread thread_;
};

TEST_F(VsockTest, EachPeerGetsTheHintsOfTheVmWithItsCid) {
  AddVm(7, 100, LOCKHOST_RUN_STATE_PREEMPTED);
  AddVm(8, 101, LOCKHOST_RUN_STATE_HALTED);
  cid_ = 100;
  TestGuest first(shared_);
  ASSERT_TRUE(Eventually([&] { return first.HasLease(); }));
  cid_ = 101;
  TestGuest second(shared_);
  ASSERT_TRUE(Eventually([&] { return second.HasLease(); }));
  EXPECT_TRUE(Sees(&first, kPreempted));
  EXPECT_TRUE(Sees(&second, kHalted));
}

TEST_F(VsockTest, AnUnknownPeerIsTurnedAwayUntilItsVmIsKnown) {
  AddVm(7, 100, LOCKHOST_RUN_STATE_PREEMPTED);
  cid_ = 200;
  TestGuest guest(shared_);
  EXPECT_TRUE(Eventually([&] { return daemon_->host_counters().vsock_unknown_cid >= 2; }));
  EXPECT_FALSE(guest.HasLease());
  AddVm(8, 200, LOCKHOST_RUN_STATE_HALTED);
  EXPECT_TRUE(Eventually([&] { return guest.HasLease(); }));
}

TEST_F(VsockTest, ACidThatTwoVmsClaimServesNeither) {
  AddVm(7, 100, LOCKHOST_RUN_STATE_PREEMPTED);
  AddVm(8, 100, LOCKHOST_RUN_STATE_HALTED);
  cid_ = 100;
  TestGuest guest(shared_);
  EXPECT_TRUE(Eventually([&] { return daemon_->host_counters().vsock_claimed_twice >= 2; }));
  EXPECT_FALSE(guest.HasLease());
  agent_.RemoveVm(8);
  EXPECT_TRUE(Eventually([&] { return guest.HasLease(); }));
  EXPECT_TRUE(Sees(&guest, kPreempted));
}

TEST_F(VsockTest, AHybridSocketServesTheVmOfThatNameAndGoesWithIt) {
  AddVm(7, 0, LOCKHOST_RUN_STATE_PREEMPTED, "other");
  EXPECT_NE(access(hybrid_.c_str(), F_OK), 0);
  AddVm(8, 0, LOCKHOST_RUN_STATE_HALTED, "fc-1");
  {
    TestGuest guest(hybrid_);
    ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
    EXPECT_TRUE(Sees(&guest, kHalted));
  }
  agent_.RemoveVm(8);
  EXPECT_TRUE(Eventually([&] { return access(hybrid_.c_str(), F_OK) != 0; }));
}

TEST_F(VsockTest, ASecondVmOfTheSameNameTakesNothingAway) {
  AddVm(7, 0, LOCKHOST_RUN_STATE_PREEMPTED, "fc-1");
  AddVm(8, 0, LOCKHOST_RUN_STATE_HALTED, "fc-1");
  EXPECT_EQ(warnings_, 1);
  TestGuest guest(hybrid_);
  ASSERT_TRUE(Eventually([&] { return guest.HasLease(); }));
  EXPECT_TRUE(Sees(&guest, kPreempted));
}

}  // namespace
}  // namespace lockhost
