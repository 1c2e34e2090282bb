// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_VM_SERVER_H_
#define LOCKHOST_SERVER_SERVICE_VM_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/clock.h"
#include "common/token_bucket.h"
#include "lockhost/v1/hints.grpc.pb.h"
#include "server/boost/boost_requester.h"
#include "server/directory/vm_record.h"
#include "server/publisher/publisher.h"
#include "server/service/async_server.h"
#include "server/service/hint_stream.h"
#include "server/service/limits.h"

namespace lockhost::server {

// HintService and health for one VM, on that VM's own socket: who speaks here is this
// VM, whatever the messages say. Limits are the VM's own as well.
class VmServer {
 public:
  struct Options {
    mode_t socket_mode = 0660;
    uint32_t max_streams = 8;  // WatchHints, and as many ReportHolders
    ConnectionLimits connections;
    GrpcLimits grpc;
  };

  // Serves on record->socket_path(), and whatever else Listen() and Admit() bring. `publisher`,
  // `booster`, `queue` and `wire` outlive the server.
  static absl::StatusOr<std::unique_ptr<VmServer>> Start(const Options& options,
                                                         std::shared_ptr<VmRecord> record,
                                                         Publisher* publisher,
                                                         BoostRequester* booster, HintQueue* queue,
                                                         Wire* wire, Clock clock);
  // Ends what is open and removes the socket. Blocks: not for a thread that serves
  // others. REQUIRES: the VM's streams have ended or are ending (Publisher::RemoveVm or
  // Drain), and the publisher runs.
  ~VmServer() { server_.Shutdown(kGraceMs); }

  // Health answers NOT_SERVING from now on. Thread-safe.
  void StopServing() { server_.StopServing(); }
  // As the functions of AsyncServer.
  absl::Status Listen(Listener listener) { return server_.Listen(std::move(listener)); }
  void Admit(std::unique_ptr<PeerStream> connection, uint64_t now_ns) {
    server_.Admit(std::move(connection), now_ns);
  }
  // For what happens from now on. Thread-safe.
  void SetLimits(uint32_t max_streams, const ConnectionLimits& connections) {
    max_streams_ = max_streams;
    server_.SetLimits(connections);
  }

  // For the calls.
  v1::HintService::AsyncService* service() { return &service_; }
  grpc::ServerCompletionQueue* queue() { return server_.queue(); }
  bool closed() const { return server_.closed(); }
  HintQueue* hint_queue() { return hint_queue_; }
  Publisher* publisher() { return publisher_; }
  // Asks for boosts of this VM's vCPUs, at the VM's pace. The wire's thread's.
  void AskForBoosts(const std::vector<AwaitedHolder>& holders) {
    booster_->Ask(record_.get(), holders, &boost_pace_, clock_.now_ns());
  }
  const std::shared_ptr<VmRecord>& record() const { return record_; }
  uint32_t max_streams() const { return max_streams_; }
  std::shared_ptr<Relay> ConnectionOf(const grpc::ServerContextBase& call) const {
    return server_.ConnectionOf(call);
  }
  const Clock& clock() const { return clock_; }
  uint32_t open_reports = 0;  // the wire's thread's

 private:
  static constexpr int kGraceMs = 100;
  // As many boosts as a VM's budget is good for, if each takes as long as it may.
  static constexpr uint32_t kBoostsPerSecond = 250;
  static constexpr uint32_t kBoostsAtOnce = 50;

  VmServer(const Options& options, std::shared_ptr<VmRecord> record, Publisher* publisher,
           BoostRequester* booster, HintQueue* queue, Wire* wire, Clock clock);

  std::atomic<uint32_t> max_streams_;
  const std::shared_ptr<VmRecord> record_;
  Publisher* const publisher_;
  BoostRequester* const booster_;
  TokenBucket boost_pace_{kBoostsPerSecond, kBoostsAtOnce};
  HintQueue* const hint_queue_;
  const Clock clock_;
  v1::HintService::AsyncService service_;
  AsyncServer server_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_VM_SERVER_H_
