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
using lockhost::guest_agent::ThreadDesk;
using lockhost::guest_agent::ThreadStats;

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
void WriteStats(const GuestAgent& agent, const ThreadStats& threads, const std::string& path) {
  std::string json = agent.stats().ToJson();
  json.back() = ',';
  json += threads.ToJson().substr(1);  // one flat object
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

// Thread pages are given where pages are, and where the kernel lets this process. Else all goes on
// without.
void OfferThreads(PageServer* pages, bool wanted, ThreadStats* stats) {
  if (!wanted) {
    spdlog::info("threads: off by --threads; locks do not know which threads run");
    return pages->OfferThreads(nullptr, LOCKHOST_THREADS_OFF);
  }
  auto desk = ThreadDesk::Open(pages->hint_page(), {}, lockhost::MonotonicClock(), stats);
  if (desk.ok()) {
    spdlog::info("threads: on by BPF; locks know which threads of their process run");
    return pages->OfferThreads(*std::move(desk), LOCKHOST_THREADS_ON);
  }
  spdlog::info("threads: off, {}; locks do not know which threads run", desk.status().ToString());
  pages->OfferThreads(nullptr, lockhost::guest_agent::OfferOf(desk.status()));
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
  const absl::StatusOr<bool> threads = lockhost::guest_agent::ThreadsFlag();
  for (const absl::Status& status : {options.status(), threads.status()}) {
    if (status.ok()) continue;
    spdlog::error("{}", status.ToString());
    return 2;
  }
  GuestAgent* running = nullptr;
  ThreadStats thread_stats;
  options->on_poked = [&running, &thread_stats] {
    if (lockhost::guest_agent::TakeStatsRequest()) WriteStats(*running, thread_stats, "");
  };
  lockhost::guest_agent::BlockSignals();
  // Inherited by gRPC's threads, whose work can wait for the next switch.
  lockhost::RequestPatientWakeups().IgnoreError();
  const auto pages = MakePages(&*options);
  if (!pages.ok()) return Refuse(pages.status());
  auto agent = GuestAgent::Create(*std::move(options), lockhost::MonotonicClock(), LogLinkEvents());
  if (!agent.ok()) return Refuse(agent.status());
  if (*pages != nullptr) {
    OfferThreads(pages->get(), *threads, &thread_stats);
    if (const absl::Status started = (*pages)->Start(); !started.ok()) return Refuse(started);
  }
  lockhost::RequestOrdinaryWakeups().IgnoreError();
  running = agent->get();
  lockhost::guest_agent::HandleSignals(running);
  const absl::Status status = running->Run();
  WriteStats(*running, thread_stats, lockhost::guest_agent::StatsFile());
  return ExitCode(status);
}
