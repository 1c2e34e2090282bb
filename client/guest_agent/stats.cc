// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/stats.h"

#include "absl/strings/str_cat.h"

namespace lockhost::guest_agent {
namespace {

void Append(std::string* json, const char* key, const std::atomic<uint64_t>& value) {
  absl::StrAppend(json, json->size() == 1 ? "\"" : ",\"", key, "\":", value.load());
}

}  // namespace

std::string Stats::ToJson() const {
  std::string json = "{";
  Append(&json, "connects", connects);
  Append(&json, "messages", messages);
  Append(&json, "snapshots", snapshots);
  Append(&json, "deltas", deltas);
  Append(&json, "heartbeats", heartbeats);
  Append(&json, "hints", hints);
  Append(&json, "resyncs", resyncs);
  Append(&json, "bad_messages", bad_messages);
  Append(&json, "dropped_vcpus", dropped_vcpus);
  Append(&json, "rings", rings);
  Append(&json, "reports", reports);
  Append(&json, "holder_reports", holder_reports);
  Append(&json, "reports_skipped", reports_skipped);
  return json + "}";
}

}  // namespace lockhost::guest_agent
