// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_DAEMON_DAEMON_H_
#define LOCKHOST_SERVER_DAEMON_DAEMON_H_

#include <prometheus/exposer.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/clock.h"
#include "server/agent_link/agent_link.h"
#include "server/directory/host_counters.h"
#include "server/directory/vm_directory.h"
#include "server/metrics/metrics.h"
#include "server/publisher/publisher.h"
#include "server/service/host_server.h"
#include "server/service/tls_door.h"
#include "server/service/vm_servers.h"

namespace lockhost::server {

// The TCP listener.
struct TlsOptions {
  std::string address;  // empty: none
  TlsFiles files;
  std::vector<TlsGuests::Guest> guests;
  HandshakeLimits limits;
};

// lockhostd without its flags and its log: everything wired up. The caller's thread runs
// the agent's link and makes and ends servers; see server/README.md for the others.
class Daemon : private AgentListener {
 public:
  using Listen = std::function<absl::StatusOr<Listener>()>;
  struct Options {
    std::string agent_socket;
    std::string run_dir;  // admin.sock, and vm/<id>.sock for each VM
    mode_t socket_mode = 0660;
    std::string admin_group;      // may use admin.sock, besides root; empty: lockhostd's own
    std::string metrics_address;  // host:port; empty: no metrics
    std::string version;
    Backoff::Limits agent_backoff;
    PublisherCore::Options publisher;
    VmServer::Options vm;
    std::vector<VmServers::HybridSocket> hybrid_sockets;
    // The operator's listener, where another one has made it; null: admin.sock.
    Listen listen_admin;
    // The listener that all guests share, and how its peers are known; null: none.
    Listen listen_vsock;
    PeerCid peer_cid = VsockPeerCid;
    TlsOptions tls;
    uint64_t drain_ns = 2'000'000'000;
    uint64_t wire_look_ns = UINT64_MAX;  // see Wire::Start
  };
  // Worth a line in the log. Called by the thread that runs the daemon.
  struct Observer {
    std::function<void(const std::string& text)> info;
    std::function<void(const std::string& text)> warning;
  };

  // Makes the directories, serves admin socket and metrics. Errors say what failed.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(Options options, Clock clock,
                                                       Observer observer);
  // Drains: health says NOT_SERVING, streams end with UNAVAILABLE, sockets are removed.
  ~Daemon() override;

  // Told by the thread that runs the daemon when `fd` is readable; it reads it.
  struct Reload {
    int fd = -1;
    std::function<void()> on_readable;
  };
  // Serves until `termination_fd` is readable.
  void Run(int termination_fd, const Reload& reload);

  // For the thread that runs the daemon. Takes over the limits that can change while it
  // serves; those of gRPC for VMs that come from now on.
  void SetLimits(const VmServer::Options& vm);
  // Likewise reads the files again and takes over what is said of guests and limits; on an
  // error nothing changes. The address cannot change while it serves.
  absl::Status SetTls(const TlsOptions& tls);
  // What a reload came to, for the metrics. Thread-safe.
  void CountReload(bool applied) {
    (applied ? host_counters_.reloads_applied : host_counters_.reloads_refused).fetch_add(1);
  }

  const VmDirectory& directory() const { return directory_; }
  const HostCounters& host_counters() const { return host_counters_; }

 private:
  Daemon(Options options, Clock clock, Observer observer);
  absl::Status ServeOperator();
  absl::Status ServeMetrics();
  absl::Status ServeVsock();
  absl::Status ServeTls();
  void ApplyFacts(const VmFacts& facts);
  std::string SocketPath(uint64_t vm_id) const;

  void OnAgentHere(const agent::SourceMessage& source, AgentOffer offer) override;
  void OnAgentGone(const absl::Status& why, uint64_t retry_in_ns) override;
  absl::Status OnVm(const agent::VmMessage& message, int table_fd) override;
  void OnVmGone(uint64_t vm_id) override;
  void OnBadEvent(const absl::Status& why) override;

  const Options options_;
  const Clock clock_;
  const Observer observer_;
  VmDirectory directory_;
  PublisherStats stats_;
  HostCounters host_counters_;
  std::unique_ptr<Wire> wire_;
  std::unique_ptr<HintQueue> queue_;
  std::shared_ptr<Metrics> metrics_;
  std::unique_ptr<Publisher> publisher_;
  BoostRequester booster_;
  std::unique_ptr<VsockDoor> vsock_;
  std::unique_ptr<TlsDoor> tls_;
  std::unique_ptr<VmServers> servers_;
  std::unique_ptr<HostServer> operator_server_;
  std::unique_ptr<prometheus::Exposer> exposer_;
  AgentLink link_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_DAEMON_DAEMON_H_
