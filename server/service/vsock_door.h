// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_VSOCK_DOOR_H_
#define LOCKHOST_SERVER_SERVICE_VSOCK_DOOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/statusor.h"
#include "server/directory/host_counters.h"
#include "server/service/accept_loop.h"
#include "server/service/cid_table.h"
#include "server/service/listener.h"
#include "server/service/vm_server.h"

namespace lockhost::server {

// Who is at the other end of a connection, by the kernel's word; nullopt: it does not say.
using PeerCid = std::function<std::optional<uint32_t>(int fd)>;
std::optional<uint32_t> VsockPeerCid(int fd);

// One listener for all guests: gives each connection to the server of the VM whose CID its peer
// has. Limits are then that VM's. Connections that stand stay when another VM claims the CID.
//
// Thread-safe; accepts on the wire's thread.
class VsockDoor final : private ConnectionSource {
 public:
  // `wire` and `counters` outlive the door. The listener may be of any family for which
  // `peer_cid` has an answer.
  static absl::StatusOr<std::unique_ptr<VsockDoor>> Open(Listener listener, PeerCid peer_cid,
                                                         Wire* wire, HostCounters* counters);
  ~VsockDoor();
  VsockDoor(const VsockDoor&) = delete;
  VsockDoor& operator=(const VsockDoor&) = delete;

  // A VM has that CID (0: none) and that server, which stays until Remove() has returned.
  void Put(uint64_t vm_id, uint32_t cid, VmServer* server);
  void Remove(uint64_t vm_id);

 private:
  VsockDoor(Listener listener, PeerCid peer_cid, Wire* wire, HostCounters* counters);
  int listener_fd() const override { return listener_.fd(); }
  uint64_t Accept(uint64_t now_ns) override;
  void Give(UniqueFd connection, uint64_t now_ns);

  Listener listener_;
  const PeerCid peer_cid_;
  Wire* const wire_;
  HostCounters* const counters_;
  std::mutex mutex_;
  CidTable cids_;                          // guarded by mutex_
  std::map<uint64_t, VmServer*> servers_;  // by VM; guarded by mutex_
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_VSOCK_DOOR_H_
