// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/session.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::seconds kAgentTimeout{20};
constexpr std::chrono::seconds kQuietTimeout{1};
constexpr std::chrono::seconds kBusyTimeout{10};
constexpr std::chrono::milliseconds kPollInterval{5};

}  // namespace

std::optional<BackendChoice> BackendNamed(const std::string& name) {
  if (name == "auto") return BackendChoice::kAuto;
  if (name == "kvm") return BackendChoice::kKvm;
  if (name == "threads") return BackendChoice::kThreads;
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<Session>> Session::Create(uint32_t vcpus, BackendChoice backend) {
  std::unique_ptr<Session> session(new Session);
  absl::StatusOr<std::unique_ptr<Machine>> machine = absl::UnavailableError("asked for threads");
  if (backend != BackendChoice::kThreads) machine = MakeKvmMachine(vcpus, GuestImage());
  if (absl::IsUnavailable(machine.status()) && backend != BackendChoice::kKvm) {
    session->why_not_kvm_ = std::string(machine.status().message());
    machine = MakeThreadMachine(vcpus);
  }
  if (!machine.ok()) return machine.status();
  session->machine_ = *std::move(machine);
  absl::StatusOr<std::unique_ptr<Pages>> pages = Pages::Create(session->machine_.get());
  if (!pages.ok()) return pages.status();
  session->pages_ = *std::move(pages);
  absl::StatusOr<Runner> runner = Runner::Create(session->machine_.get(), session->pages_.get());
  if (!runner.ok()) return runner.status();
  session->runner_.emplace(*std::move(runner));
  return session;
}

absl::Status Session::UseAgent(const std::string& socket_path) {
  absl::StatusOr<AgentLink> link = AgentLink::Connect(socket_path, kAgentTimeout);
  if (!link.ok()) return link.status();
  link_ = *std::move(link);
  absl::StatusOr<SourceFacts> source = AskSource(socket_path);
  if (!source.ok()) return source.status();
  source_ = *std::move(source);
  const bool registered = !machine_->is_kvm() || !has_oracle();
  absl::Status attached = link_->AttachTable(*machine_, *runner_, *pages_, registered);
  if (!attached.ok()) return attached;
  const absl::Status off = link_->SetBoost(false);
  if (!off.ok() && !absl::IsFailedPrecondition(off)) return off;
  why_not_boosted_ = std::string(off.message());
  return absl::OkStatus();
}

absl::Status Session::StartDaemons() {
  if (directory_ == nullptr) {
    absl::StatusOr<std::unique_ptr<RunDirectory>> directory = RunDirectory::Create();
    if (!directory.ok()) return directory.status();
    directory_ = *std::move(directory);
  }
  if (daemons_ == nullptr) {
    absl::StatusOr<std::unique_ptr<Daemons>> daemons = Daemons::Create(directory_.get());
    if (!daemons.ok()) return daemons.status();
    daemons_ = *std::move(daemons);
  }
  absl::Status up = daemons_->StartAgent();
  if (up.ok()) up = UseAgent(daemons_->agent_socket());
  // A daemon that died explains more than whoever waited for it.
  if (!up.ok()) return daemons_->Check().ok() ? up : daemons_->Check();
  up = daemons_->StartServer(link_->vm().vm_id);
  if (up.ok()) up = daemons_->StartGuests(*pages_, link_->vm().vm_id);
  return up;
}

// Demand outlives the waiters by some looks of the guest agent; what it still causes must
// not be counted against the next run. The agent arms its bell when it is idle again.
void Session::AwaitQuiet() {
  if (daemons_ == nullptr || !daemons_->Runs(Daemon::kGrpcGuest)) return;
  const auto* reports =
      static_cast<const lockhost_report_header*>(pages_->reports(/*watched=*/true).data());
  const auto deadline = std::chrono::steady_clock::now() + kQuietTimeout;
  while (__atomic_load_n(&reports->bell_armed, __ATOMIC_ACQUIRE) == 0 &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(kPollInterval);
  }
}

// Which report page is in use, and whether this VM's holders are boosted.
absl::Status Session::TellAgent(const RunSpec& spec) {
  const bool boosted = spec.boosted();
  const SharedMemory* reports =
      spec.reports_readable() ? &pages_->reports(spec.watched()) : nullptr;
  if (shared_ != reports) {
    absl::Status told = reports == nullptr ? link_->WithdrawReports()
                                           : link_->ShareReports(*reports, machine_->vcpus());
    if (!told.ok()) return told;
    shared_ = reports;
  }
  if (boosted_ == boosted) return absl::OkStatus();
  absl::Status told = link_->SetBoost(boosted);
  boosted_ = boosted;
  // An agent that cannot boost need not be told not to.
  return !boosted && absl::IsFailedPrecondition(told) ? absl::OkStatus() : told;
}

absl::StatusOr<RunResult> Session::Run(const RunSpec& spec, const std::function<void()>& during) {
  if (link_.has_value()) {
    absl::Status told = TellAgent(spec);
    // An agent that has died is CheckDaemons()'s news; the guest's locks do without.
    if (absl::IsUnavailable(told)) link_.reset();
    if (!told.ok() && link_.has_value()) return told;
  }
  absl::StatusOr<RunResult> result = runner_->Run(spec, during);
  if (spec.watched()) AwaitQuiet();
  return result;
}

absl::Status Session::Busy(std::chrono::milliseconds time, bool boost) {
  if (link_.has_value()) {
    if (absl::Status told = TellAgent({.boost = boost}); !told.ok()) return told;
  }
  const auto end = std::chrono::steady_clock::now() + time;
  return runner_->Busy(time + kBusyTimeout,
                       [&] { return std::chrono::steady_clock::now() >= end; });
}

absl::Status Session::StopDaemons() {
  if (daemons_ != nullptr) daemons_->Stop();
  link_.reset();
  shared_ = nullptr;
  boosted_.reset();
  return pages_->DetachTable();
}

}  // namespace lockhost::lab
