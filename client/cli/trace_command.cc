// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/host_client.h"
#include "client/cli/json.h"
#include "client/cli/views.h"
#include "client/cli/vm_choice.h"

namespace lockhost::cli {
namespace {

absl::Status Print(const Options& options, const v1::Boost& boost, uint64_t now_ns) {
  if (options.json) return PrintJson(boost);
  printf("%s\n", TraceLine(boost, now_ns).c_str());
  fflush(stdout);
  return absl::OkStatus();
}

// What is left out must not look as if nothing had happened.
void SayMissed(uint64_t missed) {
  if (missed == 0) return;
  fprintf(stderr, "lockhost: up to %s of earlier boosts are not kept any more\n",
          absl::StrCat(missed).c_str());
}

absl::Status SwitchedOff(const std::string& vm) {
  return absl::FailedPreconditionError(
      absl::StrCat("boosts of this VM are switched off; lockhost boost ", vm, " on"));
}

}  // namespace

absl::Status TraceCommand(const Options& options, const std::string& vm) {
  const auto client = HostClient::Connect(options.socket, options.deadline);
  if (!client.ok()) return client.status();
  const auto list = (*client)->ListVms(/*include_vcpus=*/false);
  if (!list.ok()) return list.status();
  const auto chosen = ChooseVm(*list, vm);
  if (!chosen.ok()) return chosen.status();
  uint64_t after_id = 0;
  for (uint32_t printed = 0;;) {
    const auto found = (*client)->ListBoosts(chosen->vm_id(), after_id);
    if (!found.ok()) return found.status();
    const auto now_ns = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
    SayMissed(after_id == 0 ? 0 : found->missed());
    for (const v1::Boost& boost : found->boosts()) {
      if (absl::Status done = Print(options, boost, now_ns); !done.ok()) return done;
      if (++printed == options.count) return absl::OkStatus();
    }
    if (!found->enabled()) return SwitchedOff(vm);
    after_id = found->last_id();
    poll(nullptr, 0, static_cast<int>(options.interval.count()));
  }
}

}  // namespace lockhost::cli
