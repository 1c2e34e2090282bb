// SPDX-License-Identifier: Apache-2.0
#include "server/daemon/daemon.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <exception>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::server {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
// Of socket_mode only these hold for the admin socket.
constexpr mode_t kOwnerAndGroup = 0660;

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("make ", path));
}

absl::StatusOr<TlsDoor::Rules> RulesFrom(const TlsOptions& tls) {
  absl::StatusOr<std::shared_ptr<const TlsContext>> context = TlsContext::Load(tls.files);
  if (!context.ok()) return context.status();
  return TlsDoor::Rules{*std::move(context), tls.guests, tls.limits};
}

struct Readable {
  bool termination = false;
  bool reload = false;
};

// Until one of them is readable, or it is time. Negative descriptors are left out.
Readable WaitReadable(int termination_fd, int reload_fd, int agent_fd, uint64_t now_ns,
                      uint64_t until_ns) {
  pollfd fds[3] = {{termination_fd, POLLIN, 0}, {reload_fd, POLLIN, 0}, {agent_fd, POLLIN, 0}};
  const uint64_t wait_ns = until_ns > now_ns ? until_ns - now_ns : 0;
  const timespec timeout = {static_cast<time_t>(wait_ns / kNsPerSecond),
                            static_cast<long>(wait_ns % kNsPerSecond)};
  ppoll(fds, 3, until_ns == UINT64_MAX ? nullptr : &timeout, nullptr);
  return {fds[0].revents != 0, fds[1].revents != 0};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(Options options, Clock clock,
                                                      Observer observer) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options), clock, std::move(observer)));
  absl::Status made = MakeDirectory(daemon->options_.run_dir);
  if (made.ok()) made = MakeDirectory(absl::StrCat(daemon->options_.run_dir, "/vm"));
  if (!made.ok()) return made;
  absl::StatusOr<std::unique_ptr<Wire>> wire = Wire::Start(clock, daemon->options_.wire_look_ns);
  if (!wire.ok()) return wire.status();
  daemon->wire_ = *std::move(wire);
  daemon->queue_ = std::make_unique<HintQueue>(daemon->wire_.get());
  absl::StatusOr<std::unique_ptr<Publisher>> publisher =
      Publisher::Start(daemon->options_.publisher, clock, daemon->queue_.get(), &daemon->stats_);
  if (!publisher.ok()) return publisher.status();
  daemon->publisher_ = *std::move(publisher);
  if (absl::Status serving = daemon->ServeVsock(); !serving.ok()) return serving;
  if (absl::Status serving = daemon->ServeTls(); !serving.ok()) return serving;
  daemon->servers_ = std::make_unique<VmServers>(
      daemon->options_.vm, daemon->options_.hybrid_sockets, daemon->publisher_.get(),
      &daemon->booster_, daemon->queue_.get(), daemon->wire_.get(), daemon->vsock_.get(),
      daemon->tls_.get(), clock);
  if (absl::Status serving = daemon->ServeOperator(); !serving.ok()) return serving;
  if (absl::Status serving = daemon->ServeMetrics(); !serving.ok()) return serving;
  return daemon;
}

Daemon::Daemon(Options options, Clock clock, Observer observer)
    : options_(std::move(options)),
      clock_(clock),
      observer_(std::move(observer)),
      metrics_(std::make_shared<Metrics>(options_.version, &directory_, &stats_, &host_counters_,
                                         clock_)),
      link_(options_.agent_socket, options_.agent_backoff, options_.publisher.instance, this) {}

Daemon::~Daemon() {
  if (operator_server_ != nullptr) operator_server_->StopServing();
  if (servers_ != nullptr) servers_->StopServing();
  // Who watches our health is told before its streams end.
  if (wire_ != nullptr) wire_->AwaitLook();
  if (publisher_ != nullptr) publisher_->Drain(options_.drain_ns);
  vsock_.reset();
  tls_.reset();
  servers_.reset();
  // Streams that came meanwhile: gRPC still has their operations.
  if (publisher_ != nullptr) publisher_->Drain(options_.drain_ns);
  operator_server_.reset();
  exposer_.reset();
  publisher_.reset();
  queue_.reset();
}

absl::Status Daemon::ServeOperator() {
  AdminAccess access = {geteuid(), getegid()};
  std::optional<gid_t> group;
  if (!options_.admin_group.empty()) {
    const absl::StatusOr<gid_t> found = FindGroup(options_.admin_group);
    if (!found.ok()) return found.status();
    group = access.group = *found;
  }
  absl::StatusOr<Listener> listener =
      options_.listen_admin ? options_.listen_admin()
                            : Listener::OpenUnix(absl::StrCat(options_.run_dir, "/admin.sock"),
                                                 options_.socket_mode & kOwnerAndGroup, group);
  if (!listener.ok()) return listener.status();
  auto server = HostServer::Start(*std::move(listener), access, &host_counters_, &directory_,
                                  wire_.get(), clock_);
  if (!server.ok()) return server.status();
  operator_server_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status Daemon::ServeVsock() {
  if (!options_.listen_vsock) return absl::OkStatus();
  absl::StatusOr<Listener> listener = options_.listen_vsock();
  if (!listener.ok()) return listener.status();
  auto door =
      VsockDoor::Open(*std::move(listener), options_.peer_cid, wire_.get(), &host_counters_);
  if (!door.ok()) return door.status();
  vsock_ = *std::move(door);
  return absl::OkStatus();
}

absl::Status Daemon::ServeTls() {
  if (options_.tls.address.empty()) return absl::OkStatus();
  absl::StatusOr<TlsDoor::Rules> rules = RulesFrom(options_.tls);
  if (!rules.ok()) return rules.status();
  absl::StatusOr<Listener> listener = Listener::OpenTcp(options_.tls.address);
  if (!listener.ok()) return listener.status();
  auto door =
      TlsDoor::Open(*std::move(listener), *std::move(rules), wire_.get(), &host_counters_.tls);
  if (!door.ok()) return door.status();
  tls_ = *std::move(door);
  return absl::OkStatus();
}

absl::Status Daemon::SetTls(const TlsOptions& tls) {
  // Begins or ends at the next start.
  if (tls_ == nullptr || tls.address.empty()) return absl::OkStatus();
  absl::StatusOr<TlsDoor::Rules> rules = RulesFrom(tls);
  if (!rules.ok()) return rules.status();
  tls_->SetRules(*std::move(rules));
  return absl::OkStatus();
}

absl::Status Daemon::ServeMetrics() {
  if (options_.metrics_address.empty()) return absl::OkStatus();
  try {  // the library's way to say that it cannot listen
    exposer_ = std::make_unique<prometheus::Exposer>(options_.metrics_address, 1);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("serve metrics on ", options_.metrics_address, ": ", error.what()));
  }
  exposer_->RegisterCollectable(metrics_);
  return absl::OkStatus();
}

void Daemon::Run(int termination_fd, const Reload& reload) {
  Readable readable;
  while (!readable.termination) {
    link_.Step(clock_.now_ns());
    readable =
        WaitReadable(termination_fd, reload.fd, link_.fd(), clock_.now_ns(), link_.deadline_ns());
    if (readable.reload) reload.on_readable();
  }
}

void Daemon::SetLimits(const VmServer::Options& vm) { servers_->SetLimits(vm); }

std::string Daemon::SocketPath(uint64_t vm_id) const {
  return absl::StrCat(options_.run_dir, "/vm/", vm_id, ".sock");
}

void Daemon::OnAgentHere(const agent::SourceMessage& source, AgentOffer offer) {
  const std::string reason(agent::FieldText(source.reason));
  directory_.SetSource({true, source.source, reason, std::move(offer.stats),
                        std::move(offer.host_page), std::move(offer.boost_log)});
  booster_.Use(std::move(offer.boost_requests));
  observer_.info(absl::StrCat("agent connected, source ", SourceName(source.source),
                              reason.empty() ? "" : ": ", reason));
  if (offer.ring == nullptr)
    observer_.info("no hint ring: tables are polled while there is demand");
  publisher_->AgentHere(std::move(offer.ring), std::move(offer.interest));
}

void Daemon::OnAgentGone(const absl::Status& why, uint64_t retry_in_ns) {
  SourceState source = directory_.source();
  if (std::exchange(source.connected, false)) {
    observer_.warning(
        absl::StrCat("agent lost (", why.ToString(),
                     "); guests fall back when their lease runs out; next attempt in ",
                     retry_in_ns / 1'000'000, " ms"));
    directory_.SetSource(std::move(source));
    booster_.Use({});
    publisher_->AgentGone();
  }
}

absl::Status Daemon::OnVm(const agent::VmMessage& message, int table_fd) {
  absl::StatusOr<std::unique_ptr<agent::TableReader>> table = agent::TableReader::Attach(table_fd);
  if (!table.ok()) return table.status();
  VmFacts facts = VmFacts::FromMessage(message);
  VmDirectory::Record record = directory_.Find(facts.vm_id);
  if (record != nullptr) {
    record->Update(facts, *std::move(table));
    publisher_->PutVm(std::move(record));
    ApplyFacts(facts);
    return absl::OkStatus();
  }
  record = std::make_shared<VmRecord>(facts, *std::move(table), SocketPath(facts.vm_id));
  publisher_->PutVm(record);
  if (absl::Status served = servers_->Start(record); !served.ok()) {
    publisher_->RemoveVm(facts.vm_id);
    return served;
  }
  ApplyFacts(facts);
  directory_.Put(std::move(record));
  observer_.info(absl::StrCat("VM ", facts.vm_id, " (pid ", facts.pid, " ", facts.vmm, " ",
                              facts.name, ") on ", SocketPath(facts.vm_id)));
  return absl::OkStatus();
}

void Daemon::ApplyFacts(const VmFacts& facts) {
  const absl::Status applied = servers_->ApplyFacts(facts);
  if (applied.ok()) return;
  observer_.warning(absl::StrCat("VM ", facts.vm_id,
                                 " is served, but not by hybrid vsock: ", applied.ToString()));
}

void Daemon::OnVmGone(uint64_t vm_id) {
  publisher_->RemoveVm(vm_id);
  servers_->End(vm_id);
  directory_.Remove(vm_id);
  observer_.info(absl::StrCat("VM ", vm_id, " has gone"));
}

void Daemon::OnBadEvent(const absl::Status& why) {
  observer_.warning(absl::StrCat("left out: ", why.ToString()));
}

}  // namespace lockhost::server
