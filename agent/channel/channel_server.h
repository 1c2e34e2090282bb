// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_CHANNEL_CHANNEL_SERVER_H_
#define LOCKHOST_AGENT_CHANNEL_CHANNEL_SERVER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/channel/packet.h"
#include "agent/channel/peer.h"
#include "agent/channel/protocol.h"
#include "agent/loop/event_loop.h"
#include "common/unique_fd.h"

namespace lockhost::agent {

// A record with the descriptors that go with it; they stay the handler's.
struct SourceAnnouncement {
  SourceMessage message;  // `descriptors` is filled in by the channel
  int hint_ring_fd = -1;
  int interest_fd = -1;
  int stats_fd = -1;
  int host_page_fd = -1;
  int boost_log_fd = -1;
  int boost_requests_fd = -1;
};
struct VmAnnouncement {
  VmMessage message;
  int table_fd = -1;
};

// What the channel asks of the agent. Requests have been checked for size, type and
// version, and their fields for range; whose VM it is the handler knows.
class ChannelHandler {
 public:
  virtual ~ChannelHandler() = default;
  virtual SourceAnnouncement DescribeSource() = 0;
  virtual std::vector<VmAnnouncement> AllVms() = 0;
  // VMs of the peer's own process.
  virtual std::vector<VmAnnouncement> VmsOf(const PeerIdentity& peer) = 0;
  // The error's text goes to the peer.
  virtual absl::Status SetReportRegion(const PeerIdentity& peer,
                                       const ReportRegionMessage& region) = 0;
  virtual absl::StatusOr<VmAnnouncement> RegisterVcpus(const PeerIdentity& peer,
                                                       std::span<const int32_t> tids) = 0;
  virtual absl::Status SetBoost(const PeerIdentity&, uint64_t /*vm_id*/, bool /*enabled*/) {
    return absl::UnimplementedError("no boosts here");
  }
};

struct ChannelOptions {
  std::string path;
  std::vector<uid_t> server_uids;  // may subscribe, and so hear of every VM
  // Start time of a process, against reuse of its pid; nullopt if it has gone.
  std::function<std::optional<uint64_t>(pid_t)> start_ticks;
  size_t max_servers = 16;  // connections of server_uids
  size_t max_others = 320;  // of everybody else, who thus cannot shut the server out
};

struct ChannelCounters {
  uint64_t accepted = 0;
  uint64_t turned_away = 0;  // too many connections, or a peer that had gone
  uint64_t malformed = 0;    // connection closed: record of another size, type, version
  uint64_t refused = 0;      // requests answered with kError
  uint64_t too_slow = 0;     // connection closed: the peer did not read
};

// The agent's end of the channel (protocol.h). A peer is trusted for what the kernel
// says of it, and for nothing else; it may be slow, dead or hostile, and nobody else
// notices. Runs in the loop's thread. Not thread-safe.
class ChannelServer {
 public:
  // ALREADY_EXISTS: another agent listens at that path. `loop` and `handler` must
  // outlive the server.
  static absl::StatusOr<std::unique_ptr<ChannelServer>> Create(EventLoop* loop,
                                                               const ChannelOptions& options,
                                                               ChannelHandler* handler);
  ~ChannelServer();

  // Tells subscribers that another source is in use.
  void AnnounceSource();
  // Tells subscribers, and those of the VM's own process that have waited for it.
  void AnnounceVm(const VmAnnouncement& vm);
  void AnnounceVmGone(const VmGoneMessage& gone);

  const ChannelCounters& counters() const { return counters_; }
  size_t connections() const { return peers_.size(); }

 private:
  ChannelServer(EventLoop* loop, ChannelOptions options, ChannelHandler* handler,
                UniqueFd listener);

  bool IsServer(uid_t uid) const;
  bool HasRoomFor(uid_t uid) const;
  void Accept();
  void TurnAwayOne();
  void Admit(UniqueFd socket);
  void OnEvents(int fd, uint32_t events);
  void ReadRequests(int fd);
  void Drop(int fd, uint64_t ChannelCounters::*reason);

  absl::Status Handle(Peer& peer, const Packet& packet);
  absl::Status HandleSubscribe(Peer& peer);
  absl::Status HandleOwnTable(Peer& peer);
  absl::Status HandleReportRegion(Peer& peer, const Packet& packet);
  absl::Status HandleRegisterVcpus(Peer& peer, const Packet& packet);
  absl::Status HandleSetBoost(Peer& peer, const Packet& packet);
  absl::Status Answer(Peer& peer, const absl::Status& status);
  absl::Status Refuse(Peer& peer, const std::string& text);
  absl::Status SendSource(Peer& peer, const SourceAnnouncement& source);
  absl::Status SendVm(Peer& peer, const VmAnnouncement& vm);
  // Acts on what came of sending to a peer.
  void Settle(int fd, const absl::Status& status);

  EventLoop* loop_;
  ChannelOptions options_;
  ChannelHandler* handler_;
  UniqueFd listener_;
  UniqueFd spare_;  // given up for a moment when descriptors have run out
  std::map<int, std::unique_ptr<Peer>> peers_;  // by socket
  ChannelCounters counters_;
};

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_CHANNEL_CHANNEL_SERVER_H_
