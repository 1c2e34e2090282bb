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

std::string ThreadStats::ToJson() const {
  std::string json = "{";
  Append(&json, "processes", processes);
  Append(&json, "granted", results[LOCKHOST_THREAD_RESULT_GRANTED]);
  Append(&json, "bad_requests", results[LOCKHOST_THREAD_RESULT_BAD_REQUEST]);
  Append(&json, "refused_already", results[LOCKHOST_THREAD_RESULT_ALREADY]);
  Append(&json, "refused_too_many", results[LOCKHOST_THREAD_RESULT_TOO_MANY]);
  Append(&json, "refused_no_peer", results[LOCKHOST_THREAD_RESULT_NO_PEER]);
  Append(&json, "refused_no_memory", results[LOCKHOST_THREAD_RESULT_NO_MEMORY]);
  Append(&json, "bound", bound);
  Append(&json, "unreadable", unreadable);
  Append(&json, "out_of_range", out_of_range);
  Append(&json, "binds_failed", binds_failed);
  return json + "}";
}

}  // namespace lockhost::guest_agent
