// SPDX-License-Identifier: Apache-2.0
//
// The agent's own channel and tables in a thread of the test, without a source: the test
// says what the vCPUs do.
#ifndef LOCKHOST_TESTS_INTEGRATION_SUPPORT_TEST_AGENT_H_
#define LOCKHOST_TESTS_INTEGRATION_SUPPORT_TEST_AGENT_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "agent/boost/boost_requests.h"
#include "agent/channel/channel_server.h"
#include "agent/loop/event_loop.h"
#include "agent/source/interest_memfd.h"
#include "agent/table/boost_log.h"
#include "agent/table/host_page.h"
#include "agent/table/memfd_table.h"
#include "common/clock.h"

namespace lockhost {

class TestAgent : private agent::ChannelHandler {
 public:
  // Listens at `socket`. Generations of its tables are `generation` and up.
  TestAgent(std::string socket, uint64_t generation);
  ~TestAgent() override;

  void AddVm(uint64_t vm_id, uint32_t vm_index, uint32_t vsock_cid = 0,
             const std::string& name = "");
  void RemoveVm(uint64_t vm_id);
  // The VM's table is another one from now on.
  void ReplaceTable(uint64_t vm_id);
  void SetState(uint64_t vm_id, uint32_t vcpu_id, lockhost_run_state state);

  // What a source would be asked for.
  bool HasDemand(uint64_t vm_id);
  bool HasSubscriber();
  // From now on it has a booster that does nothing: the VM's boosts are on, and it has had
  // this one.
  void StartBoosting(uint64_t vm_id, const agent::BoostRecord& record);
  // What the booster was asked for since.
  std::vector<agent::BoostRequest> TakeBoostRequests();
  // What was asked for last, by VM; 0: all.
  std::map<uint64_t, bool> Boosted();

 private:
  struct Vm {
    uint32_t vm_index;
    uint32_t vsock_cid;
    std::string name;
    std::unique_ptr<agent::MemfdTable> table;
  };

  agent::SourceAnnouncement DescribeSource() override;
  std::vector<agent::VmAnnouncement> AllVms() override;
  std::vector<agent::VmAnnouncement> VmsOf(const agent::PeerIdentity& peer) override;
  absl::Status SetReportRegion(const agent::PeerIdentity& peer,
                               const agent::ReportRegionMessage& region) override;
  absl::StatusOr<agent::VmAnnouncement> RegisterVcpus(const agent::PeerIdentity& peer,
                                                      std::span<const int32_t> tids) override;
  absl::Status SetBoost(const agent::PeerIdentity& peer, uint64_t vm_id, bool enabled) override;
  agent::VmAnnouncement Announcement(uint64_t vm_id);
  // Runs in the agent's thread, and waits for it.
  void Do(std::function<void()> work);

  uint64_t next_generation_;
  std::unique_ptr<agent::InterestMemfd> interest_;
  std::optional<agent::BoostLogWriter> boost_log_;
  std::unique_ptr<agent::HostPageWriter> host_page_;
  std::optional<agent::BoostRequests> boost_requests_;
  std::unique_ptr<agent::EventLoop> loop_;
  std::unique_ptr<agent::ChannelServer> channel_;
  std::map<uint64_t, Vm> vms_;
  std::map<uint64_t, bool> boosted_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> work_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace lockhost

#endif  // LOCKHOST_TESTS_INTEGRATION_SUPPORT_TEST_AGENT_H_
