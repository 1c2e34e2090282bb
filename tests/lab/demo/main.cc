// SPDX-License-Identifier: Apache-2.0
//
// lockhost-demo: what `make demo` runs. Starts lockhost's own daemons beside a VM of the
// lab, lets seven locks compete at rising overcommit, and says what came out.
#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/program_flags.h"
#include "common/termination.h"
#include "tests/lab/demo/demo_json.h"
#include "tests/lab/demo/grid.h"
#include "tests/lab/demo/perturbation.h"
#include "tests/lab/demo/setting.h"
#include "tests/lab/demo/text.h"

ABSL_FLAG(std::string, json, "", "also write the results there");
ABSL_FLAG(std::string, backend, "auto", "kvm, threads or auto");
ABSL_FLAG(int, runs, 5, "runs of each subject in each cell");
ABSL_FLAG(double, seconds, 0.8, "length of one run");
ABSL_FLAG(bool, quick, false, "a few seconds instead of minutes; the numbers mean nothing");

namespace lockhost::lab {
namespace {

constexpr int kInterrupted = 130;

absl::StatusOr<Plan> PlanFromFlags() {
  Plan plan;
  plan.runs = absl::GetFlag(FLAGS_runs);
  plan.run_time = std::chrono::milliseconds(static_cast<int>(absl::GetFlag(FLAGS_seconds) * 1000));
  if (absl::GetFlag(FLAGS_quick)) {
    plan.runs = 1;
    plan.run_time = std::chrono::milliseconds(60);
    plan.perturbation_pairs = 1;
    plan.perturbation_time = std::chrono::milliseconds(300);
  }
  if (plan.runs < 1 || plan.run_time < std::chrono::milliseconds(1)) {
    return absl::InvalidArgumentError("--runs and --seconds must be positive");
  }
  const uint32_t most = UsableCpus() * *std::max_element(plan.ratios.begin(), plan.ratios.end());
  if (most > kMaxVcpus) {
    return absl::InvalidArgumentError(absl::StrCat("the lab has room for ", kMaxVcpus,
                                                   " vCPUs, not for ", most,
                                                   ": give it fewer CPUs with taskset"));
  }
  return plan;
}

class Demo {
 public:
  Demo(const Plan& plan, BackendChoice backend, MayGoOn may_go_on)
      : plan_(plan),
        backend_(backend),
        may_go_on_(std::move(may_go_on)),
        progress_(plan.GridSteps() + plan.PerturbationSteps()) {}

  absl::Status Run() {
    results_.run_seconds = std::chrono::duration<double>(plan_.run_time).count();
    for (const uint32_t ratio : plan_.ratios) {
      if (absl::Status ran = RunVm(ratio); !ran.ok()) return ran;
    }
    progress_.Clear();
    return absl::OkStatus();
  }
  const Results& results() const { return results_; }

 private:
  // One VM from boot to end.
  absl::Status RunVm(uint32_t ratio) {
    const uint32_t vcpus = ratio * UsableCpus();
    progress_.Phase(absl::StrCat("ratio ", ratio, ": a VM with ", vcpus, " vCPUs"));
    absl::StatusOr<std::unique_ptr<Session>> session = Session::Create(vcpus, backend_);
    if (!session.ok()) return session.status();
    if (absl::Status up = (*session)->StartDaemons(); !up.ok()) return up;
    Introduce(**session);
    absl::Status ran = RunRatio(**session, plan_, ratio, may_go_on_, progress_, results_);
    if (!ran.ok() || ratio != plan_.perturbation_ratio) return ran;
    progress_.Phase(absl::StrCat("ratio ", ratio, ": what the daemons cost"));
    absl::StatusOr<Perturbation> cost =
        MeasurePerturbation(**session, plan_, may_go_on_, progress_);
    if (!cost.ok()) return cost.status();
    results_.perturbation = *std::move(cost);
    return absl::OkStatus();
  }

  // Once: as soon as there is a VM to speak about.
  void Introduce(Session& session) {
    if (results_.setting.cpus != 0) return;
    results_.setting = LookAround(session);
    progress_.Clear();
    std::fputs(Introduction(results_.setting).c_str(), stdout);
    std::fflush(stdout);
  }

  const Plan plan_;
  const BackendChoice backend_;
  const MayGoOn may_go_on_;
  Progress progress_;
  Results results_;
};

absl::Status Main() {
  // Should a daemon leave a process behind, it becomes ours, and ends with us.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const absl::StatusOr<UniqueFd> termination = TerminationFd();
  if (!termination.ok()) return termination.status();
  const absl::StatusOr<Plan> plan = PlanFromFlags();
  if (!plan.ok()) return plan.status();
  const std::optional<BackendChoice> backend = BackendNamed(absl::GetFlag(FLAGS_backend));
  if (!backend.has_value()) return absl::InvalidArgumentError("--backend: kvm, threads or auto");
  Demo demo(*plan, *backend, [&termination] {
    pollfd asked = {.fd = termination->get(), .events = POLLIN, .revents = 0};
    if (poll(&asked, 1, 0) == 0) return absl::OkStatus();
    return absl::CancelledError("interrupted; everything that was started has been ended");
  });
  if (absl::Status ran = demo.Run(); !ran.ok()) return ran;
  std::fputs(Table(demo.results()).c_str(), stdout);
  std::fputs(HintFacts(demo.results()).c_str(), stdout);
  std::fputs(Verdict(demo.results()).c_str(), stdout);
  const std::string json = absl::GetFlag(FLAGS_json);
  return json.empty() ? absl::OkStatus() : WriteFile(json, ToJson(demo.results()));
}

}  // namespace
}  // namespace lockhost::lab

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv,
                              "Seven locks on overcommitted vCPUs, with lockhost beside.");
  const absl::Status done = lockhost::lab::Main();
  if (done.ok()) return 0;
  std::fprintf(stderr, "\nlockhost-demo: %s\n", std::string(done.message()).c_str());
  return absl::IsCancelled(done) ? lockhost::lab::kInterrupted : 1;
}
