// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_VM_SERVERS_H_
#define LOCKHOST_SERVER_SERVICE_VM_SERVERS_H_

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "server/service/tls_door.h"
#include "server/service/vm_server.h"
#include "server/service/vsock_door.h"

namespace lockhost::server {

// The servers of all VMs. Ending one takes a moment (calls have to end); a thread of
// this class does that, so that nobody else waits for it.
//
// Not thread-safe: the main thread's.
class VmServers {
 public:
  // A VM's socket besides its own: hybrid vsock's `<uds>_<port>`, where Firecracker and Cloud
  // Hypervisor connect for their guest.
  struct HybridSocket {
    std::string vm;    // the VMM's name for it, or its UUID
    std::string path;  // with the port
  };

  // The pointers outlive this; `vsock` and `tls` may be null.
  VmServers(VmServer::Options options, std::vector<HybridSocket> hybrid_sockets,
            Publisher* publisher, BoostRequester* booster, HintQueue* queue, Wire* wire,
            VsockDoor* vsock, TlsDoor* tls, Clock clock);
  // Ends all of them, and waits until that is done.
  ~VmServers();
  VmServers(const VmServers&) = delete;
  VmServers& operator=(const VmServers&) = delete;

  absl::Status Start(std::shared_ptr<VmRecord> record);
  // Opens what the facts of a VM that is served now say: its CID, its name, its hybrid sockets. OK
  // for those that are open. ALREADY_EXISTS: another VM of that name has the socket.
  absl::Status ApplyFacts(const VmFacts& facts);
  // Ends a VM's server, soon. REQUIRES: Publisher::RemoveVm was called before.
  void End(uint64_t vm_id);
  // For all that is there and that comes; gRPC's limits for what comes alone.
  void SetLimits(const VmServer::Options& options);
  // Health answers NOT_SERVING everywhere.
  void StopServing();

 private:
  void EndThem();

  absl::Status OpenHybrid(const HybridSocket& socket, uint64_t vm_id);

  VmServer::Options options_;
  const std::vector<HybridSocket> hybrid_sockets_;
  Publisher* const publisher_;
  BoostRequester* const booster_;
  HintQueue* const queue_;
  Wire* const wire_;
  VsockDoor* const vsock_;
  TlsDoor* const tls_;
  const Clock clock_;
  std::map<uint64_t, std::unique_ptr<VmServer>> servers_;
  std::map<std::string, uint64_t> hybrid_owners_;  // VM of each hybrid socket that is open

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<VmServer>> ending_;  // guarded by mutex_
  bool stop_ = false;                              // guarded by mutex_
  std::thread ender_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_VM_SERVERS_H_
