// SPDX-License-Identifier: Apache-2.0
#include "client/cli/host_client.h"

#include <grp.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/unique_fd.h"

namespace lockhost::cli {
namespace {

constexpr char kStart[] = "start it: systemctl start lockhostd";

// The group that may connect; its usual name where even that cannot be seen.
std::string GroupOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return "lockhost";
  const group* entry = getgrgid(info.st_gid);  // NOLINT(concurrency-mt-unsafe): one thread
  return entry != nullptr ? entry->gr_name : absl::StrCat(info.st_gid);
}

absl::Status Late() { return absl::DeadlineExceededError("lockhostd does not answer in time"); }

absl::Status Explain(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kDeadlineExceeded) return Late();
  return absl::Status(code, absl::StrCat("lockhostd: ", status.error_message()));
}

using TimePoint = std::chrono::system_clock::time_point;

TimePoint After(std::chrono::nanoseconds time) {
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(time);
}

// A stream whose every step is waited for with a deadline, which the synchronous interface
// offers for the stream's whole life alone. One operation at a time.
struct WatchCall {
  enum class Step { kDone, kEnded, kLate };

  WatchCall() = default;
  WatchCall(const WatchCall&) = delete;
  WatchCall& operator=(const WatchCall&) = delete;
  // gRPC writes to `message` and `status` until the operation under way has ended.
  ~WatchCall() {
    context.TryCancel();
    queue.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue.Next(&tag, &ok)) continue;
  }

  Step Await(TimePoint deadline) {
    void* tag = nullptr;
    bool ok = false;
    if (queue.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
      return Step::kLate;
    }
    return ok ? Step::kDone : Step::kEnded;
  }

  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  v1::WatchVmResponse message;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchVmResponse>> stream;
};

}  // namespace

absl::Status CheckAdminSocket(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(socket, " is too long for a socket's path"));
  }
  memcpy(address.sun_path, socket.data(), socket.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return absl::OkStatus();
  }
  switch (errno) {
    case ENOENT:
      return absl::NotFoundError(
          absl::StrCat("lockhostd does not run here (no ", socket, "); ", kStart));
    case ECONNREFUSED:
      return absl::UnavailableError(
          absl::StrCat("lockhostd does not run any more (", socket, " is dead); ", kStart));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat("you may not open ", socket, "; be root or of the group ", GroupOf(socket)));
    default:
      return absl::ErrnoToStatus(errno, socket);
  }
}

absl::StatusOr<std::unique_ptr<HostClient>> HostClient::Connect(
    const std::string& socket, std::chrono::milliseconds deadline) {
  absl::Status listens = CheckAdminSocket(socket);
  if (!listens.ok()) return listens;
  grpc::ChannelArguments arguments;
  // A host of 256 VMs with hundreds of vCPUs each says more than the default of 4 MiB.
  arguments.SetMaxReceiveMessageSize(64 << 20);
  const auto channel =
      grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
  return std::unique_ptr<HostClient>(new HostClient(v1::HostService::NewStub(channel), deadline));
}

absl::StatusOr<v1::ListVmsResponse> HostClient::ListVms(bool include_vcpus) {
  v1::ListVmsRequest request;
  request.set_include_vcpus(include_vcpus);
  v1::ListVmsResponse all;
  do {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline_);
    v1::ListVmsResponse page;
    const grpc::Status status = stub_->ListVms(&context, request, &page);
    if (!status.ok()) return Explain(status);
    request.set_page_token(page.next_page_token());
    all.MergeFrom(page);
  } while (!request.page_token().empty());
  all.clear_next_page_token();
  return all;
}

absl::StatusOr<v1::ListBoostsResponse> HostClient::ListBoosts(uint64_t vm_id, uint64_t after_id) {
  v1::ListBoostsRequest request;
  request.set_vm_id(vm_id);
  request.set_after_id(after_id);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline_);
  v1::ListBoostsResponse response;
  const grpc::Status status = stub_->ListBoosts(&context, request, &response);
  if (!status.ok()) return Explain(status);
  return response;
}

absl::Status HostClient::Watch(uint64_t vm_id, std::chrono::nanoseconds interval,
                               const std::function<bool(const v1::WatchVmResponse&)>& take) {
  v1::WatchVmRequest request;
  request.set_vm_id(vm_id);
  request.set_interval_ns(static_cast<uint64_t>(interval.count()));
  WatchCall call;
  TimePoint deadline = After(deadline_);
  call.stream = stub_->AsyncWatchVm(&call.context, request, &call.queue, nullptr);
  WatchCall::Step step = call.Await(deadline);
  while (step == WatchCall::Step::kDone) {
    call.stream->Read(&call.message, nullptr);
    step = call.Await(deadline);
    if (step != WatchCall::Step::kDone) break;
    if (!take(call.message)) return absl::OkStatus();
    deadline = After(interval + deadline_);
  }
  if (step == WatchCall::Step::kEnded) {
    call.stream->Finish(&call.status, nullptr);
    step = call.Await(deadline);
  }
  return step == WatchCall::Step::kLate ? Late() : Explain(call.status);
}

}  // namespace lockhost::cli
