// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_DAEMON_AGENT_H_
#define LOCKHOST_AGENT_DAEMON_AGENT_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/channel_server.h"
#include "agent/daemon/boosts.h"
#include "agent/daemon/kvm_stats_collector.h"
#include "agent/daemon/load_collector.h"
#include "agent/kernel/procfs.h"
#include "agent/loop/event_loop.h"
#include "agent/overcommit/overcommit.h"
#include "agent/registry/vm_registry.h"
#include "agent/source/choose_source.h"
#include "agent/table/host_page.h"
#include "common/clock.h"

namespace lockhost::agent {

struct AgentOptions {
  std::string socket = "/run/lockhost/agent.sock";
  std::string source = "auto";
  std::vector<uid_t> server_uids = {};
  std::string procfs_root = "/proc";
  std::string sysfs_root = "/sys";
  // VMs of registered threads at the same time: they must not use up the room for KVM's VMs.
  uint32_t registered_vms = 64;
  BpfOptions bpf = {};
  BoostOptions boost = {};
  // Stands between the agent and the source that was chosen; for tests of sources that fail.
  std::function<std::unique_ptr<Source>(std::unique_ptr<Source>)> wrap_source = {};
};

// The agent: joins the source, the registry of VMs and the channel. Logs what an
// operator wants to know. One thread, the loop's; not thread-safe.
class Agent : public ChannelHandler {
 public:
  // ALREADY_EXISTS: another agent listens at the socket or holds the pins. `loop` must
  // outlive the agent. REQUIRES: the process has one thread, if it may boost.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(EventLoop* loop, const AgentOptions& options,
                                                       Clock clock);
  // Tables that nobody will write any more say "no hint" from here on.
  ~Agent() override;

  SourceAnnouncement DescribeSource() override;
  std::vector<VmAnnouncement> AllVms() override;
  std::vector<VmAnnouncement> VmsOf(const PeerIdentity& peer) override;
  absl::Status SetReportRegion(const PeerIdentity& peer,
                               const ReportRegionMessage& region) override;
  absl::StatusOr<VmAnnouncement> RegisterVcpus(const PeerIdentity& peer,
                                               std::span<const int32_t> tids) override;
  absl::Status SetBoost(const PeerIdentity& peer, uint64_t vm_id, bool enabled) override;

 private:
  Agent(EventLoop* loop, Procfs procfs, const std::string& sysfs_root, Clock clock)
      : loop_(loop), procfs_(std::move(procfs)), sysfs_root_(sysfs_root), clock_(clock) {}

  absl::Status Start(const AgentOptions& options);
  absl::Status StartSource(const AgentOptions& options);
  absl::Status StartChannel(const AgentOptions& options);
  absl::Status StartTimers();

  void Poll();
  // Takes the next source when this one has failed too often.
  void CountFailure(const absl::Status& status);
  absl::Status TakeSource(ChosenSource chosen);
  void MoveVms(Source& from);
  bool Move(Vm& vm);
  void CheckCounts();
  void LookAtLoad();
  void AdviseModes();
  void WriteHostPage();
  std::vector<SourceCounter> AllCounters();
  void LogTrouble();

  // A VM that is to be followed from now on, or one that an earlier agent followed.
  absl::StatusOr<Vm*> Follow(const VmSighting& sighting);
  absl::StatusOr<Vm*> TakeIn(const VmRecord& record);
  void End(uint64_t vm_id, const char* why);

  VmAnnouncement Announcement(const Vm& vm);
  // Tells of the VM a little later: many changes become one message.
  void MarkChanged(const Vm& vm);
  void AnnounceChanged();
  Vm* RegisteredVm(const ProcessId& process);
  bool MayRegisterAnother();

  EventLoop* loop_;
  Procfs procfs_;
  const std::string sysfs_root_;
  Clock clock_;
  ChosenSource chosen_;
  VmRegistry registry_;
  std::unique_ptr<Boosts> boosts_;
  std::unique_ptr<ChannelServer> channel_;
  std::unique_ptr<Timer> poll_timer_;
  std::unique_ptr<Timer> change_timer_;
  std::set<uint64_t> changed_;  // by vm_id
  std::unique_ptr<LoadCollector> load_collector_;
  KvmStatsCollector kvm_stats_{&procfs_};
  std::unique_ptr<HostPageWriter> host_page_;
  Overcommit overcommit_;
  uint32_t registered_vms_ = 0;
  uint64_t load_looked_at_ns_ = 0;
  int failures_ = 0;               // of the source, one after another
  std::vector<uint64_t> trouble_;  // counters when they were last logged
  uint64_t trouble_logged_at_ns_ = 0;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_DAEMON_AGENT_H_
