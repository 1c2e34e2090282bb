// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/host_link.h"

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <utility>

#include "absl/status/statusor.h"
#include "client/guest_agent/after_stream.h"
#include "client/guest_agent/host_connection.h"
#include "client/guest_agent/message_peek.h"
#include "client/guest_agent/watch_call.h"
#include "common/clock.h"
#include "common/scheduling.h"
#include "lockhost/v1/hints.grpc.pb.h"

namespace lockhost::guest_agent {
namespace {

constexpr uint32_t kProtocolVersion = 1;
// Deltas alone wait for so long until gRPC gets them, so that it has many at once.
constexpr uint64_t kLongestKeepNs = 4'000'000'000;  // less than a keepalive's pace
constexpr size_t kMostKeptBytes = 4'096;
constexpr uint32_t kFirstStream = 1;  // RFC 9113, section 5.1.1: of the first call
// For gRPC to read what it was given; it reads more than one look needs.
constexpr int kMostLooks = 64;

absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

// A ReportHolders call whose completions are fetched by the writer itself, at the next
// write: nobody is woken for them.
class HostLink::ReportStream {
 public:
  explicit ReportStream(std::shared_ptr<HostConnection> connection)
      : connection_(std::move(connection)) {
    const std::lock_guard inside(connection_->inside);
    // The call opens with its first message; otherwise that one would have to wait.
    context_.set_initial_metadata_corked(true);
    writer_ = connection_->stub->PrepareAsyncReportHolders(&context_, &response_, &queue_);
    writer_->StartCall(nullptr);
  }

  ~ReportStream() {
    const std::lock_guard inside(connection_->inside);
    context_.TryCancel();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  const HostConnection* connection() const { return connection_.get(); }

  // Whether the call has ended. Fetches the last write's completion if it is there.
  bool Ended() {
    const std::lock_guard inside(connection_->inside);
    void* tag;
    bool ok = false;
    if (pending_ && queue_.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_REALTIME)) ==
                        grpc::CompletionQueue::GOT_EVENT) {
      pending_ = false;
      ended_ = !ok;
    }
    return ended_;
  }

  // REQUIRES: !Ended(). False: the last write is not through yet.
  bool Write(const v1::ReportHoldersRequest& request) {
    if (pending_) return false;
    {
      const std::lock_guard inside(connection_->inside);
      writer_->Write(request, this);
      pending_ = true;
    }
    connection_->SendOut();
    return true;
  }

 private:
  const std::shared_ptr<HostConnection> connection_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  v1::ReportHoldersResponse response_;
  std::unique_ptr<grpc::ClientAsyncWriter<v1::ReportHoldersRequest>> writer_;
  bool pending_ = false;
  bool ended_ = false;
};

HostLink::HostLink(Options options, HintReceiver* receiver, Stats* stats, Observer observer)
    : options_(std::move(options)),
      receiver_(receiver),
      stats_(stats),
      observer_(std::move(observer)),
      backoff_(options_.backoff, options_.seed) {
  // Here and not by the reader: gRPC's own threads are to be scheduled as their maker is.
  grpc_init();
  reader_ = std::thread([this] { ReadUntilStopped(); });
}

HostLink::~HostLink() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    if (connection_ != nullptr) Hang(connection_.get());
  }
  wake_.notify_all();
  reader_.join();
  reports_.reset();
  grpc_shutdown();
}

void HostLink::ReadUntilStopped() {
  // Without it we would be slower, not wrong.
  RequestShortSlice().IgnoreError();
  for (;;) {
    const absl::Status why = ServeConnection();
    receiver_->StreamLost();
    {
      const std::lock_guard lock(mutex_);
      connection_ = nullptr;
      if (stop_) return;
    }
    if (DecideAfterStream(why.code()) == AfterStream::kStop) {
      if (observer_.on_stopped) observer_.on_stopped(why);
      return;
    }
    const uint64_t delay_ns = backoff_.NextDelayNs();
    if (observer_.on_lost) observer_.on_lost(why, delay_ns);
    if (!WaitBeforeRetry(delay_ns)) return;
  }
}

// Ends the stream, whoever reads it.
void HostLink::Hang(HostConnection* connection) {
  if (connection->pipe != nullptr) return connection->pipe->Hang();
  connection->watch.TryCancel();
}

absl::Status HostLink::ServeConnection() {
  auto connection = HostConnection::Open(options_.target, options_.tls);
  if (!connection.ok()) return connection.status();
  taken_in_ = delivered_ = 0;
  v1::WatchHintsRequest request;
  request.set_protocol_version(kProtocolVersion);
  request.add_capabilities(v1::CAPABILITY_REPORT_WORD);
  request.add_capabilities(v1::CAPABILITY_AWAITED_VCPUS);
  request.set_agent_version(options_.agent_version);
  request.set_heartbeats_only(options_.heartbeats_only);
  return (*connection)->pipe != nullptr ? ReadPipe(*connection, request)
                                        : ReadCall(*connection, request);
}

// From now on reports can be sent. False: we are to stop.
bool HostLink::Use(const std::shared_ptr<HostConnection>& connection) {
  const std::lock_guard lock(mutex_);
  if (!stop_) connection_ = connection;
  return !stop_;
}

absl::Status HostLink::TakeIn(const v1::WatchHintsResponse& message) {
  if (const absl::Status sound = receiver_->Apply(message); !sound.ok()) {
    return absl::DataLossError(sound.message());
  }
  if (++taken_in_ == 1) {
    backoff_.Reset();
    if (observer_.on_connected) observer_.on_connected();
  }
  if (observer_.on_message) observer_.on_message(*this, message);
  return absl::OkStatus();
}

// gRPC has the socket.
absl::Status HostLink::ReadCall(const std::shared_ptr<HostConnection>& connection,
                                const v1::WatchHintsRequest& request) {
  if (!Use(connection)) return absl::CancelledError();
  const auto reader = connection->stub->WatchHints(&connection->watch, request);
  v1::WatchHintsResponse message;  // reused: reading allocates nothing once it has grown
  absl::Status sound;
  while (sound.ok() && reader->Read(&message)) sound = TakeIn(message);
  if (!sound.ok()) connection->watch.TryCancel();
  const grpc::Status why = reader->Finish();
  return sound.ok() ? ToAbsl(why) : sound;
}

// We have the socket. Messages are read off it before gRPC gets them: what gRPC does for each
// takes several times as long as all the rest, and then it does it for many at once.
absl::Status HostLink::ReadPipe(const std::shared_ptr<HostConnection>& connection,
                                const v1::WatchHintsRequest& request) {
  HostPipe& pipe = *connection->pipe;
  WatchCall call(connection->stub.get(), &connection->watch, request, &connection->inside);
  // Only now, so that the first call is this one.
  if (!Use(connection)) return absl::CancelledError();
  pipe.SendOut();
  absl::Status sound;
  MessagePeek peek(kFirstStream, kMaxMessageBytes, [&](std::string_view bytes) {
    // What cannot be parsed gRPC says so of, too.
    if (!message_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
    sound = TakeIn(message_);
    return sound.ok();
  });
  const Clock clock = MonotonicClock();
  uint64_t give_at_ns = 0;
  while (sound.ok()) {
    const std::string_view bytes = pipe.Receive();
    const bool can_wait = !bytes.empty() && peek.Take(bytes);
    const uint64_t now_ns = clock.now_ns();
    if (can_wait && now_ns < give_at_ns && pipe.kept() < kMostKeptBytes) continue;
    give_at_ns = now_ns + kLongestKeepNs;
    if (sound.ok() && Give(*connection, call, peek, &sound)) break;
  }
  return sound.ok() ? ToAbsl(call.status()) : sound;
}

// Gives gRPC what is kept for it, and lets it read all of that. True: the call is over.
bool HostLink::Give(HostConnection& connection, WatchCall& call, const MessagePeek& peek,
                    absl::Status* sound) {
  for (int look = 0; look < kMostLooks && sound->ok(); ++look) {
    connection.pipe->Give();
    WatchCall::Got got;
    while ((got = call.Look()) == WatchCall::Got::kMessage && sound->ok()) {
      // gRPC brings again what was read off the socket.
      if (++delivered_ > peek.seen()) *sound = TakeIn(call.message());
    }
    connection.SendOut();
    if (got == WatchCall::Got::kOver) return true;
    if (connection.pipe->HasTakenIn() && !connection.pipe->over()) return false;
  }
  if (connection.pipe->over()) call.Cancel();
  return false;
}

bool HostLink::WaitBeforeRetry(uint64_t delay_ns) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::nanoseconds(delay_ns), [this] { return stop_; });
  return !stop_;
}

bool HostLink::Send(const v1::ReportHoldersRequest& request) {
  const std::lock_guard sending(send_mutex_);
  std::shared_ptr<HostConnection> connection;
  {
    const std::lock_guard lock(mutex_);
    connection = connection_;
  }
  if (connection == nullptr) {
    reports_.reset();
    return false;
  }
  if (reports_ == nullptr || reports_->connection() != connection.get() || reports_->Ended()) {
    reports_.reset();
    reports_ = std::make_unique<ReportStream>(std::move(connection));
  }
  const bool sent = reports_->Write(request);
  (sent ? stats_->reports : stats_->reports_skipped).fetch_add(1, std::memory_order_relaxed);
  return sent;
}

}  // namespace lockhost::guest_agent
