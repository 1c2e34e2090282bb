// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/host_link.h"

#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "client/guest_agent/after_stream.h"
#include "common/scheduling.h"
#include "lockhost/v1/hints.grpc.pb.h"

namespace lockhost::guest_agent {
namespace {

constexpr uint32_t kProtocolVersion = 1;
constexpr int kMaxMessageBytes = 256 * 1024;  // a snapshot of 1,024 vCPUs is below 64 KiB

grpc::ChannelArguments ChannelSettings() {
  grpc::ChannelArguments arguments;
  // A host that hangs is noticed by its silence: the page's lease says so to the locks,
  // the keepalive to us. Both ends must agree on the pace (server/service/vm_server.cc).
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  // Its probes would wake the host once more for messages of this size.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Each attempt has a connection of its own, so that the pace of attempts is ours.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // What each message would pass through for nothing; it is cold code at each wake-up.
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return arguments;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path);
  if (!in) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
  return std::string(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

// Reads the files, so that renewed ones are used from the next connection on.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const TlsFiles& files) {
  if (files.ca.empty()) return grpc::InsecureChannelCredentials();
  const absl::StatusOr<std::string> ca = ReadFile(files.ca);
  if (!ca.ok()) return ca.status();
  const absl::StatusOr<std::string> certificate = ReadFile(files.certificate);
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<std::string> key = ReadFile(files.key);
  if (!key.ok()) return key.status();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = *ca;
  options.pem_cert_chain = *certificate;
  options.pem_private_key = *key;
  return grpc::SslCredentials(options);
}

absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

// One channel and the calls on it.
class HostLink::Connection {
 public:
  Connection(const std::string& target,
             const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : stub(v1::HintService::NewStub(
            grpc::CreateCustomChannel(target, credentials, ChannelSettings()))) {}

  const std::unique_ptr<v1::HintService::Stub> stub;
  grpc::ClientContext watch;
};

// A ReportHolders call whose completions are fetched by the writer itself, at the next
// write: nobody is woken for them.
class HostLink::ReportStream {
 public:
  explicit ReportStream(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)) {
    // The call opens with its first message; otherwise that one would have to wait.
    context_.set_initial_metadata_corked(true);
    writer_ = connection_->stub->PrepareAsyncReportHolders(&context_, &response_, &queue_);
    writer_->StartCall(nullptr);
  }

  ~ReportStream() {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  const Connection* connection() const { return connection_.get(); }

  // Whether the call has ended. Fetches the last write's completion if it is there.
  bool Ended() {
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
    writer_->Write(request, this);
    pending_ = true;
    return true;
  }

 private:
  const std::shared_ptr<Connection> connection_;
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
    if (connection_ != nullptr) connection_->watch.TryCancel();
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

absl::Status HostLink::ServeConnection() {
  const auto credentials = Credentials(options_.tls);
  if (!credentials.ok()) return absl::UnavailableError(credentials.status().ToString());
  const auto connection = std::make_shared<Connection>(options_.target, *credentials);
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return absl::CancelledError();
    connection_ = connection;
  }
  return ReadStream(connection.get());
}

absl::Status HostLink::ReadStream(Connection* connection) {
  v1::WatchHintsRequest request;
  request.set_protocol_version(kProtocolVersion);
  request.add_capabilities(v1::CAPABILITY_REPORT_WORD);
  request.add_capabilities(v1::CAPABILITY_AWAITED_VCPUS);
  request.set_agent_version(options_.agent_version);
  request.set_heartbeats_only(options_.heartbeats_only);
  const auto reader = connection->stub->WatchHints(&connection->watch, request);
  v1::WatchHintsResponse message;  // reused: reading allocates nothing once it has grown
  bool first = true;
  while (reader->Read(&message)) {
    if (const absl::Status sound = receiver_->Apply(message); !sound.ok()) {
      connection->watch.TryCancel();
      reader->Finish().ok();
      return absl::DataLossError(sound.message());
    }
    if (std::exchange(first, false)) {
      backoff_.Reset();
      if (observer_.on_connected) observer_.on_connected();
    }
    if (observer_.on_message) observer_.on_message(*this, message);
  }
  return ToAbsl(reader->Finish());
}

bool HostLink::WaitBeforeRetry(uint64_t delay_ns) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::nanoseconds(delay_ns), [this] { return stop_; });
  return !stop_;
}

bool HostLink::Send(const v1::ReportHoldersRequest& request) {
  const std::lock_guard sending(send_mutex_);
  std::shared_ptr<Connection> connection;
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
