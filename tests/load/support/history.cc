// SPDX-License-Identifier: Apache-2.0
#include "tests/load/support/history.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lockhost::load {
namespace {

constexpr size_t kMostViolations = 20;
// What server/interest/demand.h grants at most.
constexpr uint64_t kLongestDemandNs = 1'000'000'000;

class Checker {
 public:
  Checker(const History& history, uint64_t slack_ns) : history_(history), slack_ns_(slack_ns) {
    for (const Truth& truth : history.truths) {
      tables_.insert(truth.table_generation);
      truths_[{truth.vcpu_id, truth.revision}][truth.table_generation] = truth.run_state;
    }
  }

  HistoryCheck Run() {
    for (const HeardStream& stream : history_.streams) CheckStream(stream);
    CheckLast();
    return std::move(check_);
  }

 private:
  // What is known of one generation, over all streams.
  struct Generation {
    std::map<uint32_t, uint64_t> revisions = {};  // highest of each vCPU
    std::set<uint64_t> tables = {};               // those that it may have been
    uint64_t first_heard_ns = 0;
  };

  template <typename... Text>
  void Violated(int guarantee, const Heard& heard, const Text&... text) {
    if (check_.violations.size() >= kMostViolations) return;
    check_.violations.push_back(absl::StrCat(guarantee, ": at ", heard.at_ns, " ns: ", text...));
  }

  void CheckStream(const HeardStream& stream) {
    generation_ = nullptr;
    const Heard* before = nullptr;
    uint64_t resyncs = 0;
    for (const Heard& heard : stream.messages) {
      ++check_.messages;
      if (before != nullptr) CheckSilence(*before, heard);
      if (heard.snapshot) {
        CheckSnapshot(stream, before == nullptr, resyncs, heard);
        resyncs = heard.resyncs;
      } else if (before == nullptr) {
        Violated(1, heard, "the first message is no snapshot");
      } else if (!heard.hints.empty()) {
        CheckDemand(heard);
      }
      for (const Hint& hint : heard.hints) CheckHint(heard, hint);
      before = &heard;
    }
  }

  void CheckSnapshot(const HeardStream& stream, bool first, uint64_t resyncs, const Heard& heard) {
    const bool known = generations_.contains(heard.generation);
    Generation* const generation = &generations_[heard.generation];
    if (!known) *generation = {.tables = tables_, .first_heard_ns = heard.at_ns};
    v1::SnapshotReason reason = v1::SNAPSHOT_REASON_RESYNC;
    if (first) {
      reason = v1::SNAPSHOT_REASON_OPENED;
    } else if (generation != generation_) {
      reason = v1::SNAPSHOT_REASON_NEW_GENERATION;
    }
    if (heard.reason != reason) {
      Violated(1, heard, "snapshot with reason ", heard.reason, " instead of ", reason);
    }
    const uint64_t expected = resyncs + (reason == v1::SNAPSHOT_REASON_RESYNC ? 1 : 0);
    if (heard.resyncs != expected) {
      Violated(1, heard, heard.resyncs, " resyncs instead of ", expected);
    }
    for (const uint64_t end_ns : history_.server_ends_ns) {
      if (generation->first_heard_ns < end_ns && end_ns < stream.begun_ns) {
        Violated(2, heard, "generation ", heard.generation, " is that of a lockhostd before");
      }
    }
    generation_ = generation;
  }

  void CheckSilence(const Heard& before, const Heard& heard) {
    const uint64_t silence_ns = heard.at_ns - before.at_ns;
    if (silence_ns <= before.lease_ns + slack_ns_) return;
    const bool excused =
        std::any_of(history_.silences.begin(), history_.silences.end(), [&](const Span& span) {
          return span.begin_ns < heard.at_ns && before.at_ns < span.end_ns;
        });
    if (!excused) {
      Violated(4, heard, silence_ns, " ns of silence with a lease of ", before.lease_ns);
    }
  }

  void CheckDemand(const Heard& heard) {
    const auto next =
        std::upper_bound(history_.demands_ns.begin(), history_.demands_ns.end(), heard.at_ns);
    if (next == history_.demands_ns.begin()) {
      return Violated(5, heard, "a delta though nobody has shown demand yet");
    }
    const uint64_t since_ns = heard.at_ns - *std::prev(next);
    // What was sent in time may have waited while lockhostd was stopped.
    const bool excused =
        std::any_of(history_.silences.begin(), history_.silences.end(), [&](const Span& span) {
          return span.begin_ns < heard.at_ns && heard.at_ns - since_ns < span.end_ns;
        });
    if (since_ns > kLongestDemandNs + slack_ns_ && !excused) {
      Violated(5, heard, "a delta ", since_ns, " ns after the last demand");
    }
  }

  void CheckHint(const Heard& heard, const Hint& hint) {
    ++check_.hints;
    if (generation_ == nullptr) return;
    uint64_t& highest = generation_->revisions[hint.vcpu_id];
    if (hint.revision < highest) {
      Violated(2, heard, "vCPU ", hint.vcpu_id, " went back from revision ", highest, " to ",
               hint.revision);
    }
    highest = std::max(highest, hint.revision);
    const auto known = truths_.find({hint.vcpu_id, hint.revision});
    if (known == truths_.end()) return;
    ++check_.hints_compared;
    for (const auto& [table, run_state] : known->second) {
      if (run_state != hint.run_state) generation_->tables.erase(table);
    }
    if (!generation_->tables.empty()) return;
    Violated(3, heard, "vCPU ", hint.vcpu_id, " was not ", hint.run_state, " at revision ",
             hint.revision);
    generation_->tables = tables_;
  }

  void CheckLast() {
    if (history_.last.empty()) return;
    if (history_.streams.empty() || history_.streams.back().messages.empty()) {
      return Violated(5, {}, "the guest heard nothing in the end");
    }
    for (const auto& [vcpu_id, revision] : history_.last) {
      const uint64_t told = generation_ == nullptr ? 0 : generation_->revisions[vcpu_id];
      if (told < revision) {
        Violated(5, history_.streams.back().messages.back(), "vCPU ", vcpu_id,
                 " stands at revision ", revision, ", the guest was told ", told);
      }
    }
  }

  const History& history_;
  const uint64_t slack_ns_;
  std::set<uint64_t> tables_;
  // (vCPU, revision) -> table's generation -> run state.
  std::map<std::pair<uint32_t, uint64_t>, std::map<uint64_t, uint32_t>> truths_;
  std::map<uint64_t, Generation> generations_;
  Generation* generation_ = nullptr;  // of the stream's last snapshot
  HistoryCheck check_;
};

}  // namespace

Heard ToHeard(const v1::WatchHintsResponse& message, uint64_t received_ns) {
  Heard heard = {.at_ns = received_ns, .lease_ns = message.lease_ns()};
  const auto* vcpus = &message.delta().vcpus();
  if (message.has_snapshot()) {
    const v1::Snapshot& snapshot = message.snapshot();
    heard.snapshot = true;
    heard.reason = snapshot.reason();
    heard.generation = snapshot.generation();
    heard.resyncs = snapshot.resyncs();
    vcpus = &snapshot.vcpus();
  }
  for (const v1::VcpuHint& vcpu : *vcpus) {
    heard.hints.push_back(
        {vcpu.vcpu_id(), static_cast<uint32_t>(vcpu.run_state()), vcpu.revision()});
  }
  return heard;
}

HistoryCheck CheckHistory(const History& history, uint64_t slack_ns) {
  return Checker(history, slack_ns).Run();
}

}  // namespace lockhost::load
