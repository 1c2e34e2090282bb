// SPDX-License-Identifier: Apache-2.0
#include "server/service/host_server.h"

#include <utility>

#include "server/service/boost_view.h"
#include "server/service/vm_view.h"

namespace lockhost::server {
namespace {

using grpc::reflection::v1alpha::ServerReflection;

// Operators are trusted; what remains keeps a script that runs wild from the guests' time.
ConnectionLimits OperatorLimits() {
  ConnectionLimits limits;
  limits.connections = 64;
  limits.accepts_per_second = 1'000;
  limits.accept_burst = 1'000;
  limits.bytes_per_second = 16 << 20;
  limits.byte_burst = 16 << 20;
  limits.frames_per_second = 100'000;
  limits.frame_burst = 100'000;
  limits.calls_per_second = 10'000;
  limits.call_burst = 10'000;
  return limits;
}

}  // namespace

// One answer to one question: `Answer` makes it, `Accept` waits for the next.
template <typename Request, typename Response>
class HostServer::UnaryCall final : public CallTag {
 public:
  using Writer = grpc::ServerAsyncResponseWriter<Response>;
  using Accept = void (v1::HostService::AsyncService::*)(grpc::ServerContext*, Request*, Writer*,
                                                         grpc::CompletionQueue*,
                                                         grpc::ServerCompletionQueue*, void*);
  using Answer = absl::StatusOr<Response> (*)(const VmDirectory&, const Request&, uint64_t now_ns);

  UnaryCall(HostServer* server, Accept accept, Answer answer)
      : server_(server), accept_(accept), answer_(answer), writer_(&context_) {
    (server->service_.*accept)(&context_, &request_, &writer_, server->server_.queue(),
                               server->server_.queue(), tag());
  }

  void Proceed(bool ok) override {
    if (!ok || server_->server_.closed() || std::exchange(answered_, true)) return delete this;
    new UnaryCall(server_, accept_, answer_);
    const absl::StatusOr<Response> response =
        answer_(*server_->directory_, request_, server_->clock_.now_ns());
    if (response.ok()) {
      writer_.Finish(*response, grpc::Status::OK, tag());
    } else {
      writer_.FinishWithError(ToGrpc(response.status()), tag());
    }
  }

 private:
  HostServer* const server_;
  const Accept accept_;
  const Answer answer_;
  grpc::ServerContext context_;
  Request request_;
  Writer writer_;
  bool answered_ = false;
};

// Writes, sleeps until the next message is due, writes. Ends when its last operation is
// through and the call itself is over (`Over`), which also cuts a sleep short.
class HostServer::WatchCall final : public CallTag {
 public:
  explicit WatchCall(HostServer* server) : server_(server), writer_(&context_), over_(this) {
    context_.AsyncNotifyWhenDone(over_.tag());
    server->service_.RequestWatchVm(&context_, &request_, &writer_, server->server_.queue(),
                                    server->server_.queue(), tag());
  }

  void Proceed(bool ok) override {
    const bool closed = server_->server_.closed();
    switch (step_) {
      case Step::kAccepting:
        // Of a call that was accepted the end (over_) will be told, also where the server is
        // closed.
        if (!ok) return delete this;
        return closed ? End() : Accepted();
      case Step::kSleeping:
        return over_.here || closed ? Finish(absl::CancelledError()) : Write();
      case Step::kWriting:
        return ok && !over_.here ? Sleep() : Finish(absl::CancelledError());
      case Step::kFinishing:
      case Step::kFinished:
        return End();
    }
  }

 private:
  enum class Step { kAccepting, kWriting, kSleeping, kFinishing, kFinished };

  struct Over final : public CallTag {
    explicit Over(WatchCall* call) : call(call) {}
    void Proceed(bool) override {
      here = true;
      if (call->step_ == Step::kFinished) return delete call;
      if (call->step_ == Step::kSleeping) call->server_->server_.wire()->Cancel(call);
    }
    WatchCall* const call;
    bool here = false;
  };

  ~WatchCall() {
    if (counted_) --server_->watches_;
  }

  void Accepted() {
    new WatchCall(server_);
    counted_ = true;
    if (++server_->watches_ > kMaxWatches) {
      return Finish(absl::ResourceExhaustedError("too many WatchVm streams"));
    }
    const absl::StatusOr<uint64_t> interval_ns = WatchIntervalNs(request_);
    if (!interval_ns.ok()) return Finish(interval_ns.status());
    interval_ns_ = *interval_ns;
    Write();
  }

  void Write() {
    if (server_->draining_) return Finish(absl::UnavailableError("the host drains"));
    const auto response =
        DescribeVm(*server_->directory_, request_.vm_id(), server_->clock_.now_ns());
    if (!response.ok()) return Finish(response.status());
    step_ = Step::kWriting;
    writer_.Write(*response, tag());
  }

  void Sleep() {
    step_ = Step::kSleeping;
    Wire* wire = server_->server_.wire();
    wire->ProceedAt(wire->now_ns() + interval_ns_, this);
  }

  void Finish(const absl::Status& status) {
    if (server_->server_.closed()) return End();
    step_ = Step::kFinishing;
    writer_.Finish(ToGrpc(status), tag());
  }

  void End() {
    step_ = Step::kFinished;
    if (over_.here) delete this;
  }

  HostServer* const server_;
  grpc::ServerContext context_;
  v1::WatchVmRequest request_;
  grpc::ServerAsyncWriter<v1::WatchVmResponse> writer_;
  uint64_t interval_ns_ = 0;
  Step step_ = Step::kAccepting;
  bool counted_ = false;
  Over over_;
};

HostServer::HostServer(const VmDirectory* directory, Wire* wire, Clock clock)
    : directory_(directory),
      clock_(clock),
      server_({.name = "admin socket", .connections = OperatorLimits(), .grpc = {}}, wire,
              &connections_),
      reflection_({v1::HostService::service_full_name()}, &server_) {}

absl::StatusOr<std::unique_ptr<HostServer>> HostServer::Start(Listener listener,
                                                              const AdminAccess& access,
                                                              HostCounters* counters,
                                                              const VmDirectory* directory,
                                                              Wire* wire, Clock clock) {
  std::unique_ptr<HostServer> server(new HostServer(directory, wire, clock));
  absl::Status started = server->server_.Start(
      {{&server->service_, v1::HostService::service_full_name()},
       {server->reflection_.service(), ServerReflection::service_full_name()}},
      [&server] {
        server->reflection_.AcceptNext();
        using Service = v1::HostService::AsyncService;
        new UnaryCall<v1::ListVmsRequest, v1::ListVmsResponse>(server.get(),
                                                               &Service::RequestListVms, &ListVms);
        new UnaryCall<v1::ListBoostsRequest, v1::ListBoostsResponse>(
            server.get(), &Service::RequestListBoosts, &ListBoosts);
        new WatchCall(server.get());
      });
  if (!started.ok()) return started;
  started = server->server_.Listen(std::move(listener), [access, counters](int fd) {
    const absl::StatusOr<PeerCredentials> peer = PeerCredentialsOf(fd);
    const bool admitted = peer.ok() && access.Admits(*peer);
    if (!admitted) counters->admin_refused.fetch_add(1);
    return admitted;
  });
  if (!started.ok()) return started;
  return server;
}

HostServer::~HostServer() {
  draining_ = true;
  server_.Shutdown(100);
}

void HostServer::StopServing() {
  draining_ = true;
  server_.StopServing();
}

}  // namespace lockhost::server
