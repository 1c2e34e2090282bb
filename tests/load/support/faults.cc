// SPDX-License-Identifier: Apache-2.0
#include "tests/load/support/faults.h"

#include <poll.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "tests/agent/support/eventually.h"

namespace lockhost::load {
namespace {

using agent::Eventually;

constexpr uint64_t kNsPerMs = 1'000'000;
// After a fault is over, what was late because of it may still come.
constexpr uint64_t kAftermathNs = 1'500 * kNsPerMs;
constexpr uint64_t kMostGrowthBytes = 16 << 20;
constexpr size_t kMostMoreDescriptors = 100;  // three each for a VM's 16 connections, and change

uint64_t NowNs() { return MonotonicClock().now_ns(); }

void Wait(uint64_t ms) { poll(nullptr, 0, static_cast<int>(ms)); }

}  // namespace

absl::Status Faults::Next() {
  const Part part = kParts[random_() % std::size(kParts)];
  const Kind kind = static_cast<Kind>(random_() % 3);
  if (absl::Status alive = host_.Check(); !alive.ok()) return alive;
  if (absl::Status grown = CheckGrowth(part); !grown.ok()) return grown;
  const char* names[] = {"SIGKILL", "SIGTERM", "SIGSTOP"};
  ++facts_.faults[absl::StrCat(names[static_cast<int>(kind)], " ", NameOf(part))];
  const uint64_t begin_ns = NowNs();
  absl::Status well = kind == Kind::kStop ? StopForAWhile(part) : Restart(part, kind);
  if (part != Part::kGuestAgent) {
    facts_.silences.push_back({begin_ns, NowNs() + kAftermathNs});
  }
  return well;
}

absl::Status Faults::Restart(Part part, Kind kind) {
  kind == Kind::kKill ? host_.Kill(part) : host_.Terminate(part);
  at_first_.erase(part);
  const uint64_t ended_ns = NowNs();
  if (part == Part::kServer) facts_.server_ends_ns.push_back(ended_ns);
  Wait(random_() % 300);
  const uint64_t started_ns = NowNs();
  if (absl::Status launched = host_.Launch(part); !launched.ok()) return launched;
  absl::Status well = AwaitWell(part, ended_ns);
  if (part != Part::kGuestAgent && well.ok()) {
    facts_.resume_ms[part].push_back(static_cast<double>(NowNs() - started_ns) / kNsPerMs);
  }
  return well;
}

absl::Status Faults::StopForAWhile(Part part) {
  host_.Signal(part, SIGSTOP);
  Wait(50 + random_() % 1'000);
  host_.Signal(part, SIGCONT);
  return AwaitWell(part, 0);
}

absl::Status Faults::AwaitWell(Part part, uint64_t since_ns) {
  bool well = true;
  if (part == Part::kServer) {
    well = Eventually([&] { return recorder_.AllResumed(since_ns); });
  }
  const uint64_t deltas = recorder_.deltas();
  well = well && Eventually([&] { return recorder_.deltas() > deltas; });
  well = well &&
         Eventually([&] { return host_.GuestHasLease(part == Part::kGuestAgent ? since_ns : 0); });
  if (absl::Status alive = host_.Check(); !alive.ok()) return alive;
  if (well) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat("no hints after a fault of ", NameOf(part)));
}

absl::Status Faults::CheckGrowth(Part part) {
  const Holdings now = HoldingsOf(host_.pid(part));
  const auto [first, is_new] = at_first_.emplace(part, now);
  if (is_new) return absl::OkStatus();
  if (now.rss_bytes <= first->second.rss_bytes + kMostGrowthBytes &&
      now.descriptors <= first->second.descriptors + kMostMoreDescriptors) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      NameOf(part), " has grown from ", first->second.rss_bytes, " bytes and ",
      first->second.descriptors, " descriptors to ", now.rss_bytes, " and ", now.descriptors));
}

}  // namespace lockhost::load
