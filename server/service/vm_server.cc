// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_server.h"

#include <utility>

#include "server/service/report_call.h"

namespace lockhost::server {

absl::StatusOr<std::unique_ptr<VmServer>> VmServer::Start(const Options& options,
                                                          std::shared_ptr<VmRecord> record,
                                                          Publisher* publisher,
                                                          BoostRequester* booster, HintQueue* queue,
                                                          Wire* wire, Clock clock) {
  absl::StatusOr<Listener> listener =
      Listener::OpenUnix(record->socket_path(), options.socket_mode);
  if (!listener.ok()) return listener.status();
  std::unique_ptr<VmServer> server(
      new VmServer(options, std::move(record), publisher, booster, queue, wire, clock));
  absl::Status started =
      server->server_.Start({{&server->service_, v1::HintService::service_full_name()}}, [&server] {
        HintStream::AcceptNext(server.get());
        ReportCall::AcceptNext(server.get());
      });
  if (started.ok()) started = server->Listen(*std::move(listener));
  if (!started.ok()) return started;
  return server;
}

VmServer::VmServer(const Options& options, std::shared_ptr<VmRecord> record, Publisher* publisher,
                   BoostRequester* booster, HintQueue* queue, Wire* wire, Clock clock)
    : max_streams_(options.max_streams),
      record_(std::move(record)),
      publisher_(publisher),
      booster_(booster),
      hint_queue_(queue),
      clock_(clock),
      server_({.name = record_->socket_path(),
               .connections = options.connections,
               .grpc = options.grpc},
              wire, &record_->counters().connections) {}

}  // namespace lockhost::server
