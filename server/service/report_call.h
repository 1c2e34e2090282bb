// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_REPORT_CALL_H_
#define LOCKHOST_SERVER_SERVICE_REPORT_CALL_H_

#include <grpcpp/grpcpp.h>

#include <vector>

#include "absl/status/status.h"
#include "common/token_bucket.h"
#include "lockhost/v1/hints.grpc.pb.h"
#include "server/boost/boost_requester.h"
#include "server/service/call_tag.h"

namespace lockhost::server {

class VmServer;

// One ReportHolders call: each message is checked, then handed to the publisher. The
// first bad one ends the call. The VM's own thread runs it.
class ReportCall final : public CallTag {
 public:
  // Waits for the next call. Owns itself.
  static void AcceptNext(VmServer* server) { new ReportCall(server); }

  void Proceed(bool ok) override;

 private:
  enum class Step { kAccepting, kReading, kFinishing };

  explicit ReportCall(VmServer* server);
  ~ReportCall();
  void Accepted();
  void Read();
  absl::Status Take();
  void Finish(const absl::Status& status);

  VmServer* const server_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReader<v1::ReportHoldersResponse, v1::ReportHoldersRequest> reader_;
  v1::ReportHoldersRequest request_;
  v1::ReportHoldersResponse response_;
  TokenBucket rate_;
  std::vector<AwaitedHolder> holders_;  // reused
  Step step_ = Step::kAccepting;
  bool counted_ = false;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_REPORT_CALL_H_
