// SPDX-License-Identifier: Apache-2.0
#include "server/service/async_server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lockhost::server {
namespace {

constexpr int kAcceptsAtOnce = 16;
// When descriptors or memory have run out: a listener would tell all the time, for nothing.
constexpr uint64_t kTroublePauseNs = 100'000'000;

void ApplyLimits(const std::string& name, const GrpcLimits& limits, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(limits.message_bytes);
  builder->SetResourceQuota(grpc::ResourceQuota(name).Resize(limits.memory_bytes));
  const auto set = [builder](const char* argument, int value) {
    builder->AddChannelArgument(argument, value);
  };
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.connection_streams);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, limits.idle_ms);
  set(GRPC_ARG_MAX_CONNECTION_AGE_MS, limits.age_ms);
  set(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 1'000);
  set(GRPC_ARG_MAX_METADATA_SIZE, limits.metadata_bytes);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, limits.keepalive_ms);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, limits.keepalive_timeout_ms);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, limits.least_ping_interval_ms);
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // What each message would pass through for nothing; it is cold code at each wake-up.
  set(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  set(GRPC_ARG_ENABLE_CHANNELZ, 0);
  set(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
}

}  // namespace

// One listening socket of a server.
class AsyncServer::Door final : public ConnectionSource {
 public:
  Door(Listener listener, Permit permit, AsyncServer* server)
      : listener_(std::move(listener)), permit_(std::move(permit)), server_(server) {}

  int listener_fd() const override { return listener_.fd(); }

  uint64_t Accept(uint64_t now_ns) override {
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      const uint64_t at_ns = server_->gate_.AcceptableAtNs();
      if (at_ns > now_ns) {
        server_->counters_->accept_pauses.fetch_add(1);
        return at_ns;
      }
      UniqueFd connection = listener_.Accept();
      if (!connection.valid()) return errno == EAGAIN ? 0 : now_ns + kTroublePauseNs;
      if (permit_ != nullptr && !permit_(connection.get())) continue;
      server_->Admit(std::make_unique<SocketStream>(std::move(connection)), now_ns);
    }
    return 0;
  }

 private:
  Listener listener_;
  const Permit permit_;
  AsyncServer* const server_;
};

AsyncServer::AsyncServer(const Options& options, Wire* wire, ConnectionCounters* counters)
    : options_(options),
      wire_(wire),
      counters_(counters),
      gate_(options.connections, counters, this) {}

AsyncServer::~AsyncServer() { Shutdown(0); }

absl::Status AsyncServer::Start(const std::vector<Served>& services,
                                const std::function<void()>& arm) {
  grpc::ServerBuilder builder;
  ApplyLimits(options_.name, options_.grpc, &builder);
  std::vector<std::string> names;
  for (const Served& served : services) {
    builder.RegisterService(served.service);
    names.push_back(served.name);
  }
  builder.RegisterAsyncGenericService(&unknown_methods_);
  queue_ = builder.AddCompletionQueue();
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    queue_->Shutdown();
    return absl::InternalError(absl::StrCat("gRPC cannot serve ", options_.name));
  }
  health_ = std::make_unique<HealthService>(&unknown_methods_, queue_.get(), std::move(names));
  arm();
  taking_ = true;
  wire_->Add(this);
  return absl::OkStatus();
}

absl::Status AsyncServer::Listen(Listener listener, Permit permit) {
  doors_.push_back(std::make_unique<Door>(std::move(listener), std::move(permit), this));
  absl::Status added = wire_->accept_loop().Add(doors_.back().get());
  if (!added.ok()) doors_.pop_back();
  return added;
}

void AsyncServer::Admit(std::unique_ptr<PeerStream> connection, uint64_t now_ns) {
  gate_.Admit(std::move(connection), now_ns);
}

absl::Status AsyncServer::Watch(int peer_fd, int pipe_fd) {
  return wire_->WatchConnection(peer_fd, pipe_fd, this);
}

void AsyncServer::Unwatch(int peer_fd, int pipe_fd) { wire_->UnwatchConnection(peer_fd, pipe_fd); }

void AsyncServer::OnPeer(int peer_fd, bool hung_up) {
  GiveToGrpc(gate_.OnPeer(peer_fd, hung_up, wire_->now_ns()));
}

void AsyncServer::GiveToGrpc(UniqueFd connection) {
  if (!connection.valid()) return;
  const std::lock_guard inside(wire_->inside_grpc());
  if (taking_) grpc::AddInsecureChannelFromFd(server_.get(), connection.release());
}

std::shared_ptr<Relay> AsyncServer::ConnectionOf(const grpc::ServerContextBase& call) const {
  const std::string peer = call.peer();
  int fd = -1;
  if (!absl::SimpleAtoi(absl::StripPrefix(peer, "fd:"), &fd)) return nullptr;
  return gate_.Find(fd);
}

uint64_t AsyncServer::Look(uint64_t now_ns) {
  if (!closed_) health_->Look();
  const uint64_t deadline_ns = gate_.deadline_ns();
  if (deadline_ns > now_ns) return deadline_ns;
  for (UniqueFd& ready : gate_.Continue(now_ns)) GiveToGrpc(std::move(ready));
  return gate_.deadline_ns();
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
  for (const std::unique_ptr<Door>& door : doors_) wire_->accept_loop().Remove(door.get());
  {
    const std::lock_guard inside(wire_->inside_grpc());
    taking_ = false;
  }
  wire_->Hurry(this);
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  wire_->Remove(this);
  server_.reset();
  doors_.clear();
}

}  // namespace lockhost::server
