// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_CALL_TAG_H_
#define LOCKHOST_SERVER_SERVICE_CALL_TAG_H_

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"

namespace lockhost::server {

// What a completion queue gives back: the operation is through. `ok` as in
// grpc::CompletionQueue::Next(). An object may destroy itself in Proceed().
class CallTag {
 public:
  virtual void Proceed(bool ok) = 0;
  // What to give to gRPC: a derived object's own address may be another one.
  void* tag() { return this; }

 protected:
  ~CallTag() = default;
};

inline grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_CALL_TAG_H_
