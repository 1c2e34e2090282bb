// SPDX-License-Identifier: Apache-2.0
#include "server/service/async_server.h"

#include <grpcpp/resource_quota.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {
namespace {

void SetLimits(const AsyncServer::Options& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(options.max_message_bytes);
  builder->SetResourceQuota(
      grpc::ResourceQuota(options.socket_path).Resize(options.memory_bytes));
  const auto set = [builder](const char* name, int value) {
    builder->AddChannelArgument(name, value);
  };
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_connection_streams);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, options.max_connection_idle_ms);
  set(GRPC_ARG_MAX_METADATA_SIZE, 8 * 1024);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5'000);
  // A guest that vanished without a word; both ends must agree on the pace, see
  // client/guest_agent/host_link.cc.
  set(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
}

}  // namespace

absl::Status AsyncServer::Start(const Options& options, grpc::Service* service,
                                std::string health_name, const std::function<void()>& arm) {
  socket_path_ = options.socket_path;
  if (unlink(socket_path_.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove the stale ", socket_path_));
  }
  grpc::ServerBuilder builder;
  SetLimits(options, &builder);
  builder.AddListeningPort(absl::StrCat("unix:", socket_path_), grpc::InsecureServerCredentials());
  builder.RegisterService(service);
  builder.RegisterAsyncGenericService(&unknown_methods_);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    queue_->Shutdown();
    return absl::UnavailableError(absl::StrCat("cannot listen on ", socket_path_));
  }
  health_ = std::make_unique<HealthService>(&unknown_methods_, queue_.get(),
                                            std::move(health_name));
  arm();
  thread_ = std::thread([this] { Serve(); });
  if (chmod(socket_path_.c_str(), options.socket_mode) != 0) {
    const absl::Status status =
        absl::ErrnoToStatus(errno, absl::StrCat("set the mode of ", socket_path_));
    Shutdown(0);
    return status;
  }
  return absl::OkStatus();
}

void AsyncServer::Serve() {
  void* tag;
  bool ok;
  while (queue_->Next(&tag, &ok)) static_cast<CallTag*>(tag)->Proceed(ok);
}

void AsyncServer::Shutdown(int grace_ms) {
  if (server_ == nullptr) return;
  health_->StopServing();
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  queue_->Shutdown();
  if (thread_.joinable()) thread_.join();
  server_.reset();
  unlink(socket_path_.c_str());
}

}  // namespace lockhost::server
