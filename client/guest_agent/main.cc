// SPDX-License-Identifier: Apache-2.0
// lockhost-guestd: in the guest, from the host's stream to the hint page.
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>
#include <string>

#include "client/guest_agent/flags.h"
#include "client/guest_agent/guest_agent.h"
#include "client/guest_agent/page_server.h"
#include "client/guest_agent/signals.h"
#include "common/clock.h"
#include "common/program_flags.h"
#include "common/scheduling.h"

namespace {

using lockhost::guest_agent::GuestAgent;
using lockhost::guest_agent::HostLink;
using lockhost::guest_agent::PageServer;

HostLink::Observer LogLinkEvents() {
  return {
      .on_connected = [] { spdlog::info("connected; hints are live"); },
      .on_lost =
          [](const absl::Status& why, uint64_t retry_in_ns) {
            spdlog::warn("no hints: {}; trying again in {} ms", why.ToString(),
                         retry_in_ns / 1'000'000);
          },
      .on_stopped =
          [](const absl::Status& why) { spdlog::error("host: {}; stopping", why.ToString()); },
  };
}

// What was counted, to the log and, at the end, where the flags say.
void WriteStats(const GuestAgent& agent, const std::string& path) {
  const std::string json = agent.stats().ToJson();
  spdlog::info("{}", json);
  if (path.empty()) return;
  FILE* file = fopen(path.c_str(), "we");
  if (file == nullptr || fprintf(file, "%s\n", json.c_str()) < 0) {
    spdlog::error("cannot write {}", path);
  }
  if (file != nullptr) fclose(file);
}

// Pages of sealed memory, unless the options name files; null then.
absl::StatusOr<std::unique_ptr<PageServer>> MakePages(GuestAgent::Options* options) {
  if (!options->hint_page.empty()) return nullptr;
  auto server = PageServer::Create(lockhost::guest_agent::PageSocket(), options->slots);
  if (!server.ok()) return server.status();
  options->hint_page = (*server)->hint_page();
  options->report_page = (*server)->report_page();
  return server;
}

int Refuse(const absl::Status& why) {
  spdlog::error("{}", why.ToString());
  return 1;
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return 0;
  return absl::IsNotFound(status) ? 69 : 76;  // EX_UNAVAILABLE, EX_PROTOCOL
}

}  // namespace

int main(int argc, char** argv) {
  lockhost::ParseProgramFlags(argc, argv,
                              "Writes this guest's hint page from the host's stream of hints.");
  absl::StatusOr<GuestAgent::Options> options = lockhost::guest_agent::OptionsFromFlags();
  if (!options.ok()) {
    spdlog::error("{}", options.status().ToString());
    return 2;
  }
  GuestAgent* running = nullptr;
  options->on_poked = [&running] {
    if (lockhost::guest_agent::TakeStatsRequest()) WriteStats(*running, "");
  };
  lockhost::guest_agent::BlockSignals();
  // Inherited by gRPC's threads, whose work can wait for the next switch.
  lockhost::RequestPatientWakeups().IgnoreError();
  const auto pages = MakePages(&*options);
  if (!pages.ok()) return Refuse(pages.status());
  auto agent = GuestAgent::Create(*std::move(options), lockhost::MonotonicClock(), LogLinkEvents());
  if (!agent.ok()) return Refuse(agent.status());
  if (*pages != nullptr) {
    if (const absl::Status started = (*pages)->Start(); !started.ok()) return Refuse(started);
  }
  lockhost::RequestOrdinaryWakeups().IgnoreError();
  running = agent->get();
  lockhost::guest_agent::HandleSignals(running);
  const absl::Status status = running->Run();
  WriteStats(*running, lockhost::guest_agent::StatsFile());
  return ExitCode(status);
}
