// SPDX-License-Identifier: Apache-2.0
#include "server/service/vm_server.h"

#include <utility>

#include "server/service/report_call.h"

namespace lockhost::server {

absl::StatusOr<std::unique_ptr<VmServer>> VmServer::Start(const Options& options,
                                                          std::shared_ptr<VmRecord> record,
                                                          Publisher* publisher, HintQueue* queue,
                                                          Wire* wire, Clock clock) {
  AsyncServer::Options server_options;
  server_options.socket_path = record->socket_path();
  server_options.socket_mode = options.socket_mode;
  std::unique_ptr<VmServer> server(
      new VmServer(options, std::move(record), publisher, queue, wire, clock));
  absl::Status started = server->server_.Start(server_options, &server->service_,
                                               v1::HintService::service_full_name(), [&server] {
                                                 HintStream::AcceptNext(server.get());
                                                 ReportCall::AcceptNext(server.get());
                                               });
  if (!started.ok()) return started;
  return server;
}

VmServer::VmServer(const Options& options, std::shared_ptr<VmRecord> record, Publisher* publisher,
                   HintQueue* queue, Wire* wire, Clock clock)
    : options_(options),
      record_(std::move(record)),
      publisher_(publisher),
      hint_queue_(queue),
      clock_(clock),
      server_(wire) {}

}  // namespace lockhost::server
