// SPDX-License-Identifier: Apache-2.0
//
// A VM's whole listener, from the socket through the inspector to gRPC and the calls, while
// another VM's guest is served by the same threads. Input: what is sent before (1 byte, see
// Preamble), the size of the pieces (1 byte), then what is sent.
#include <grpc/support/log.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <memory>
#include <string>

#include "agent/table/memfd_table.h"
#include "common/clock.h"
#include "common/http2_frames.h"
#include "server/service/vm_server.h"
#include "tests/agent/support/eventually.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"
#include "tests/integration/support/raw_http2.h"

namespace lockhost::server {
namespace {

constexpr int kPatienceMs = 20'000;

// Small enough to be met, but for the rates: an input would depend on the ones before.
VmServer::Options Limits() {
  VmServer::Options options;
  options.connections.accepts_per_second = options.connections.accept_burst = 10'000;
  options.connections.bytes_per_second = options.connections.byte_burst = 100 << 20;
  options.connections.frames_per_second = options.connections.frame_burst = 1'000'000;
  options.connections.calls_per_second = options.connections.call_burst = 100'000;
  options.grpc.message_bytes = 1024;
  options.grpc.metadata_bytes = 1024;
  return options;
}

PublisherCore::Options Timing() {
  PublisherCore::Options options;
  options.timing = {.lease_ns = 200'000'000, .heartbeat_ns = 20'000'000, .heartbeat_slack_ns = 0};
  return options;
}

std::string Message(std::string_view protobuf) {
  std::string message(4, '\0');
  message.push_back(static_cast<char>(protobuf.size()));
  return message.append(protobuf);
}

std::string Call(uint32_t stream, std::string_view method) {
  return Frame(FrameType::kHeaders, kEndHeaders, stream,
               CallHeaders(std::string("/lockhost.v1.HintService/").append(method)));
}

// protocol_version: 1
std::string Watch() {
  return Call(1, "WatchHints") + Frame(FrameType::kData, kEndStream, 1, Message("\x08\x01"));
}

std::string Preamble(uint8_t kind) {
  switch (kind % 4) {
    case 0:
      return "";
    case 1:
      return ClientHello();
    case 2:
      return ClientHello() + Watch();
    default:
      return ClientHello() + Call(1, "ReportHolders");
  }
}

UniqueFd Connect(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
  FUZZ_CHECK(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

// Reads what is there.
std::string Drain(int fd) {
  std::string bytes;
  char scratch[65536];
  for (ssize_t got; (got = recv(fd, scratch, sizeof(scratch), MSG_DONTWAIT)) > 0;) {
    bytes.append(scratch, static_cast<size_t>(got));
  }
  return bytes;
}

// One VM, its table and its server.
struct Vm {
  Vm(uint64_t vm_id, const std::string& socket_path, Publisher* publisher, HintQueue* queue,
     Wire* wire)
      : table(*agent::MemfdTable::Create(vm_id)) {
    table->SetState(0, LOCKHOST_RUN_STATE_RUNNING, 1);
    VmFacts facts;
    facts.vm_id = vm_id;
    facts.vm_index = static_cast<uint32_t>(vm_id);
    record = std::make_shared<VmRecord>(std::move(facts), *agent::TableReader::Attach(table->fd()),
                                        socket_path);
    publisher->PutVm(record);
    server = *VmServer::Start(Limits(), record, publisher, &booster, queue, wire, MonotonicClock());
  }

  std::unique_ptr<agent::MemfdTable> table;
  std::shared_ptr<VmRecord> record;
  BoostRequester booster;  // of a host that boosts nobody
  std::unique_ptr<VmServer> server;
};

// What must not notice anything: hints to the other VM's guest.
class Bystander {
 public:
  explicit Bystander(const std::string& socket_path) : connection_(Connect(socket_path)) {
    Send(ClientHello() + Watch());
  }

  // A message comes within the time that we have patience for.
  void Check() {
    pollfd readable = {connection_.get(), POLLIN, 0};
    FUZZ_CHECK(poll(&readable, 1, kPatienceMs) == 1);
    const std::string bytes = Drain(connection_.get());
    FUZZ_CHECK(!bytes.empty());
    std::string more(4, '\0');
    http2::WriteBig32(static_cast<uint32_t>(bytes.size()), more.data());
    Send(PingAnswers(bytes) + Frame(FrameType::kWindowUpdate, 0, 0, more) +
         Frame(FrameType::kWindowUpdate, 0, 1, more));
  }

 private:
  // gRPC's keepalive: it does not see window updates for what went past it, and asks.
  std::string PingAnswers(std::string_view bytes) {
    constexpr auto kPing = static_cast<uint8_t>(FrameType::kPing);
    std::string answers;
    while (const auto piece = frames_.Next(&bytes)) {
      if (piece->header || piece->frame.type != kPing) continue;
      ping_.append(piece->bytes);
      if (!piece->ends_frame) continue;
      answers += Frame(FrameType::kPing, http2::kAcknowledge, 0, ping_);
      ping_.clear();
    }
    return answers;
  }

  void Send(const std::string& bytes) {
    FUZZ_CHECK(send(connection_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(bytes.size()));
  }

  const UniqueFd connection_;
  http2::FrameCutter frames_;
  std::string ping_;  // the payload of one that is not complete yet
};

class Host {
 public:
  Host()
      : wire_(*Wire::Start(MonotonicClock(), UINT64_MAX, /*looks_per_second=*/1'000'000'000)),
        queue_(wire_.get()),
        publisher_(*Publisher::Start(Timing(), MonotonicClock(), &queue_, &stats_)) {
    // It has a word for each header that it does not like.
    gpr_set_log_function([](gpr_log_func_args*) {});
    publisher_->AgentHere(nullptr, nullptr);
    attacked_ =
        std::make_unique<Vm>(7, directory_.path() + "/7", publisher_.get(), &queue_, wire_.get());
    other_ =
        std::make_unique<Vm>(8, directory_.path() + "/8", publisher_.get(), &queue_, wire_.get());
    bystander_ = std::make_unique<Bystander>(directory_.path() + "/8");
  }
  ~Host() {
    publisher_->Drain(uint64_t{kPatienceMs} * 1'000'000);
    attacked_.reset();
    other_.reset();
  }

  void Attack(const std::string& bytes, size_t piece) {
    {
      const UniqueFd connection = Connect(directory_.path() + "/7");
      for (size_t at = 0; at < bytes.size(); at += piece) {
        const size_t size = std::min(piece, bytes.size() - at);
        if (send(connection.get(), bytes.data() + at, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) break;
      }
      wire_->AwaitLook();
      Drain(connection.get());
      wire_->AwaitLook();
    }
    const auto& open = attacked_->record->counters().connections.open;
    FUZZ_CHECK(agent::Eventually([&] { return open == 0; }));
    if (++attacks_ % 16 == 0) bystander_->Check();
  }

 private:
  agent::TempDir directory_;
  PublisherStats stats_;
  std::unique_ptr<Wire> wire_;
  HintQueue queue_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Vm> attacked_;
  std::unique_ptr<Vm> other_;
  std::unique_ptr<Bystander> bystander_;
  uint64_t attacks_ = 0;
};

}  // namespace
}  // namespace lockhost::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static lockhost::server::Host host;
  lockhost::ByteReader input(data, size);
  const std::string preamble = lockhost::server::Preamble(input.Take<uint8_t>());
  const size_t piece = size_t{input.Take<uint8_t>()} * 16 + 1;
  host.Attack(preamble + std::string(input.TakeRest()), piece);
  return 0;
}
