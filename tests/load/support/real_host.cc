// SPDX-License-Identifier: Apache-2.0
#include "tests/load/support/real_host.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "agent/channel/agent_client.h"
#include "client/page/hint_page.h"
#include "common/clock.h"
#include "common/unique_fd.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::load {
namespace {

using agent::Eventually;

constexpr int kSlots = 8;
constexpr uint64_t kLeaseNs = 3'000'000'000;  // lockhostd's, by default

}  // namespace

const char* NameOf(Part part) {
  switch (part) {
    case Part::kAgent:
      return "lockhost-agent";
    case Part::kServer:
      return "lockhostd";
    case Part::kGuestAgent:
      return "lockhost-guestd";
  }
  return "";
}

Holdings HoldingsOf(pid_t pid) {
  Holdings holdings;
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  uint64_t pages = 0;
  statm >> pages >> pages;
  holdings.rss_bytes = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  std::error_code ignored;
  for (const auto& fd :
       std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/fd"), ignored)) {
    holdings.descriptors += fd.path().empty() ? 0 : 1;
  }
  return holdings;
}

absl::StatusOr<std::unique_ptr<RealHost>> RealHost::Start(const HostPlan& plan) {
  if (geteuid() != 0) return absl::UnavailableError("needs root for BPF and mounts");
  std::unique_ptr<RealHost> host(new RealHost(plan));
  absl::Status up = host->MountPins();
  if (up.ok()) up = host->StartVms();
  if (up.ok()) up = host->Launch(Part::kAgent);
  if (up.ok()) up = host->FindVms();
  if (up.ok()) up = host->Launch(Part::kServer);
  if (!up.ok()) return up;
  for (int vm = 0; vm < plan.vms; ++vm) {
    const std::string socket = host->SocketOf(vm);
    if (!Eventually([&] { return access(socket.c_str(), F_OK) == 0; })) {
      return absl::DeadlineExceededError(absl::StrCat("lockhostd does not serve ", socket));
    }
  }
  if (plan.guest_agent) up = host->Launch(Part::kGuestAgent);
  if (!up.ok()) return up;
  return host;
}

RealHost::~RealHost() {
  running_.erase(Part::kGuestAgent);
  running_.erase(Part::kServer);
  running_.clear();
  for (Vm& vm : vms_) vm.vmm->Kill();
  if (!pins_.empty()) umount2(pins_.c_str(), MNT_DETACH);
}

// A BPF file system that nobody else sees, so that an agent can take over what the one
// before has left, and nothing is left for others.
absl::Status RealHost::MountPins() {
  const std::string pins = directory_.path() + "/bpf";
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mkdir(pins.c_str(), 0700) != 0 || mount("bpf", pins.c_str(), "bpf", 0, nullptr) != 0) {
    return absl::UnavailableError(absl::ErrnoToStatus(errno, "mount a BPF file system").message());
  }
  pins_ = pins;
  return absl::OkStatus();
}

absl::Status RealHost::StartVms() {
  for (int vm = 0; vm < plan_.vms; ++vm) {
    auto vmm = agent::VmmProcess::Start(plan_.vcpus_each, agent::VmmProcess::Guest::kHalts,
                                        plan_.tick, agent::VmmProcess::Backend::kAny);
    if (!vmm.ok()) return vmm.status();
    vms_.push_back({.vmm = *std::move(vmm)});
  }
  return absl::OkStatus();
}

absl::Status RealHost::FindVms() {
  auto client = agent::AgentClient::Connect(AgentSocket());
  if (!client.ok()) return client.status();
  if (absl::Status asked = client->Subscribe(); !asked.ok()) return asked;
  size_t found = 0;
  while (found < vms_.size()) {
    auto event = client->Await(agent::kPatience);
    if (!event.ok()) return event.status();
    if (auto* source = std::get_if<agent::SourceEvent>(&*event)) {
      if (source->message.source == agent::SourceKind::kBpf) continue;
      return absl::UnavailableError(absl::StrCat("no BPF: ", source->message.reason));
    }
    auto* seen = std::get_if<agent::VmEvent>(&*event);
    if (seen == nullptr || seen->message.vcpu_count < static_cast<uint32_t>(plan_.vcpus_each)) {
      continue;
    }
    const auto vm = std::find_if(vms_.begin(), vms_.end(), [&](const Vm& each) {
      return each.vmm->pid() == seen->message.pid && each.table == nullptr;
    });
    if (vm == vms_.end()) continue;
    auto table = agent::TableReader::Attach(seen->table.get());
    if (!table.ok()) return table.status();
    vm->vm_id = seen->message.vm_id;
    vm->table = *std::move(table);
    ++found;
  }
  return absl::OkStatus();
}

std::vector<std::string> RealHost::ArgumentsOf(Part part) const {
  switch (part) {
    case Part::kAgent:
      return {LOCKHOST_AGENT_PROGRAM, "--socket=" + AgentSocket(), "--pin-dir=" + pins_ + "/pins"};
    case Part::kServer:
      return {LOCKHOST_SERVER_PROGRAM, "--agent-socket=" + AgentSocket(),
              "--run-dir=" + directory_.path() + "/run", "--metrics-address="};
    case Part::kGuestAgent:
      return {LOCKHOST_GUESTD_PROGRAM,          "--host=unix:" + SocketOf(0),
              "--hint-page=" + Page("hints"),   "--report-page=" + Page("reports"),
              absl::StrCat("--slots=", kSlots), "--backoff-last=500ms"};
  }
  return {};
}

absl::Status RealHost::Launch(Part part) {
  auto child = lab::ChildProcess::Start(
      {.name = NameOf(part),
       .argv = ArgumentsOf(part),
       .user = std::nullopt,
       .inherited_fds = {},
       .log_path = absl::StrCat(directory_.path(), "/log.", NameOf(part))});
  if (!child.ok()) return child.status();
  running_[part] = *std::move(child);
  if (part != Part::kAgent) return absl::OkStatus();
  if (!Eventually([&] { return agent::AgentClient::Connect(AgentSocket()).ok(); })) {
    return absl::DeadlineExceededError("lockhost-agent does not listen");
  }
  for (const Vm& vm : vms_) {
    if (absl::Status told = vm.vmm->RegisterWith(AgentSocket()); !told.ok()) return told;
  }
  return absl::OkStatus();
}

void RealHost::Kill(Part part) { running_.erase(part); }

void RealHost::Terminate(Part part) {
  running_.at(part).Stop();
  running_.erase(part);
}

void RealHost::Signal(Part part, int signal) { kill(pid(part), signal); }

absl::Status RealHost::Check() {
  for (auto& [part, child] : running_) {
    if (absl::Status alive = child.Check(); !alive.ok()) return alive;
  }
  return absl::OkStatus();
}

std::string RealHost::SocketOf(int vm) const {
  return absl::StrCat(directory_.path(), "/run/vm/", vms_[static_cast<size_t>(vm)].vm_id, ".sock");
}

bool RealHost::GuestHasLease(uint64_t since_ns) const {
  const UniqueFd file(open(Page("hints").c_str(), O_RDONLY | O_CLOEXEC));
  lockhost_hint_header header;
  return file.valid() && pread(file.get(), &header, sizeof(header), 0) == sizeof(header) &&
         header.valid_until_ns > std::max(MonotonicClock().now_ns(), since_ns + kLeaseNs);
}

}  // namespace lockhost::load
