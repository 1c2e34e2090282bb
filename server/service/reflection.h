// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_REFLECTION_H_
#define LOCKHOST_SERVER_SERVICE_REFLECTION_H_

#include <string>
#include <vector>

#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/service/async_server.h"

namespace lockhost::server {

// grpc.reflection.v1alpha on one server, so that tools which have no .proto of ours can speak
// with it. gRPC's own plugin serves it by the synchronous API, with threads of its own. For
// operators: a guest is told nothing that it does not know.
//
// The wire's thread runs it. Must outlive the server's last call.
class Reflection {
 public:
  // `services`: full names of those that are served besides this one. `server` outlives this.
  Reflection(std::vector<std::string> services, AsyncServer* server);

  grpc::Service* service() { return &service_; }
  // Asks for the next call.
  void AcceptNext();

 private:
  class Call;

  std::vector<std::string> services_;
  AsyncServer* const server_;
  grpc::reflection::v1alpha::ServerReflection::AsyncService service_;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_REFLECTION_H_
