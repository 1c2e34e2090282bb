// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/daemons.h"

#include <pwd.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/page/hint_reader.h"
#include "tests/lab/harness/thread_usage.h"

namespace lockhost::lab {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPollInterval{5};
constexpr std::chrono::seconds kStartTimeout{20};

// Whom the daemons that face guests run as. Not root: they stay who we are.
absl::StatusOr<Unprivileged> NobodyOrSelf() {
  if (geteuid() != 0) return Unprivileged{.uid = geteuid(), .gid = getegid()};
  const passwd* nobody = getpwnam("nobody");
  if (nobody == nullptr) return absl::NotFoundError("there is no user 'nobody'");
  return Unprivileged{.uid = nobody->pw_uid, .gid = nobody->pw_gid};
}

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

bool HasLease(const SharedMemory& page) {
  const auto* header = static_cast<const lockhost_hint_header*>(page.data());
  return lockhost_check_hint_page(header, page.bytes()) != 0 &&
         __atomic_load_n(&header->valid_until_ns, __ATOMIC_ACQUIRE) > NowNs();
}

std::string InheritedPath(const SharedMemory& memory) {
  return absl::StrCat("/proc/self/fd/", memory.fd());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Daemons>> Daemons::Create(const RunDirectory* directory) {
  const absl::StatusOr<Unprivileged> user = NobodyOrSelf();
  if (!user.ok()) return user.status();
  absl::StatusOr<std::string> server = directory->MakeFor("server", user->uid, user->gid);
  if (!server.ok()) return server.status();
  absl::StatusOr<std::string> guest = directory->MakeFor("guest", user->uid, user->gid);
  if (!guest.ok()) return guest.status();
  return std::unique_ptr<Daemons>(new Daemons(directory, *std::move(server), *std::move(guest)));
}

std::string Daemons::agent_socket() const { return directory_.path() + "/agent.sock"; }
std::string Daemons::VmSocket(uint64_t vm_id) const {
  return absl::StrCat(server_dir_, "/vm/", vm_id, ".sock");
}
std::string Daemons::StatsFile() const { return guest_dir_ + "/grpc.json"; }

absl::Status Daemons::Launch(Daemon daemon, ChildSpec spec) {
  spec.log_path = absl::StrCat(directory_.path(), "/", spec.name, ".log");
  absl::StatusOr<ChildProcess> child = ChildProcess::Start(spec);
  if (!child.ok()) return child.status();
  running_[daemon] = *std::move(child);
  return absl::OkStatus();
}

absl::Status Daemons::StartAgent() {
  const absl::StatusOr<Unprivileged> user = NobodyOrSelf();
  if (!user.ok()) return user.status();
  // No pins: nothing of the lab's may stay in the kernel.
  return Launch(Daemon::kAgent, {.name = "lockhost-agent",
                                 .argv = {LOCKHOST_AGENT_PROGRAM, "--socket=" + agent_socket(),
                                          absl::StrCat("--server-uid=", user->uid), "--pin-dir="},
                                 .user = std::nullopt,
                                 .inherited_fds = {},
                                 .log_path = ""});
}

absl::Status Daemons::StartServer(uint64_t vm_id) {
  const absl::StatusOr<Unprivileged> user = NobodyOrSelf();
  if (!user.ok()) return user.status();
  // A socket that a killed lockhostd left behind must not be taken for the new one's.
  std::error_code ignored;
  std::filesystem::remove_all(server_dir_ + "/vm", ignored);
  absl::Status started =
      Launch(Daemon::kServer, {.name = "lockhostd",
                               .argv = {LOCKHOST_SERVER_PROGRAM, "--agent-socket=" + agent_socket(),
                                        "--run-dir=" + server_dir_, "--metrics-address="},
                               .user = *user,
                               .inherited_fds = {},
                               .log_path = ""});
  if (!started.ok()) return started;
  const std::string socket = VmSocket(vm_id);
  return AwaitThat([&] { return std::filesystem::exists(socket); },
                   "lockhostd serves the VM at " + socket);
}

absl::Status Daemons::StartGuest(Daemon daemon, const Pages& pages, uint64_t vm_id) {
  const absl::StatusOr<Unprivileged> user = NobodyOrSelf();
  if (!user.ok()) return user.status();
  const bool direct = daemon == Daemon::kDirectGuest;
  const SharedMemory& page = direct ? pages.direct_lease() : pages.grpc_page();
  const SharedMemory& reports = pages.reports(/*watched=*/!direct);
  ChildSpec spec = {
      .name = direct ? "lockhost-guestd-direct" : "lockhost-guestd",
      .argv = {LOCKHOST_GUESTD_PROGRAM, "--host=unix:" + VmSocket(vm_id),
               "--hint-page=" + InheritedPath(page), "--report-page=" + InheritedPath(reports),
               absl::StrCat("--slots=", pages.vcpus())},
      .user = *user,
      .inherited_fds = {page.fd(), reports.fd()},
      .log_path = ""};
  if (direct) {
    spec.argv.push_back("--path=direct-map");
  } else {
    spec.argv.push_back("--stats-file=" + StatsFile());
  }
  return Launch(daemon, std::move(spec));
}

absl::Status Daemons::StartGuests(const Pages& pages, uint64_t vm_id) {
  for (const Daemon daemon : {Daemon::kGrpcGuest, Daemon::kDirectGuest}) {
    if (absl::Status started = StartGuest(daemon, pages, vm_id); !started.ok()) return started;
  }
  return AwaitThat([&] { return HasLease(pages.grpc_page()) && HasLease(pages.direct_lease()); },
                   "lockhost-guestd holds a lease");
}

absl::Status Daemons::Check() {
  for (auto& [daemon, child] : running_) {
    if (absl::Status alive = child.Check(); !alive.ok()) return alive;
  }
  return absl::OkStatus();
}

absl::Status Daemons::AwaitThat(const std::function<bool()>& done, const std::string& what) {
  const auto deadline = steady_clock::now() + kStartTimeout;
  while (!done()) {
    if (absl::Status alive = Check(); !alive.ok()) return alive;
    if (steady_clock::now() >= deadline) {
      std::string message = absl::StrCat("waited in vain until ", what);
      for (const auto& [daemon, child] : running_) {
        if (!child.LastWords().empty()) absl::StrAppend(&message, "\n", child.LastWords());
      }
      return absl::DeadlineExceededError(message);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return absl::OkStatus();
}

void Daemons::Stop() {
  // Against the flow of data, so that nobody misses a peer and says so in its log.
  for (auto daemon = running_.rbegin(); daemon != running_.rend(); ++daemon) daemon->second.Stop();
  running_.clear();
}

bool Daemons::Runs(Daemon daemon) {
  const auto found = running_.find(daemon);
  return found != running_.end() && found->second.Check().ok();
}

absl::StatusOr<uint64_t> Daemons::CpuNs() const {
  uint64_t sum = 0;
  for (const auto& [daemon, child] : running_) {
    if (daemon == Daemon::kDirectGuest) continue;
    const absl::StatusOr<uint64_t> cpu_ns = ReadProcessCpuNs(child.pid());
    if (!cpu_ns.ok()) return cpu_ns.status();
    sum += *cpu_ns;
  }
  return sum;
}

void Daemons::Kill(Daemon daemon) { running_.erase(daemon); }

absl::StatusOr<std::map<std::string, uint64_t>> Daemons::GuestStats() const {
  std::ifstream file(StatsFile());
  if (!file) return absl::NotFoundError(absl::StrCat(StatsFile(), " is not there"));
  return ParseCounters(std::string(std::istreambuf_iterator<char>(file), {}));
}

absl::StatusOr<std::map<std::string, uint64_t>> ParseCounters(absl::string_view json) {
  json = absl::StripAsciiWhitespace(json);
  if (!absl::ConsumePrefix(&json, "{") || !absl::ConsumeSuffix(&json, "}")) {
    return absl::InvalidArgumentError("counters: not a JSON object");
  }
  std::map<std::string, uint64_t> counters;
  for (absl::string_view member : absl::StrSplit(json, ',', absl::SkipWhitespace())) {
    const std::vector<absl::string_view> parts = absl::StrSplit(member, ':');
    uint64_t value = 0;
    absl::string_view key = absl::StripAsciiWhitespace(parts[0]);
    if (parts.size() != 2 || !absl::ConsumePrefix(&key, "\"") || !absl::ConsumeSuffix(&key, "\"") ||
        !absl::SimpleAtoi(parts[1], &value)) {
      return absl::InvalidArgumentError(absl::StrCat("counters: cannot read ", member));
    }
    counters[std::string(key)] = value;
  }
  return counters;
}

}  // namespace lockhost::lab
