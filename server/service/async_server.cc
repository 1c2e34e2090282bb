// SPDX-License-Identifier: Apache-2.0
#include "server/service/async_server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {
namespace {

void SetLimits(const AsyncServer::Options& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_message_bytes);
  builder->SetResourceQuota(grpc::ResourceQuota(options.socket_path).Resize(options.memory_bytes));
  const auto set = [builder](const char* name, int value) {
    builder->AddChannelArgument(name, value);
  };
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_connection_streams);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, options.max_connection_idle_ms);
  set(GRPC_ARG_MAX_METADATA_SIZE, 8 * 1024);
  // A guest that vanished without a word; both ends must agree on the pace, see
  // client/guest_agent/host_link.cc.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // What each message would pass through for nothing; it is cold code at each wake-up.
  set(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  set(GRPC_ARG_ENABLE_CHANNELZ, 0);
  set(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
}

}  // namespace

absl::Status AsyncServer::Start(const Options& options, grpc::Service* service,
                                std::string health_name, const std::function<void()>& arm) {
  absl::StatusOr<UnixListener> listener =
      UnixListener::Open(options.socket_path, options.socket_mode, options.max_connections);
  if (!listener.ok()) return listener.status();
  listener_.emplace(*std::move(listener));
  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  builder.RegisterService(service);
  builder.RegisterAsyncGenericService(&unknown_methods_);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    queue_->Shutdown();
    return absl::InternalError(absl::StrCat("gRPC cannot serve ", options.socket_path));
  }
  health_ =
      std::make_unique<HealthService>(&unknown_methods_, queue_.get(), std::move(health_name));
  arm();
  absl::Status added = wire_->Add(this);
  if (!added.ok()) Shutdown(0);
  return added;
}

int AsyncServer::Accept() {
  const int fd = listener_->Accept();
  if (fd >= 0) grpc::AddInsecureChannelFromFd(server_.get(), fd);
  return fd;
}

void AsyncServer::Look() {
  if (!closed_) health_->Look();
}

void AsyncServer::Close() {
  closed_ = true;
  health_->Close();
  queue_->Shutdown();
}

void AsyncServer::StopServing() {
  health_->StopServing();
  wire_->Wake();
}

void AsyncServer::Shutdown(int grace_ms) {
  if (server_ == nullptr) return;
  StopServing();
  wire_->StopAccepting(this);
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  wire_->Remove(this);
  server_.reset();
  listener_.reset();
}

}  // namespace lockhost::server
