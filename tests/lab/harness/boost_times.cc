// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/harness/boost_times.h"

#include <algorithm>
#include <chrono>
#include <variant>

#include "agent/channel/agent_client.h"

namespace lockhost::lab {
namespace {

constexpr std::chrono::seconds kAnswerTimeout{10};

}  // namespace

absl::StatusOr<std::unique_ptr<agent::BoostLogReader>> OpenBoostLog(
    const std::string& agent_socket) {
  auto client = agent::AgentClient::Connect(agent_socket);
  if (!client.ok()) return client.status();
  if (absl::Status asked = client->Subscribe(); !asked.ok()) return asked;
  auto event = client->Await(kAnswerTimeout);
  if (!event.ok()) return event.status();
  const auto* source = std::get_if<agent::SourceEvent>(&*event);
  if (source == nullptr || !source->boost_log.valid()) {
    return absl::FailedPreconditionError("this agent boosts nobody");
  }
  return agent::BoostLogReader::Attach(source->boost_log.get());
}

uint64_t AwaitedSinceNs(const agent::BoostRecord& record, const std::vector<uint64_t>& rings) {
  if (record.asker != agent::BoostAsker::kGrpc) return record.preempted_at_ns;
  const auto ring = std::lower_bound(rings.begin(), rings.end(), record.preempted_at_ns);
  const bool rung = ring != rings.end() && *ring < record.raised_at_ns;
  return rung ? *ring : record.preempted_at_ns;
}

void BoostTimes::Add(const agent::BoostRecord& record, const std::vector<uint64_t>& rings) {
  ++count_;
  if (record.running_at_ns == 0) return;
  const uint64_t from_ns = AwaitedSinceNs(record, rings);
  back_ns_.push_back(record.running_at_ns - std::min(from_ns, record.running_at_ns));
  told_ns_.push_back(record.raised_at_ns - std::min(from_ns, record.raised_at_ns));
}

uint64_t BoostTimes::Quantile(std::vector<uint64_t> values, double quantile) {
  if (values.empty()) return 0;
  const auto index = static_cast<size_t>(quantile * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<long>(index), values.end());
  return values[index];
}

}  // namespace lockhost::lab
